"""The loader's protocol: read, plan, insert, confirm. Kafka and ClickHouse come in as arguments: every crash can be tried without them."""

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final, NamedTuple, Protocol

import msgspec

from pipelines.history import container
from pipelines.history.plan import Buffer, Mark, Partition, done, planned, token
from schemas import clean

FENCE_AGE_S: Final = 5.0
"""An insert starts at most this long after the group last confirmed that its partition is ours."""


class FencedError(Exception):
    """The group gave our partitions to someone else: what we hold in memory is theirs now.

    Attributes:
        replaced: another process came under our name; joining again would drive it out.
    """

    def __init__(self, why: str = "", replaced: bool = False) -> None:
        super().__init__(f"another process runs under this instance's name ({why}); give it a name of its own" if replaced else why)
        self.replaced = replaced


class RebalancingError(Exception):
    """The group is just being distributed anew; read on and try again."""


class Record(NamedTuple):
    """A record of a clean topic."""

    partition: Partition
    offset: int
    value: bytes


class Log(Protocol):
    """What the loader needs of Kafka."""

    def read(self, limit: int, timeout_s: float) -> list[Record]:
        """Records of assigned partitions, in order of offset within each; may call `Loader.assign` and `Loader.revoke` meanwhile."""

    def commit(self, marks: Mapping[Partition, Mark]) -> None:
        """Commit for the group; raises FencedError or RebalancingError when the group no longer counts us as the owner."""

    def topic_id(self, topic: str) -> str:
        """The id a topic got when it was made."""


class Inserts(Protocol):
    """What the loader needs of ClickHouse."""

    def insert(self, table: str, data: bytes, token: str, fence: Callable[[], None]) -> bool:
        """Insert rows once per token; `fence` is called before each attempt and raises when the rows are no longer ours.

        Returns:
            Whether the first attempt was answered: if not, nobody knows what became of it.
        """

    def mend(self, table: str, messages: list[bytes], fence: Callable[[], None]) -> int:
        """Make sure that the rows of an insert in doubt are there; the number of those that were not."""

    def keep(self, marks: Mapping[Partition, Mark], topic_ids: Mapping[str, str], fence: Callable[[], None]) -> None:
        """Write plans down beside the rows, see `pipelines.history.marks`."""


class Limits(msgspec.Struct, frozen=True):
    """When a range is closed: at so many rows or bytes, or when its first record has waited so long; and how much one read may bring."""

    rows: int = 50_000
    bytes: int = 16 << 20
    linger_s: float = 1.0
    reads: int = 10_000


class Loader:
    """Moves records from partitions of the log into tables, each exactly once.

    Args:
        log: the log, as a member of a consumer group.
        inserts: the store.
        tables: topic -> table.
        limits: size of a range.
        clock: monotonic seconds.
    """

    def __init__(
        self, log: Log, inserts: Inserts, tables: Mapping[str, str], limits: Limits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._inserts = inserts
        self._tables = tables
        self._limits = limits
        self._clock = clock
        self._buffers: dict[Partition, Buffer] = {}
        self._inserted: dict[Partition, Mark] = {}
        self._doubtful: set[Partition] = set()
        self._mend_until: dict[Partition, int] = {}
        self._proved_s = 0.0

    @property
    def partitions(self) -> list[Partition]:
        """Partitions that are ours."""
        return list(self._buffers)

    def position(self, partition: Partition) -> int:
        """The offset up to which a partition's records are in the store."""
        mark = self._inserted.get(partition)
        return mark.offset if mark else self._buffers[partition].start

    def assign(self, marks: Mapping[Partition, Mark]) -> None:
        """Partitions become ours; reading starts at their marks' offsets."""
        for partition, mark in marks.items():
            self._buffers[partition] = Buffer(mark)
            if mark.plan is not None:
                self._doubtful.add(partition)
            self._mend_until[partition] = mark.mend_until

    def revoke(self, partitions: Iterable[Partition]) -> None:
        """Partitions are no longer ours: forget what was read of them."""
        for partition in partitions:
            self._buffers.pop(partition, None)
            self._inserted.pop(partition, None)
            self._doubtful.discard(partition)
            self._mend_until.pop(partition, None)

    def turn(self, timeout_s: float) -> int:
        """Read once, and insert the ranges that are due.

        Returns:
            Number of rows inserted.

        Raises:
            FencedError: give up this loader and join the group again.
            BrokenPlanError: see `Buffer.add`.
        """
        for record in self._log.read(self._limits.reads, timeout_s):
            buffer = self._buffers.get(record.partition)
            if buffer is not None:
                buffer.add(record.offset, record.value, self._clock())
        due = [partition for partition, buffer in self._buffers.items() if self._due(buffer)]
        rows = 0
        try:
            if due:
                self._plan(due)
            for partition in due:
                rows += self._insert(partition, self._buffers[partition])
            self.confirm()
        except RebalancingError:
            pass  # rows and plans stay as they are, until the next read either takes the partition away or lets us go on
        return rows

    def confirm(self) -> None:
        """Commit what is in."""
        if self._inserted:
            self._log.commit(self._inserted)
            self._inserted = {}

    def _due(self, buffer: Buffer) -> bool:
        if not buffer.complete:
            return False
        full = len(buffer) >= self._limits.rows or buffer.bytes >= self._limits.bytes
        return full or buffer.planned or self._clock() - buffer.since_s >= self._limits.linger_s

    def _plan(self, due: list[Partition]) -> None:
        """Commit what the next ranges are (the same commit confirms what went before), and write them down beside the rows."""
        plans = {partition: planned(self._buffers[partition].range()) for partition in due}
        self._commit({**self._inserted, **plans})
        self._inserted = {}
        kept = {partition: plan._replace(mend_until=self._mend_until[partition]) for partition, plan in plans.items()}
        ids = {partition.topic: self._log.topic_id(partition.topic) for partition in due}
        self._inserts.keep(kept, ids, partial(self._prove, plans))
        for partition in due:
            self._buffers[partition].fix()

    def _insert(self, partition: Partition, buffer: Buffer) -> int:
        rows, plan = buffer.rows(), buffer.range()
        doubtful = partition in self._doubtful
        self._doubtful.add(partition)  # until the insert has ended well, whatever ends it
        table, fence = self._tables[partition.topic], partial(self._prove, {partition: planned(plan)})
        may_be_there = plan.start < self._mend_until[partition]
        for written, data in container.files_of(rows).items():
            name = token(partition, self._log.topic_id(partition.topic), plan, written.name)
            answered = not may_be_there and self._inserts.insert(table, data, name, fence)
            if doubtful or not answered:
                self._inserts.mend(table, [row for row in rows if clean.format_of(row) is written], fence)
        self._doubtful.discard(partition)
        buffer.clear(self._clock())
        self._inserted[partition] = done(plan.end)
        return len(rows)

    def _prove(self, plan: Mapping[Partition, Mark]) -> None:
        """Make sure that the partition is still ours, if that was last confirmed long ago."""
        if self._clock() - self._proved_s > FENCE_AGE_S:
            self._commit(plan)

    def _commit(self, marks: Mapping[Partition, Mark]) -> None:
        self._log.commit(marks)
        self._proved_s = self._clock()
