"""What the topics say, held compactly: raw positions, change versions, and the newest change of each profile."""

import io
from array import array
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import fastavro
import numpy as np
from confluent_kafka import Message

from cli.audit.compare import Array
from pipelines.history.tables import TABLES
from schemas import clean

TICK: Final = b'{"type":"tick"}'
POSITIONED: Final = {"cdp.events": "event", "cdp.duplicates": "duplicate", "cdp.rejected": "rejected"}
EVENTS: Final = "cdp.events"
CHANGES: Final = "cdp.profile.changes"
CLEAN: Final = tuple(TABLES)
"""Every topic that history has a table for."""
COUNTED: Final = tuple(topic for topic in CLEAN if topic not in POSITIONED and topic != CHANGES)
"""Those whose rows are only counted: nothing more is known of them."""
Rank = tuple[int, int]
Owner = tuple[str, str]


class Columns:
    """Integer columns that grow.

    Args:
        width: number of columns.
    """

    def __init__(self, width: int) -> None:
        self._columns = tuple(array("q") for _ in range(width))

    def add(self, *row: int) -> None:
        """Append a row."""
        for column, value in zip(self._columns, row, strict=True):
            column.append(value)

    def __len__(self) -> int:
        return len(self._columns[0])

    def arrays(self) -> list[Array]:
        """The columns as arrays of their own."""
        return [np.array(column, np.int64) for column in self._columns]


class RawEvidence:
    """What lies in the raw topics.

    Args:
        sources: raw topics; a position names its topic by its index here.

    Attributes:
        records: positions of records that must come out somewhere.
        ticks: positions of ticks, which must not.
    """

    def __init__(self, sources: list[str]) -> None:
        self._index = {source: index for index, source in enumerate(sources)}
        self.records = Columns(3)
        self.ticks = Columns(3)

    def take(self, topic: str, message: Message) -> None:
        """Note a record."""
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        (self.ticks if message.value() == TICK else self.records).add(self._index[topic], partition, offset)


class CleanEvidence:
    """What lies in the clean topics.

    Args:
        sources: raw topics, see `RawEvidence`.
        tenants: tenants; a change names its own by the index here.

    Attributes:
        positions: topic -> raw positions `(source, partition, offset)` its records carry, and behind them where the record itself lies
            (partition, offset).
        changes: `(tenant, profile number, incarnation, version)` of every change, and where it lies.
        newest: the newest change of each profile, as its message.
        counted: topic -> number of its records, for those that are only counted.
        ends: topic and partition -> offset behind its last record.
        on_change: called with each change.
        on_event: called with name and message of each event.
    """

    def __init__(self, sources: list[str], tenants: list[str]) -> None:
        self._index = {source: index for index, source in enumerate(sources)}
        self._tenants = {tenant: index for index, tenant in enumerate(tenants)}
        self.positions = {topic: Columns(5) for topic in POSITIONED}
        self.changes = Columns(6)
        self.newest: dict[Owner, tuple[Rank, bytes]] = {}
        self.counted = dict.fromkeys(COUNTED, 0)
        self.ends: dict[tuple[str, int], int] = {}
        self.on_change: Callable[[Owner, Rank, bytes], None] = lambda *_: None
        self.on_event: Callable[[str, bytes], None] = lambda *_: None

    def take(self, topic: str, message: Message) -> None:
        """Note a record.

        Raises:
            clean.UnknownSchemaError: the record's schema id is none of ours.
        """
        value, partition, offset = message.value(), message.partition(), message.offset()
        assert value is not None
        assert partition is not None
        assert offset is not None
        self.ends[topic, partition] = offset + 1
        if topic in self.counted:
            self.counted[topic] += 1
            return
        head = _head(value)
        if topic == CHANGES:
            owner, rank = (head["tenant"], head["profile_id"]), (head["incarnation"], head["version"])
            self.changes.add(self._tenants.get(owner[0], -1), profile_number(owner[1]), *rank, partition, offset)
            held = self.newest.get(owner)
            if held is None or held[0] < rank:
                self.newest[owner] = (rank, value)
            self.on_change(owner, rank, value)
        else:
            if topic == EVENTS:
                self.on_event(head["name"], value)
            self.positions[topic].add(self._index.get(head["source"], -1), head["partition"], head["offset"], partition, offset)

    def accounted(self) -> list[Array]:
        """Raw positions of all three topics together."""
        held = [columns.arrays()[:3] for columns in self.positions.values()]
        return [np.concatenate(column) for column in zip(*held, strict=True)]


def profile_number(profile_id: str) -> int:
    """A profile id (16 hex digits) as a signed integer of 64 bits."""
    return int(profile_id, 16) - (1 << 63)


def profile_id(number: int) -> str:
    """The inverse of `profile_number`."""
    return f"{number + (1 << 63):016x}"


_LAST_OF_HEAD: Final = {"event": "offset", "duplicate": "offset", "rejected": "offset", "profile_change": "version"}


@cache
def _head_schema(written: clean.Format) -> Any:
    """The fields up to the last one a check needs: an Avro body can be read from its start and left in the middle."""
    names = [field["name"] for field in written.avro["fields"]]
    fields = written.avro["fields"][: names.index(_LAST_OF_HEAD[written.subject]) + 1]
    bare = [{"name": field["name"], "type": _bare(field["type"])} for field in fields]
    return fastavro.parse_schema({"type": "record", "name": f"{written.subject}_head", "fields": bare})


def _bare(kind: Any) -> Any:
    return kind["type"] if isinstance(kind, dict) and "logicalType" in kind else kind


def _head(message: bytes) -> dict[str, Any]:
    record = fastavro.schemaless_reader(io.BytesIO(message[clean.PREFIX_BYTES :]), _head_schema(clean.format_of(message)), None)
    assert isinstance(record, dict)
    return record
