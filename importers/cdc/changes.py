"""Debezium's records: a change of a row, a tombstone, or a change of a table, out of JSON with or without its schema."""

import hashlib
from typing import Any, Final

import msgspec

from importers.mapping import Failed
from importers.mapping.outcome import UNREADABLE
from schemas import json_text

OPERATIONS: Final = ("c", "r", "u", "d", "t")
"""Created, read by a snapshot, updated, deleted, truncated."""
UNAVAILABLE: Final = "__debezium_unavailable_value"
"""Stands for a large column that an update did not touch and Postgres did not send (TOAST)."""
_canonical = msgspec.json.Encoder(order="sorted").encode


class Change(msgspec.Struct, frozen=True):
    """A row has changed.

    Attributes:
        op: one of `OPERATIONS`.
        before: the row as it was; None when it is not told.
        after: the row as it is; None when it is gone.
        source: where the change comes from, as Debezium tells it.
        key: the row's primary key; None when it has none.
        types: types of the columns as Kafka Connect names them; empty when the record has no schema.
    """

    op: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    source: dict[str, Any]
    key: Any
    types: dict[str, str]

    @property
    def table(self) -> str:
        """Name of the table, without schema and database."""
        return str(self.source.get("table") or "")

    @property
    def row(self) -> dict[str, Any] | None:
        """The row as it is, or as it last was."""
        return self.before if self.after is None else self.after

    @property
    def source_ms(self) -> int | None:
        """When the source committed it, milliseconds since 1970."""
        moment = self.source.get("ts_ms")
        return moment if isinstance(moment, int) and not isinstance(moment, bool) else None

    @property
    def is_snapshot(self) -> bool:
        """Whether the row was read as it stood, not as it changed."""
        return self.op == "r"

    def record(self) -> dict[str, Any]:
        """What the mapping is given."""
        return {"op": self.op, "before": self.before, "after": self.after, "row": self.row, "source": self.source, "key": self.key}

    def position(self) -> str | None:
        """`<table>:<primary key>:<place in the source's log>`: the same however often the record is delivered. None when it names no place.

        Postgres: the LSN. MySQL and MariaDB: binlog file, position and row. SQL Server: LSN and number. A snapshot stands for many rows at
        one place and is made anew at will: it has none, what was read tells readings apart.
        """
        key = self.key if self.key is not None else {"row": hashlib.blake2b(_canonical(self.row), digest_size=8).hexdigest()}
        named = "-".join(_plain(value) for value in key.values()) if isinstance(key, dict) else _plain(key)
        if self.is_snapshot:
            return f"{self.table}:{named}:snapshot"
        source = self.source
        if source.get("lsn") is not None:
            place = str(source["lsn"])
        elif source.get("file") is not None and source.get("pos") is not None:
            place = f"{source['file']}-{source['pos']}-{source.get('row') or 0}"
        elif source.get("change_lsn") is not None:
            place = f"{source['change_lsn']}-{source.get('event_serial_no') or 0}"
        else:
            return None
        return f"{self.table}:{named}:{place}"


class Tombstone(msgspec.Struct, frozen=True):
    """Follows a deletion, for Kafka's compaction; says nothing new."""


class TableChange(msgspec.Struct, frozen=True):
    """A table was altered, as told in Debezium's schema-change topic.

    Attributes:
        kind: `CREATE`, `ALTER` or `DROP`.
        table: its name, without schema and database.
        columns: its columns now, by name, with the database's types.
        ddl: the statement, if Debezium tells it.
    """

    kind: str
    table: str
    columns: dict[str, str]
    ddl: str


class TableChanges(msgspec.Struct, frozen=True):
    """One record of the schema-change topic."""

    changes: list[TableChange]


def parse(key: bytes | None, value: bytes | None) -> Change | Tombstone | TableChanges | Failed:
    """Read a record.

    Args:
        key: the record's key, JSON.
        value: the record's value, JSON.

    Returns:
        What it says, or why it cannot be read.
    """
    if value is None:
        return Tombstone()
    try:
        body, schema = _payload(json_text.read(value, wide=True))
        named = _payload(json_text.read(key, wide=True))[0] if key else None
    except json_text.JsonTextError as error:
        return Failed(UNREADABLE, error.path.removeprefix("."), error.rule)
    if body is None:
        return Tombstone()
    if not isinstance(body, dict):
        return Failed(UNREADABLE, "", "an object with `op`, `before`, `after` and `source`, as Debezium writes it")
    if "op" not in body and isinstance(body.get("tableChanges"), list):
        return _table_changes(body)
    op, source = body.get("op"), body.get("source")
    if op not in OPERATIONS:
        return Failed(UNREADABLE, "op", f"one of {', '.join(OPERATIONS)} (is the connector's unwrapping transform on? turn it off)")
    if not isinstance(source, dict):
        return Failed(UNREADABLE, "source", "an object that tells where the change comes from")
    before, after = body.get("before"), body.get("after")
    for name, row in (("before", before), ("after", after)):
        if row is not None and not isinstance(row, dict):
            return Failed(UNREADABLE, name, "a row as an object")
    if op in ("c", "r", "u") and after is None:
        return Failed(UNREADABLE, "after", "the row as it is now")
    return Change(op, before, _available(before, after), source, named, _types(schema))


def unavailable(change: Change) -> list[str]:
    """Columns of the new row whose values were not sent."""
    return [name for name, value in (change.after or {}).items() if value == UNAVAILABLE]


def _payload(loaded: Any) -> tuple[Any, Any]:
    """Payload and schema; a record without a schema is its own payload."""
    if isinstance(loaded, dict) and loaded.keys() == {"schema", "payload"}:
        return loaded["payload"], loaded["schema"]
    return loaded, None


def _available(before: dict[str, Any] | None, after: dict[str, Any] | None) -> dict[str, Any] | None:
    """Put back what Postgres did not send because it did not change, where the old row tells it."""
    if after is None or before is None or UNAVAILABLE not in [value for value in after.values() if isinstance(value, str)]:
        return after
    return {name: before.get(name, value) if value == UNAVAILABLE else value for name, value in after.items()}


def _types(schema: Any) -> dict[str, str]:
    """Of the columns of `after`: the logical type, e.g. `io.debezium.time.Date`, else the plain one, e.g. `int32`."""
    if not isinstance(schema, dict) or not isinstance(schema.get("fields"), list):
        return {}
    for part in schema["fields"]:
        if isinstance(part, dict) and part.get("field") == "after" and isinstance(part.get("fields"), list):
            columns = [column for column in part["fields"] if isinstance(column, dict)]
            return {str(column.get("field")): str(column.get("name") or column.get("type")) for column in columns}
    return {}


def _table_changes(body: dict[str, Any]) -> TableChanges:
    found = []
    for change in body["tableChanges"]:
        if not isinstance(change, dict):
            continue
        table = change.get("table")
        columns = table.get("columns") if isinstance(table, dict) else None
        types = {str(one.get("name")): str(one.get("typeName")) for one in columns or [] if isinstance(one, dict)}
        name = str(change.get("id") or "").split(".")[-1].strip('"')
        found.append(TableChange(str(change.get("type") or "").upper(), name, types, str(body.get("ddl") or "")))
    return TableChanges(found)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else _canonical(value).decode()
