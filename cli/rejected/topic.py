"""Rejected records as the topic holds them: for when ClickHouse is away, or does not have them yet."""

import heapq
from collections.abc import Callable
from typing import Final

from confluent_kafka import Message

from cli.audit.topics import Reader
from pipelines.rejected.record import Record
from schemas import clean

TOPIC: Final = "cdp.rejected"
Matches = Callable[[Record], bool]


def scan(bootstrap: str, take: Callable[[Record], None]) -> None:
    """Hand over every rejected record, from the oldest to the newest of each partition."""

    def handle(_topic: str, message: Message) -> None:
        value = message.value()
        if value is not None:
            take(Record.of(clean.decode(value)))

    reader = Reader(bootstrap, [TOPIC], handle)
    try:
        reader.read_on()
    finally:
        reader.close()


def newest(bootstrap: str, matches: Matches, limit: int) -> list[Record]:
    """The newest records that match, newest first; no more of them are held than are asked for."""
    held: list[tuple[tuple[int, str, int, int], Record]] = []

    def take(record: Record) -> None:
        if not matches(record):
            return
        entry = ((record.log_time, *record.position), record)
        if len(held) < limit:
            heapq.heappush(held, entry)
        elif held and held[0][0] < entry[0]:
            heapq.heapreplace(held, entry)

    scan(bootstrap, take)
    return [record for _, record in sorted(held, key=lambda entry: entry[0], reverse=True)]
