"""What rules may read of an event: the fields of its contract."""

from collections.abc import Callable
from typing import Final

import msgspec

from pipelines.rules.errors import RuleError
from pipelines.rules.reading import read, reads_clock
from pipelines.rules.symbols import Symbol, Symbols
from pipelines.rules.tree import Kind, Node
from schemas.contracts import Contract, Field

_KINDS: Final[dict[str, Kind]] = {
    "number": "number",
    "integer": "number",
    "quantity": "number",
    "money": "number",
    "timestamp": "time",
    "boolean": "truth",
    "list": "list",
}


def kind_of(field: Field) -> Kind:
    """The kind of a field's values."""
    return _KINDS.get(field.type, "text")


def event_symbols(contract: Contract, element: Callable[[str], str] = lambda name: "") -> Symbols:
    """The symbols of an event's properties; maps, and lists within lists, are none.

    Args:
        contract: of the event.
        element: name of a property -> ClickHouse expression of its value: a time as text, a list as `Array(Tuple(...))`.
    """
    found = []
    for name, field in contract.fields.items():
        if field.type != "map":
            items = contract.parts[field.items] if field.type == "list" else {}
            inner = {label: _symbol(label, item, f"entry.`{label}`") for label, item in items.items() if item.type not in ("map", "list")}
            found.append(msgspec.structs.replace(_symbol(name, field, element(name)), entries=inner))
    return Symbols(found, contract.name)


def read_event(text: str, symbols: Symbols, where: str) -> Node:
    """Read a condition over an event's properties.

    Raises:
        RuleError: it is none, or it asks for the clock: an event is what it is, whenever one looks.
    """
    tree = read(text, symbols, where)
    if reads_clock(tree):
        raise RuleError(where, "an event is what it is, whenever one looks: neither `now` nor `ago` can be asked for; compare with a date")
    return tree


def _symbol(name: str, field: Field, element: str) -> Symbol:
    kind = kind_of(field)
    if kind == "time" and element:
        element = f"toFloat64(toUnixTimestamp64Milli(parseDateTime64BestEffortOrNull({element}, 3, 'UTC')))"
    return Symbol(name=name, kind=kind, sql=element)
