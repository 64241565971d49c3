"""Shape and quality of typed events, by the contracts in `schemas/events/*.yaml` and the meaning of their types (docs/events.md)."""

import datetime as dt
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import phonenumbers
import yaml

from tests.oracle.strict_json import canonical

SCHEMA = "schema_violation"
QUALITY = "quality_rule"
MISSING = object()
MAX_NAME = 256
Properties = dict[str, Any]
OBJECTS: dict[str, dict[str, str]] = {
    "": {},
    "order": {"order": "order_id"},
    "refund": {"order": "order_id", "refund": "refund_id"},
    "cancellation": {"order": "order_id"},
}
"""What feeds the ledger concerns an object, even if its contract does not say so."""
_ISO = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:?\d\d)?")


class Violation(Exception):
    """Leaves the check; the argument is the rejection code."""


class OrderFact(NamedTuple):
    """A version of an order: total in minor units, lines as (product, quantity); the currency it came in, if another, and its rate."""

    order_id: str
    total: int
    lines: list[tuple[str, int]]
    currency: str | None
    rate: float | None


class RefundFact(NamedTuple):
    """A version of a refund document; `order_id` is empty when it names none; `own` is its amount in its own currency, major units."""

    refund_id: str
    order_id: str
    total: int
    lines: list[tuple[str, int]]
    currency: str | None
    own: float
    succeeded: bool
    charge_back: bool


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
    """A point in time as RFC 3339 writes it, with or without its distance from UTC."""
    leap = dt.timedelta(0)
    if written[16:19] == ":60":  # of a leap second: the next minute begins
        second_60, written = written, written[:16] + ":00" + written[19:]
        if "." in second_60:
            fraction = re.match(r"\.[0-9]+", written[19:])
            written = written[:19] + (written[19 + len(fraction[0]) :] if fraction else written[19:])
        leap = dt.timedelta(minutes=1)
    if not _ISO.fullmatch(written):
        raise Violation(SCHEMA)
    if re.match(r"[^.]*\.[0-9]{6}[5-9]", written):  # beyond a microsecond: half of one is one
        leap += dt.timedelta(microseconds=1)
    try:
        return dt.datetime.fromisoformat(written.upper().replace(" ", "T")) + leap
    except ValueError:
        raise Violation(SCHEMA) from None


def minor(major: float, decimals: int) -> int:
    """Minor units, half of one up."""
    return math.floor(major * 10**decimals + 0.5)


