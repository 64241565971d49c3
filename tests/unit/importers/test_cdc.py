"""Change data capture: what Debezium writes becomes events that correct earlier ones, with ids that a repetition shares."""

import base64
import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.import_job import judge
from config import loader
from config.sources import UNAVAILABLE
from importers.cdc.bridge import Bridge, CdcSource, Handled, load_bridge
from importers.cdc.changes import Tombstone, parse
from importers.cdc.consumer import Record
from importers.cdc.delivery import Delivery
from importers.cdc.freshness import Freshness
from importers.mapping import MappingError
from stack.settings import PROJECT
from tests.unit.importers import debezium as db
from tests.unit.importers.debezium import TS_MS, decimal, order, ticket

MAPPINGS = PROJECT / "config" / "mappings"
TABLES = {
    "erp.public.orders": "cdc/orders.yaml",
    "erp.public.stock": "cdc/stock.yaml",
    "erp.public.customers": "cdc/customers.yaml",
    "desk.desk.tickets": "cdc/tickets.yaml",
}
SOURCE = CdcSource(name="erp", tenant="demo", topic="cdp.raw.orders", tables=TABLES, schema_changes="desk")


@pytest.fixture
def bridge() -> Bridge:
    return load_bridge(SOURCE, MAPPINGS)


def changed(bridge: Bridge, op: str, before: Any, after: Any, lsn: int = 100, offset: int = 0, **more: Any) -> Handled:
    source = db.postgres_source("orders", lsn, snapshot="true" if op == "r" else "false")
    row = after or before
    return bridge.handle("erp.public.orders", 0, offset, db.key({"order_id": row["order_id"]}), db.value(op, before, after, source, **more))


def events(handled: Handled) -> list[tuple[str, Any]]:
    assert handled.failed is None, handled.failed
    return [(one.envelope.get("event") or one.envelope["type"], one.envelope.get("properties")) for one in handled.messages]


def accepted(handled: Handled) -> bool:
    """Whether the platform would apply all of it."""
    judged = judge("cdp.raw.orders", by_event_time=True)
    return bool(handled.messages) and all(judged(message) is None for message in handled.messages)


@pytest.mark.parametrize("with_schema", [False, True])
def test_an_order_that_is_created_changed_and_deleted_is_completed_updated_and_cancelled(bridge: Bridge, with_schema: bool) -> None:
    types = {"order_id": "int64", "total": "org.apache.kafka.connect.data.Decimal", "status": "string"} if with_schema else None
    created = changed(bridge, "c", None, order(7), 100, types=types)
    updated = changed(bridge, "u", order(7), order(7, qty=3), 101, types=types)
    deleted = changed(bridge, "d", order(7, qty=3), None, 102, types=types)
    line = {"product_id": "85123A", "price": 2.5}
    assert events(created) == [
        ("Order Completed", {"order_id": "7", "total": 5.0, "currency": "GBP", "products": [{**line, "quantity": 2}]})
    ]
    assert events(updated) == [("Order Updated", {"order_id": "7", "total": 7.5, "currency": "GBP", "products": [{**line, "quantity": 3}]})]
    assert events(deleted) == [("Order Cancelled", {"order_id": "7", "reason": "deleted in the ERP"})]
    assert all(accepted(one) for one in (created, updated, deleted))
    assert [one.messages[0].message_id for one in (created, updated, deleted)] == [
        "erp:orders:7:100",
        "erp:orders:7:101",
        "erp:orders:7:102",
    ]


def test_an_event_says_where_it_comes_from(bridge: Bridge) -> None:
    message = changed(bridge, "c", None, order(7), offset=42).messages[0]
    assert message.envelope["context"] == {
        "source": "erp", "sourceOrder": "100-1",
        "lineage": {"topic": "erp.public.orders", "partition": 0, "offset": 42, "source_ts": TS_MS},
    }  # fmt: skip
    assert (message.key, message.envelope["tenant"], message.envelope["timestamp"]) == (b"17850", "demo", "2026-11-02T08:00:00.000Z")


