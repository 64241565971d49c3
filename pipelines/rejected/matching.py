"""A condition in the two forms it is needed in: SQL with parameters, and a predicate over records.

Both hold of the same records: tests compare them over random conditions and rows in a real ClickHouse.
"""

import operator
import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from pipelines.rejected.conditions import FIELDS, AnyText, Compare, Condition, Every, Like, Not, OneCharacter, OneOf, Pattern
from pipelines.rejected.record import Record

_EXPRESSIONS: Final = {name: name for name in FIELDS} | {
    "position": "concat(source, ':', toString(partition), ':', toString(offset))",
    "size": "toInt64(length(original))",
    "offset": "`offset`",
}
_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Sql(NamedTuple):
    """A condition as ClickHouse takes it.

    Attributes:
        text: for a WHERE clause; made of our own words alone.
        parameters: values of the `{name:Type}` in it.
    """

    text: str
    parameters: dict[str, str | int]


def sql(condition: Condition, *, has_origin: bool = True) -> Sql:
    """SQL for a condition.

    Args:
        condition: from `where.parse`.
        has_origin: whether the table has the column `origin`; without it every origin is empty.
    """
    parameters: dict[str, str | int] = {}
    columns = _EXPRESSIONS if has_origin else _EXPRESSIONS | {"origin": "''"}

    def value(field: str, wanted: str | int) -> str:
        name = f"w{len(parameters)}"
        parameters[name] = wanted
        if FIELDS[field] == "text":
            return f"{{{name}:String}}"
        return f"fromUnixTimestamp64Milli({{{name}:Int64}}, 'UTC')" if FIELDS[field] == "time" else f"{{{name}:Int64}}"

    def text(part: Condition) -> str:
        if isinstance(part, Not):
            return f"(NOT {text(part.part)})"
        if isinstance(part, Compare):
            return f"({columns[part.field]} {part.operator} {value(part.field, part.value)})"
        if isinstance(part, Like):
            return f"({columns[part.field]} LIKE {value(part.field, _like(part.pattern))})"
        if isinstance(part, OneOf):
            return "(" + " OR ".join(f"{columns[part.field]} = {value(part.field, wanted)}" for wanted in part.values) + ")"
        if not part.parts:
            return "true" if isinstance(part, Every) else "false"
        return "(" + (" AND " if isinstance(part, Every) else " OR ").join(text(inner) for inner in part.parts) + ")"

    return Sql(text(condition), parameters)


def predicate(condition: Condition) -> Callable[[Record], bool]:
    """A function that tells whether a condition holds of a record."""
    if isinstance(condition, Not):
        inner = predicate(condition.part)
        return lambda record: not inner(record)
    if isinstance(condition, Compare):
        get, compare, value = _get(condition.field), _COMPARE[condition.operator], condition.value
        return lambda record: compare(get(record), value)
    if isinstance(condition, Like):
        get, matches = _get(condition.field), re.compile(_regular(condition.pattern), re.DOTALL).fullmatch
        return lambda record: matches(get(record)) is not None
    if isinstance(condition, OneOf):
        get, values = _get(condition.field), frozenset(condition.values)
        return lambda record: get(record) in values
    parts = [predicate(part) for part in condition.parts]
    if isinstance(condition, Every):
        return lambda record: all(part(record) for part in parts)
    return lambda record: any(part(record) for part in parts)


def _get(field: str) -> Callable[[Record], Any]:
    if field == "position":
        return lambda record: str(record.position)
    if field == "size":
        return lambda record: len(record.original)
    return operator.attrgetter(field)


def _like(pattern: Pattern) -> str:
    """The pattern as ClickHouse writes it: made anew, so that only escapes are in it that it knows."""
    return "".join(
        "%" if isinstance(part, AnyText) else "_" if isinstance(part, OneCharacter) else re.sub(r"([%_\\])", r"\\\1", part)
        for part in pattern
    )


def _regular(pattern: Pattern) -> str:
    return "".join(".*" if isinstance(part, AnyText) else "." if isinstance(part, OneCharacter) else re.escape(part) for part in pattern)
