"""Event contracts: `schemas/events/*.yaml`, the one place that says which events there are, what they carry and what must hold of it.

Read from here: the validators of `decode`, the pages of `docs/events.md`, JSON Schemas for producers, and what `cdp schema check` compares.
A shape that is wrong (a field missing, of another type, too long, not of its list) is a `schema_violation`; a value that is well-formed and
implausible (out of range, another currency, no telephone number) is a `quality_rule`.
"""

import datetime as dt
import math
import re
import types
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
import phonenumbers
import yaml

from schemas import codes

FOLDER: Final = Path(__file__).parent / "events"
MAX_NAME: Final = 256
"""Identifiers, names and business keys may have this many characters: they become keys of topics, state and tables."""
MAX_AMOUNT: Final = 1e9
MAX_QUANTITY: Final = 1_000_000

Type = Literal[
    "key", "name", "text", "choice", "boolean", "number", "integer", "quantity", "money", "currency", "country", "email", "phone", "url",
    "timestamp", "list", "map",
]  # fmt: skip
Pii = Literal["none", "identifier", "contact", "content"]
Feeds = Literal["", "order", "refund", "cancellation"]

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
_COUNTRY = re.compile(r"[A-Z]{2}")
_URL = re.compile(r"https?://\S+")


class ContractError(ValueError):
    """The contracts themselves are wrong; the message names file, event and field."""


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


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One field of an event.

    Attributes:
        type: what it holds. `key`: a business key, 1 to 256 characters; `name`: up to 256; `text`: any length; `quantity`: whole, 1 to a
            million; `money`: 0 to 1e9, major units; `integer`: whole; `choice`: one of `values`; `list` and `map`: of `items`.
        says: what it means.
        required: whether the event needs it. Null counts as absent.
        pii: whether it can tell who somebody is: `identifier`, `contact` (address, number) or `content` (free words).
        min: smallest number, or number of entries.
        max: greatest number, or number of entries.
        values: of a choice.
        items: of a list: a part of the same file; of a map: a type.
    """

    type: Type
    says: str
    required: bool = False
    pii: Pii = "none"
    min: float | None = None
    max: float | None = None
    values: list[str] = []
    items: str = ""


class Contract(msgspec.Struct, frozen=True):
    """One kind of event.

    Attributes:
        name: as in `event`.
        version: SchemaVer `model-revision-addition`: breaking, maybe breaking, harmless.
        owner: who answers questions.
        says: when it is sent.
        feeds: which part of the order ledger it feeds, if any.
        fields: in the order of the file.
        parts: fields of the entries of its lists, by name of the part.
    """

    name: str
    version: str
    owner: str
    says: str
    feeds: Feeds
    fields: dict[str, Field]
    parts: dict[str, dict[str, Field]]


class _Event(msgspec.Struct, forbid_unknown_fields=True, rename={"with_": "with"}):
    says: str
    version: Annotated[str, msgspec.Meta(pattern=r"^\d+-\d+-\d+$")] = "1-0-0"
    feeds: Feeds = ""
    with_: list[str] = []
    fields: dict[str, Field] = {}


class _File(msgspec.Struct, forbid_unknown_fields=True):
    owner: str
    events: dict[str, _Event]
    parts: dict[str, dict[str, Field]] = {}


def load(folder: Path = FOLDER) -> dict[str, Contract]:
    """Read all contracts.

    Args:
        folder: holds `*.yaml`.

    Returns:
        By event name, in the order of the files.

    Raises:
        ContractError: a file cannot be understood, an event is there twice, or a field refers to what is not there.
    """
    found: dict[str, Contract] = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            file = msgspec.convert(yaml.safe_load(path.read_text()), _File)
        except (yaml.YAMLError, msgspec.ValidationError) as error:
            raise ContractError(f"{path.name}: {error}") from error
        for name, event in file.events.items():
            if name in found:
                raise ContractError(f"{path.name}: {name}: there is another event of this name, of {found[name].owner}")
            contract = _contract(path.name, file, name, event)
            found[name] = contract
    return found


def _contract(where: str, file: _File, name: str, event: _Event) -> Contract:
    unknown = [part for part in event.with_ if part not in file.parts]
    if unknown:
        raise ContractError(f"{where}: {name}: unknown part {unknown[0]}; there are {', '.join(file.parts)}")
    fields = dict(event.fields)
    for part in event.with_:
        fields |= {label: field for label, field in file.parts[part].items() if label not in fields}
    parts: dict[str, dict[str, Field]] = {}
    for label, field in fields.items():
        if field.type == "choice" and not field.values:
            raise ContractError(f"{where}: {name}.{label}: a choice needs `values`")
        if field.type == "list":
            if field.items not in file.parts:
                raise ContractError(f"{where}: {name}.{label}: `items` must be one of {', '.join(file.parts)}")
            parts[field.items] = file.parts[field.items]
            nested = [inner for inner, of in parts[field.items].items() if of.type in ("list", "map")]
            if nested:
                raise ContractError(f"{where}: {name}.{label}: entries of a list are flat, `{nested[0]}` is not")
        if field.type == "map" and field.items not in _PLAIN:
            raise ContractError(f"{where}: {name}.{label}: `items` must be one of {', '.join(_PLAIN)}")
    missing = [label for label in _LEDGER_FIELDS[event.feeds] if label not in fields]
    if missing:
        raise ContractError(f"{where}: {name}: what feeds the ledger as `{event.feeds}` needs the field `{missing[0]}`")
    return Contract(name, event.version, file.owner, event.says, event.feeds, fields, parts)


_LEDGER_FIELDS: Final[dict[Feeds, tuple[str, ...]]] = {
    "": (),
    "order": ("order_id", "products", "total"),
    "refund": ("refund_id", "order_id", "products", "total"),
    "cancellation": ("order_id",),
}


_KEY = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME)]
_NAME = Annotated[str, msgspec.Meta(max_length=MAX_NAME)]
_PLAIN: Final[dict[str, Any]] = {
    "key": _KEY,
    "name": _NAME,
    "text": str,
    "boolean": bool,
    "number": float,
    "integer": float,
    "quantity": float,
    "money": float,
    "currency": str,
    "country": str,
    "email": str,
    "phone": str,
    "url": str,
    "timestamp": dt.datetime,
}


def python_type(field: Field, parts: Mapping[str, type[msgspec.Struct]]) -> Any:
    """The type that msgspec checks a field against."""
    if field.type == "choice":
        return Literal[tuple(field.values)]
    if field.type in ("list", "map"):
        inner = (parts[field.items],) if field.type == "list" else (_NAME, _PLAIN[field.items])
        entries = types.GenericAlias(list if field.type == "list" else dict, inner)
        low, high = (None if bound is None else int(bound) for bound in (field.min, field.max))
        return Annotated[entries, msgspec.Meta(min_length=low, max_length=high)]
    return _PLAIN[field.type]


def _struct(name: str, fields: Mapping[str, Field], parts: Mapping[str, type[msgspec.Struct]]) -> type[msgspec.Struct]:
    required = [(label, python_type(field, parts)) for label, field in fields.items() if field.required]
    optional = [(label, python_type(field, parts) | None, None) for label, field in fields.items() if not field.required]
    return msgspec.defstruct(re.sub(r"\W", "", name), [*required, *optional], kw_only=True, gc=False)


class _Range(msgspec.Struct, frozen=True):
    """What a number must be: between two bounds, and whole or not."""

    label: str
    low: float
    high: float
    whole: bool


def _ranges(fields: Mapping[str, Field]) -> list[_Range]:
    found = []
    for label, field in fields.items():
        low, high = -math.inf if field.min is None else field.min, math.inf if field.max is None else field.max
        if field.type == "money":
            found.append(_Range(label, max(low, 0), min(high, MAX_AMOUNT), False))
        elif field.type == "quantity":
            found.append(_Range(label, max(low, 1), min(high, MAX_QUANTITY), True))
        elif field.type in ("number", "integer"):
            found.append(_Range(label, low, high, field.type == "integer"))
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
        plain = [(label, field.type) for label, field in contract.fields.items()]
        self._currencies = [label for label, kind in plain if kind == "currency"]
        self._texts = [(label, _TEXTS[kind]) for label, kind in plain if kind in _TEXTS]
        self._phones = [label for label, kind in plain if kind == "phone"]
        self._country = next((label for label, kind in plain if kind == "country"), "")

    def check(self, properties: Mapping[str, Any], currency: str) -> Any:
        """Check an event.

        Args:
            properties: as parsed from JSON.
            currency: the tenant's.

        Returns:
            The fields of the contract as attributes; None for what is absent.

        Raises:
            Violation: the first thing that is wrong, shape before quality.
        """
        try:
            typed = msgspec.convert(properties, self._type)
        except msgspec.ValidationError as error:
            raise _shape(str(error)) from None
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
            if given is not None and given != currency:
                implausible.append(("." + label, f"the tenant's currency {currency}"))
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


def _within(value: float | None, one: _Range, path: str, implausible: list[tuple[str, str]]) -> None:
    if value is None:
        return
    if one.whole and value % 1:
        raise Violation(codes.SCHEMA_VIOLATION, path, "a whole number")
    if not one.low <= value <= one.high:
        implausible.append((path, f"between {one.low:g} and {one.high:g}"))


def _shape(message: str) -> Violation:
    """From a msgspec message such as "Expected `str`, got `int` - at `$.order_id`"."""
    rule, _, at = message.partition(" - at ")
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
def validators(folder: Path = FOLDER) -> dict[str, Validator]:
    """A validator for every event of the contracts.

    Raises:
        ContractError: see `load`.
    """
    return {name: Validator(contract) for name, contract in load(folder).items()}


_TITLE: Final = """# Events

