"""Event contracts: `schemas/events/*.yaml`, the one place that says which events there are, what they carry and what must hold of it.

Read from here: the validators of `decode` (`schemas.validators`), the page `docs/events.md` and JSON Schemas for producers
(`schemas.contract_pages`), and what `cdp schema check` compares (`schemas.contract_changes`).
A shape that is wrong (a field missing, of another type, too long, not of its list) is a `schema_violation`; a value that is well-formed and
implausible (out of range, another currency, no telephone number) is a `quality_rule`.
"""

from pathlib import Path
from typing import Annotated, Final, Literal, get_args

import msgspec
import yaml

FOLDER: Final = Path(__file__).parent / "events"
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
    """The contracts themselves are wrong; the message names file, event and field."""


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


class _Event(msgspec.Struct, forbid_unknown_fields=True, rename={"with_": "with"}):
    says: str
    version: Annotated[str, msgspec.Meta(pattern=r"^\d+-\d+-\d+$")] = "1-0-0"
    feeds: Feeds = ""
    with_: list[str] = []
    once: list[str] = []
    adds_up: AddsUp | None = None
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
        if field.type == "map" and field.items not in PLAIN:
            raise ContractError(f"{where}: {name}.{label}: `items` must be one of {', '.join(PLAIN)}")
    missing = [label for label in _LEDGER_FIELDS[event.feeds] if label not in fields]
    if missing:
        raise ContractError(f"{where}: {name}: what feeds the ledger as `{event.feeds}` needs the field `{missing[0]}`")
    optional = [label for label in event.once if label not in fields or not fields[label].required]
    if optional:
        raise ContractError(f"{where}: {name}: `once` names `{optional[0]}`, which is not a required field of the event")
    _check_sum(f"{where}: {name}", event.adds_up, fields, parts)
    return Contract(name, event.version, file.owner, event.says, event.feeds, fields, parts, event.once, event.adds_up)


def _check_sum(where: str, adds_up: AddsUp | None, fields: dict[str, Field], parts: dict[str, dict[str, Field]]) -> None:
    if adds_up is None:
        return
    for label in (adds_up.total, *adds_up.plus, *adds_up.minus):
        if label not in fields or fields[label].type != "money":
            raise ContractError(f"{where}: `adds_up` names `{label}`, which is not a field of type money")
    lines = fields.get(adds_up.lines)
    line = parts[lines.items] if lines is not None and lines.type == "list" else {}
    if not {"price", "quantity"} <= {label for label, field in line.items() if field.required}:
        raise ContractError(f"{where}: `adds_up` needs a list `{adds_up.lines}` whose entries must have `price` and `quantity`")


_LEDGER_FIELDS: Final[dict[Feeds, tuple[str, ...]]] = {
    "": (),
    "order": ("order_id", "products", "total"),
    "refund": ("refund_id", "order_id", "products", "total"),
    "cancellation": ("order_id",),
}
