"""Event contracts: `schemas/events/*.yaml`, the one place that says which events there are, what they carry and what must hold of it.

Read from here: the validators of `decode` (`schemas.validators`), the page `docs/events.md` and JSON Schemas for producers
(`schemas.contract_pages`), and what `cdp schema check` compares (`schemas.contract_changes`).
A shape that is wrong (a field missing, of another type, too long, not of its list) is a `schema_violation`; a value that is well-formed and
implausible (out of range, another currency, no telephone number) is a `quality_rule`.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

import msgspec

from schemas import documents, shapes
from schemas.documents import Document, Problem, Steps, meant

FOLDER: Final = Path(__file__).parent / "events"
VARIABLE: Final = "CDP_EVENTS_DIR"
"""Environment variable that names another folder of contracts: a process of a stack reads the copy that was in force when it started."""
MAX_NAME: Final = 256
"""Identifiers, names and business keys may have this many characters: they become keys of topics, state and tables."""
MAX_AMOUNT: Final = 1e9
MAX_QUANTITY: Final = 1_000_000

Type = Literal[
    "key", "name", "text", "choice", "boolean", "number", "integer", "quantity", "money", "currency", "country", "email", "phone", "url",
    "timestamp", "list", "map",
]  # fmt: skip
PLAIN: Final = tuple(name for name in get_args(Type) if name not in ("choice", "list", "map"))
"""Types that need nothing else to be said."""
Pii = Literal["none", "identifier", "contact", "content"]
Feeds = Literal["", "order", "refund", "cancellation"]


class ContractError(ValueError):
    """The contracts themselves are wrong; the message names file, line, event and field of each mistake."""


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


class AddsUp(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A total that must be what its lines make: `total = sum(price x quantity) + plus - minus`.

    Prices of single units are rounded: half a minor unit for each unit, and one for the total, is let pass. Without a total that
    sum is it.

    Attributes:
        total: field that is checked, where it is there.
        lines: list whose entries have `price` and `quantity`.
        plus: fields that are added.
        minus: fields that are taken off.
        checked: whether a total that is given has to be that sum.
    """

    total: str
    lines: str
    plus: list[str] = []
    minus: list[str] = []
    checked: bool = True


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
        once: business key: with the same values of these fields, the same content and the same event time it is the same event, under
            whatever message id it comes and however late. Empty: it may happen again.
        adds_up: see there.
        object: what the event concerns (docs/objects.md): kind -> field that holds its id, the first one with a value counts.
        stage: where that object is then; empty when the event does not say.
    """

    name: str
    version: str
    owner: str
    says: str
    feeds: Feeds
    fields: dict[str, Field]
    parts: dict[str, dict[str, Field]]
    once: list[str] = []
    adds_up: AddsUp | None = None
    object: dict[str, str] = {}
    stage: str = ""


Word = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z_]{0,39}$")]


class _Event(msgspec.Struct, forbid_unknown_fields=True, rename={"with_": "with"}):
    says: str
    version: Annotated[str, msgspec.Meta(pattern=r"^\d+-\d+-\d+$")] = "1-0-0"
    feeds: Feeds = ""
    with_: list[str] = []
    once: list[str] = []
    adds_up: AddsUp | None = None
    object: dict[Word, str] = {}
    stage: Word | Literal[""] = ""
    fields: dict[str, Field] = {}


class _File(msgspec.Struct, forbid_unknown_fields=True):
    owner: str
    events: dict[str, _Event]
    parts: dict[str, dict[str, Field]] = {}


def folder() -> Path:
    """The folder the contracts are read from: `CDP_EVENTS_DIR`, else the one beside this file."""
    return Path(os.environ.get(VARIABLE) or FOLDER)


def load(where: Path | None = None) -> dict[str, Contract]:
    """Read all contracts.

    Args:
        where: folder that holds `*.yaml`; by default the one in force.

    Returns:
        By event name, in the order of the files.

    Raises:
        ContractError: a file cannot be understood, an event is there twice, or a field refers to what is not there; all that is wrong, each
            with file, line and column.
    """
    found, wrong = survey(where)
    if wrong:
        raise ContractError("\n".join(map(str, wrong)))
    return found


def survey(where: Path | None = None) -> tuple[dict[str, Contract], list[Problem]]:
    """All contracts that are sound, and all that is wrong with the others. See `load`.

    Raises:
        OSError: a file cannot be read.
    """
    found: dict[str, Contract] = {}
    places: dict[str, str] = {}
    wrong: list[Problem] = []
    for path in sorted((where or folder()).glob("*.yaml")):
        document = documents.read(path)
        problems = shapes.problems(document, _File)
        file = None if problems else msgspec.convert(document.value, _File)
        for name, event in file.events.items() if file else ():
            line = document.at(("events", name), key=True)[0]
            mistakes = list(_mistakes(document, file, name, event)) if file else []
            if name in places:
                mistakes.append(document.problem(("events", name), f"there is another event of this name, {places[name]}", key=True))
            places.setdefault(name, f"{document.file}:{line}")
            problems += mistakes
            if file and not mistakes:
                found[name] = _contract(file, name, event)
        wrong += sorted(problems)
    return found, wrong


def _fields(file: _File, event: _Event) -> dict[str, Field]:
    fields = dict(event.fields)
    for part in event.with_:
        fields |= {label: field for label, field in file.parts.get(part, {}).items() if label not in fields}
    return fields


def _contract(file: _File, name: str, event: _Event) -> Contract:
    fields = _fields(file, event)
    parts = {field.items: file.parts[field.items] for field in fields.values() if field.type == "list"}
    return Contract(
        name,
        event.version,
        file.owner,
        event.says,
        event.feeds,
        fields,
        parts,
        event.once,
        event.adds_up,
        event.object or _LEDGER_OBJECT[event.feeds],
        event.stage,
    )


def _mistakes(document: Document, file: _File, name: str, event: _Event) -> Iterator[Problem]:
    """What is wrong with an event whose shape is right."""
    at: Steps = ("events", name)
    for index, part in enumerate(event.with_):
        if part not in file.parts:
            yield document.problem((*at, "with", index), f"unknown part `{part}`", meant(part, file.parts))
    fields = _fields(file, event)
    for label, field in fields.items():
        yield from _field_mistakes(document, file, _place(file, name, event, label), field)
    for label in _LEDGER_FIELDS[event.feeds]:
        if label not in fields:
            yield document.problem((*at, "feeds"), f"what feeds the ledger as `{event.feeds}` needs the field `{label}`")
    for index, label in enumerate(event.once):
        if label not in fields or not fields[label].required:
            what = f"`once` names `{label}`, which is not a required field of the event"
            yield document.problem((*at, "once", index), what, meant(label, [key for key, field in fields.items() if field.required]))
    ids = [label for label, field in fields.items() if field.type in ("key", "name", "text")]
    for kind, label in event.object.items():
        if label not in ids:
            yield document.problem(
                (*at, "object", kind), f"`object` names `{label}`, which is no field of type key, name or text", meant(label, ids)
            )
    if event.stage and not event.object:
        yield document.problem((*at, "stage"), "a `stage` is that of an `object`", "e.g. object: {order: order_id}")
    if event.adds_up is not None:
        yield from _sum_mistakes(document, (*at, "adds_up"), event.adds_up, fields, file.parts)


def _place(file: _File, name: str, event: _Event, label: str) -> Steps:
    """Where a field stands: with the event, or in the part that brings it."""
    if label in event.fields:
        return ("events", name, "fields", label)
    return ("parts", next(part for part in event.with_ if label in file.parts.get(part, {})), label)


def _field_mistakes(document: Document, file: _File, at: Steps, field: Field) -> Iterator[Problem]:
    if field.type == "choice" and not field.values:
        yield document.problem(at, "a choice needs `values`", "e.g. {type: choice, values: [small, large], says: ...}")
    if field.type != "choice" and field.values:
        yield document.problem((*at, "values"), f"`values` belong to a choice, this is of type `{field.type}`", "write type: choice")
    if field.type == "list":
        if field.items not in file.parts:
            yield document.problem(
                (*at, "items"), f"`items` of a list is a part of this file, `{field.items}` is none", meant(field.items, file.parts)
            )
        nested = [inner for inner, of in file.parts.get(field.items, {}).items() if of.type in ("list", "map")]
        if nested:
            yield document.problem(at, f"entries of a list are flat, `{nested[0]}` is not")
    if field.type == "map" and field.items not in PLAIN:
        yield document.problem((*at, "items"), f"`items` of a map is a type, `{field.items}` is none", meant(field.items, PLAIN, most=20))
    if field.min is not None and field.max is not None and field.min > field.max:
        yield document.problem((*at, "min"), f"min {field.min:g} is above max {field.max:g}")


def _sum_mistakes(
    document: Document, at: Steps, adds_up: AddsUp, fields: dict[str, Field], parts: dict[str, dict[str, Field]]
) -> Iterator[Problem]:
    for label in (adds_up.total, *adds_up.plus, *adds_up.minus):
        if label not in fields or fields[label].type != "money":
            money = [name for name, field in fields.items() if field.type == "money"]
            yield document.problem(at, f"`adds_up` names `{label}`, which is not a field of type money", meant(label, money))
    lines = fields.get(adds_up.lines)
    line = parts.get(lines.items, {}) if lines is not None and lines.type == "list" else {}
    if not {"price", "quantity"} <= {label for label, field in line.items() if field.required}:
        yield document.problem((*at, "lines"), f"`adds_up` needs a list `{adds_up.lines}` whose entries must have `price` and `quantity`")


_LEDGER_OBJECT: Final[dict[Feeds, dict[str, str]]] = {
    "": {},
    "order": {"order": "order_id"},
    "refund": {"order": "order_id", "refund": "refund_id"},
    "cancellation": {"order": "order_id"},
}
"""What feeds the ledger concerns an object, whether its contract says so or not."""
_LEDGER_FIELDS: Final[dict[Feeds, tuple[str, ...]]] = {
    "": (),
    "order": ("order_id", "products", "total"),
    "refund": ("refund_id", "order_id", "products", "total"),
    "cancellation": ("order_id",),
}