Made from `schemas/events/*.yaml` by `cdp schema docs`: change it there. The envelope around the properties is in
[contracts.md](contracts.md). Events that are not listed here are applied too; nothing is checked of their properties then.
"""


def page(contracts: Mapping[str, Contract], title: str = _TITLE) -> str:
    """The contracts as a page of Markdown: `docs/events.md`.

    Args:
        contracts: what is described.
        title: what stands above.
    """
    return title + "\n".join(_lines(contracts)) + "\n"


def _lines(contracts: Mapping[str, Contract]) -> Iterator[str]:
    for owner in dict.fromkeys(contract.owner for contract in contracts.values()):
        yield ""
        yield f"## {owner.capitalize()}"
        for contract in contracts.values():
            if contract.owner != owner:
                continue
            yield ""
            yield f"### {contract.name}"
            yield f"{contract.says} Version {contract.version}."
            if contract.fields:
                yield ""
                yield from _table(contract.fields)
            for part, fields in contract.parts.items():
                yield ""
                yield f"Each `{part}`:"
                yield ""
                yield from _table(fields)


def _table(fields: Mapping[str, Field]) -> Iterator[str]:
    yield "| field | type | required | personal | meaning |"
    yield "|---|---|---|---|---|"
    for label, field in fields.items():
        kind = f"{field.type} of {field.items}" if field.items else field.type
        if field.values:
            kind += ": " + ", ".join(f"`{value}`" for value in field.values)
        bounds = "".join(f", {word} {value:g}" for word, value in (("at least", field.min), ("at most", field.max)) if value is not None)
        required, pii = "yes" if field.required else "", "" if field.pii == "none" else field.pii
        yield f"| `{label}` | {kind}{bounds} | {required} | {pii} | {field.says} |"


def json_schema(contract: Contract) -> dict[str, Any]:
    """A contract as JSON Schema (draft 2020-12), for the properties of the event."""

    def plain(field: Field) -> dict[str, Any]:
        found: dict[str, Any] = {"description": field.says} | _JSON_TYPES[field.type]
        if field.type == "list":
            found["items"] = of(contract.parts[field.items])
        if field.type == "map":
            found["additionalProperties"] = _JSON_TYPES[field.items]  # type: ignore[index]
        if field.values:
            found["enum"] = field.values
        low, high = {"list": ("minItems", "maxItems"), "map": ("minProperties", "maxProperties")}.get(field.type, ("minimum", "maximum"))
        found |= {word: bound for word, bound in ((low, field.min), (high, field.max)) if bound is not None}
        return found

    def of(fields: Mapping[str, Field]) -> dict[str, Any]:
        required = [label for label, field in fields.items() if field.required]
        return {"type": "object", "properties": {label: plain(field) for label, field in fields.items()}, "required": required}

    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": contract.name,
        "description": f"{contract.says} Version {contract.version}.",
    } | of(contract.fields)


_JSON_TYPES: Final[dict[Type, dict[str, Any]]] = {
    "key": {"type": "string", "minLength": 1, "maxLength": MAX_NAME},
    "name": {"type": "string", "maxLength": MAX_NAME},
    "text": {"type": "string"},
    "choice": {"type": "string"},
    "boolean": {"type": "boolean"},
    "number": {"type": "number"},
    "integer": {"type": "integer"},
    "quantity": {"type": "integer", "minimum": 1, "maximum": MAX_QUANTITY},
    "money": {"type": "number", "minimum": 0, "maximum": MAX_AMOUNT},
    "currency": {"type": "string"},
    "country": {"type": "string", "pattern": "^[A-Z]{2}$"},
    "email": {"type": "string", "format": "email"},
    "phone": {"type": "string"},
    "url": {"type": "string", "format": "uri"},
    "timestamp": {"type": "string", "format": "date-time"},
    "list": {"type": "array"},
    "map": {"type": "object"},
}


def unannounced(old: Mapping[str, Contract], new: Mapping[str, Contract]) -> dict[str, str]:
    """Events whose version does not say what was done to them.

    SchemaVer: a breaking change raises the first number, any other the last one.

    Returns:
        Event -> the least version it has to have.
    """
    found: dict[str, str] = {}
    differing = changes(old, new)
    for name in dict.fromkeys(change.event for change in differing if change.event in old and change.event in new):
        model, revision, addition = map(int, old[name].version.split("-"))
        breaking = any(change.breaking for change in differing if change.event == name)
        needed = (model + 1, 0, 0) if breaking else (model, revision, addition + 1)
        if tuple(map(int, new[name].version.split("-"))) < needed:
            found[name] = "-".join(map(str, needed))
    return found


def changes(old: Mapping[str, Contract], new: Mapping[str, Contract]) -> list["Change"]:
    """What a new version of the contracts does to whoever sends by the old one.

    Returns:
        One entry a difference; breaking ones reject events that used to be accepted.
    """
    found = [Change(name, "", True, "the event is gone: what it feeds gets nothing more") for name in old if name not in new]
    found += [Change(name, "", False, "new event") for name in new if name not in old]
    for name in old.keys() & new.keys():
        before, after = old[name], new[name]
        if before.feeds != after.feeds:
            found.append(Change(name, "", True, f"fed the ledger as `{before.feeds}`, now as `{after.feeds}`"))
        found += _differences(name, "", before.fields, after.fields)
        for part in before.parts.keys() & after.parts.keys():
            found += _differences(name, part + ".", before.parts[part], after.parts[part])
    return found


class Change(msgspec.Struct, frozen=True):
    """A difference between two versions of a contract."""

    event: str
    field: str
    breaking: bool
    what: str


def _differences(event: str, prefix: str, old: Mapping[str, Field], new: Mapping[str, Field]) -> Iterator[Change]:
    for label in old.keys() | new.keys():
        path, before, after = prefix + label, old.get(label), new.get(label)
        if before is None and after is not None:
            yield Change(event, path, after.required, "new required field" if after.required else "new field")
        elif after is None:
            yield Change(event, path, False, "no longer checked")
        elif before is not None:
            yield from _narrowed(event, path, before, after)


def _narrowed(event: str, path: str, before: Field, after: Field) -> Iterator[Change]:
    if (before.type, before.items) != (after.type, after.items):
        yield Change(event, path, (before.type, after.type) not in _WIDENED, f"was {before.type}, is {after.type}")
    if after.required != before.required:
        yield Change(event, path, after.required, "is required now" if after.required else "is optional now")
    gone = [value for value in before.values if value not in after.values]
    if gone and after.type == "choice":
        yield Change(event, path, True, f"no longer one of its values: {', '.join(gone)}")
    for word, sign in (("min", 1.0), ("max", -1.0)):
        was, is_ = (getattr(field, word) for field in (before, after))
        if was != is_:
            free = -sign * math.inf
            narrower = sign * ((free if is_ is None else is_) - (free if was is None else was)) > 0
            yield Change(event, path, narrower, f"{word} was {was}, is {is_}")


# From type to type without rejecting anything that was accepted.
_WIDENED: Final = frozenset(
    {("key", "name"), ("key", "text"), ("name", "text"), ("choice", "text"), ("quantity", "integer"), ("quantity", "number")}
    | {("integer", "number"), ("money", "number"), ("currency", "text"), ("country", "text"), ("email", "text"), ("phone", "text")}
    | {("url", "text")}
)
