"""Scripted trouble for a replay: duplicates, conflicts, late, reordered and malformed records, with the outcome each must have."""

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from demo.dataset import DAY_MS
from demo.malformed import KINDS, Kind
from demo.messages import Message, dice, iso, render
from demo.records import of
from operations.timed_stream import APPLIED, DUPLICATE, LATE, REJECTED, Record

LONGEST_DELAY_MS: Final = 6 * DAY_MS + DAY_MS // 2  # within the 7 days of deduplication and lateness, with room to spare
REORDER_MS: Final = 6 * DAY_MS


class Faults(NamedTuple):
    """How much trouble: each is a count when 1 or more, a fraction of the events below 1."""

    duplicates: float = 0
    conflicts: float = 0
    late: float = 0
    reordered: float = 0
    malformed: float = 0


class TooManyFaultsError(ValueError):
    """More faults were asked for than there are events to do something to."""


def inject(messages: Sequence[Message], faults: Faults, seed: int = 0) -> Iterator[Record]:
    """Add the faults to the events.

    An event suffers at most one fault. A duplicate or conflict comes after its original, under the same key and with the
    same identifiers, at most 6.5 days of log time later and never after the last event. A late record is a new event (a copy
    with another message id) whose event time lies 8 to 30 days before its log time. A reordered event keeps its event time and reaches
    the log up to 6 days later.

    Args:
        messages: by log time.
        faults: how many.
        seed: chooses other victims.

    Yields:
        Records by log time; an original always comes before its repetition.

    Raises:
        TooManyFaultsError: see there.
    """
    rng = dice("faults", seed)
    end_ms = messages[-1].log_ms
    counts = [_count(share, len(messages)) for share in faults]
    sound = [at for at, message in enumerate(messages) if of(message).outcome == APPLIED]
    if sum(counts[:4]) > len(sound):
        raise TooManyFaultsError(f"{sum(counts[:4]):,} faults asked for, but only {len(sound):,} events in this slice can suffer one")
    chosen = iter(rng.sample(sound, sum(counts[:4])))
    duplicated, conflicting, late, reordered = (set(itertools.islice(chosen, count)) for count in counts[:4])
    records: list[Record] = []
    for at, message in enumerate(messages):
        record = of(message)
        if at in reordered:
            delay_ms = rng.randint(1000, max(1000, min(REORDER_MS, end_ms - message.log_ms)))
            record = record._replace(log_ms=min(end_ms, message.log_ms + delay_ms), fault="reordered")
        records.append(record)
        if at in duplicated:
            records.append(_repeat(message, message.body, rng, end_ms, DUPLICATE, "duplicate"))
        if at in conflicting:
            records.append(_repeat(message, _other_body(message.body), rng, end_ms, REJECTED + "id_conflict", "conflict"))
        if at in late:
            records.append(_late(message, rng))
    records += [
        _malformed(kind, number, rng.choice(messages)) for number, kind in enumerate(itertools.islice(itertools.cycle(KINDS), counts[4]))
    ]
    yield from sorted(records, key=lambda record: record.log_ms)  # stable: an original stays before its repetition


def _count(share: float, total: int) -> int:
    return int(share) if share >= 1 else round(share * total)


def _repeat(message: Message, body: dict[str, Any], rng: random.Random, end_ms: int, outcome: str, fault: str) -> Record:
    """Half of the repetitions are a client's quick retry, the others come from a queue that was stuck for hours or days."""
    delay_ms = rng.randint(1, 5000) if rng.random() < 0.5 else rng.randint(3_600_000, LONGEST_DELAY_MS)
    log_ms = min(end_ms, message.log_ms + delay_ms)
    value = render({**body, "sentAt": iso(log_ms)})
    return Record(log_ms, message.topic, message.key.encode(), value, outcome, body["messageId"], fault)


def _other_body(body: dict[str, Any]) -> dict[str, Any]:
    """The same identifiers and message id around a different, still valid, content."""
    return {**body, "properties": {**body.get("properties", {}), "note": "not what was said before"}}


def _late(message: Message, rng: random.Random) -> Record:
    event_ms = message.log_ms - rng.randint(8 * DAY_MS, 30 * DAY_MS)
    body = {**message.body, "messageId": f"late-{message.body['messageId']}", "timestamp": iso(event_ms)}
    return Record(message.log_ms, message.topic, message.key.encode(), render(body), LATE, body["messageId"], "late")


def _malformed(kind: Kind, number: int, near: Message) -> Record:
    message_id = f"malformed-{number}-{kind.name}"
    value = kind.value(message_id, near.log_ms)
    return Record(near.log_ms, kind.topic, near.key.encode(), value, REJECTED + kind.code, message_id, f"malformed:{kind.name}")
