"""Validators of events, compiled from their contracts: shape by msgspec, plausibility by comparison."""

import datetime as dt
import math
import re
import types
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
import phonenumbers

from schemas import codes, odd_spellings
from schemas.contracts import MAX_AMOUNT, MAX_NAME, MAX_QUANTITY, Contract, Field, load

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
_COUNTRY = re.compile(r"[A-Z]{2}")
_URL = re.compile(r"https?://\S+")

MIN_INTEGER: Final = -(2**63)
MAX_INTEGER: Final = 2**63 - 1
"""What the columns of whole numbers hold."""

Key = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME)]
Name = Annotated[str, msgspec.Meta(max_length=MAX_NAME)]
_PLAIN: Final[dict[str, Any]] = {
    "key": Key,
    "name": Name,
    "text": str,
    "boolean": bool,
    "number": float,
    "integer": int | float,
    "quantity": float,
    "money": float,
    "currency": str,
    "country": str,
    "email": str,
    "phone": str,
    "url": str,
    "timestamp": dt.datetime,
}


_ODD: Final = frozenset({"map", "timestamp"})
"""Types of fields that some writers spell otherwise."""


def python_type(field: Field, parts: Mapping[str, type[msgspec.Struct]]) -> Any:
    """The type that msgspec checks a field against."""
    if field.type == "choice":
        return Literal[tuple(field.values)]
    if field.type in ("list", "map"):
        inner = (parts[field.items],) if field.type == "list" else (Name, _PLAIN[field.items])
        entries = types.GenericAlias(list if field.type == "list" else dict, inner)
        low, high = (None if bound is None else int(bound) for bound in (field.min, field.max))
        return Annotated[entries, msgspec.Meta(min_length=low, max_length=high)]
    return _PLAIN[field.type]


def _struct(name: str, fields: Mapping[str, Field], parts: Mapping[str, type[msgspec.Struct]]) -> type[msgspec.Struct]:
    required = [(label, python_type(field, parts)) for label, field in fields.items() if field.required]
    optional = [(label, python_type(field, parts) | None, None) for label, field in fields.items() if not field.required]
    return msgspec.defstruct(re.sub(r"\W", "", name), [*required, *optional], kw_only=True, gc=False)


class Violation(Exception):
    """An event breaks its contract.

    Attributes:
        code: a rejection code.
        path: from the properties on, e.g. `.products[3].quantity`; empty for the properties themselves.
        rule: what was expected.
    """

    def __init__(self, code: str, path: str, rule: str) -> None:
        super().__init__(f"{code} at {path or '.'}: {rule}")
        self.code, self.path, self.rule = code, path, rule


class _Range(msgspec.Struct, frozen=True):
    """What a number must be: between two bounds, and whole or not."""

    label: str
    low: int | float
    high: int | float
    whole: bool


def _ranges(fields: Mapping[str, Field]) -> list[_Range]:
    found = []
    for label, field in fields.items():
        low, high = -math.inf if field.min is None else field.min, math.inf if field.max is None else field.max
        if field.type == "money":
            found.append(_Range(label, max(low, 0), min(high, MAX_AMOUNT), False))
        elif field.type == "quantity":
            found.append(_Range(label, max(low, 1), min(high, MAX_QUANTITY), True))
        elif field.type == "integer":
            found.append(_Range(label, max(low, MIN_INTEGER), min(high, MAX_INTEGER), True))
        elif field.type == "number":
            found.append(_Range(label, low, high, False))
    return found


