"""The arithmetic of exactly-once: ranges of the log, and what the consumer group remembers about them.

A *range* `[from, to)` of one partition is the unit of insert. Before its rows are inserted, the group commits the offset `from` with the metadata
`from:to` (the *plan*); once they are in, it commits `to` without metadata, at the latest together with the next plan. So whoever takes the
partition over knows exactly which range may be half in, reads the same records and inserts them again with the same token.
"""

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
    """What is committed for a partition: the next offset, and the range planned from there (None: nothing is under way)."""

    offset: int
    plan: Range | None

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


def token(partition: Partition, topic_id: str, plan: Range, subject: str) -> str:
    """Name of an insert: ClickHouse takes the same name once.

    The topic's id is part of it, so that a topic made anew under the old name does not pass for the old one.
    """
    return f"{partition.topic}/{topic_id}:{partition.number}:{plan.start}:{plan.end}:{subject}"


class Buffer:
    """Records of one partition on their way into a range.

    Args:
        mark: where the group stands: reading starts at its offset.
    """

    def __init__(self, mark: Mark) -> None:
        self.position = mark.offset
        self.plan = mark.plan
        self.rows: list[bytes] = []
        self.bytes = 0
        self.since_s = 0.0
        self._start = mark.offset

    def add(self, offset: int, row: bytes, now_s: float) -> bool:
        """Take the next record.

        Returns:
            False when it lies behind the planned range, which is complete: insert that first, then offer the record again.

        Raises:
            BrokenPlanError: the log has no record at the end of the planned range.
        """
        if self.plan and offset >= self.plan.end:
            if self.position < self.plan.end:
                lost = f"the log goes on at {offset} after {self.position}: the topic was cut or made anew"
                raise BrokenPlanError(f"the planned range {self.plan.start}..{self.plan.end} cannot be read again: {lost}")
            return False
        if not self.rows:
            self.since_s = now_s
        self.rows.append(row)
        self.bytes += len(row)
        self.position = offset + 1
        return True

    @property
    def replaying(self) -> bool:
        """Is a range under way whose end was fixed by an earlier attempt?"""
        return self.plan is not None

    @property
    def complete(self) -> bool:
        """Has the range that was fixed earlier been read to its end?"""
        return self.plan is not None and self.position >= self.plan.end

    def range(self) -> Range:
        """The range that the rows make; call it with rows only."""
        return self.plan or Range(self._start, self.position)

    def clear(self) -> None:
        """Forget the rows: they are in."""
        self._start = self.position
        self.plan = None
        self.rows = []
        self.bytes = 0