def test_a_cancelled_order_is_cancelled_and_a_draft_is_nothing(bridge: Bridge) -> None:
    assert events(changed(bridge, "u", order(7), order(7, "cancelled"))) == [
        ("Order Cancelled", {"order_id": "7", "reason": "cancelled in the ERP"})
    ]
    assert changed(bridge, "c", None, order(7, "draft")).skipped == "draft"
    truncated = bridge.handle("erp.public.orders", 0, 0, None, db.value("t", None, None, db.postgres_source("orders", 5)))
    assert truncated.skipped == "table truncated"


def test_a_redelivery_is_the_same_message_but_for_its_lineage(bridge: Bridge) -> None:
    first, again = (changed(bridge, "u", order(7), order(7, qty=3), offset=offset).messages[0] for offset in (1, 9))
    assert first.message_id == again.message_id
    assert {**first.envelope, "context": 0} == {**again.envelope, "context": 0}


def test_a_snapshot_that_is_made_again_repeats_rows_that_are_the_same_and_only_those(bridge: Bridge) -> None:
    first, same, other = (
        changed(bridge, "r", None, row, lsn).messages[0] for row, lsn in ((order(7), 100), (order(7), 900), (order(7, qty=3), 900))
    )
    assert first.message_id == same.message_id
    assert other.message_id != first.message_id
    assert {**first.envelope, "context": 0} == {**same.envelope, "context": 0}
    assert changed(bridge, "r", None, order(7)).source_ms is None, "a snapshot is not late, however old the row is"


def test_changes_of_one_row_or_of_rows_at_one_place_have_ids_of_their_own(bridge: Bridge) -> None:
    ids = [changed(bridge, "u", order(n), order(n, qty=3), lsn).messages[0].message_id for n in (7, 8) for lsn in (100, 101)]
    assert len(set(ids)) == 4


def test_tickets_of_mysql(bridge: Bridge) -> None:
    def at(op: str, before: Any, after: Any, pos: int) -> Handled:
        value = db.value(op, before, after, db.mysql_source("tickets", pos, row=2))
        return bridge.handle("desk.desk.tickets", 0, 0, db.key({"id": 5}, with_schema=True), value)

    opened = at("c", None, ticket(5), 400)
    updated = at("u", ticket(5), ticket(5, prio=1), 500)
    closed = at("u", ticket(5), ticket(5, "closed", csat=decimal(45)), 600)
    again = at("u", ticket(5, "closed"), ticket(5, "closed", csat=decimal(50)), 700)
    assert [events(one)[0][0] for one in (opened, updated, closed, again)] == [
        "Ticket Opened", "Ticket Updated", "Ticket Closed", "Ticket Updated",
    ]  # fmt: skip
    assert events(closed)[0][1] == {
        "ticket_id": "5", "category": "delivery", "channel": "phone", "priority": "high", "order_id": "7", "csat": 4.5,
    }  # fmt: skip
    assert opened.messages[0].message_id == "erp:tickets:5:binlog.000007-400-2"
    assert events(at("r", None, ticket(5, "closed"), 1)) != []
    assert [name for name, _ in events(at("r", None, ticket(5, "closed"), 1))] == ["Ticket Opened", "Ticket Closed"]
    assert len({one.message_id for one in at("r", None, ticket(5, "closed"), 1).messages}) == 2
    assert at("d", ticket(5), None, 800).skipped == "ticket deleted"
    assert all(accepted(one) for one in (opened, updated, closed, again))


