"""Fingerprints of source and configuration: a process that was started with other ones has to be replaced."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from config import loader
from stack.settings import PROJECT, Settings, environment

ROOMS = ("config", "importers", "jobs", "pipelines", "profile_store", "schemas", "sinks")
KINDS = (".py", ".lua", ".avsc", ".yaml")


def fingerprint() -> str:
    """What runs inside TaskManagers: all source and configuration files of the rooms that jobs use.

    Python keeps imported modules for the life of a process, so a changed job needs new TaskManagers.
    """
    folders = [PROJECT / room for room in ROOMS] + [loader.folder()]
    return _digest((path.relative_to(folder), path) for folder in folders for path in sorted(folder.rglob("*")) if path.suffix in KINDS)


def supervisor_fingerprint(settings: Settings) -> str:
    """What the supervisor was made from: its own source, the configuration of servers and jobs, and the environment's say."""
    files = [*sorted((PROJECT / "stack").glob("*.py")), loader.folder() / "stack.yaml", loader.folder() / "jobs.yaml"]
    digest = _digest((Path(path.name), path) for path in files)
    return hashlib.blake2b(f"{digest}{sorted(environment(settings).items())}".encode(), digest_size=8).hexdigest()


def _digest(files: Iterable[tuple[Path, Path]]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for name, path in files:
        digest.update(str(name).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
