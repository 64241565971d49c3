"""Debezium as it is: decimals in any form, records that are about no row, and the order of the log."""

import base64
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.sources import UNAVAILABLE
from importers.cdc.bridge import CdcSource, Handled, load_bridge
from importers.cdc.changes import Change, parse
from importers.cdc.columns import as_typed
from importers.cdc.order import source_order
from stack.settings import PROJECT
from tests.in_process import InProcess
from tests.unit.importers import debezium as db
from tests.unit.importers.bridges import bridge_of, handled
from tests.unit.importers.debezium import TS_MS, order

CASES = PROJECT / "tests" / "cases"
# Decimals

UNTYPED = "events: [{track: A, identifiers: {user_id: after.id}, properties: {n: 'parse_unscaled(after.n, `2`)', t: text(after.n)}}]"
DECIMAL = {"type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "version": 1, "parameters": {"scale": "2"}}
ANY_SCALE = {"type": "struct", "name": "io.debezium.data.VariableScaleDecimal", "fields": []}


def with_schema(columns: dict[str, Any], row: dict[str, Any], lsn: int = 5) -> bytes:
    fields = [{**kind, "field": name} for name, kind in columns.items()]
    schema = {"type": "struct", "fields": [{"type": "struct", "field": "after", "fields": fields}]}
    return orjson.dumps({"schema": schema, "payload": db.envelope("c", None, row, db.postgres_source("c", lsn))})


def amount(read: Handled) -> Any:
    return read.failed.rule if read.failed else read.messages[0].envelope["properties"]["n"]


@pytest.mark.parametrize("form", ["", "precise", "string", "double"])
@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (DECIMAL, "AehI"), (DECIMAL, 1250.0), ({**DECIMAL, "parameters": {"scale": "4"}}, "AL68IA=="),
        (ANY_SCALE, {"scale": 0, "value": "BOI="}),
        ({"type": "string"}, "1250"), ({"type": "string"}, "1250.00"), ({"type": "double"}, 1250.0),
    ],
)  # fmt: skip
def test_with_its_schema_a_decimal_is_what_the_schema_says_whatever_the_source_was_said_to_be(
    tmp_path: Path, form: str, kind: dict[str, Any], value: Any
) -> None:
    bridge = bridge_of(tmp_path, UNTYPED, decimals=form)
    read = bridge.handle("a.b.c", 0, 0, db.key({"id": "1"}), with_schema({"id": {"type": "string"}, "n": kind}, {"id": "1", "n": value}))
    assert amount(read) == 1250
    assert read.messages[0].envelope["properties"]["t"] in ("1250", "1250.00")


@pytest.mark.parametrize(
    ("form", "value", "expected"),
    [
        ("precise", "AehI", 1250), ("precise", "1250.00", None), ("precise", "1250", None), ("precise", 1250.0, 1250),
        ("string", "1250", 1250), ("string", "1250.00", 1250), ("string", "AehI", None), ("string", "NaN", None),
        ("string", "Infinity", None), ("string", "0E-8", 0), ("string", "1.25E+3", 1250), ("string", "1E+3", 1000),
        ("string", "1e999", None),
        ("", "0E-8", 0), ("", "1.25E+3", 1250), ("", "1E+3", None), ("", "+125", None),
        ("precise", "1E+3", None), ("precise", "0E-8", None),
        ("double", 1250.0, 1250), ("double", "1250", None), ("double", "NaN", None),
        ("", "AehI", 1250), ("", "1250.00", 1250), ("", "1250", None), ("", "Infinity", None),
        ("precise", {"scale": 1, "value": "MNQ="}, 1250), ("string", {"scale": 1, "value": "MNQ="}, 1250),
    ],
)  # fmt: skip
def test_without_a_schema_the_source_says_the_form_and_what_does_not_fit_is_refused(
    tmp_path: Path, form: str, value: Any, expected: float | None
) -> None:
    read = handled(
        bridge_of(tmp_path, UNTYPED.replace("t: text(after.n)", "t: after.id"), decimals=form), "c", None, {"id": "1", "n": value}
    )
    assert (amount(read) if not read.failed else None) == expected
    assert not read.failed or (read.failed.code, read.failed.field) == ("value", "events[0].properties.n")


