"""A view for each kind of event, with a typed column for each field of its contract: no JSON for those who ask about one event."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from pipelines.history.tables import column_type, quoted
from schemas import clean
from schemas.contracts import Contract, ContractError, Field

ENVELOPE: Final = ("tenant", "node", "profile_id", "event_time", "log_time", "message_id", "origin", "channel", "flags")
"""Columns that every view begins with, as in table `events`. A field of the same name has `property_` before its own."""
_TIME: Final = "DateTime64(3, 'UTC')"
_TYPES: Final = {
    **dict.fromkeys(("key", "name", "text", "choice", "currency", "country", "email", "phone", "url"), "String"),
    "boolean": "Bool",
    "number": "Float64",
    "money": "Float64",
    "integer": "Int64",
    "quantity": "Int64",
    "timestamp": _TIME,
}


class EventView(msgspec.Struct, frozen=True):
    """A view of one kind of event.

    Attributes:
        name: in ClickHouse, e.g. `event_order_completed`.
        comment: what the event is, and a fingerprint of the definition: a view with this comment need not be made again.
        statement: makes it.
    """

    name: str
    comment: str
    statement: str


def event_views(contracts: Mapping[str, Contract]) -> Iterator[EventView]:
    """The views, one a contract.

    Raises:
        ContractError: two events would have a view of the same name.
    """
    owners: dict[str, str] = {}
    for contract in contracts.values():
        name = view_name(contract.name)
        if name in owners:
            raise ContractError(f"`{owners[name]}` and `{contract.name}` would both be the view {name}; rename one of them")
        owners[name] = contract.name
        yield _view(name, contract)


def view_name(event: str) -> str:
    """`event_` and the event's name in small letters, with underscores."""
    return "event_" + re.sub(r"\W+", "_", event.lower()).strip("_")


def property_column(field: str) -> str:
    """The column of a field."""
    return f"property_{field}" if field in ENVELOPE else field


def columns(contract: Contract) -> dict[str, tuple[str, str]]:
    """Column -> type and comment, those of the envelope first."""
    record = {field["name"]: field for field in clean.schema("event")["fields"]}
    envelope = {name: (column_type(name, record[name]["type"]), record[name]["doc"]) for name in ENVELOPE}
    return envelope | {property_column(label): (_type(field, contract), field.says) for label, field in contract.fields.items()}


def _view(name: str, contract: Contract) -> EventView:
    heads = ",\n".join(f"  `{column}` {kind} COMMENT '{quoted(says)}'" for column, (kind, says) in columns(contract).items())
    # What is nested is parsed for those who ask for it: with it, a question about a total takes three times as long.
    nested = {label: f"_{number}" for number, (label, field) in enumerate(contract.fields.items()) if field.type in ("list", "map")}
    flat = {label: field for label, field in contract.fields.items() if label not in nested}
    inner = ", ".join(f"`{label}` {_json_type(field, contract)}" for label, field in flat.items())
    parsed = [f"JSONExtract(properties, 'Tuple({quoted(inner)})') AS _flat"] if flat else []
    parsed += [
        f"JSONExtract(properties, '{quoted(label)}', '{quoted(_json_type(contract.fields[label], contract))}') AS {alias}"
        for label, alias in nested.items()
    ]
    values = [
        f"{_value(nested.get(label, f'_flat.`{label}`'), field, contract)} AS `{property_column(label)}`"
        for label, field in contract.fields.items()
    ]
    # Within, no field has its own name yet: one that is called `name` would otherwise be what the events are chosen by.
    within = f"SELECT {', '.join([*ENVELOPE, *parsed])} FROM events WHERE name = '{quoted(contract.name)}'"
    body = f"(\n{heads}\n) AS SELECT " + ",\n  ".join([*ENVELOPE, *values]) + f"\nFROM ({within})"
    mark = hashlib.blake2b(body.encode(), digest_size=6).hexdigest()
    comment = f"{contract.says} Contract {contract.version}, {contract.owner}. [{mark}]"
    return EventView(name, comment, f"CREATE OR REPLACE VIEW {name} {body} COMMENT '{quoted(comment)}'")


def _type(field: Field, contract: Contract) -> str:
    """ClickHouse type of a field's column: nothing is an empty list, an empty map, else null."""
    if field.type == "list":
        inner = contract.parts[field.items]
        return "Array(Tuple(" + ", ".join(f"`{label}` Nullable({_TYPES[of.type]})" for label, of in inner.items()) + "))"
    return f"Map(String, {_TYPES[field.items]})" if field.type == "map" else f"Nullable({_TYPES[field.type]})"


def _json_type(field: Field, contract: Contract) -> str:
    """The type to take a field out of JSON with: moments are text there."""
    return _type(field, contract).replace(_TIME, "String")


def _value(expression: str, field: Field, contract: Contract) -> str:
    if field.type == "timestamp":
        return _moment(expression)
    if field.type == "map" and field.items == "timestamp":
        return f"mapApply((name, value) -> (name, assumeNotNull({_moment('value')})), {expression})"
    if field.type == "list" and any(of.type == "timestamp" for of in contract.parts[field.items].values()):
        parts = (_value(f"entry.`{label}`", of, contract) for label, of in contract.parts[field.items].items())
        return f"arrayMap(entry -> tuple({', '.join(parts)}), {expression})"
    return expression


def _moment(expression: str) -> str:
    """RFC 3339, in which `t` and `z` may be small; without a zone it is UTC."""
    return f"parseDateTime64BestEffortOrNull(upper({expression}), 3, 'UTC')"
