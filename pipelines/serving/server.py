"""Which records of `cdp.profile.changes` go to the store, and in which order. Pure: the log and the store come in as arguments.

Changes are read *uncommitted*, the moment they are written. A failure of job `profiles` takes the newest of them back; whatever caused them
is replayed then and makes newer ones, of a greater incarnation, which win in any order of arrival. So a change may be written early, twice,
late or out of turn, and the store converges to the newest change of every profile.

Where the store lacks many records (it lost its data, it is new, or this job was away for long) the newest go first: reading leaps to the
end of the log, and the gap is closed in pieces, from its end backwards, between the live records.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from profile_store.errors import StoreChangedError
from profile_store.journal import Covered
from profile_store.patch import Patch

GAP_RECORDS: Final = 20_000
CHECK_S: Final = 1.0
_log = logging.getLogger(__name__)


class Record(NamedTuple):
    """One record of the log."""

    partition: int
    offset: int
    value: bytes


class Batch(NamedTuple):
    """What was read: records, and the offset up to which each partition has been read, end markers of transactions included."""

    records: Sequence[Record]
    upto: Mapping[int, int]


class Log(Protocol):
    """The topic of changes, as the member of a group that owns some of its partitions."""

    def read(self, limit: int, timeout_s: float) -> Batch:
        """The next records; may be none. Waits for the first, not for all of them."""

    def seek(self, partition: int, offset: int) -> None:
        """Read on from there."""

    def piece(self, partition: int, begin: int, end: int) -> Sequence[Record]:
        """The records from `begin` up to (not including) `end`."""

    def bounds(self, partition: int) -> tuple[int, int]:
        """Offsets of the oldest record there is, and of the next one that will be written."""


class Store(Protocol):
    """The profile store with its journal (`profile_store.writer.ProfileWriter`)."""

    def write(self, patches: Sequence[Patch]) -> object:
        """Write patches; when it returns, every profile holds its version or a newer one."""

    def note(self) -> None:
        """Write the journal alone."""

    def load(self, partitions: Sequence[int]) -> None:
        """Read the journal."""


class Limits(msgspec.Struct, frozen=True):
    """How much at a time.

    Attributes:
        batch: records of one round trip to the store.
        piece: offsets of a gap that are read and written between two looks at the live records.
        gap: offsets the store may lack before the newest go first.
    """

    batch: int = 500
    piece: int = 2_000
    gap: int = GAP_RECORDS


class Server:
    """Brings changes into the store.

    Args:
        log: the changes.
        store: the profiles.
        covered: what the store holds by partition; the journal's own mapping, replaced by `store.load`.
        patch_of: makes a patch of a record's value.
        limits: how much at a time.
        clock: monotonic seconds.

    Attributes:
        written: records written so far; `filled` of them in gaps.
    """

    def __init__(
        self,
        log: Log,
        store: Store,
        covered: Callable[[], dict[int, Covered]],
        patch_of: Callable[[bytes], Patch],
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._store = store
        self._covered = covered
        self._patch_of = patch_of
        self._limits = limits or Limits()
        self._clock = clock
        self._unnoted = False
        self._noted_s = clock()
        self.written = self.filled = 0

    @property
    def covered(self) -> Mapping[int, Covered]:
        """What the store holds of each partition that is ours."""
        return self._covered()

    @property
    def missing(self) -> int:
        """Offsets in gaps."""
        return sum(covered.missing for covered in self._covered().values())

    def assign(self, partitions: Iterable[int]) -> dict[int, int]:
        """These partitions are ours from now on; returns from where each is to be read."""
        mine = sorted(partitions)
        self._store.load(mine)
        held = self._covered()
        for partition in mine:
            held[partition] = self._begin(partition, held.get(partition))
        self._unnoted = True
        return {partition: held[partition].end for partition in mine}

    def turn(self, timeout_s: float) -> None:
        """Write the next live records, and a piece of a gap if there is one.

        Args:
            timeout_s: how long to wait for live records where nothing else is to be done.
        """
        try:
            busy = self._live(0.0 if self.missing else timeout_s)
            self._fill()
            # Where nothing is written either, the journal asks now and then whether the store is still what it was.
            if not busy and (self._unnoted or self._clock() - self._noted_s >= CHECK_S):
                self.note()
        except StoreChangedError as error:
            _log.warning("%s; reading again what it lacks", error)
            for partition, offset in self.assign(self._covered()).items():
                self._log.seek(partition, offset)

    def note(self) -> None:
        """Let the store know all that it holds."""
        self._store.note()
        self._unnoted, self._noted_s = False, self._clock()

    def _begin(self, partition: int, held: Covered | None) -> Covered:
        first, end = self._log.bounds(partition)
        if held is not None and held.end > end:
            # The log lost its tail: records of other content may take these offsets. All of it once more does no harm.
            _log.warning("partition %d ends at %d, before %d, which the store has seen: reading all of it again", partition, end, held.end)
            held = None
        covered = held or Covered.upto(first)
        if covered.done < first:  # the log has dropped what lies before
            covered = Covered(first, covered.begin, covered.end) if covered.begin > first else Covered.upto(max(covered.end, first))
        if end - covered.end > self._limits.gap:
            covered = covered.leaping(end)
            _log.warning("partition %d: the store lacks %d records; the newest go first", partition, covered.missing)
        return covered

    def _live(self, timeout_s: float) -> bool:
        batch = self._log.read(self._limits.batch, timeout_s)
        self._write(batch.records)
        held = self._covered()
        for partition, offset in batch.upto.items():
            if partition in held:
                held[partition] = held[partition].reaching(offset)
                self._unnoted = True
        return bool(batch.records)

    def _fill(self) -> None:
        """Close a piece of the first gap, from its upper end."""
        held = self._covered()
        partition = next((partition for partition, covered in held.items() if covered.missing), None)
        if partition is None:
            return
        covered = held[partition]
        begin = max(covered.done, covered.begin - self._limits.piece)
        records = self._log.piece(partition, begin, covered.begin)
        for start in range(0, len(records), self._limits.batch):
            self._write(records[start : start + self._limits.batch])
        held[partition] = held[partition].filled(begin)
        self.filled += len(records)
        self._unnoted = True
        if not held[partition].missing:
            _log.info("partition %d: the gap is closed", partition)

    def _write(self, records: Sequence[Record]) -> None:
        if records:
            self._store.write([self._patch_of(record.value) for record in records])
            self.written += len(records)