def test_stock_and_customers(bridge: Bridge) -> None:
    stock = {"sku": "85123A", "warehouse": "W1", "on_hand": 12, "reserved": 2}
    value = db.value("u", None, stock, db.postgres_source("stock", 7))
    level = bridge.handle("erp.public.stock", 0, 0, db.key({"sku": "85123A", "warehouse": "W1"}), value)
    assert events(level) == [("Stock Level Changed", {"product_id": "85123A", "location_id": "W1", "available": 10})]
    assert level.messages[0].message_id == "erp:stock:85123A-W1:7"
    customer = {
        "customer_no": "17850", "email": " Ada.Example@example.org ", "phone": "+44 20 7946 0018", "first_name": "Ada", "last_name": None,
        "birthday": -4200, "newsletter": True,
    }  # fmt: skip
    value = db.value("c", None, customer, db.postgres_source("customers", 8))
    known = bridge.handle("erp.public.customers", 0, 0, db.key({"customer_no": "17850"}), value)
    assert known.messages[0].envelope["traits"] == {
        "email": "ada.example@example.org", "phone": "+44 20 7946 0018", "firstName": "Ada", "birthday": "1958-07-03", "newsletter": True,
    }  # fmt: skip
    assert accepted(level)
    assert accepted(known)


def test_a_tombstone_is_nothing(bridge: Bridge) -> None:
    assert bridge.handle("erp.public.orders", 0, 0, db.key({"order_id": 7}), None).skipped == "tombstone"
    assert isinstance(parse(None, b'{"schema": null, "payload": null}'), Tombstone)


@pytest.mark.parametrize(
    ("key", "value", "field"),
    [
        (None, b"\x00\x01avro", ""),
        (b"{", b"{}", ""),
        (None, b"[]", ""),
        (None, orjson.dumps(order(7)), "op"),
        (None, b'{"op": "c", "after": {}, "source": null}', "source"),
        (None, b'{"op": "u", "after": null, "source": {}}', "after"),
        (None, b'{"op": "c", "after": [1], "source": {}}', "after"),
        (None, b'{"op": "c", "after": {"status": "x"}, "source": {"table": "orders"}}', "source"),
    ],
)
def test_what_cannot_be_read_says_why(bridge: Bridge, key: bytes | None, value: bytes, field: str) -> None:
    failed = bridge.handle("erp.public.orders", 0, 0, key, value).failed
    assert failed is not None
    assert (failed.code, failed.field) == ("unreadable", field)


def test_a_row_that_cannot_be_mapped_names_the_field(bridge: Bridge) -> None:
    failed = changed(bridge, "c", None, order(7, lines="not JSON")).failed
    assert failed is not None
    assert (failed.code, failed.field) == ("value", "events[0].properties.products")
    gone = changed(bridge, "d", {"order_id": 7, "customer_no": None}, None).failed
    assert gone is not None
    assert (gone.code, gone.field) == ("missing", "events[2].identifiers.user_id")


def test_a_large_column_that_was_not_sent_is_taken_from_the_old_row_or_missed(bridge: Bridge) -> None:
    whole = changed(bridge, "u", order(7), order(7, lines=UNAVAILABLE))
    assert events(whole)[0][1]["products"][0]["quantity"] == 2
    lost = changed(bridge, "u", None, order(7, lines=UNAVAILABLE)).failed
    assert lost is not None
    assert (lost.code, lost.field) == ("unavailable", "after.lines")
    assert changed(bridge, "u", None, order(7, note=UNAVAILABLE)).failed is None, "nobody reads that column"


def test_a_column_that_is_gone_is_told_once_and_the_record_that_cannot_be_mapped_is_kept(bridge: Bridge) -> None:
    without = {name: value for name, value in order(7).items() if name != "lines"}
    first, second = (changed(bridge, "c", None, without, lsn) for lsn in (1, 2))
    assert [(one.table, one.kind, one.column) for one in first.drifts] == [("orders", "missing", "lines")]
    assert second.drifts == []
    assert first.failed is not None
    assert (first.failed.code, first.failed.field) == ("missing", "events[0].properties.products")
    assert changed(bridge, "c", None, order(7)).drifts == []
    assert changed(bridge, "c", None, without, 3).drifts == [], "partitions mix old rows and new ones: once is enough"


