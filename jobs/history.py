"""Job `history`: the clean topics become tables in ClickHouse, each record exactly once (docs/decisions/0003-history-loader.md).

    python -m jobs.history [--instance NAME]

Several instances with different names share the partitions. Exit codes: 0 asked to stop, 1 an error that a restart may cure.
"""

import argparse
import logging
import os
import sys
from threading import Event

from config import loader as config
from operations.process import run_until_stopped
from pipelines.history import marks
from pipelines.history.group import GroupLog, LogAwayError, LogError, rewind
from pipelines.history.loader import FencedError, Limits, Loader
from pipelines.history.plan import BrokenPlanError
from pipelines.history.progress import Progress
from pipelines.history.schema import ensure_schema, forget_marks, unmade
from pipelines.history.tables import TABLES
from schemas.clean import UnknownSchemaError
from schemas.registry import VARIABLE, RegistryError
from sinks.clickhouse import ClickHouse, ClickHouseError, PatientInserts, wait_until_up

READ_TIMEOUT_S = 0.1
REJOINS = 10
_EXPECTED = (
    BrokenPlanError,
    ClickHouseError,
    FencedError,
    LogAwayError,
    LogError,
    marks.LogCutError,
    RegistryError,
    UnknownSchemaError,
    config.ConfigError,
)
_log = logging.getLogger("jobs.history")


def run(instance: str, stop: Event, retry_for_s: float = 300) -> None:
    """Load until told to stop; after losing the partitions, join the group again with empty hands."""
    platform = config.platform()
    os.environ.setdefault(VARIABLE, platform.schema_registry.url)  # started by hand, without the stack's environment
    server, root = ClickHouse(platform.clickhouse), ClickHouse(platform.clickhouse, database="")
    wait_until_up(root, retry_for_s, stop.wait)
    # First the offsets, then the tables: if we end in between, the next start finds the tables missing still.
    lost = unmade(server, root)
    rewind(platform.kafka.bootstrap, lost, retry_for_s, stop.wait)
    forget_marks(server, root, lost)
    ensure_schema(server, root, config.definitions(), config.identity(), platform.tenants)
    inserts = PatientInserts(server, retry_for_s, stop.wait)
    for _ in range(REJOINS):
        log = GroupLog(platform.kafka.bootstrap, list(TABLES), instance, inserts.kept, retry_for_s, stop.wait)
        try:
            load(log, inserts, stop)
            return
        except FencedError as error:
            if error.replaced:
                raise
            _log.warning("the group gave the partitions away (%s); joining again", error)
        finally:
            log.close()
    raise LogError(f"lost the partitions {REJOINS} times; is this process starved, or Kafka's network cut?")


def load(log: GroupLog, inserts: PatientInserts, stop: Event) -> None:
    """One membership of the group."""
    loader = Loader(log, inserts, {topic: table.name for topic, table in TABLES.items()}, Limits())
    progress = Progress()
    log.join(loader.assign, loader.revoke)
    while not stop.is_set():
        progress.add(loader.turn(READ_TIMEOUT_S))
        progress.say(loader, log.ends)
    loader.confirm()


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m jobs.history", description="Load the clean topics into ClickHouse, exactly once.")
    parser.add_argument("--instance", default="0", help="name of this member; another process of the same name replaces it")
    parser.add_argument("--retry-for", type=float, default=300, metavar="S", help="how long to wait for ClickHouse or Kafka (default: 300)")
    arguments = parser.parse_args()
    return run_until_stopped(_log, lambda stop: run(arguments.instance, stop, arguments.retry_for), _EXPECTED)


if __name__ == "__main__":
    sys.exit(main())
