"""Rejected records as the topic holds them: for when ClickHouse is away, or does not have them yet."""

from collections.abc import Callable
from typing import Final

from confluent_kafka import Message

from cli.newest import Newest
from operations.topics import each
from pipelines.rejected.record import Record
from schemas import clean

TOPIC: Final = "cdp.rejected"
Matches = Callable[[Record], bool]


def scan(bootstrap: str, take: Callable[[Record], None]) -> None:
    """Hand over every rejected record, from the oldest to the newest of each partition."""

    def handle(message: Message) -> None:
        value = message.value()
        if value is not None:
            take(Record.of(clean.decode(value)))

    each(bootstrap, TOPIC, handle)


def newest(bootstrap: str, matches: Matches, limit: int) -> list[Record]:
    """The newest records that match, newest first; no more of them are held than are asked for."""
    held = Newest[Record](limit)

    def take(record: Record) -> None:
        if matches(record):
            held.add((record.log_time, *record.position), record)

    scan(bootstrap, take)
    return held.first()
