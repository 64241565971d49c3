"""Conditions over rejected records: the rule language over their columns, in the two forms in which they are needed.

code = 'quality_rule' and field like '$.properties.products%' and log_time > ago(1h)
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from pipelines.rejected.record import Record
from pipelines.rules import python, sql
from pipelines.rules.reading import read, reads_clock
from pipelines.rules.symbols import NOW, Symbol, Symbols
from pipelines.rules.tree import Call, Field, Kind, Literal, Node
from schemas import codes

FIELDS: Final[dict[str, Kind]] = {
    "code": "text",
    "field": "text",
    "rule": "text",
    "source": "text",
    "origin": "text",
    "tenant": "text",
    "message_id": "text",
    "position": "text",
    "partition": "number",
    "offset": "number",
    "size": "number",
    "log_time": "time",
}
"""What can be asked about a record: its columns, its `position` (`topic:partition:offset`) and the `size` of its bytes."""
_SQL: Final = {
    "position": "concat(source, ':', toString(partition), ':', toString(offset))",
    "size": "toFloat64(length(original))",
    "partition": "toFloat64(partition)",
    "offset": "toFloat64(`offset`)",
    "log_time": "toFloat64(toUnixTimestamp64Milli(log_time))",
}
SYMBOLS: Final = Symbols(
    [
        Symbol(
            name=name,
            kind=kind,
            sql=_SQL.get(name, name),
            moments="log_time" if name == "log_time" else "",
            values=codes.ALL if name == "code" else (),
        )
        for name, kind in FIELDS.items()
    ],
    "a rejected record",
)
EVERYTHING: Final = Literal("truth", True)
"""A condition that all records meet."""


def parse(text: str, now: Callable[[], int]) -> Node:
    """Read a condition as it is typed.

    Args:
        text: of the rule language.
        now: the moment that `now` and `ago` mean, ms; called only if they are used.

    Raises:
        RuleError: the text is no condition over rejected records.
    """
    found = read(text, SYMBOLS, "--where")
    return _at(found, float(now())) if reads_clock(found) else found


def compare(field: str, operator: str, value: str | int) -> Node:
    """A field against a value; a time in ms."""
    return Call(operator, (Field(field), _literal(field, value)))


def one_of(field: str, values: list[str]) -> Node:
    """A field that has one of several values."""
    return compare(field, "=", values[0]) if len(values) == 1 else Call("in", (Field(field), *(_literal(field, one) for one in values)))


def like(field: str, pattern: str) -> Node:
    """A field that matches a pattern; see `pipelines.rules.like`."""
    return Call("like", (Field(field), Literal("text", pattern)))


def every(parts: list[Node]) -> Node:
    """All of several; of none: everything."""
    return parts[0] if len(parts) == 1 else Call("and", tuple(parts)) if parts else EVERYTHING


def sql_of(condition: Node, *, has_origin: bool = True) -> str:
    """A condition for a WHERE clause.

    Args:
        condition: from `parse`, or made here.
        has_origin: whether the table has the column `origin`; without it every origin is empty.
    """
    return sql.condition(condition, SYMBOLS if has_origin else _WITHOUT_ORIGIN)


def predicate(condition: Node) -> Callable[[Record], bool]:
    """A function that tells whether a condition holds of a record."""
    holds = python.condition(condition, SYMBOLS)
    return lambda record: holds(_Values(record))


class _Values:
    """A record as values by name."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def get(self, name: str) -> Any:
        """The value of one of `FIELDS`."""
        if name == "position":
            return str(self._record.position)
        return len(self._record.original) if name == "size" else getattr(self._record, name)


def _literal(field: str, value: str | int) -> Literal:
    return Literal(FIELDS[field], value if isinstance(value, str) else float(value))


def _at(node: Node, now: float) -> Node:
    """The same condition with the clock stopped."""
    if isinstance(node, Field) and node.name == NOW and not node.of:
        return Literal("time", now)
    if not isinstance(node, Call):
        return node
    arguments = tuple(_at(one, now) for one in node.arguments)
    (first, *_) = arguments
    if node.function == "ago":
        back = float(first.value) if isinstance(first, Literal) else None
        return Literal("time", now - back) if back is not None else Call("-", (Literal("time", now), first))
    return Call(node.function, arguments)


_WITHOUT_ORIGIN: Final = Symbols(
    [msgspec.structs.replace(symbol, sql="''") if name == "origin" else symbol for name, symbol in SYMBOLS.all.items() if name != NOW],
    SYMBOLS.what,
)
