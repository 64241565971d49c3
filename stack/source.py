"""A fingerprint of the code that runs inside TaskManagers: Python keeps imported modules for the life of a process."""

import hashlib

from config import loader
from stack.settings import PROJECT

ROOMS = ("config", "jobs", "pipelines", "profile_store", "schemas", "sinks")
KINDS = (".py", ".lua", ".avsc", ".yaml")


def fingerprint() -> str:
    """Hash of the names and contents of all source and configuration files of the rooms that jobs use."""
    digest = hashlib.blake2b(digest_size=8)
    folders = [PROJECT / room for room in ROOMS] + [loader.folder()]
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.suffix in KINDS:
                digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
