"""A stream for the raw topics whose clock is the records' own: what is written, and what must become of it."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

APPLIED: Final = "applied"
LATE: Final = "late"  # applied as well, to history only
DUPLICATE: Final = "duplicate"
TICK: Final = "tick"
REJECTED: Final = "rejected:"  # followed by the code
TICK_BYTES: Final = b'{"type":"tick"}'


class Record(NamedTuple):
    """One record of a raw topic; `outcome` is what the platform must do with it, `fault` what was done to it here (empty: nothing)."""

    log_ms: int
    topic: str
    key: bytes
    value: bytes | None
    outcome: str
    message_id: str = ""
    fault: str = ""


class Tick(NamedTuple):
    """Log time passes: one tick on every partition of every raw topic."""

    log_ms: int


def with_ticks(records: Iterable[Record], every_ms: int, settle_ms: int, latest_ms: int | None = None) -> Iterator[Record | Tick]:
    """Let the log's clock tick between the records.

    Args:
        records: by log time.
        every_ms: a tick at each multiple of this.
        settle_ms: the last tick comes this long after the last record, so that timers due by then fire.
        latest_ms: no tick later than this (a replay that ends close to now must not run ahead of the live clock).

    Yields:
        The records, with a tick before the first one, at each boundary that was passed, and at the end.
    """
    log_ms: int | None = None
    for record in records:
        if log_ms is None:
            yield Tick(record.log_ms)
        else:
            for boundary_ms in range((log_ms // every_ms + 1) * every_ms, record.log_ms + 1, every_ms):
                yield Tick(boundary_ms)
        log_ms = record.log_ms
        yield record
    if log_ms is None:
        return
    end_ms = log_ms + settle_ms
    if latest_ms is not None:
        end_ms = max(log_ms, min(end_ms, latest_ms))
    for boundary_ms in range((log_ms // every_ms + 1) * every_ms, end_ms, every_ms):
        yield Tick(boundary_ms)
    yield Tick(end_ms)


class Tally:
    """Counts what was written per partition: the exact outcome the platform has to arrive at."""

    def __init__(self, *, with_script: bool = False) -> None:
        """Start at zero.

        Args:
            with_script: keep a line for every record as well.
        """
        self.counts: dict[tuple[str, int], Counter[str]] = {}
        self.faults: Counter[str] = Counter()
        self.script: list[list[object]] | None = [] if with_script else None
        self.first_ms = 0
        self.last_ms = 0
        self.events = 0

    def add(self, topic: str, partition: int, log_ms: int, record: Record | None) -> None:
        """Count one record; None is a tick."""
        label = TICK if record is None else record.outcome
        self.counts.setdefault((topic, partition), Counter())[label] += 1
        self.first_ms = self.first_ms or log_ms
        self.last_ms = log_ms
        if record is None:
            return
        self.events += 1
        if record.fault:
            self.faults[record.fault] += 1
        if self.script is not None:
            self.script.append([topic, partition, record.message_id, record.outcome, record.fault])

    def to_json(self, **extra: object) -> dict[str, object]:
        """The expectation file: see `docs/replay.md` for its shape."""
        total: Counter[str] = sum(self.counts.values(), Counter())
        partitions: dict[str, dict[str, object]] = {}
        for (topic, partition), counts in sorted(self.counts.items()):
            partitions.setdefault(topic, {})[str(partition)] = _shape(counts)
        told: dict[str, object] = {"total": _shape(total), "partitions": partitions, "faults": dict(sorted(self.faults.items()))}
        told |= {"first_log_ms": self.first_ms, "last_log_ms": self.last_ms} | extra
        return told if self.script is None else told | {"script": self.script}


def _shape(counts: Counter[str]) -> dict[str, object]:
    rejected = {label.removeprefix(REJECTED): number for label, number in sorted(counts.items()) if label.startswith(REJECTED)}
    return {
        "records": counts.total(),
        "ticks": counts[TICK],
        "applied": counts[APPLIED] + counts[LATE],
        "late": counts[LATE],
        "duplicates": counts[DUPLICATE],
        "rejected": rejected,
    }
