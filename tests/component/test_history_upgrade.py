"""Tables that an older version made, and records that it wrote, are good for this one."""

import io
import struct
from collections.abc import Iterator
from typing import Any

import fastavro
import pytest

from config import loader
from pipelines.history import tables
from pipelines.history.container import files_of
from pipelines.history.schema import ensure_schema
from pipelines.history.tables import ROLLUPS, TABLES
from schemas import clean, registry
from sinks.clickhouse import ClickHouse, PatientInserts
from tests.stacks import Stack

DATABASE = "cdp_upgrade"
AT = 1_700_000_000_000
NEW = {
    "event": {"origin", "flags", "origin_log", "origin_order", "object", "group"},
    "duplicate": {"origin", "reason"},
    "rejected": {"origin"},
    "identity_update": set(),
    "object": set(),
    "profile_change": {"base_version", "changed", "epochs", "pii"},
}
VALUES = {"string": "x", "long": 1, "int": 1, "boolean": False, "bytes": b"x", "array": ["x"], "map": {"a": 1}}


@pytest.fixture(scope="module")
def server(stack: Stack) -> Iterator[ClickHouse]:
    address = loader.platform().clickhouse
    root = ClickHouse(address, database="")
    root.command(f"CREATE DATABASE {DATABASE}")
    yield ClickHouse(address, database=DATABASE)
    root.command(f"DROP DATABASE {DATABASE}")


def oldest(subject: clean.Subject) -> clean.Format:
    return min((found for found in clean.formats().values() if found.subject == subject), key=lambda found: found.id)


def message(written: clean.Format, offset: int) -> bytes:
    """A record of any version, every field filled in."""
    record: dict[str, Any] = {}
    for field in written.avro["fields"]:
        kind = field["type"]
        timed = isinstance(kind, dict) and "logicalType" in kind
        record[field["name"]] = AT if timed else VALUES[kind["type"] if isinstance(kind, dict) else kind]
    record |= {"properties": "{}", "offset": offset, "version": offset, "epoch": offset}
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(written.avro), record)
    return struct.pack(">bI", 0, registry.OF_FILES | written.id) + body.getvalue()


def upgrade(server: ClickHouse) -> None:
    platform = loader.platform()
    root = ClickHouse(platform.clickhouse, database="")
    ensure_schema(server, root, loader.definitions(), loader.identity(), platform.tenants)


def column_types(server: ClickHouse, table: str) -> dict[str, str]:
    return {row["name"]: row["type"] for row in server.rows(f"DESCRIBE {table}")}


def test_old_tables_get_the_new_columns_and_take_the_records_of_both_versions(server: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as then:
        then.setattr(clean, "newest", oldest)
        for table in TABLES.values():
            server.command(tables.create_table(table))
        for rollup in ROLLUPS:
            server.command(tables.create_rollup(rollup))
            server.command(tables.create_rollup_view(rollup))
    for table in TABLES.values():
        insert(server, table.name, message(oldest(table.subject), 1), "before")
    upgrade(server)
    for table in TABLES.values():
        newest = clean.newest(table.subject)
        added = {field["name"] for field in newest.avro["fields"]} - {field["name"] for field in oldest(table.subject).avro["fields"]}
        assert added == NEW[table.subject], "the versions that this test is about"
        assert set(column_types(server, table.name)) == {field["name"] for field in newest.avro["fields"]} | {tables.INGESTED_AT}
        for offset, written in ((2, oldest(table.subject)), (3, newest)):
            insert(server, table.name, message(written, offset), f"after{offset}")
        check_rows(server, table.name, added)
    assert server.rows("SELECT sum(events) AS events FROM events_by_minute") == [{"events": 3}]
    assert server.rows("SELECT sum(records) AS records FROM rejected_by_minute") == [{"records": 3}]


def insert(server: ClickHouse, table: str, one: bytes, token: str) -> None:
    ((_, data),) = files_of([one]).items()
    assert PatientInserts(server).insert(table, data, token, lambda: None)


def check_rows(server: ClickHouse, table: str, added: set[str]) -> None:
    number = {"profile_changes": "version", "objects": "version", "identity_updates": "epoch"}.get(table, "offset")
    columns = ", ".join([number, *sorted(added)])
    texts, lists = ("origin", "reason", "origin_log", "origin_order", "object", "group", "pii"), ("flags", "changed")
    # What a schema's own default says of records from before the field.
    told = {"duplicates": {"reason": "message_id"}, "profile_changes": {"pii": "{}"}}.get(table, {})
    empty = dict.fromkeys(texts, "") | told | {name: [] for name in lists} | {"base_version": 0, "epochs": {}}
    filled = dict.fromkeys(texts, "x") | {name: ["x"] for name in lists} | {"base_version": 1, "epochs": {"a": 1}}
    rows = server.rows(f"SELECT {columns} FROM {table} ORDER BY {number}")
    wanted = [{number: 1} | {name: empty[name] for name in sorted(added)}, {number: 2} | {name: empty[name] for name in sorted(added)}]
    assert rows == [*wanted, {number: 3} | {name: filled[name] for name in sorted(added)}]


def test_an_upgraded_table_has_the_types_of_a_new_one(server: ClickHouse, stack: Stack) -> None:
    address = loader.platform().clickhouse
    fresh = ClickHouse(address, database=f"{DATABASE}_fresh")
    upgrade(fresh)
    try:
        for table in TABLES.values():
            assert column_types(server, table.name) == column_types(fresh, table.name)
    finally:
        ClickHouse(address, database="").command(f"DROP DATABASE {DATABASE}_fresh")


def test_rows_of_an_old_record_that_got_lost_are_found_missing_and_inserted_again(server: ClickHouse) -> None:
    lost = message(oldest("event"), 77)
    inserts = PatientInserts(server)
    assert inserts.mend("events", [lost], lambda: None) == 1
    assert inserts.mend("events", [lost], lambda: None) == 0
    assert server.rows("SELECT origin, flags FROM events WHERE offset = 77") == [{"origin": "", "flags": []}]