@settings(deadline=None)
@given(st.integers(-(10**38), 10**38), st.integers(0, 38))
def test_decimals_of_38_digits_nested_at_any_depth_keep_their_digits(unscaled: int, scale: int) -> None:
    exact = Decimal((int(unscaled < 0), tuple(int(one) for one in str(abs(unscaled))), -scale))
    kind = {**DECIMAL, "parameters": {"scale": str(scale)}}
    coded = base64.b64encode(unscaled.to_bytes(20, "big", signed=True)).decode()
    schema = {
        "fields": [
            {"field": "n", **kind}, {"field": "l", "type": "array", "items": kind}, {"field": "m", "type": "map", "values": kind},
            {"field": "s", "type": "struct", "fields": [{"field": "n", **kind}]}, {"field": "v", **ANY_SCALE},
        ]
    }  # fmt: skip
    row = {"n": coded, "l": [coded], "m": {"a": coded}, "s": {"n": coded}, "v": {"scale": scale, "value": coded}}
    found = as_typed(row, schema)
    assert found is not None
    for value in (found["n"], found["l"][0], found["m"]["a"], found["s"]["n"], found["v"]):
        assert Decimal(repr(value) if isinstance(value, float) else value) == exact


# Records that are about no row


@pytest.mark.parametrize("is_enveloped", [False, True])
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"ts_ms": 1}, "heartbeat"),
        ({"status": "BEGIN", "id": "733:27049576", "event_count": None, "data_collections": None, "ts_ms": 1}, "transaction"),
        ({"status": "END", "id": "7:1", "event_count": 1, "data_collections": [], "ts_ms": 1}, "transaction"),
        ({"op": "m", "ts_ms": 1, "source": {"lsn": 1}, "message": {"prefix": "p", "content": "aGVsbG8="}}, "logical message"),
        ({"source": {}, "ts_ms": 1, "databaseName": "d", "ddl": "DROP TABLE x"}, "schema change"),
        (None, "tombstone"),
    ],
)
def test_records_about_no_row_are_skipped_and_counted(tmp_path: Path, body: Any, reason: str, is_enveloped: bool) -> None:
    value = orjson.dumps({"schema": {"type": "struct"}, "payload": body} if is_enveloped else body)
    assert bridge_of(tmp_path).handle("a.b.c", 0, 0, None, value).skipped == reason


# Times and the other types of Postgres and MySQL


