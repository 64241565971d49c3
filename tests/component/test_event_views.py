"""Every event can be read with typed columns, equal to what was sent."""

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from config import loader
from pipelines.history.container import files_of
from pipelines.history.event_views import EventView, event_views, property_column, view_name
from pipelines.history.schema import ensure_schema
from pipelines.ingest.decode import Decoder
from pipelines.ingest.records import event_record
from pipelines.wire import Event
from schemas import clean, contracts
from schemas.contracts import Contract
from sinks.clickhouse import ClickHouse
from tests.databases import history_database
from tests.decoders import configured_decoder
from tests.examples import examples
from tests.stacks import Stack

NOW = 1_700_000_000_000
CONTRACTS = contracts.load()
DATABASE = "cdp_event_views"


@pytest.fixture(scope="module")
def server(stack: Stack) -> Iterator[ClickHouse]:
    with history_database(DATABASE) as made:
        yield made


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    return configured_decoder()


def insert(server: ClickHouse, decoder: Decoder, events: Mapping[str, Mapping[str, Any]], batch: str) -> dict[str, dict[str, Any]]:
    """One record of each event, through decode and into the table; event -> clean record."""
    records, messages = {}, []
    for number, (name, properties) in enumerate(events.items()):
        context = {"source": "shop", "channel": "store"}
        raw = {"type": "track", "event": name, "messageId": f"{batch}{number}", "userId": "u", "context": context, "properties": properties}
        event = decoder.decode(json.dumps(raw).encode(), "cdp.raw.orders", 0, number, NOW)
        assert isinstance(event, Event), (name, event)
        message = event_record(event, "profile", number)[1]
        records[name] = clean.decode(message)
        messages.append(message)
    for data in files_of(messages).values():
        server.insert_avro("events", data, batch)
    return records


def expected(contract: Contract, record: Mapping[str, Any]) -> dict[str, Any]:
    properties = json.loads(record["properties"])
    wanted: dict[str, Any] = {name: record[name] for name in ("tenant", "node", "profile_id", "message_id", "origin", "channel", "flags")}
    wanted |= {name: moment(dt.datetime.fromtimestamp(record[name] / 1000, dt.UTC)) for name in ("event_time", "log_time")}
    for label, field in contract.fields.items():
        value = properties.get(label)
        if field.type == "list":
            value = [{inner: entry.get(inner) for inner in contract.parts[field.items]} for entry in value or []]
        elif field.type == "map":
            value = value or {}
        elif field.type == "timestamp" and value is not None:
            value = moment(dt.datetime.fromisoformat(value.upper()))
        wanted[property_column(label)] = value
    return wanted


