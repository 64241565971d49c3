"""How far an import is, in a small file that survives a kill: written after Kafka has acknowledged, replaced whole."""

import fcntl
import hashlib
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from importers.files.rows import FileError

_ENCODER: Final = msgspec.json.Encoder(order="sorted")


class Identity(msgspec.Struct, frozen=True):
    """What makes two runs the same import; any difference makes another one, which begins at the first row.

    Attributes:
        file_sha256: of the file's bytes.
        mapping_sha256: of the mapping's text.
        source: name of the source.
        tenant: whose events they are.
        topic: where they go.
        cluster: Kafka's own id: another Kafka has none of the events.
    """

    file_sha256: str
    mapping_sha256: str
    source: str
    tenant: str
    topic: str
    cluster: str

    @property
    def name(self) -> str:
        """A file name."""
        return hashlib.blake2b(_ENCODER.encode(self), digest_size=12).hexdigest()


class State(msgspec.Struct):
    """How far an import is.

    Attributes:
        units: units (rows, or groups of them) that are done: acknowledged, skipped or written to the file of failures.
        rows: rows in them.
        sent: events acknowledged by Kafka, by name.
        skipped: units by the mapping's reason.
        failed: units by code.
        rejected: of the events sent those that the platform's own checks refuse, by code.
        late: events that were older than the platform's lateness when they were sent.
        failed_bytes: length of the file of failures.
        done: whether the file's end was reached.
        at: when this was written, seconds since 1970.
    """

    units: int = 0
    rows: int = 0
    sent: dict[str, int] = {}
    skipped: dict[str, int] = {}
    failed: dict[str, int] = {}
    rejected: dict[str, int] = {}
    late: int = 0
    failed_bytes: int = 0
    done: bool = False
    at: float = 0.0


class _Saved(msgspec.Struct):
    path: str
    identity: Identity
    state: State


class Progress:
    """The progress file of one import. A context manager: one process at a time.

    Args:
        folder: of all progress files; is made.
        identity: which import.
        path: the imported file, for people who look.
    """

    def __init__(self, folder: Path, identity: Identity, path: Path) -> None:
        self._folder, self._identity, self._path = folder, identity, path
        self._file = folder / f"{identity.name}.json"
        self._lock = -1

    def load(self) -> State:
        """What the last run left; the beginning when there was none.

        Raises:
            FileError: the file is damaged.
        """
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=_Saved).state
        except FileNotFoundError:
            return State()
        except msgspec.DecodeError as error:
            advice = "delete it to begin again (what was sent ends as duplicates)"
            raise FileError(f"{self._file}: cannot be understood ({error}); {advice}") from error

    def save(self, state: State) -> None:
        """Replace the file, on disk before this returns."""
        state.at = time.time()
        draft = self._file.with_suffix(".draft")
        with draft.open("wb") as file:
            file.write(_ENCODER.encode(_Saved(str(self._path), self._identity, state)))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._file)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)  # the new name as well
        finally:
            os.close(folder)

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self._file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            raise FileError(f"{self._path}: another process is importing this file by the same mapping; wait for it") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._lock)
