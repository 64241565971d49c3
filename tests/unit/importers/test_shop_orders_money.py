"""Deliveries of a shop whose money goes back, change, or come in the same second: through the mapping and the core, with right values."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from importers.cdc.bridge import CdcSource, load_bridge
from importers.envelope import Origin, complete
from importers.mapping import Mapped, load
from stack.settings import PROJECT
from tests.in_process import InProcess

CASES = PROJECT / "tests" / "cases" / "money"
MAPPINGS = PROJECT / "config" / "mappings"
LOG_MS = 1_795_867_200_000  # 2026-11-28T12:00:00Z
SHOP = load(MAPPINGS / "webhooks" / "shop_orders.yaml")
MONEY = ("gross_lifetime", "refunded_lifetime", "net_lifetime", "orders_lifetime", "unmatched_refunds", "over_refunds")


def delivered(topic: str, body: Any, **headers: str) -> list[bytes]:
    """Records that a delivery becomes."""
    record = {
        "headers": {"x-shopify-topic": topic, "x-shopify-event-id": str(uuid.uuid5(uuid.NAMESPACE_OID, repr(body))), **headers},
        "body": body,
    }
    outcome = SHOP.apply(record)
    assert isinstance(outcome, Mapped), outcome
    return [complete(event, Origin("shop-orders", "demo"), "x", {}).value for event in outcome.events]


def told(name: str) -> Any:
    return json.loads((CASES / f"{name}.json").read_text())


def applied(records: list[bytes]) -> InProcess:
    core = InProcess()
    for at, record in enumerate(records):
        core.record(record, "cdp.raw.orders", 0, at, LOG_MS + at)
    assert set(core.outcomes.values()) <= {"applied", "duplicate"}, core.outcomes
    return core


def fields(records: list[bytes]) -> dict[str, Any]:
    (found,) = (found for _, found in applied(records).fields())
    return found


def money(records: list[bytes]) -> tuple[Any, ...]:
    found = fields(records)
    return tuple(found[name] for name in MONEY)


def test_a_refund_that_succeeded_at_the_second_try_is_counted_once_and_shipping_is_part_of_the_total() -> None:
    records = delivered("orders/create", told("10-order-with-shipping")) + delivered("orders/updated", told("10-refund-second-try"))
    assert money(records) == (44.95, 20.0, 24.95, 1, 0, 0)
    assert [event.flags for event in applied(records).applied] == [[], [], []]


@pytest.mark.parametrize("status", ["pending", "failure", "error"])
def test_a_refund_that_has_not_succeeded_is_none(status: str) -> None:
    body = told("10-refund-second-try")
    body["refunds"][0]["transactions"] = [{"id": 1, "kind": "refund", "status": status, "amount": "20.00"}]
    records = delivered("orders/create", told("10-order-with-shipping")) + delivered("orders/updated", body)
    assert money(records) == (44.95, 0, 44.95, 1, 0, 0)


@pytest.mark.parametrize(
    ("statuses", "refunded"),
    [(["pending", "success"], 20.0), (["success", "failure"], 0), (["failure", "success"], 20.0), (["pending", "failure"], 0)],
)
def test_a_refund_is_what_became_of_it(statuses: list[str], refunded: float) -> None:
    records = delivered("orders/create", told("10-order-with-shipping"))
    for number, status in enumerate(statuses):
        body = told("10-refund-second-try") | {"updated_at": f"2026-11-28T11:0{number}:00Z"}
        body["refunds"][0]["transactions"] = [{"id": 1, "kind": "refund", "status": status, "amount": "20.00"}]
        records += delivered("orders/updated", body)
    assert money(records) == (44.95, refunded, round(44.95 - refunded, 2), 1, 0, 0)


def test_of_an_attempt_that_failed_and_one_that_succeeded_the_latter_counts_alone() -> None:
    body = told("10-refund-second-try")
    attempt = {"id": 5, "kind": "refund", "status": "failure", "amount": "5.00"}
    body["refunds"].append({"id": 99, "created_at": "2026-11-28T09:30:00Z", "refund_line_items": [], "transactions": [attempt]})
    assert money(delivered("orders/create", told("10-order-with-shipping")) + delivered("orders/updated", body)) == (
        44.95,
        20,
        24.95,
        1,
        0,
        0,
    )


def test_tax_and_discount_are_part_of_the_total() -> None:
    body = told("10-order-with-shipping") | {
        "total_tax": "8.00",
        "total_discounts": "5.00",
        "total_price": "47.95",
        "current_total_price": "47.95",
    }
    assert applied(delivered("orders/create", body)).applied[0].flags == []
    included = body | {"taxes_included": True, "total_price": "39.95", "current_total_price": "39.95"}
    assert applied(delivered("orders/create", included)).applied[0].flags == []


def test_shipping_that_went_back_takes_no_units() -> None:
    records = delivered("orders/create", told("11-order")) + delivered("orders/updated", told("11-refund-of-shipping"))
    assert money(records) == (44.95, 4.95, 40.0, 1, 0, 0)


def test_lines_of_an_edited_order_count_by_what_is_left() -> None:
    found = fields(delivered("orders/create", told("12-order")) + delivered("orders/updated", told("12-order-edited")))
    assert (found["gross_lifetime"], found["top_products"]) == (40.0, [["MUG", 2]])


def test_what_was_given_back_is_no_edit() -> None:
    """A shop lowers `current_quantity` for both; only a refund tells of what was given back."""
    body = told("12-order-edited")
    body["line_items"][0]["current_quantity"], body["current_total_price"] = 1, "20.00"
    line = {"quantity": 1, "line_item": {"sku": "MUG", "product_id": 1, "price": "20.00"}}
    transaction = {"id": 1, "kind": "refund", "status": "success", "amount": "20.00"}
    body["refunds"] = [{"id": 9, "created_at": "2026-11-28T09:20:00Z", "refund_line_items": [line], "transactions": [transaction]}]
    found = fields(delivered("orders/create", told("12-order")) + delivered("orders/updated", body))
    assert (found["gross_lifetime"], found["refunded_lifetime"], found["top_products"]) == (40.0, 20.0, [["MUG", 2]])
    assert found["unmatched_refunds"] == 0


def test_an_order_of_which_nothing_is_left() -> None:
    body = told("12-order-edited") | {"current_total_price": "0.00"}
    body["line_items"][0]["current_quantity"] = 0
    found = fields(delivered("orders/create", told("12-order")) + delivered("orders/updated", body))
    assert (found["gross_lifetime"], found["orders_lifetime"], found["top_products"]) == (0, 1, [])


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
def test_cancelled_and_refunded_is_nothing_in_any_order(order: tuple[int, ...]) -> None:
    deliveries = [
        delivered("orders/create", told("13-order")),
        delivered("orders/cancelled", told("13-cancelled")),
        delivered("orders/updated", told("13-updated-with-refund")),
    ]
    assert money([record for at in order for record in deliveries[at]]) == (0, 0, 0, 0, 0, 0)


def test_a_refund_is_in_the_currency_of_its_order() -> None:
    records = delivered("orders/create", told("28-euro-order")) + delivered("orders/updated", told("28-euro-refund"))
    found = money(records)
    assert found[0] == found[1] > 30
    assert found[2] == 0


def test_two_updates_of_one_second_are_two_and_the_later_one_counts() -> None:
    first, second = (delivered("orders/updated", told(name)) for name in ("31-first-update", "31-second-update-same-second"))
    records = delivered("orders/create", told("31-order")) + first + second
    assert money(records)[0] == 20.0
    assert set(applied(records + second).outcomes.values()) == {"applied", "duplicate"}, "a retry is a repetition"


def test_the_shops_own_order_counts_whichever_delivery_comes_first() -> None:
    first = delivered("orders/updated", told("31-first-update"), **{"x-shopify-triggered-at": "2026-11-28T09:30:00.5Z"})
    second = delivered("orders/updated", told("31-second-update-same-second"), **{"x-shopify-triggered-at": "2026-11-28T09:30:00.77Z"})
    again = delivered(
        "orders/updated", told("31-first-update"), **{"x-shopify-triggered-at": "2026-11-28T09:30:00.900Z", "x-shopify-event-id": "another"}
    )
    assert money(first + second)[0] == money(second + first)[0] == 20.0
    assert money(again + second + first)[0] == money(first + second + again)[0] == 40.0, "changed, and changed back"


def batch(name: str, **who: str) -> list[bytes]:
    events = told(name)["batch"]
    return [json.dumps(event).encode() for event in events if all(event.get(field) == value for field, value in who.items())]


def test_sent_by_hand_likewise() -> None:
    assert money(batch("13-cancelled-and-refunded")) == (0, 0, 0, 0, 0, 0)
    assert money(batch("42-second-look", userId="c4202")) == (0, 0, 0, 0, 0, 0)
    assert money(batch("42-second-look", userId="c4204")) == (0, 9.9, -9.9, 0, 0, 0)
    assert money(batch("27-refunds")) == (25.0, 40.0, -15.0, 1, 1, 1)


def test_of_two_updates_in_one_transaction_the_later_in_the_log_counts() -> None:
    bridge = load_bridge(CdcSource(name="erp", tenant="demo", topic="t", tables={"erp.public.orders": "cdc/orders.yaml"}), MAPPINGS)
    records = []
    lines = Path(CASES / "44-two-updates-one-transaction.cdc.jsonl").read_text().splitlines()
    for at, line in enumerate(lines):
        change = json.loads(line)
        handled = bridge.handle(change["topic"], 0, at, json.dumps(change["key"]).encode(), json.dumps(change["value"]).encode())
        records += [message.value for message in handled.messages]
    for arrived in (records, records[::-1]):
        assert money(arrived)[0] == 36.0


@pytest.mark.parametrize(
    ("line", "product"),
    [
        ({"sku": "", "product_id": 5}, "5"),
        ({"sku": None, "product_id": None, "title": "Engraving"}, "Engraving"),
        ({"sku": "S1", "product_id": 5}, "S1"),
    ],
)
def test_a_line_without_a_sku_costs_its_order_nothing(line: dict[str, Any], product: str) -> None:
    order = told("10-order-with-shipping")
    order["line_items"] = [{**order["line_items"][0], **line}]
    (record,) = delivered("orders/create", order)
    assert json.loads(record)["properties"]["products"][0]["product_id"] == product
    assert fields([record])["top_products"][0][0] == product
