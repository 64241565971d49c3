"""Tables of the history in ClickHouse, as data: which topic feeds which, and the statements that make them.

Columns come from the Avro schemas, so a field added there becomes a column at the loader's next start.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from schemas import clean

DEDUPLICATION_WINDOW: Final = 10_000
"""How many inserted parts each table remembers the tokens of. A range is inserted again only until its successor is planned, so what
counts is how many parts the other partitions of its table insert between a crash and the recovery."""
INGESTED_AT: Final = "_ingested_at"
_SCALARS: Final = {"string": "String", "bytes": "String", "int": "Int32", "long": "Int64", "boolean": "Bool"}
_FEW_VALUES: Final = frozenset(
    {"tenant", "type", "name", "source", "channel", "code", "field", "cause", "origin", "origin_log", "reason", "what", "kind", "rule"}
)
_JSON: Final = frozenset({"properties", "traits", "context", "features", "pii", "original"})


class Table(msgspec.Struct, frozen=True):
    """A table fed by one topic.

    Attributes:
        name: in ClickHouse.
        subject: schema of the topic's records; its fields are the columns.
        order_by: sort key.
        month_of: time column whose month is the partition.
        key: columns that no two rows share: by them a row is looked for after an interrupted insert.
    """

    name: str
    subject: clean.Subject
    order_by: str
    month_of: str
    key: tuple[str, ...]


class Rollup(msgspec.Struct, frozen=True):
    """A table fed by a materialised view over another one.

    Attributes:
        name: in ClickHouse; the view is called `<name>_mv`.
        source: table the view reads.
        columns: columns with their types.
        engine: table engine.
        order_by: sort key.
        partition_by: partition key, empty for none.
        select: what the view selects from the source (`FROM` and what follows it are added).
        group_by: grouping of the view, empty for none.
    """

    name: str
    source: str
    columns: str
    engine: str
    order_by: str
    partition_by: str
    select: str
    group_by: str = ""


_POSITION: Final = ("source", "partition", "offset")
TABLES: Final[dict[str, Table]] = {
    "cdp.events": Table("events", "event", "tenant, node, event_time", "log_time", _POSITION),
    "cdp.duplicates": Table("duplicates", "duplicate", "tenant, node, log_time", "log_time", _POSITION),
    "cdp.rejected": Table("rejected", "rejected", "code, source, log_time", "log_time", _POSITION),
    "cdp.identity.updates": Table(
        "identity_updates", "identity_update", "tenant, what, a, epoch", "log_time", ("tenant", "epoch", "number")
    ),
    "cdp.objects": Table(
        "objects", "object", "tenant, kind, issuer, object_id, version", "log_time", ("tenant", "kind", "issuer", "object_id", "version")
    ),
    "cdp.profile.changes": Table(
        "profile_changes", "profile_change", "tenant, profile_id, incarnation, version", "at", ("profile_id", "incarnation", "version")
    ),
}
"""Topic -> table. Not `cdp.links`: what is decided of it lies in `identity_updates`, and whoever may write to it may write nonsense."""

ROLLUPS: Final = (
    Rollup(
        name="events_by_minute",
        source="events",
        columns="tenant LowCardinality(String), minute DateTime('UTC'), source LowCardinality(String), name LowCardinality(String), "
        "events UInt64",
        engine="SummingMergeTree(events)",
        order_by="tenant, name, source, minute",
        partition_by="toYYYYMM(minute)",
        select="tenant, toStartOfMinute(toDateTime(log_time, 'UTC')) AS minute, source, name, count() AS events",
        group_by="tenant, minute, source, name",
    ),
    Rollup(
        name="rejected_by_minute",
        source="rejected",
        columns="minute DateTime('UTC'), source LowCardinality(String), code LowCardinality(String), records UInt64",
        engine="SummingMergeTree(records)",
        order_by="code, source, minute",
        partition_by="toYYYYMM(minute)",
        select="toStartOfMinute(toDateTime(log_time, 'UTC')) AS minute, source, code, count() AS records",
        group_by="minute, source, code",
    ),
    # Not one row per change but per profile: what reads the newest state must not read a year of snapshots.
    Rollup(
        name="profiles_newest",
        source="profile_changes",
        columns="tenant LowCardinality(String), profile_id String, incarnation Int64, version Int64, at DateTime64(3, 'UTC'), "
        "nodes Map(String, Int64), features String CODEC(ZSTD(1)), rank UInt128",
        engine="ReplacingMergeTree(rank)",
        order_by="tenant, profile_id",
        partition_by="",
        select="tenant, profile_id, incarnation, version, at, nodes, features, "
        "bitShiftLeft(toUInt128(incarnation), 64) + toUInt128(version) AS rank",
    ),
)


def column_type(name: str, avro: Any) -> str:
    """ClickHouse type of an Avro field.

    Raises:
        ValueError: the schema uses a type that history has no column for.
    """
    kind = avro["type"] if isinstance(avro, dict) else avro
    if isinstance(avro, dict) and avro.get("logicalType") == "timestamp-millis":
        return "DateTime64(3, 'UTC')"
    if kind == "array":
        return f"Array({column_type('', avro['items'])})"
    if kind == "map":
        return f"Map(String, {column_type('', avro['values'])})"
    if not isinstance(kind, str) or kind not in _SCALARS:
        raise ValueError(f"field `{name}`: no column type for Avro type {avro}; add one to pipelines/history/tables.py")
    return "LowCardinality(String)" if name in _FEW_VALUES else _SCALARS[kind]


def columns(subject: clean.Subject) -> dict[str, str]:
    """Column name -> type, codec and comment, in the order of the schema."""
    found: dict[str, str] = {}
    for field in clean.schema(subject)["fields"]:
        codec = " CODEC(ZSTD(1))" if field["name"] in _JSON else ""
        # What rows of an earlier version stand for; other defaults are ClickHouse's own.
        given = f" DEFAULT '{quoted(default)}'" if isinstance(default := field.get("default"), str) and default else ""
        found[field["name"]] = f"{column_type(field['name'], field['type'])}{given} COMMENT '{quoted(field['doc'])}'{codec}"
    return found


def quoted(text: str) -> str:
    """What stands between quotation marks in a statement for a text."""
    return text.replace("\\", "\\\\").replace("'", "\\'")


def create_table(table: Table) -> str:
    """Statement that makes a table where it is missing."""
    lines = [f"  `{name}` {definition}" for name, definition in columns(table.subject).items()]
    lines.append(f"  `{INGESTED_AT}` DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when the row came here'")
    return (
        f"CREATE TABLE IF NOT EXISTS {table.name} (\n" + ",\n".join(lines) + "\n) "
        f"ENGINE = MergeTree PARTITION BY toYYYYMM({table.month_of}) ORDER BY ({table.order_by}) "
        f"SETTINGS non_replicated_deduplication_window = {DEDUPLICATION_WINDOW}"
    )


def add_columns(table: Table, present: set[str]) -> Iterator[str]:
    """Statements that add the columns a table made by an earlier version lacks."""
    for name, definition in columns(table.subject).items():
        if name not in present:
            yield f"ALTER TABLE {table.name} ADD COLUMN IF NOT EXISTS `{name}` {definition}"


def create_rollup(rollup: Rollup) -> str:
    """Statement that makes a roll-up's table where it is missing."""
    partition = f"PARTITION BY {rollup.partition_by} " if rollup.partition_by else ""
    return (
        f"CREATE TABLE IF NOT EXISTS {rollup.name} ({rollup.columns}) ENGINE = {rollup.engine} {partition}"
        f"ORDER BY ({rollup.order_by}) SETTINGS non_replicated_deduplication_window = {DEDUPLICATION_WINDOW}"
    )


def select_rollup(rollup: Rollup) -> str:
    """What a roll-up holds, from its source."""
    return f"SELECT {rollup.select} FROM {rollup.source}" + (f" GROUP BY {rollup.group_by}" if rollup.group_by else "")


def create_rollup_view(rollup: Rollup) -> str:
    """Statement that makes the materialised view that feeds a roll-up."""
    return f"CREATE MATERIALIZED VIEW IF NOT EXISTS {rollup.name}_mv TO {rollup.name} AS {select_rollup(rollup)}"


def fill_rollup(rollup: Rollup) -> tuple[str, str]:
    """Statements that fill a roll-up from rows that were there before its view."""
    return f"TRUNCATE TABLE {rollup.name}", f"INSERT INTO {rollup.name} {select_rollup(rollup)}"
