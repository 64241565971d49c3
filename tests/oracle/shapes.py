"""Shape and quality of typed events: docs/contracts.md, "Typed events"."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

SCHEMA = "schema_violation"
QUALITY = "quality_rule"
MISSING = object()
MAX_LINES = 5000
MAX_NAME = 256
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


def text(fields: Properties, name: str, *, required: bool = False, at_most: int = 0) -> str | None:
    """A string field, of limited length if told so; JSON null counts as absent where the field is optional."""
    value = fields.get(name, MISSING)
    if value is MISSING or (value is None and not required):
        if required:
            raise Violation(SCHEMA)
        return None
    if not isinstance(value, str):
        raise Violation(SCHEMA)
    if at_most and len(value) > at_most:
        raise Violation(SCHEMA)
    return value


def key(fields: Properties, name: str) -> str:
    """A business key: required, not empty, of limited length."""
    value = text(fields, name, required=True, at_most=MAX_NAME)
    if not value:
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
    key(properties, "product_id")
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
        (key(line, "product_id"), number(line, "quantity", required=True, whole=True), number(line, "price", required=True))
        for line in products
    ]
    total = number(properties, "total")
    text(properties, "currency")
    if not 1 <= len(products) <= MAX_LINES:
        raise Violation(SCHEMA)
    added = 0
    lines = []
    for product, quantity, price in parsed:
        assert quantity is not None  # required above
        assert price is not None
        _between(price, 0, 1e9)
        _between(quantity, 1, 1e6)
        added += minor(price * quantity)
        lines.append((product, int(quantity)))
    _between(total, 0, 1e9)
    if total is None:
        _between(added, 0, minor(1e9))
    _currency(properties, currency)
    return (added if total is None else minor(total)), lines


def _order(properties: Properties, currency: str) -> Fact:
    order_id = key(properties, "order_id")
    return OrderFact(order_id, *_lines(properties, currency))


def _refund(properties: Properties, currency: str) -> Fact:
    refund_id = key(properties, "refund_id")
    order_id = text(properties, "order_id", at_most=MAX_NAME) or ""
    return RefundFact(refund_id, order_id, *_lines(properties, currency))


def _cancellation(properties: Properties, currency: str) -> Fact:
    order_id = key(properties, "order_id")
    return CancelFact(order_id)


def _ticket(properties: Properties, currency: str) -> None:
    key(properties, "ticket_id")
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