def test_a_new_a_renamed_and_a_retyped_column_are_told(bridge: Bridge) -> None:
    assert changed(bridge, "c", None, order(7)).drifts == []
    assert [(one.kind, one.column) for one in changed(bridge, "c", None, order(7, weight=3)).drifts] == [("new", "weight")]
    renamed = {("customer_number" if name == "customer_no" else name): value for name, value in order(7).items()}
    (drift,) = [one for one in changed(bridge, "u", None, renamed, 2).drifts if one.kind == "renamed"]
    assert drift.says == "`customer_no` is gone and `customer_number` is new: was it renamed?"
    retyped = [changed(bridge, "u", None, order("7"), lsn).drifts for lsn in (3, 4)]
    assert [(one.kind, one.column, one.says) for one in retyped[0] if one.kind == "type"] == [
        ("type", "order_id", "`order_id` should be integer and is text")
    ]
    assert retyped[1] == []


def test_a_type_that_changes_in_the_records_schema_is_told(bridge: Bridge) -> None:
    types = {"order_id": "int64", "placed_at": "io.debezium.time.ZonedTimestamp"}
    changed(bridge, "c", None, order(7), 1, types=types)
    drifts = changed(bridge, "c", None, order(7), 2, types={**types, "placed_at": "io.debezium.time.MicroTimestamp"}).drifts
    assert [(one.kind, one.column) for one in drifts] == [("type", "placed_at")]
    assert "was io.debezium.time.ZonedTimestamp and is io.debezium.time.MicroTimestamp" in drifts[0].says


def test_what_the_schema_change_topic_announces_is_told(bridge: Bridge) -> None:
    columns = {name: "VARCHAR" for name in ticket(1) if name != "prio"} | {"priority": "TINYINT"}
    value = db.schema_change("tickets", columns, "ALTER TABLE tickets CHANGE prio priority TINYINT")
    told = bridge.handle("desk", 0, 0, b'{"databaseName": "desk"}', value)
    assert (told.messages, told.skipped) == ([], "schema change")
    assert [(one.table, one.kind) for one in told.drifts] == [("tickets", "altered")]
    assert "CHANGE prio priority" in told.drifts[0].says
    assert "the mapping expects `prio`" in told.drifts[0].says
    dropped = bridge.handle("desk", 0, 1, None, db.schema_change("tickets", {}, "DROP TABLE tickets", "DROP"))
    assert [one.kind for one in dropped.drifts] == ["dropped"]
    assert bridge.handle("desk", 0, 2, None, db.schema_change("tickets", columns, "CREATE TABLE tickets (...)", "CREATE")).drifts == []
    assert bridge.handle("desk", 0, 3, None, db.schema_change("elsewhere", columns, "ALTER ...")).drifts == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("group_by: op\nevents: [{track: A, identifiers: {user_id: key}}]", "`group_by` is for files"),
        ("events: [{track: A, message_id: op, identifiers: {user_id: key}}]", "`message_id` is for files and webhooks"),
        ("events: [{track: A, identifiers: {user_id: affter.id}}]", "reads `affter`; a change has .*; did you mean `after`"),
    ],
)
def test_a_mapping_that_is_not_for_tables_is_refused(tmp_path: Any, text: str, said: str) -> None:
    (tmp_path / "m.yaml").write_text(text)
    with pytest.raises(MappingError, match=said):
        load_bridge(CdcSource(name="s", tenant="demo", topic="t", tables={"a.b.c": "m.yaml"}), tmp_path)


