"""The arithmetic of exactly-once: ranges of the log, and what the consumer group remembers about them.

A *range* `[from, to)` of one partition is the unit of insert. Before its rows are inserted, the group commits the offset `from` with the
metadata `from:to` (the *plan*); once they are in, it commits `to` without metadata, at the latest together with the next plan. So whoever
takes the partition over knows exactly which range may be half in, reads the same records and inserts them again with the same token.
"""

from bisect import bisect_left
from typing import NamedTuple


class BrokenPlanError(ValueError):
    """The group's metadata or the log do not fit together: the topic was made anew, or someone else uses the group."""


class Partition(NamedTuple):
    """A partition of a topic."""

    topic: str
    number: int


class Range(NamedTuple):
    """Offsets `[start, end)` of one partition; `end - 1` is the offset of a record."""

    start: int
    end: int


class Mark(NamedTuple):
    """What is committed for a partition: the next offset, and the range planned from there (None: nothing is under way).

    Rows of records below `mend_until` may be in the store already, in ranges that nobody remembers: each is looked for. The group does not
    keep that, `history_marks` does.
    """

    offset: int
    plan: Range | None
    mend_until: int = 0

    @property
    def metadata(self) -> str:
        """Text form of the plan, as the group keeps it."""
        return f"{self.plan.start}:{self.plan.end}" if self.plan else ""


def planned(plan: Range) -> Mark:
    """The mark to commit before a range is inserted."""
    return Mark(plan.start, plan)


def done(offset: int) -> Mark:
    """The mark to commit when everything below an offset is in."""
    return Mark(offset, None)


def parse_mark(offset: int, metadata: str | None) -> Mark:
    """Read back what was committed.

    Raises:
        BrokenPlanError: the metadata is not a plan that starts at the offset.
    """
    if not metadata:
        return done(offset)
    start, colon, end = metadata.partition(":")
    if not (colon and start.isdigit() and end.isdigit() and int(start) == offset < int(end)):
        raise BrokenPlanError(f"committed offset {offset} carries metadata `{metadata[:50]}`, which this loader did not write")
    return planned(Range(offset, int(end)))


def token(partition: Partition, topic_id: str, plan: Range, schema: str) -> str:
    """Name of an insert: ClickHouse takes the same name once.

    The topic's id is part of it, so that a topic made anew under the old name does not pass for the old one.
    """
    return f"{partition.topic}/{topic_id}:{partition.number}:{plan.start}:{plan.end}:{schema}"


class Buffer:
    """Records of one partition on their way into a range.

    Args:
        mark: where the group stands: reading starts at its offset.
    """

    def __init__(self, mark: Mark) -> None:
        self.start = mark.offset
        self.position = mark.offset
        self.plan = mark.plan
        self.bytes = 0
        self.since_s = 0.0
        self._rows: list[bytes] = []
        self._offsets: list[int] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, offset: int, row: bytes, now_s: float) -> None:
        """Take the next record.

        Raises:
            BrokenPlanError: the log has no record at the end of the planned range.
        """
        if self.plan and self.position < self.plan.end <= offset:
            lost = f"the log goes on at {offset} after {self.position}: the topic was cut or made anew"
            raise BrokenPlanError(f"the planned range {self.plan.start}..{self.plan.end} cannot be read again: {lost}")
        if not self._rows:
            self.since_s = now_s
        self._rows.append(row)
        self._offsets.append(offset)
        self.bytes += len(row)
        self.position = offset + 1

    @property
    def planned(self) -> bool:
        """Is the end of the next range fixed, by us or by whoever had the partition before?"""
        return self.plan is not None

    @property
    def complete(self) -> bool:
        """Is there a next range, all of it in memory?"""
        return self.position >= self.plan.end if self.plan else bool(self._rows)

    def range(self) -> Range:
        """The next range: the planned one, else all there is. Call it when `complete`."""
        return self.plan or Range(self.start, self.position)

    def rows(self) -> list[bytes]:
        """The records of the next range."""
        return self._rows[: self._count()]

    def fix(self) -> None:
        """The next range is planned: what is read from now on comes after it."""
        self.plan = self.range()

    def clear(self, now_s: float) -> None:
        """The next range is in: forget its records."""
        count = self._count()
        self.start, self.plan = self.range().end, None
        self._rows, self._offsets = self._rows[count:], self._offsets[count:]
        self.bytes = sum(map(len, self._rows))
        self.since_s = now_s

    def _count(self) -> int:
        return bisect_left(self._offsets, self.range().end)
