"""The files of a checkpoint or savepoint: which ones its `_metadata` names, whether all are there, and how they come safely to disk.

Flink (2.3, `MetadataV2V3SerializerBase`) names a state file as a type byte, its path (Java's modified UTF-8 behind a length of two bytes)
and its size in eight bytes: absolute paths as `2, size, path`, paths relative to the checkpoint's own folder as `6, path, size`. Both forms
are found by what surrounds them, so little else of the format has to be known: the checkpoint's id stands behind magic number and version,
and again in front of the name of each incremental backend, which looks like a relative path where the id ends in 6.

A *seal* is the digest of `_metadata` written down after all files of a checkpoint were brought to disk. Flink itself does not sync: after a
power cut the newest checkpoint may be a file of zeros. A sealed one is whole, or the disk has lost what it promised to keep.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from stack.errors import StackError
from stack.process import sync_folder, write_json
from stack.settings import Settings

# Flink's metadata files begin with this number (org.apache.flink.runtime.checkpoint.Checkpoints.HEADER_MAGIC_NUMBER).
MAGIC = (0x4960672D).to_bytes(4, "big")
METADATA = "_metadata"
_NAME = rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_RELATIVE = re.compile(rb"\x06\x00\x24(" + _NAME + rb")(.{8})", re.DOTALL)
_ABSOLUTE = re.compile(rb"\x02(.{8})(..)(file:)", re.DOTALL)


class Seal(msgspec.Struct, frozen=True):
    """What was brought to disk."""

    size: int
    digest: str


class Seals(msgspec.Struct):
    """`data/jobs/<job>.seals.json`: sealed checkpoints by folder, those that are still there."""

    sealed: dict[str, Seal] = {}


def damage(folder: Path, seals: Seals | None = None) -> str:
    """What is wrong with a checkpoint or savepoint, in words; empty when it is whole as far as can be told.

    Args:
        folder: of the checkpoint.
        seals: what is known of it from before.
    """
    try:
        metadata = (folder / METADATA).read_bytes()
    except OSError as error:
        return f"{METADATA} cannot be read ({error.strerror})"
    if metadata[:4] != MAGIC:
        return f"{METADATA} does not begin like one of Flink ({len(metadata)} bytes)"
    sealed = seals.sealed.get(str(folder)) if seals else None
    if sealed and sealed != _seal_of(metadata):
        return f"{METADATA} is not what it was ({sealed.size} bytes then, {len(metadata)} now)"
    for file, size in files(folder, metadata):
        try:
            found = file.stat().st_size
        except OSError:
            return f"its state file {file} is missing"
        if found != size:
            return f"its state file {file} has {found} bytes instead of {size}"
    return ""


def checkpoint_id(folder: Path) -> int:
    """The id of a checkpoint or savepoint among those of its run and of the runs that it goes on from, as its own `_metadata` says.

    Args:
        folder: of the checkpoint.

    Raises:
        StackError: there is no `_metadata` of Flink in it.
    """
    try:
        with (folder / METADATA).open("rb") as file:
            header = file.read(16)
    except OSError as error:
        raise StackError(f"{folder / METADATA} cannot be read ({error.strerror})", "see `cdp logs jobmanager`") from error
    if header[:4] != MAGIC or len(header) < 16:
        raise StackError(f"{folder / METADATA} does not begin like one of Flink", "see `cdp logs jobmanager`")
    return int.from_bytes(header[8:16], "big")


def files(folder: Path, metadata: bytes) -> Iterator[tuple[Path, int]]:
    """State files that a `_metadata` names, each with its size in bytes.

    Args:
        folder: of the checkpoint.
        metadata: content of its `_metadata`.
    """
    seen = set()
    own_id = metadata[8:16]
    for match in _RELATIVE.finditer(metadata):
        if metadata[match.start() - 7 : match.start() + 1] == own_id:
            continue  # the id of checkpoint 6, 262, ... and the name of a backend, not a type byte and a path
        seen.add((folder / match[1].decode(), int.from_bytes(match[2], "big")))
    for match in _ABSOLUTE.finditer(metadata):
        start, length = match.start(3), int.from_bytes(match[2], "big")
        name = metadata[start : start + length].decode(errors="replace")
        if len(name) == length and name.isprintable():
            seen.add((Path("/" + name.removeprefix("file:").lstrip("/")), int.from_bytes(match[1], "big")))
    yield from sorted(seen)


def read_seals(settings: Settings, job: str) -> Seals:
    """The seals of a job; none when there are none, or when they cannot be read: they only add to what can be told."""
    try:
        return msgspec.json.decode(_path(settings, job).read_bytes(), type=Seals)
    except (FileNotFoundError, msgspec.DecodeError):
        return Seals()


def seal(settings: Settings, job: str, folder: Path) -> bool:
    """Bring a checkpoint to disk and write that down; False when Flink has removed it meanwhile, because a newer one is there."""
    try:
        metadata = (folder / METADATA).read_bytes()
        places = {folder}
        for file in [folder / METADATA, *(path for path, _ in files(folder, metadata))]:
            _sync(file)
            places.add(file.parent)
        for place in sorted(places):
            sync_folder(place)
    except FileNotFoundError:
        return False
    known = read_seals(settings, job).sealed
    kept = {path: given for path, given in known.items() if (Path(path) / METADATA).exists()}
    path = _path(settings, job)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, Seals(kept | {str(folder): _seal_of(metadata)}))
    return True


def _seal_of(metadata: bytes) -> Seal:
    return Seal(len(metadata), hashlib.blake2b(metadata, digest_size=16).hexdigest())


def _sync(file: Path) -> None:
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _path(settings: Settings, job: str) -> Path:
    return settings.data / "jobs" / f"{job}.seals.json"
