"""ClickHouse reads of every accepted event what the pipeline understood: thousands of odd documents, by the functions of our views."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from pipelines.history.container import files_of
from pipelines.history.event_views import property_column, view_name
from pipelines.ingest.records import event_record
from pipelines.wire import Event, OrderFacts
from schemas import clean, contracts
from sinks.clickhouse import ClickHouse
from tests.databases import history_database
from tests.decoders import configured_decoder
from tests.mutants import mutants
from tests.odd_json import odd_events
from tests.stacks import Stack

NOW = 1_700_000_000_000
DATABASE = "cdp_one_reading"
MUTANTS = 6000
DOCUMENTS = 3000


@pytest.fixture(scope="module")
def server(stack: Stack) -> Iterator[ClickHouse]:
    with history_database(DATABASE) as made:
        yield made


def accepted(values: Iterator[bytes]) -> Iterator[tuple[Event, dict[str, Any]]]:
    """Of raw records those that become events, each with its clean record; profiles' ids are of no account here."""
    decode = configured_decoder().decode
    for number, value in enumerate(values):
        event = decode(value, "cdp.raw.orders", 0, number, NOW)
        if isinstance(event, Event):
            yield event, clean.decode(event_record(event, "profile", number)[1])


@pytest.fixture(scope="module")
def events(server: ClickHouse) -> dict[str, tuple[Event, dict[str, Any]]]:
    """Message id -> event and clean record of what is in ClickHouse."""
    found = {event.message_id: (event, record) for event, record in [*accepted(mutants(11, MUTANTS)), *accepted(odd_events(12, DOCUMENTS))]}
    for data in files_of([event_record(event, "profile", number)[1] for number, (event, _) in enumerate(found.values())]).values():
        server.insert_avro("events", data, "all")
    return found


def test_there_is_enough_to_compare(events: dict[str, tuple[Event, dict[str, Any]]]) -> None:
    assert len(events) > 3000
    assert sum(event.name == "Order Completed" and event.message_id[0] == "d" for event, _ in events.values()) > 300
    assert sum("e" in json.dumps(json.loads(record["properties"])) for _, record in events.values()) > 1000


@pytest.mark.parametrize("part", ["properties", "traits", "context"])
def test_every_name_and_value_is_read_alike(server: ClickHouse, events: dict[str, tuple[Event, dict[str, Any]]], part: str) -> None:
    query = f"""SELECT message_id, isValidJSON({part}) AS valid, JSONExtractKeysAndValuesRaw({part}) AS told,
        arrayMap(pair -> JSONExtractString({part}, pair.1), told) AS texts,
        arrayMap(pair -> JSONExtractFloat({part}, pair.1), told) AS floats,
        arrayMap(pair -> toString(JSONType({part}, pair.1)), told) AS kinds FROM events"""
    seen = 0
    for row in server.rows(query):
        understood = json.loads(events[row["message_id"]][1][part])
        assert row["valid"] == 1, row
        assert [pair[0] for pair in row["told"]] == list(understood), row
        for (name, raw), text, number, kind in zip(row["told"], row["texts"], row["floats"], row["kinds"], strict=True):
            value = understood[name]
            assert _same(json.loads(raw), value), (row, name)
            if isinstance(value, str):
                assert text == value, row
            if isinstance(value, int | float) and not isinstance(value, bool):
                assert float(number) == float(value), (row, name)
                assert kind == ("Double" if isinstance(value, float) else "UInt64" if value >= 2**63 else "Int64"), (row, name, kind)
        seen += 1
    assert seen == len(events)


def test_every_typed_view_has_what_was_understood(server: ClickHouse, events: dict[str, tuple[Event, dict[str, Any]]]) -> None:
    compared = 0
    for name, contract in contracts.load().items():
        fields = {label: field for label, field in contract.fields.items() if field.type not in ("timestamp", "list", "map")}
        rows = server.rows(f"SELECT * FROM {view_name(name)}")
        assert len(rows) == sum(event.name == name and event.type == "track" for event, _ in events.values()), name
        for row in rows:
            told = json.loads(events[row["message_id"]][1]["properties"])
            for label, field in fields.items():
                value = told.get(label)
                assert row[property_column(label)] == (
                    float(value) if field.type in ("number", "money") and value is not None else value
                ), row
                assert not (field.required and row[property_column(label)] is None), row
                compared += 1
            for label, field in contract.fields.items():
                if field.type == "list":
                    parts = contract.parts[field.items]
                    assert row[property_column(label)] == [{one: line.get(one) for one in parts} for line in told.get(label) or []], row
    assert compared > 10_000


def test_orders_are_those_that_the_ledger_was_told(server: ClickHouse, events: dict[str, tuple[Event, dict[str, Any]]]) -> None:
    query = "SELECT message_id, JSONExtractString(properties, 'order_id') AS order_id FROM events WHERE name = 'Order Completed'"
    asked = {row["message_id"]: row["order_id"] for row in server.rows(query)}
    totals = {
        row["order_id"]: (round(row["total"] * 100), row["units"]) for row in server.rows("SELECT order_id, total, units FROM orders")
    }
    ordered = {key: event.facts for key, (event, _) in events.items() if isinstance(event.facts, OrderFacts) and key[0] == "d"}
    assert len(ordered) > 300
    for message_id, facts in ordered.items():
        assert asked[message_id] == facts.order_id
        assert totals[facts.order_id] == (facts.total, sum(line[1] for line in facts.lines)), (message_id, facts)


def _same(one: Any, other: Any) -> bool:
    if isinstance(other, float) or isinstance(one, float):
        return isinstance(one, int | float) and one == other
    if isinstance(other, dict):
        return isinstance(one, dict) and list(one) == list(other) and all(_same(one[name], other[name]) for name in other)
    if isinstance(other, list):
        return isinstance(one, list) and len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and one == other