class Validator:
    """Checks the properties of one kind of event.

    Args:
        contract: what must hold.
    """

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        parts = {name: _struct(name, fields, {}) for name, fields in contract.parts.items()}
        self._type = _struct(contract.name, contract.fields, parts)
        self._ranges = _ranges(contract.fields)
        lists = {label: contract.parts[field.items] for label, field in contract.fields.items() if field.type == "list"}
        self._lists = [(label, _ranges(fields)) for label, fields in lists.items() if _ranges(fields)]
        odd = {name: fields for name, fields in contract.parts.items() if any(field.type in _ODD for field in fields.values())}
        self._parts = [(label, odd[field.items]) for label, field in contract.fields.items() if field.type == "list" and field.items in odd]
        plain = [(label, field.type) for label, field in contract.fields.items()]
        self._currencies = [label for label, kind in plain if kind == "currency"]
        self._texts = [(label, _TEXTS[kind]) for label, kind in plain if kind in _TEXTS]
        self._phones = [label for label, kind in plain if kind == "phone"]
        self._country = next((label for label, kind in plain if kind == "country"), "")

    def read(self, properties: dict[str, Any]) -> dict[str, Any]:
        """Properties with odd spellings read as they are meant (`schemas.odd_spellings`); the same object if all is plain."""
        found = _read(properties, self.contract.fields)
        for label, fields in self._parts:
            lines = found.get(label)
            if isinstance(lines, list):
                read = [_read(line, fields) if isinstance(line, dict) else line for line in lines]
                if any(one is not line for one, line in zip(read, lines, strict=True)):
                    found = found | {label: read}
        return found

    def check(self, properties: Mapping[str, Any], currencies: Sequence[str]) -> Any:
        """Check an event.

        Args:
            properties: as parsed from JSON.
            currencies: the tenant's, and those that are converted into it.

        Returns:
            The fields of the contract as attributes; None for what is absent.

        Raises:
            Violation: the first thing that is wrong, shape before quality.
        """
        try:
            typed = msgspec.convert(properties, self._type)
        except msgspec.ValidationError as error:
            raise self._with_values(shape_violation(error)) from None
        implausible: list[tuple[str, str]] = []
        for one in self._ranges:
            _within(getattr(typed, one.label), one, "." + one.label, implausible)
        for label, ranges in self._lists:
            for number, entry in enumerate(getattr(typed, label) or ()):
                for one in ranges:
                    value = getattr(entry, one.label)
                    if value is not None and (not one.low <= value <= one.high or (one.whole and value % 1)):
                        _within(value, one, f".{label}[{number}].{one.label}", implausible)
        for label in self._currencies:
            given = getattr(typed, label)
            if given is not None and given not in currencies:
                others = f", or one with a rate: {', '.join(currencies[1:])}" if len(currencies) > 1 else ""
                implausible.append(("." + label, f"the tenant's currency {currencies[0]}{others}"))
        for label, (holds, rule) in self._texts:
            given = getattr(typed, label)
            if given is not None and not holds(given):
                implausible.append(("." + label, rule))
        for label in self._phones:
            given = getattr(typed, label)
            country = getattr(typed, self._country) if self._country else None
            if given is not None and not is_phone(given, country):
                implausible.append(("." + label, "a telephone number that exists in its country, with + or with `country`"))
        if implausible:
            raise Violation(codes.QUALITY_RULE, *implausible[0])
        return typed

    def _with_values(self, found: Violation) -> Violation:
        """Whoever reads that a value is none of a choice wants to know which there are."""
        outer, _, inner = found.path.removeprefix(".").partition(".")
        field = self.contract.fields.get(outer.partition("[")[0])
        if field is not None and field.type == "list":
            field = self.contract.parts[field.items].get(inner)
        if field is None or field.type != "choice" or not found.rule.startswith("Invalid enum value"):
            return found
        return Violation(found.code, found.path, f"one of {', '.join(field.values)}")


def _read(properties: dict[str, Any], fields: Mapping[str, Field]) -> dict[str, Any]:
    changed = {}
    for label, value in properties.items():
        field = fields.get(label)
        if field is None or field.type not in _ODD:
            continue
        read = odd_spellings.as_object(value) if field.type == "map" else value
        if field.type == "timestamp" and isinstance(value, str):
            read = odd_spellings.without_second_60(value)
        if read is not value:
            changed[label] = read
    return properties | changed if changed else properties


def _within(value: float | None, one: _Range, path: str, implausible: list[tuple[str, str]]) -> None:
    if value is None:
        return
    if one.whole and value % 1:
        raise Violation(codes.SCHEMA_VIOLATION, path, "a whole number")
    if not one.low <= value <= one.high:
        implausible.append((path, f"between {one.low:g} and {one.high:g}"))


def shape_violation(error: msgspec.ValidationError) -> Violation:
    """From an error with a message such as "Expected `str`, got `int` - at `$.order_id`"."""
    rule, _, at = str(error).partition(" - at ")
    path = at.strip("`")[1:] if at else ""
    missing = "missing required field `"
    if missing in rule:
        path += "." + rule[rule.index(missing) + len(missing) :].rstrip("`")
    return Violation(codes.SCHEMA_VIOLATION, path, rule)


def is_phone(text: str, country: str | None) -> bool:
    """Whether a text is a telephone number that can exist, by the numbering plans of libphonenumber.

    Args:
        text: as written; with `+` it is international.
        country: ISO 3166 code of the country for numbers without.
    """
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(text, country))
    except phonenumbers.NumberParseException:
        return False


def _matches(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda text: pattern.fullmatch(text) is not None


_TEXTS: Final[dict[str, tuple[Callable[[str], bool], str]]] = {
    "country": (_matches(_COUNTRY), "an ISO 3166 code such as GB"),
    "email": (_matches(_EMAIL), "an e-mail address"),
    "url": (_matches(_URL), "a web address"),
}


@cache
def validators(folder: Path | None = None) -> dict[str, Validator]:
    """A validator for every event of the contracts.

    Raises:
        ContractError: see `load`.
    """
    return {name: Validator(contract) for name, contract in load(folder).items()}