def moment(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def test_an_example_of_every_event_comes_back_through_its_view(server: ClickHouse, decoder: Decoder) -> None:
    sent = examples()
    assert set(sent) == set(CONTRACTS)
    records = insert(server, decoder, sent, "full")
    for name, contract in CONTRACTS.items():
        (row,) = server.rows(f"SELECT * FROM {view_name(name)} WHERE message_id LIKE 'full%'")
        assert row == expected(contract, records[name]), name
        assert set(row) >= set(map(property_column, sent[name])), name
        assert row["origin"] == "shop"


def test_what_an_event_leaves_out_is_null_or_empty(server: ClickHouse, decoder: Decoder) -> None:
    sent = {
        name: {label: value for label, value in properties.items() if CONTRACTS[name].fields[label].required}
        for name, properties in examples().items()
    }
    sent["Order Refunded"]["total"] = examples()["Order Refunded"]["total"]  # without lines a refund has to say how much
    records = insert(server, decoder, sent, "bare")
    for name, contract in CONTRACTS.items():
        (row,) = server.rows(f"SELECT * FROM {view_name(name)} WHERE message_id LIKE 'bare%'")
        assert row == expected(contract, records[name]), name


@pytest.mark.parametrize(
    ("event", "column", "given", "read"),
    [
        ("Product Added", "quantity", 2.0, 2),
        ("Product Added", "price", 1, 1.0),
        ("Product Added", "name", 'it\'s \\ "ü"', 'it\'s \\ "ü"'),
        ("Trial Started", "ends_at", "2011-03-13T07:06:40.1239+05:30", "2011-03-13 01:36:40.123"),
        ("Trial Started", "ends_at", "2011-03-13t07:06:40z", "2011-03-13 07:06:40.000"),
        ("Trial Started", "ends_at", "2011-03-13 07:06:40", "2011-03-13 07:06:40.000"),
        ("Ticket Opened", "property_channel", "phone", "phone"),
        ("Ticket Opened", "channel", "phone", "store"),
    ],
)
def test_values_have_the_columns_type(server: ClickHouse, decoder: Decoder, event: str, column: str, given: Any, read: Any) -> None:
    batch = f"odd-{event[0]}{column}{given}"[:60]
    insert(server, decoder, {event: examples()[event] | {column.removeprefix("property_"): given}}, batch)
    (row,) = server.rows(f"SELECT {column} FROM {view_name(event)} WHERE message_id = {{id:String}}", {"id": f"{batch}0"})
    assert row == {column: read}


def test_the_columns_say_what_they_are(server: ClickHouse) -> None:
    described = {row["name"]: (row["type"].replace("\n    ", " "), row["comment"]) for row in server.rows("DESCRIBE event_order_completed")}
    assert described["total"] == ("Nullable(Float64)", CONTRACTS["Order Completed"].fields["total"].says)
    assert described["event_time"][0] == "DateTime64(3, 'UTC')"
    assert described["products"][0].startswith(
        "Array(Tuple( product_id Nullable(String), quantity Nullable(Int64), price Nullable(Float64)"
    )
    (view,) = server.rows("SELECT comment FROM system.tables WHERE database = currentDatabase() AND name = 'event_order_completed'")
    assert view["comment"].startswith(CONTRACTS["Order Completed"].says)


def test_views_are_made_again_only_when_their_definition_changes(server: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    platform, made = loader.platform(), []
    root = ClickHouse(platform.clickhouse, database="")
    command = server.command

    def noted(statement: str, settings: Mapping[str, str] | None = None) -> None:
        if "VIEW event_" in statement:
            made.append(statement.split()[4])
        command(statement, settings)

    monkeypatch.setattr(server, "command", noted)
    arguments = (server, root, loader.definitions(), loader.identity(), platform.tenants)
    ensure_schema(*arguments)
    assert made == []
    order = CONTRACTS["Order Completed"]
    less = contracts.msgspec.structs.replace(order, fields={label: of for label, of in order.fields.items() if label != "tax"})
    monkeypatch.setattr(contracts, "load", lambda: CONTRACTS | {"Order Completed": less})
    command("DROP VIEW event_cart_viewed")
    ensure_schema(*arguments)
    assert sorted(made) == ["event_cart_viewed", "event_order_completed"]
    assert "tax" not in {row["name"] for row in server.rows("DESCRIBE event_order_completed")}
    monkeypatch.setattr(contracts, "load", lambda: CONTRACTS)
    ensure_schema(*arguments)
    assert sorted(made)[1:] == ["event_order_completed", "event_order_completed"]


def test_moments_inside_lists_and_maps_are_moments_too(server: ClickHouse) -> None:
    """No contract has them yet."""
    says = contracts.Field(type="text", says="it's a \\ note")
    at = contracts.Field(type="timestamp", says="when")
    fields = {
        "steps": contracts.Field(type="list", says="steps", items="step"),
        "seen": contracts.Field(type="map", says="seen", items="timestamp"),
        "node": says,
    }
    made = Contract("It's Odd", "1-0-0", "me", "an 'odd' one", "", fields, {"step": {"at": at, "note": says}})
    (view,) = event_views({made.name: made})
    assert isinstance(view, EventView)
    server.command(view.statement)
    properties = {
        "steps": [{"at": "2011-03-13T07:06:40Z", "note": "n"}, {"note": "m"}],
        "seen": {"a": "2011-03-13T07:06:40+01:00"},
        "node": "x",
    }
    values = "('demo', 'It\\'s Odd', '2011-03-13 00:00:00', {properties:String})"
    insert_row = f"INSERT INTO events (tenant, name, log_time, properties) VALUES {values}"
    server._post({"param_properties": json.dumps(properties)}, insert_row.encode())
    (row,) = server.rows(f"SELECT steps, seen, property_node FROM {view.name}")
    assert row == {
        "steps": [{"at": "2011-03-13 07:06:40.000", "note": "n"}, {"at": None, "note": "m"}],
        "seen": {"a": "2011-03-13 06:06:40.000"},
        "property_node": "x",
    }


def test_two_events_with_one_view_are_refused() -> None:
    one = CONTRACTS["Cart Viewed"]
    with pytest.raises(contracts.ContractError, match="event_cart_viewed"):
        list(event_views({"Cart Viewed": one, "Cart - viewed": contracts.msgspec.structs.replace(one, name="Cart - viewed")}))
