"""Shape and quality of typed events: docs/contracts.md, "Typed events"."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

SCHEMA = "schema_violation"
QUALITY = "quality_rule"
MISSING = object()
MAX_LINES = 5000
Properties = dict[str, Any]


class Violation(Exception):
    """Leaves the check; the argument is the rejection code."""


class OrderFact(NamedTuple):
    """A version of an order: total in minor units, lines as (product, quantity)."""

    order_id: str
    total: int
    lines: list[tuple[str, int]]


class RefundFact(NamedTuple):
    """A version of a refund document; `order_id` is empty when it names none."""

    refund_id: str
    order_id: str
    total: int
    lines: list[tuple[str, int]]


class CancelFact(NamedTuple):
    """An order is no more."""

    order_id: str


Fact = OrderFact | RefundFact | CancelFact


def text(fields: Properties, name: str, *, required: bool = False) -> str | None:
    """A string field; JSON null counts as absent where the field is optional."""
    value = fields.get(name, MISSING)
    if value is MISSING or (value is None and not required):
        if required:
            raise Violation(SCHEMA)
        return None
    if not isinstance(value, str):
        raise Violation(SCHEMA)
    return value


def number(fields: Properties, name: str, *, required: bool = False, whole: bool = False) -> float | None:
    """A number field (not a boolean); `whole` numbers may be spelled 2.0."""
    value = fields.get(name, MISSING)
    if value is MISSING or (value is None and not required):
        if required:
            raise Violation(SCHEMA)
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Violation(SCHEMA)
    if whole and value != int(value):
        raise Violation(SCHEMA)
    return value


def minor(major: float) -> int:
    """Minor units, half a penny up."""
    return math.floor(major * 100 + 0.5)


def _between(value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise Violation(QUALITY)


def _currency(properties: Properties, currency: str) -> None:
    given = text(properties, "currency")
    if given is not None and given != currency:
        raise Violation(QUALITY)


def _product(properties: Properties, currency: str) -> None:
    text(properties, "product_id", required=True)
    quantity = number(properties, "quantity", whole=True)
    price = number(properties, "price")
    for name in ("name", "category", "currency"):
        text(properties, name)
    _between(price, 0, 1e9)
    _between(quantity, 1, 1e6)
    _currency(properties, currency)


def _lines(properties: Properties, currency: str) -> tuple[int, list[tuple[str, int]]]:
    products = properties.get("products", MISSING)
    if not isinstance(products, list) or not all(isinstance(line, dict) for line in products):
        raise Violation(SCHEMA)
    parsed = [
        (text(line, "product_id", required=True), number(line, "quantity", required=True, whole=True), number(line, "price", required=True))
        for line in products
    ]
    total = number(properties, "total")
    text(properties, "currency")
    if not 1 <= len(products) <= MAX_LINES:
        raise Violation(SCHEMA)
    added = 0
    lines = []
    for product, quantity, price in parsed:
        assert product is not None  # required above
        assert quantity is not None
        assert price is not None
        _between(price, 0, 1e9)
        _between(quantity, 1, 1e6)
        added += minor(price * quantity)
        lines.append((product, int(quantity)))
    _between(total, 0, 1e9)
    _currency(properties, currency)
    return (added if total is None else minor(total)), lines


def _order(properties: Properties, currency: str) -> Fact:
    order_id = text(properties, "order_id", required=True)
    assert order_id is not None
    return OrderFact(order_id, *_lines(properties, currency))


def _refund(properties: Properties, currency: str) -> Fact:
    refund_id = text(properties, "refund_id", required=True)
    order_id = text(properties, "order_id") or ""
    assert refund_id is not None
    return RefundFact(refund_id, order_id, *_lines(properties, currency))


def _cancellation(properties: Properties, currency: str) -> Fact:
    order_id = text(properties, "order_id", required=True)
    assert order_id is not None
    return CancelFact(order_id)


def _ticket(properties: Properties, currency: str) -> None:
    text(properties, "ticket_id", required=True)
    for name in ("category", "channel", "priority"):
        text(properties, name)
    csat, resolution_s = number(properties, "csat"), number(properties, "resolution_time_s")
    _between(csat, 1, 5)
    _between(resolution_s, 0, math.inf)


CHECKS: dict[str, Callable[[Properties, str], Fact | None]] = {
    "Product Viewed": _product,
    "Product Added": _product,
    "Order Completed": _order,
    "Order Updated": _order,
    "Order Refunded": _refund,
    "Order Cancelled": _cancellation,
    "Ticket Opened": _ticket,
    "Ticket Updated": _ticket,
    "Ticket Closed": _ticket,
}