def decimals_of(currency: str) -> int:
    """ISO 4217, as docs/features.md lists it."""
    for number, names in (
        (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
        (3, "BHD IQD JOD KWD LYD OMR TND"),
        (4, "CLF UYW"),
    ):
        if currency in names.split():
            return number
    return 2


class Money(NamedTuple):
    """A tenant's currency, and what others are worth in it from a day on (ms)."""

    currency: str
    rates: dict[str, dict[int, float]]
    decimals: int = 2

    def rate(self, currency: str, at_ms: int) -> float:
        """The rate of the newest day not after a moment."""
        days = [day for day in self.rates[currency] if day <= at_ms]
        if not days:
            raise Violation(QUALITY)
        return self.rates[currency][max(days)]


class Tracked(NamedTuple):
    """What the rest needs to know of a tracked event: fact of the ledger, what tells that it happens once, what it acts upon."""

    fact: Fact | None
    once: tuple[Any, ...] | None
    same: dict[str, Any]


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

    def concerned(self, name: str, properties: Properties) -> tuple[str, str] | None:
        """Kind and id of the object that an event concerns: the first of the fields that its contract names which has a value."""
        if name not in self._events:
            return None
        event, _ = self._events[name]
        for kind, label in (event.get("object") or OBJECTS[event.get("feeds", "")]).items():
            value = properties.get(label)
            if isinstance(value, str) and 1 <= len(value) <= MAX_NAME:
                return kind, value
        return None

    def tracked(self, name: str, properties: Properties, money: Money, at_ms: int, order: tuple[str, str] = ("", "")) -> Tracked:
        """Check an event; what becomes of it depends on what is found here.

        Raises:
            Violation: it is not as its contract says.
        """
        if name not in self._events:
            return Tracked(None, None, properties)
        event, parts = self._events[name]
        fields = {label: field for part in event.get("with", ()) for label, field in parts[part].items()} | event.get("fields", {})
        accepted = {money.currency, *money.rates}
        if any([*_check(properties, fields, parts, accepted)]):
            raise Violation(QUALITY)
        given = properties.get("currency")
        feeds = event.get("feeds", "")
        foreign = "currency" in fields and given not in (None, money.currency)
        own = None
        if feeds in ("order", "refund"):
            own = _own_total(properties, event, decimals_of(str(given)) if foreign else money.decimals)
        if foreign:
            if own is not None:
                properties = {**properties, "total": own}
            properties = _converted(properties, fields, parts, money, at_ms)
            if any([*_check(properties, fields, parts, accepted)]):
                raise Violation(QUALITY)
        fact = _fact(feeds, properties, own, given, money)
        once = None
        if event.get("once"):
            content = fact if fact is not None else canonical(properties)
            once = (name, *(properties[label] for label in event["once"]), at_ms, order, repr(content))
        return Tracked(fact, once, properties)


def _own_total(properties: Properties, event: dict[str, Any], decimals: int) -> float:
    """What the event says it comes to, in its own currency and major units."""
    lines, total = properties.get("products") or [], properties.get("total")
    if total is not None:
        return float(total)
    if not lines and event["feeds"] == "refund":
        raise Violation(SCHEMA)
    added = sum(minor(line["price"] * line["quantity"], decimals) for line in lines)
    added += sum(minor(properties.get(label) or 0, decimals) for label in event["adds_up"]["plus"])
    added -= sum(minor(properties.get(label) or 0, decimals) for label in event["adds_up"]["minus"])
    if added > minor(1e9, decimals):
        raise Violation(QUALITY)
    return float(max(added, 0) / 10**decimals)


def _converted(properties: Properties, fields: dict[str, Any], parts: dict[str, Any], money: Money, at_ms: int) -> Properties:
    """Amounts times the rate of the day: the event's to a minor unit, those of lines to a millionth."""
    rate = money.rate(properties["currency"], at_ms)
    changed = dict(properties)
    for label, field in fields.items():
        if properties.get(label) is None:
            continue
        if field["type"] == "money":
            changed[label] = math.floor(properties[label] * rate * 10**money.decimals + 0.5) / 10**money.decimals
        if field["type"] == "list":
            priced = [name for name, inner in parts[field["items"]].items() if inner["type"] == "money"]
            changed[label] = [
                line | {name: math.floor(line[name] * rate * 1_000_000 + 0.5) / 1_000_000 for name in priced if line.get(name) is not None}
                for line in properties[label]
            ]
    return changed | {"currency": money.currency, "original_currency": properties["currency"], "exchange_rate": rate}


def _fact(feeds: str, properties: Properties, own: float | None, currency: Any, money: Money) -> Fact | None:
    if feeds == "cancellation":
        return CancelFact(properties["order_id"])
    if own is None:
        return None
    lines = [(line["product_id"], int(line["quantity"])) for line in properties.get("products") or []]
    foreign = "exchange_rate" in properties and "original_currency" in properties and properties["original_currency"] == currency
    paid = minor(properties["total"] if foreign else own, money.decimals)
    if feeds == "order":
        return OrderFact(
            properties["order_id"], paid, lines, currency if foreign else None, properties["exchange_rate"] if foreign else None
        )
    back, names = properties.get("kind") == "charge_back", properties.get("order_id") or ""
    return RefundFact(properties["refund_id"], names, paid, lines, currency, own, properties.get("status") in (None, "succeeded"), back)


def _check(values: Properties, fields: dict[str, Any], parts: dict[str, Any], accepted: set[str]) -> Iterator[bool]:
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
                yield from _check(entry, parts[field["items"]], parts, accepted)
        elif field["type"] == "map":
            value = {} if value == [] else value  # PHP writes an empty object like that
            if not isinstance(value, dict) or not field.get("min", 0) <= len(value) <= field.get("max", math.inf):
                raise Violation(SCHEMA)
            for name, inner in value.items():
                _shape({"type": "name"}, name)
                _shape({"type": field["items"]}, inner)
        else:
            _shape(field, value)
            country = values.get("country")
            yield not _plausible(field, value, accepted, country if isinstance(country, str) else None)


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


def _plausible(field: dict[str, Any], value: Any, accepted: set[str], country: str | None) -> bool:
    kind = field["type"]
    low, high = field.get("min", -math.inf), field.get("max", math.inf)
    if kind == "money":
        low, high = max(low, 0), min(high, 1e9)
    if kind == "quantity":
        low, high = max(low, 1), min(high, 1e6)
    if kind == "integer":
        low, high = max(low, -(2**63)), min(high, 2**63 - 1)
    tests: dict[str, Callable[[], bool]] = {
        "currency": lambda: value in accepted,
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
