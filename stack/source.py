"""Fingerprints of source and configuration: a process that was started with other ones has to be replaced."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from config import loader
from schemas import contracts
from stack import applied
from stack.settings import PROJECT, Settings, environment

ROOMS = ("config", "importers", "jobs", "operations", "pipelines", "profile_store", "schemas", "sinks")
KINDS = (".py", ".lua", ".avsc", ".yaml")


def fingerprint(settings: Settings) -> str:
    """What runs inside TaskManagers: all source files of the rooms that jobs use, and the definitions in force.

    Python keeps imported modules for the life of a process, so a changed job needs new TaskManagers.
    """
    in_force = applied.current(settings.run)
    definitions = [in_force] if in_force else [loader.folder(), contracts.folder()]
    written = {PROJECT / "config", contracts.FOLDER}  # what is written there counts once it is applied
    code = [
        (path.relative_to(PROJECT), path)
        for room in ROOMS
        for path in sorted((PROJECT / room).rglob("*"))
        if path.suffix in KINDS and (path.suffix != ".yaml" or not written.intersection(path.parents))
    ]
    named = [(path.relative_to(folder), path) for folder in definitions for path in sorted(folder.rglob("*.yaml"))]
    return _digest([*code, *named])


def supervisor_fingerprint(settings: Settings) -> str:
    """What the supervisor was made from: its own source, the configuration of servers and jobs, and the environment's say."""
    files = [*sorted((PROJECT / "stack").glob("*.py")), loader.folder() / "stack.yaml", loader.folder() / "jobs.yaml"]
    digest = _digest((Path(path.name), path) for path in files)
    said = {key: value for key, value in environment(settings).items() if key != "CDP_CONFIG_DIR"}  # the files count, wherever they lie
    return hashlib.blake2b(f"{digest}{sorted(said.items())}".encode(), digest_size=8).hexdigest()


def _digest(files: Iterable[tuple[Path, Path]]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for name, path in files:
        digest.update(str(name).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
