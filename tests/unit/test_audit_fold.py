"""The fold of `cdp verify` finds in clean events the money that the pipeline's ledger published, and another when one event is changed."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cli.audit.fold import NAMES, Fold, Money
from cli.audit.order_events import OrderEvents
from config.platform import Tenant
from pipelines.ingest.records import event_record
from schemas import clean
from tests.in_process import InProcess
from tests.ledger_world import DECIMALS, TENANTS, events, play, written

UNITS = {name: DECIMALS[currency] for name, currency in TENANTS.items()}


def folded(core: InProcess) -> Fold:
    orders = OrderEvents({name: Tenant(currency, DECIMALS[currency]) for name, currency in TENANTS.items()})
    for number, event in enumerate(core.applied):
        orders.take(event.name, event_record(event, "p", number)[1])
    assert orders.odd == {}
    assert orders.count == sum(event.name in NAMES for event in core.applied)
    return orders.fold


@settings(max_examples=60, deadline=None)
@given(events())
def test_the_fold_is_the_ledger_in_any_order_of_arrival(found: list[dict[str, Any]]) -> None:
    core = play(written(found))
    for _, fields in core.fields():
        (((tenant, _), node),) = folded(core).nodes().items()
        units = 10 ** UNITS[tenant]
        told = Money(fields["orders_lifetime"], round(fields["gross_lifetime"] * units), round(fields["refunded_lifetime"] * units))
        assert node.money(units) == told
        assert round(fields["net_lifetime"] * units) == told.net


def record(properties: str, **changes: Any) -> bytes:
    event = {
        "tenant": "demo", "node": "demo|user_id|u", "profile_id": "p", "seq": 1, "type": "track", "name": "Order Completed",
        "message_id": "m", "event_time": 1, "source": "cdp.raw.orders", "partition": 0, "offset": 7, "log_time": 1, "channel": "web",
        "late": False, "identifiers": [], "traits": "{}", "context": "{}",
    }  # fmt: skip
    return clean.encode("event", event | {"properties": properties} | changes)


def test_texts_that_readers_could_understand_differently_are_named() -> None:
    """The mending of public cases 38 and 39 taken back."""
    orders = OrderEvents({"demo": Tenant("GBP", 2)})
    good = {"order_id": "o", "products": [{"product_id": "p", "quantity": 1, "price": 20.0}], "total": 20.0}
    for text in (
        json.dumps(good),
        json.dumps(good, separators=(",", ":")).replace('"total":20.0', '"total":40.0,"total":20.0'),
        json.dumps(good, separators=(",", ":")).replace('"total"', '"trade_no":202611280000123456789,"total"'),
        "[]",
    ):
        orders.take("Order Completed", record(text))
    assert len(orders.odd["demo"]) == 4
    assert all("cdp.raw.orders/0@7" in line for line in orders.odd["demo"])
    orders.take("Order Completed", record(json.dumps(good, separators=(",", ":"))))
    assert len(orders.odd["demo"]) == 4
    assert orders.fold.nodes()["demo", "demo|user_id|u"].money(100) == Money(1, 2000, 0)


def test_late_events_are_not_money_and_a_bound_that_was_met_is_known() -> None:
    orders = OrderEvents({"demo": Tenant("GBP", 2)})
    text = '{"order_id":"o","products":[],"total":20.0}'
    orders.take("Order Completed", record(text, late=True))
    orders.take("Order Completed", record(text.replace('"o"', '"o2"'), flags=["limit:sources"]))
    (node,) = [node for (_, key), node in orders.fold.nodes().items() if key]
    assert node.totals() == {"order||o2": 2000}
    assert node.is_bounded


ORDER = '{"order_id":"o","products":[],"total":20.0}'


def told(*events: dict[str, Any]) -> OrderEvents:
    """Events of one order unless they say otherwise."""
    orders = OrderEvents({"demo": Tenant("GBP", 2)}, ["user_id", "email", "device_id"], ["ticket"])
    for number, event in enumerate(events):
        about = {"object": "order||o", "name": "Shipment Updated", "properties": "{}", "offset": number, "seq": number} | event
        orders.take(about["name"], record(about.pop("properties"), **about))
    assert orders.odd == {}
    return orders


@st.composite
def claims(draw: st.DrawFn) -> list[dict[str, Any]]:
    nodes = ["demo|user_id|b", "demo|user_id|a", "demo|email|0", "demo|device_id|0", "demo|unheard_of|0", ""]
    made = [
        {"node": draw(st.sampled_from(nodes)), "event_time": draw(st.integers(0, 2)), "late": draw(st.booleans())}
        for _ in range(draw(st.integers(1, 8)))
    ]
    return draw(st.permutations(made))


@given(claims())
def test_an_object_is_of_the_strongest_then_earliest_then_first_of_those_who_are_named_in_time(found: list[dict[str, Any]]) -> None:
    ranks = {"user_id": 0, "email": 1, "device_id": 2, "unheard_of": 3}
    named = [event for event in found if event["node"] and not event["late"]]
    wanted = min(((ranks[one["node"].split("|")[1]], one["event_time"], one["node"]) for one in named), default=(0, 0, ""))[2]
    assert told(*found).fold.objects["demo", "order||o"].owner == wanted


def test_money_is_the_owners_whoever_told_of_it() -> None:
    guest, payer = "demo|email|guest", "demo|user_id|payer"
    fold = told(
        {"name": "Order Completed", "node": guest, "properties": ORDER},
        {"name": "Payment Completed", "node": payer, "event_time": 2, "profile_id": "0a"},
        {"name": "Order Refunded", "node": "", "properties": '{"order_id":"o","refund_id":"r","total":5.0}'},
    ).fold
    assert {key: node.money(100) for key, node in fold.nodes().items()} == {("demo", payer): Money(1, 2000, 500)}
    assert fold.profile_of(("demo", payer)) == "0a"
    assert set(fold.named) == {("demo", guest), ("demo", payer)}, "whoever was named may not count what is not theirs"


def test_what_nobody_owns_is_nobodys_money() -> None:
    fold = told({"name": "Order Completed", "node": "", "properties": ORDER}).fold
    assert fold.nodes()["demo", ""].totals() == {"order||o": 2000}


def test_two_shops_orders_of_one_number_are_two() -> None:
    event = {"name": "Order Completed", "node": "demo|user_id|u", "properties": ORDER}
    (node,) = told(event, event | {"object": "order|other|o"}, event | {"object": "order|other|o"}).fold.nodes().values()
    assert node.totals() == {"order||o": 2000, "order|other|o": 2000}


def test_a_refund_that_names_an_order_in_one_version_only_is_one_refund() -> None:
    refund = {"name": "Order Refunded", "node": "demo|user_id|u"}
    (node,) = (
        told(
            {"name": "Order Completed", "node": "demo|user_id|u", "properties": ORDER},
            refund | {"object": "refund||r", "event_time": 3, "properties": '{"refund_id":"r","total":5.0}'},
            refund | {"event_time": 4, "properties": '{"order_id":"o","refund_id":"r","total":6.0}'},
        )
        .fold.nodes()
        .values()
    )
    assert node.given_back(100) == {("order||o", "r"): 600}


def test_a_bound_that_was_met_marks_the_owner_and_older_records_are_known_as_such() -> None:
    guest, user = "demo|device_id|guest", "demo|user_id|user"
    fold = told(
        {"name": "Order Completed", "node": guest, "properties": ORDER, "flags": ["limit:sources"], "object": ""},
        {"name": "Order Completed", "node": guest, "properties": ORDER.replace('"o"', '"p"'), "object": "order||p"},
        {"node": user},
    ).fold
    assert {key: node.is_bounded for (_, key), node in fold.nodes().items()} == {guest: False, user: True}
    assert {key: told.is_older for (_, key), told in fold.objects.items()} == {"order||o": True, "order||p": False}


def test_tickets_have_owners_and_what_concerns_no_object_is_not_even_decoded() -> None:
    orders = told({"name": "Ticket Opened", "node": "demo|user_id|u", "object": "ticket||t"}, {"name": "Product Viewed", "object": ""})
    assert {key: told.owner for key, told in orders.fold.objects.items()} == {("demo", "ticket||t"): "demo|user_id|u"}
    orders.take("Product Viewed", b"not Avro, and nobody looks")
