"""Shape and quality of typed events, by the contracts in `schemas/events/*.yaml` and the meaning of their types (docs/events.md)."""

import datetime as dt
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import phonenumbers
import yaml

SCHEMA = "schema_violation"
QUALITY = "quality_rule"
MISSING = object()
MAX_NAME = 256
Properties = dict[str, Any]
_ISO = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:?\d\d)?")


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


def moment(written: str) -> dt.datetime:
    """A point in time as RFC 3339 writes it; without a zone it is UTC."""
    if not _ISO.fullmatch(written):
        raise Violation(SCHEMA)
    try:
        found = dt.datetime.fromisoformat(written.upper().replace(" ", "T"))
    except ValueError:
        raise Violation(SCHEMA) from None
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


def minor(major: float) -> int:
    """Minor units, half a penny up."""
    return math.floor(major * 100 + 0.5)


class Contracts:
    """The contracts as plain data.

    Args:
        folder: of the YAML files.
    """

    def __init__(self, folder: Path) -> None:
        self._events: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
        for path in folder.glob("*.yaml"):
            file = yaml.safe_load(path.read_text())
            for name, event in file["events"].items():
                self._events[name] = event, file.get("parts") or {}

    def fact(self, name: str, properties: Properties, currency: str) -> Fact | None:
        """Check an event; what the order ledger learns from it.

        Raises:
            Violation: it is not as its contract says.
        """
        if name not in self._events:
            return None
        event, parts = self._events[name]
        fields = {label: field for part in event.get("with", ()) for label, field in parts[part].items()} | event.get("fields", {})
        doubts = [*_check(properties, fields, parts, currency)]
        feeds = event.get("feeds", "")
        if doubts and any(doubts):
            raise Violation(QUALITY)
        if feeds == "cancellation":
            return CancelFact(properties["order_id"])
        if not feeds:
            return None
        lines = [(line["product_id"], int(line["quantity"])) for line in properties["products"]]
        total = properties.get("total")
        added = sum(minor(line["price"] * line["quantity"]) for line in properties["products"])
        if total is None and added > minor(1e9):
            raise Violation(QUALITY)
        paid = added if total is None else minor(total)
        if feeds == "order":
            return OrderFact(properties["order_id"], paid, lines)
        return RefundFact(properties["refund_id"], properties.get("order_id") or "", paid, lines)


def _check(values: Properties, fields: dict[str, Any], parts: dict[str, Any], currency: str) -> Iterator[bool]:
    """Raises where the shape is wrong; yields, for every value, whether it is implausible."""
    for label, field in fields.items():
        value = values.get(label, MISSING)
        if value is MISSING or (value is None and not field.get("required")):
            if field.get("required"):
                raise Violation(SCHEMA)
            continue
        if field["type"] == "list":
            if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
                raise Violation(SCHEMA)
            if not field.get("min", 0) <= len(value) <= field.get("max", math.inf):
                raise Violation(SCHEMA)
            for entry in value:
                yield from _check(entry, parts[field["items"]], parts, currency)
        elif field["type"] == "map":
            if not isinstance(value, dict) or not field.get("min", 0) <= len(value) <= field.get("max", math.inf):
                raise Violation(SCHEMA)
            for name, inner in value.items():
                _shape({"type": "name"}, name)
                _shape({"type": field["items"]}, inner)
        else:
            _shape(field, value)
            country = values.get("country")
            yield not _plausible(field, value, currency, country if isinstance(country, str) else None)


def _shape(field: dict[str, Any], value: Any) -> None:
    kind = field["type"]
    if kind == "boolean":
        good = isinstance(value, bool)
    elif kind in ("number", "money", "integer", "quantity"):
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if good and kind in ("integer", "quantity"):
            good = value == int(value)
    elif not isinstance(value, str):
        good = False
    elif kind == "key":
        good = 1 <= len(value) <= MAX_NAME
    elif kind == "name":
        good = len(value) <= MAX_NAME
    elif kind == "choice":
        good = value in field["values"]
    else:
        good = True
        if kind == "timestamp":
            moment(value)
    if not good:
        raise Violation(SCHEMA)


def _plausible(field: dict[str, Any], value: Any, currency: str, country: str | None) -> bool:
    kind = field["type"]
    low, high = field.get("min", -math.inf), field.get("max", math.inf)
    if kind == "money":
        low, high = max(low, 0), min(high, 1e9)
    if kind == "quantity":
        low, high = max(low, 1), min(high, 1e6)
    tests: dict[str, Callable[[], bool]] = {
        "currency": lambda: value == currency,
        "country": lambda: len(value) == 2 and value.isascii() and value.isalpha() and value.isupper(),
        "email": lambda: re.fullmatch(r"[^@\s]+@([^@\s.][^@\s]*|[^@\s]+)\.[^@\s.]+", value) is not None,
        "url": lambda: re.match(r"https?://\S+\Z", value) is not None,
        "phone": lambda: _rings(value, country),
    }
    if kind in ("money", "quantity", "number", "integer"):
        return bool(low <= value <= high)
    return tests[kind]() if kind in tests else True


def _rings(number: str, country: str | None) -> bool:
    try:
        return bool(phonenumbers.is_valid_number(phonenumbers.parse(number, country)))  # type: ignore[no-untyped-call]
    except phonenumbers.NumberParseException:
        return False
