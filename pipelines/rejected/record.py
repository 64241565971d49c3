"""A rejected record, from whichever store it was read."""

import datetime as dt
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import msgspec

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class PositionError(ValueError):
    """A text does not name a raw record."""


class Position(NamedTuple):
    """Where a raw record lies; written `topic:partition:offset`."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a position.

        Raises:
            PositionError: it is not of the form.
        """
        topic, _, rest = text.partition(":")
        partition, _, offset = rest.partition(":")
        if not topic or not (partition.isascii() and partition.isdigit()) or not (offset.isascii() and offset.isdigit()):
            raise PositionError(f"`{text}` is no position; write topic:partition:offset, e.g. cdp.raw.orders:0:1234")
        return cls(topic, int(partition), int(offset))


class Record(msgspec.Struct, frozen=True):
    """A rejected record.

    Attributes:
        source: raw topic.
        partition: raw partition.
        offset: raw offset.
        log_time: timestamp of the raw record, ms.
        code: why, see `schemas.codes`.
        field: JSON path of what is wrong.
        rule: what was expected.
        tenant: owner, empty when unknown.
        message_id: at most as long as ids may be, empty when unknown.
        original: the record's bytes.
        origin: name of the source it came through, empty when unknown.
    """

    source: str
    partition: int
    offset: int
    log_time: int
    code: str
    field: str
    rule: str
    tenant: str
    message_id: str
    original: bytes
    origin: str = ""

    @property
    def position(self) -> Position:
        """Where the raw record lies."""
        return Position(self.source, self.partition, self.offset)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """From a decoded Avro record; columns it lacks (written by an earlier version) have their default."""
        return cls(**{name: values[name] for name in cls.__struct_fields__ if name in values})


def iso(ms: int) -> str:
    """A time in ms as RFC 3339 in UTC, e.g. `2026-01-31T10:00:00.000Z`; what lies outside the years 1 to 9999 as the nearest in them."""
    ms = min(max(ms, -62_135_596_800_000), 253_402_300_799_999)
    return (_EPOCH + dt.timedelta(milliseconds=ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