class Log:
    """A Kafka of lists."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes, bytes]] = []
        self.flushed = 0

    def send(self, topic: str, key: bytes, value: bytes) -> None:
        self.messages.append((topic, key, value))

    def flush(self) -> None:
        self.flushed = len(self.messages)


def test_a_batch_is_delivered_with_its_failures_and_drifts_and_without_personal_values_in_the_log(bridge: Bridge) -> None:
    log = Log()
    delivery = Delivery([bridge], log, lambda: TS_MS + 1500)
    good = db.value("c", None, order(7), db.postgres_source("orders", 1))
    bad = db.value("c", None, order(8, lines="Ada.Example@example.org"), db.postgres_source("orders", 2))
    drifted = db.value("c", None, {**order(9), "customer_number": 1}, db.postgres_source("orders", 3))
    records = [Record("erp.public.orders", 0, number, b"{}", value) for number, value in enumerate((good, bad, drifted, None))]
    lines = delivery.deliver(records)
    assert log.flushed == len(log.messages)
    raw = [orjson.loads(value)["messageId"] for topic, _, value in log.messages if topic == "cdp.raw.orders"]
    assert len(raw) == 2
    kept = [(key, orjson.loads(value)) for topic, key, value in log.messages if topic == "cdp.unmapped"]
    codes = [(one["error"]["code"], one["position"]["offset"]) for _, one in kept]
    assert ("value", 1) in codes
    assert ("schema_drift", 2) in codes
    failed = next(one for _, one in kept if one["error"]["code"] == "value")
    assert failed["source"] == "erp"
    assert orjson.loads(base64.b64decode(failed["original"])) == orjson.loads(bad)
    assert "example.org" not in "".join(lines).lower()
    assert any("schema_drift" in line for line in lines)
    told = delivery.freshness.take()
    assert told["freshness_s"] == {"orders": {"n": 2, "p50": 1.5, "p99": 1.5, "max": 1.5}}
    assert told["records"]["events"] == 2
    assert told["records"]["unmapped"] == 1
    assert delivery.freshness.take() == {"records": {}, "freshness_s": {}}


def test_two_sources_do_not_read_one_topic(bridge: Bridge) -> None:
    with pytest.raises(ValueError, match=r"both read erp\.public\.orders"):
        Delivery([bridge, load_bridge(CdcSource(name="b", tenant="demo", topic="t", tables=TABLES), MAPPINGS)], Log(), lambda: 0)


@settings(deadline=None)
@given(st.lists(st.floats(-5, 1e6), min_size=1))
def test_freshness_is_never_negative_and_its_ranks_are_those_of_the_values(lags: list[float]) -> None:
    seen = Freshness()
    for lag in lags:
        seen.add("t", int(-lag * 1000), 0)
    told = seen.take()["freshness_s"]["t"]
    real = sorted(max(0.0, -int(-lag * 1000) / 1000) for lag in lags)
    assert told["n"] == len(lags)
    assert told["max"] == round(real[-1], 3)
    assert sum(lag <= told["p50"] + 1e-9 for lag in real) >= len(real) / 2
    assert 0 <= told["p50"] <= told["p99"] <= told["max"]


words = st.sampled_from(["op", "before", "after", "source", "payload", "schema", "fields", "field", "tableChanges", "table", "lsn"])
bodies = st.recursive(
    st.one_of(st.none(), st.integers(), st.text("abc"), st.sampled_from(["c", "u", "r", "d"])),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(words, inner)),
    max_leaves=12,
)
SHARED = load_bridge(SOURCE, MAPPINGS)


@settings(deadline=None)
@given(st.one_of(bodies, st.fixed_dictionaries({"op": st.sampled_from("crud"), "source": bodies, "after": bodies, "before": bodies})))
def test_no_record_whatever_it_is_stops_the_bridge(body: Any) -> None:
    handled = SHARED.handle("erp.public.orders", 0, 0, b'{"id": 1}', json.dumps(body).encode())
    assert bool(handled.messages) + bool(handled.skipped) + (handled.failed is not None) == 1
    assert handled.failed is None or handled.failed.code != "internal"


def test_the_topic_for_what_cannot_be_mapped_is_there() -> None:
    assert "cdp.unmapped" in loader.topics().topics
