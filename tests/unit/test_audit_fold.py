"""The fold of `cdp verify` finds in clean events the money that the pipeline's ledger published, and another when one event is changed."""

import json
from typing import Any

from hypothesis import given, settings

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
        fold = folded(core)
        (key,) = fold.nodes
        units = 10 ** UNITS[key[0]]
        told = Money(fields["orders_lifetime"], round(fields["gross_lifetime"] * units), round(fields["refunded_lifetime"] * units))
        assert fold.money([key]) == told
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
    assert orders.fold.money([("demo", "demo|user_id|u")]) == Money(1, 2000, 0)


def test_late_events_are_not_money_and_a_bound_that_was_met_is_known() -> None:
    orders = OrderEvents({"demo": Tenant("GBP", 2)})
    text = '{"order_id":"o","products":[],"total":20.0}'
    orders.take("Order Completed", record(text, late=True))
    orders.take("Order Completed", record(text.replace('"o"', '"o2"'), flags=["limit:sources"]))
    (node,) = orders.fold.nodes.values()
    assert node.totals() == {"o2": 2000}
    assert node.is_bounded
