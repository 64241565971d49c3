"""Debezium's records: a change of a row, a tombstone, or a change of a table, out of JSON with or without its schema."""

import hashlib
from typing import Any, Final

import msgspec

from importers.cdc.columns import as_typed, sent
from importers.cdc.order import source_order
from importers.cdc.placeholder import Placeholder
from importers.mapping import Failed
from importers.mapping.outcome import UNREADABLE
from schemas import json_text

OPERATIONS: Final = ("c", "r", "u", "d", "t")
"""Created, read by a snapshot, updated, deleted, truncated."""
_MESSAGE: Final = "m"
_HEARTBEAT: Final = {"ts_ms", "ts_us", "ts_ns"}
_AS_IS: Final = Placeholder()
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
        unknown: columns of `before`, `after` and `key` whose values were not sent, by these names; the rows are without them.
    """

    op: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    source: dict[str, Any]
    key: Any
    types: dict[str, str]
    unknown: dict[str, frozenset[str]] = {}

    @property
    def is_typed(self) -> bool:
        """Whether the record has a schema, so that its decimals are numbers already and text in it is text."""
        return bool(self.types)

    @property
    def columns(self) -> frozenset[str]:
        """Columns of the row as it is, those included whose values were not sent."""
        return frozenset(self.after or ()) | self.unknown.get("after", frozenset())

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

    @property
    def order(self) -> dict[str, str]:
        """Where it stands in its source's own order; see `source_order`."""
        return source_order(self.source, is_snapshot=self.is_snapshot)

    def is_unknown(self, path: tuple[str, ...]) -> bool:
        """Whether a path such as `("after", "notes")` leads to a column whose value was not sent."""
        if len(path) < 2:
            return False
        root = path[0] if path[0] != "row" else "before" if self.after is None else "after"
        return path[1] in self.unknown.get(root, ())

    def record(self) -> dict[str, Any]:
        """What the mapping is given."""
        return {"op": self.op, "before": self.before, "after": self.after, "row": self.row, "source": self.source, "key": self.key}

    def position(self) -> str | None:
        """`<table>:<primary key>:<place in the source's log>`: the same however often the record is delivered. None when it names no place.

        Postgres: the LSN. MySQL and MariaDB: binlog file, position and row. SQL Server: LSN and number. A snapshot stands for many rows at
        one place and is made anew at will: it has none, what was read tells readings apart.
        """
        key = self.key if self.key is not None else {"row": hashlib.blake2b(_canonical(self.row), digest_size=8).hexdigest()}
        parts = [_plain(value) for value in key.values()] if isinstance(key, dict) else [_plain(key)]
        # Rows that one statement copies share a place, so ("a-b", "c") and ("a", "b-c") must not share a name.
        named = "-".join(part.replace("%", "%25").replace("-", "%2D") for part in parts) if len(parts) > 1 else "".join(parts)
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


class Aside(msgspec.Struct, frozen=True):
    """A record that is about no row: a heartbeat, a transaction's begin or end, a message of an application.

    Attributes:
        reason: which of them, in a word.
    """

    reason: str


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


def parse(key: bytes | None, value: bytes | None, placeholder: Placeholder = _AS_IS) -> Change | Tombstone | TableChanges | Aside | Failed:
    """Read a record.

    Args:
        key: the record's key, JSON.
        value: the record's value, JSON.
        placeholder: of its connector.

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
    if "op" not in body:
        aside = _aside(body)
        if aside is not None:
            return aside
    op, source = body.get("op"), body.get("source")
    if op == _MESSAGE:
        return Aside("logical message")
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
    return _change(op, before, after, source, named, schema, placeholder)


def _change(op: str, before: Any, after: Any, source: dict[str, Any], key: Any, schema: Any, placeholder: Placeholder) -> Change:
    before, lost = sent(before, placeholder)
    after, lacking = sent(after, placeholder, before)
    named = sent(key, placeholder)[1] if isinstance(key, dict) else frozenset()
    unknown = {name: columns for name, columns in (("before", lost), ("after", lacking), ("key", named)) if columns}
    of_row = _row_schema(schema)
    return Change(op, as_typed(before, of_row), as_typed(after, of_row), source, key, _types(of_row), unknown)


def _aside(body: dict[str, Any]) -> TableChanges | Aside | None:
    """What has no operation: an announcement of the schema-change topic, or what is about no row."""
    if isinstance(body.get("tableChanges"), list):
        return _table_changes(body)
    if "ddl" in body:
        return TableChanges([])
    if body.get("status") in ("BEGIN", "END") and "id" in body:
        return Aside("transaction")
    return Aside("heartbeat") if body.keys() <= _HEARTBEAT and "ts_ms" in body else None


def _payload(loaded: Any) -> tuple[Any, Any]:
    """Payload and schema; a record without a schema is its own payload."""
    if isinstance(loaded, dict) and loaded.keys() == {"schema", "payload"}:
        return loaded["payload"], loaded["schema"]
    return loaded, None


def _row_schema(schema: Any) -> dict[str, Any] | None:
    """The schema of `after`, which is that of `before` as well."""
    if not isinstance(schema, dict) or not isinstance(schema.get("fields"), list):
        return None
    return next((part for part in schema["fields"] if isinstance(part, dict) and part.get("field") == "after"), None)


def _types(schema: dict[str, Any] | None) -> dict[str, str]:
    """Of the columns of a row: the logical type, e.g. `io.debezium.time.Date`, else the plain one, e.g. `int32`."""
    columns = [column for column in (schema or {}).get("fields") or [] if isinstance(column, dict)]
    return {str(column.get("field")): str(column.get("name") or column.get("type")) for column in columns}


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
