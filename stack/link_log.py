"""The link log begins with the limits of the identity graph: seen to before the job starts that reads it (docs/identity.md)."""

from pathlib import Path

from config import loader
from config.identity import Identity
from config.platform import Platform
from operations import identity_limits
from operations.controls import LINKS, ControlError
from operations.topics import TopicsAwayError
from schemas.registry import RegistryError
from stack import applied
from stack.errors import StackError
from stack.jobs import Job
from stack.settings import Settings


def begin(settings: Settings, job: Job) -> list[str]:
    """Write the limits in force to the link log of each tenant that has no record yet; of a job that does not read the log, do nothing.

    Args:
        settings: which stack.
        job: that is to be started.

    Returns:
        Tenants whose log begins by this.

    Raises:
        StackError: Kafka or the schema registry does not answer.
    """
    if LINKS not in job.reads:
        return []
    # The definitions that the job is about to read: those of this process may be older.
    folder = applied.environment(settings.run).get("CDP_CONFIG_DIR")
    where = Path(folder) if folder else None
    identity, platform = loader.read("identity.yaml", Identity, where), loader.read("platform.yaml", Platform, where)
    try:
        return identity_limits.begin(settings.kafka, identity, platform.tenants)
    except (TopicsAwayError, ControlError, RegistryError) as error:
        raise StackError(f"for the link log to begin with its limits: {error}", "it is tried again; see `cdp logs kafka`") from error
