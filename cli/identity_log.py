"""The link log as the commands read it, and what every statement that they write to it carries."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from operations.identity import Placed


def said(tenant: str, reason: str) -> dict[str, Any]:
    """What every statement carries: whose, when, an id, and who says why."""
    import getpass
    import time
    import uuid

    who = f"{getpass.getuser()}: {reason}" if reason else getpass.getuser()
    return {"tenant": tenant, "at": int(time.time() * 1000), "cause": str(uuid.uuid4()), "reason": who}


def read_links() -> "list[Placed]":
    """The link log of all tenants; shows how far it is on standard error."""
    from config import loader
    from operations.identity import read_log
    from operations.progress import Progress

    with Progress("links read") as progress:
        return read_log(loader.platform().kafka.bootstrap, progress.at)