@pytest.mark.parametrize(
    ("expression", "value", "expected"),
    [
        ("parse_date(after.n, 'days')", 20785, "2026-11-28"), ("parse_date(after.n, 'days')", -719162, "0001-01-01"),
        ("parse_date(after.n, 'days')", -2147472692, None),  # a date of infinity, as Postgres' connector tells it
        ("parse_time(after.n, 'wall_ms', 'UTC')", 1795856400123, "2026-11-28T09:00:00.123Z"),
        ("parse_time(after.n, 'wall_us', 'UTC')", 1795856400123456, "2026-11-28T09:00:00.123Z"),
        ("parse_time(after.n, 'wall_ns', 'UTC')", 1795856400123456789, "2026-11-28T09:00:00.123Z"),
        ("parse_time(after.n, 'wall_us', 'UTC')", 9223372036825200000, None),  # infinity
        ("parse_time(after.n, 'wall_ms', 'UTC')", 1795856400123456, None),  # the wrong unit
        ("parse_time(after.n, 'wall_us', 'UTC')", -62135596800000000, "0001-01-01T00:00:00.000Z"),
        ("parse_time(after.n, 'iso')", "2026-11-28T09:00:00.123456Z", "2026-11-28T09:00:00.123Z"),
        ("parse_time(after.n, 'iso')", "infinity", None), ("parse_time(after.n, 'iso')", "-infinity", None),
        ("parse_time(after.n, 'iso')", "0000-00-00T00:00:00Z", None),
        ("parse_time(after.n, 'iso', 'UTC')", "2026-11-28T09:00:00.123456", "2026-11-28T09:00:00.123Z"),  # isostring
        ("after.n", "0b8f6a0e-7f7b-4a52-9e0e-6f4a1d6f2b11", "0b8f6a0e-7f7b-4a52-9e0e-6f4a1d6f2b11"), ("after.n", "a.b", "a.b"),
        ("after.n", True, True), ("after.n", "qgo=", "qgo="), ("parse_json(after.n).a", '{"a":"1"}', "1"), ("after.n.a", {"a": "1"}, "1"),
        ("divide(after.n, `1000000`)", 93600000000, 93600.0), ("after.n", "P0Y0M1DT2H0M0S", "P0Y0M1DT2H0M0S"),
        ("parse_number(after.n)", "NaN", None), ("parse_number(after.n)", "Infinity", None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("has_schema", [False, True])
def test_each_type_as_the_connectors_write_it(tmp_path: Path, expression: str, value: Any, expected: Any, has_schema: bool) -> None:
    bridge = bridge_of(tmp_path, f'events: [{{track: A, identifiers: {{user_id: after.id}}, properties: {{n: "{expression}"}}}}]')
    kind = {"type": {str: "string", int: "int64", bool: "boolean", dict: "map"}[type(value)]}
    read = handled(bridge, "c", None, {"id": "1", "n": value})
    if has_schema:
        read = bridge.handle("a.b.c", 0, 0, None, with_schema({"id": {"type": "string"}, "n": kind}, {"id": "1", "n": value}))
    if expected is None:
        assert read.failed is not None
        assert (read.failed.code, read.failed.field) == ("value", "events[0].properties.n")
    else:
        assert amount(read) == expected


# Order, and ids that a re-read repeats


def canonical(order: dict[str, str]) -> list[Any]:
    """As docs/contracts.md has it: runs of digits are compared as numbers."""
    return [int(digits) if digits else rest for digits, rest in re.findall(r"(\d+)|(\D+)", order["sourceOrder"])]


def test_the_order_of_the_log_tells_states_of_one_time_apart() -> None:
    def postgres(lsn: int, *, is_snapshot: bool = False) -> dict[str, str]:
        return source_order(db.postgres_source("orders", lsn), is_snapshot=is_snapshot)

    def mysql(file: str, pos: int, row: int, *, is_snapshot: bool = False) -> dict[str, str]:
        return source_order(db.mysql_source("tickets", pos, row, file=file), is_snapshot=is_snapshot)

    def server(lsn: str, number: int) -> dict[str, str]:
        return source_order({"change_lsn": lsn, "event_serial_no": number}, is_snapshot=False)

    for ascending in (
        [postgres(999), postgres(1000, is_snapshot=True), postgres(1000), postgres(27049576), postgres(2**63)],
        [mysql("binlog.000009", 900, 0), mysql("binlog.000010", 4, 0, is_snapshot=True), mysql("binlog.000010", 4, 0),
         mysql("binlog.000010", 4, 1), mysql("binlog.000010", 4, 10), mysql("binlog.000010", 30, 0), mysql("binlog.1000000", 4, 0)],
        [server("00000027:00000ac0:0002", 1), server("00000027:00000ac0:0002", 2), server("00000027:00000ac0:000a", 1),
         server("00000028:00000001:0001", 1), server("0000ffff:00000001:0001", 1), server("00010000:00000001:0001", 1)],
    ):  # fmt: skip
        assert sorted(reversed(ascending), key=canonical) == ascending
    assert source_order({}, is_snapshot=False) == {}
    assert mysql("binlog.1", 4, 0)["sourceLog"] == "server-223344"


def test_44_the_newer_of_two_states_of_one_transaction_says_so() -> None:
    seen = [message for read in case("44-two-updates-one-transaction") for message in read.messages]
    assert [one.envelope["properties"]["total"] for one in seen] == [0, 40, 36]
    orders = [one.envelope["context"] for one in seen]
    assert sorted(orders, key=canonical) == orders
    assert seen[1].envelope["timestamp"] == seen[2].envelope["timestamp"]
    for order_of_arrival in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        platform = InProcess()
        for offset, at in enumerate(order_of_arrival):
            platform.record(seen[at].value, "cdp.raw.orders", 0, offset, 1795858200000 + offset)
        ((_, fields),) = platform.fields()
        assert fields["gross_lifetime"] == 36


def test_rows_of_one_place_whose_keys_run_together_have_ids_of_their_own(tmp_path: Path) -> None:
    bridge = bridge_of(tmp_path, "events: [{call: identify, identifiers: {user_id: after.a}}]")
    ids = [
        handled(bridge, "c", None, {"a": a, "b": b}, key={"a": a, "b": b}).messages[0].message_id
        for a, b in (("a-b", "c"), ("a", "b-c"), ("a%2Db", "c"), ("a-", "b"), ("a", "-b"))
    ]
    assert len(set(ids)) == 5


ERP = CdcSource(
    name="erp",
    tenant="demo",
    topic="cdp.raw.orders",
    tables={"erp.public.orders": "cdc/orders.yaml", "erp.public.customers": "cdc/customers.yaml"},
)


def case(name: str, source: CdcSource = ERP, mapping: str = "") -> list[Handled]:
    """What the records of a case become."""
    bridge = load_bridge(source, CASES if mapping else PROJECT / "config" / "mappings")
    records = [json.loads(line) for line in (CASES / f"{name}.cdc.jsonl").read_text().splitlines()]
    return [
        bridge.handle(one["topic"], 0, at, orjson.dumps(one["key"]), None if one["value"] is None else orjson.dumps(one["value"]))
        for at, one in enumerate(records)
    ]


def test_a_topic_that_is_read_again_gives_duplicates_and_no_second_event() -> None:
    """Whatever the bridge forgets: of a reading from the beginning each event is known."""
    platform, outcomes = InProcess(), []
    for turn in range(2):
        bridge = load_bridge(ERP, PROJECT / "config" / "mappings")
        source = db.postgres_source
        records = [
            ("r", None, order(1), source("orders", 90, snapshot="true")),
            ("c", None, order(2), source("orders", 100)),
            ("u", order(2), order(2, qty=3), source("orders", 101)),
            ("d", order(2, qty=3), None, source("orders", 102)),
        ]
        at = 0
        for offset, (op, before, after, place) in enumerate(records):
            row = after or before
            read = bridge.handle(
                "erp.public.orders", 0, offset + 1000 * turn, db.key({"order_id": row["order_id"]}), db.value(op, before, after, place)
            )
            for message in read.messages:
                at += 1
                platform.record(message.value, "cdp.raw.orders", 0, 100 * turn + at, TS_MS + 86_400_000 + turn * 60_000 + at)
        outcomes.append([platform.outcomes["cdp.raw.orders", 0, 100 * turn + number] for number in range(1, at + 1)])
    assert outcomes == [["applied"] * 4, ["duplicate"] * 4]


def test_07_both_records_are_kept_as_unavailable() -> None:
    source = CdcSource(name="erp", tenant="demo", topic="cdp.raw.orders", tables={"erp.public.customers": "07-toast.yaml"})
    assert [(read.failed.code, read.failed.field) for read in case("07-toast", source, "cases") if read.failed] == [
        ("unavailable", "after.interests"), ("unavailable", "after.notes"),
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["", "precise", "string"])
def test_08_a_total_is_1250_or_refused(form: str) -> None:
    totals = [
        read.messages[0].envelope["properties"]["total"] if read.messages else read.failed and read.failed.field
        for read in case("08-decimals-as-text", CdcSource(name="erp", tenant="demo", topic="t", tables=ERP.tables, decimals=form))
    ]
    refused = "events[0].properties.total"
    assert totals == {"": [1250, refused, 1250], "precise": [refused, refused, 1250], "string": [1250, 1250, refused]}[form]


def test_25_a_zero_date_makes_no_order_and_what_is_no_row_is_skipped() -> None:
    zero, tombstone, truncated = case("25-zero-date")
    platform = InProcess()
    platform.record(zero.messages[0].value, "cdp.raw.orders", 0, 0, 1795856400000)
    assert platform.outcomes["cdp.raw.orders", 0, 0] == "timestamp_out_of_range"
    assert (tombstone.skipped, truncated.skipped) == ("tombstone", "table truncated")


def test_30_a_changed_key_leaves_one_order() -> None:
    platform = InProcess()
    messages = [message for read in case("30-key-changed") for message in read.messages]
    for offset, message in enumerate(messages):
        platform.record(message.value, "cdp.raw.orders", 0, offset, 1795858200000 + offset)
    ((_, fields),) = platform.fields()
    assert (fields["orders_lifetime"], fields["gross_lifetime"]) == (1, 1280.0)


def test_a_change_is_parsed_with_its_unknown_columns_apart() -> None:
    read = parse(b'{"id": 1}', db.value("u", None, {"id": 1, "notes": [UNAVAILABLE]}, db.postgres_source("c", 1)))
    assert isinstance(read, Change)
    assert (read.after, read.unknown, read.columns) == ({"id": 1}, {"after": frozenset(["notes"])}, {"id", "notes"})
