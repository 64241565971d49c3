"""Whether a document has the shape of a type: all that is wrong at once, each with its place. msgspec itself stops at the first."""

import datetime as dt
import math
import operator
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final, TypeVar

import msgspec
from msgspec import inspect

from schemas.documents import Document, Problem, Problems, Steps, meant

T = TypeVar("T")
_KINDS: Final[dict[type[Any], str]] = {
    inspect.StrType: "text",
    inspect.BoolType: "true or false",
    inspect.IntType: "a whole number",
    inspect.FloatType: "a number",
    inspect.NoneType: "nothing",
    inspect.DateType: "a day such as 2024-01-31",
    inspect.DictType: "a map of names to values",
    inspect.StructType: "a map of fields",
    inspect.ListType: "a list",
    inspect.TupleType: "a list",
}


def problems(document: Document, kind: Any) -> list[Problem]:
    """All that is wrong with a document's syntax and shape, in the order of the file; none when `msgspec.convert` would take it."""
    if document.problems:
        return sorted(document.problems)
    found = sorted(_walk(document, (), document.value, _info(kind)))
    if not found:
        try:
            msgspec.convert(document.value, kind)
        except (msgspec.ValidationError, TypeError) as error:  # a rule that the walk does not know
            found = [document.problem((), str(error))]
    return found


def convert(document: Document, kind: type[T]) -> T:
    """A document as a value of a type.

    Raises:
        Problems: it has not the shape.
    """
    if not document.problems:
        try:
            return msgspec.convert(document.value, kind)
        except (msgspec.ValidationError, TypeError):
            pass  # said below, in full
    raise Problems(problems(document, kind))


@cache
def _info(kind: Any) -> inspect.Type:
    return inspect.type_info(kind)


def _walk(document: Document, steps: Steps, value: Any, kind: inspect.Type) -> Iterator[Problem]:
    if isinstance(kind, inspect.AnyType):
        return
    if isinstance(kind, inspect.UnionType):
        fitting = [one for one in kind.types if _fits(value, one)]
        if fitting:
            yield from _walk(document, steps, value, fitting[0])
        else:
            named = " or ".join(_named(one) for one in kind.types if not isinstance(one, inspect.NoneType))
            yield document.problem(steps, f"{named} is expected, not {_said(value)}", _quotes(value, kind))
        return
    if isinstance(kind, inspect.LiteralType):
        if value not in kind.values or isinstance(value, bool):
            allowed = ", ".join(f"`{one}`" for one in kind.values)
            near = meant(value, kind.values)
            remedy = f"{near} " if near.startswith("did") else ""
            yield document.problem(steps, f"{_said(value)} is not one of the values there are", f"{remedy}allowed: {allowed}")
        return
    if not _fits(value, kind):
        yield document.problem(steps, f"{_named(kind)} is expected, not {_said(value)}", _quotes(value, kind))
    elif isinstance(kind, inspect.StructType):
        yield from _struct(document, steps, value, kind)
    elif isinstance(kind, inspect.DictType):
        for key, inner in value.items():
            if not isinstance(kind.key_type, inspect.LiteralType) and not _fits(key, kind.key_type):
                remedy = "put quotes around it" if isinstance(kind.key_type, inspect.StrType) else ""
                yield document.problem((*steps, key), f"the key must be {_named(kind.key_type)}, not {_said(key)}", remedy, key=True)
            else:
                for problem in _walk(document, (*steps, key), key, kind.key_type):
                    yield document.problem((*steps, key), problem.what, problem.remedy, key=True)
            yield from _walk(document, (*steps, key), inner, kind.value_type)
    elif isinstance(kind, inspect.TupleType):
        if len(value) != len(kind.item_types):
            yield document.problem(steps, f"{len(kind.item_types)} entries are expected, not {len(value)}")
        for index, (entry, item) in enumerate(zip(value, kind.item_types, strict=False)):
            yield from _walk(document, (*steps, index), entry, item)
    elif isinstance(kind, inspect.ListType):
        yield from _length(document, steps, value, kind.min_length, kind.max_length)
        for index, entry in enumerate(value):
            yield from _walk(document, (*steps, index), entry, kind.item_type)
    elif isinstance(kind, inspect.StrType):
        yield from _length(document, steps, value, kind.min_length, kind.max_length)
        if kind.pattern and not re.search(kind.pattern, value):
            yield document.problem(steps, f"`{value}` is not of the form expected", f"pattern: {kind.pattern}")
    elif isinstance(kind, inspect.IntType | inspect.FloatType):
        yield from _bounds(document, steps, value, kind)


def _struct(document: Document, steps: Steps, value: dict[Any, Any], kind: inspect.StructType) -> Iterator[Problem]:
    fields = {field.encode_name: field for field in kind.fields}
    for key in value:
        if key not in fields:
            yield document.problem((*steps, key), f"unknown key `{key}`", meant(key, fields), key=True)
    for name, field in fields.items():
        if name in value:
            yield from _walk(document, (*steps, name), value[name], field.type)
        elif field.required:
            yield document.problem(steps, f"`{name}` is missing", f"add `{name}: ...`, {_named(field.type)}")


def _length(document: Document, steps: Steps, value: Any, least: int | None, most: int | None) -> Iterator[Problem]:
    words = "characters" if isinstance(value, str) else "entries"
    if least is not None and len(value) < least:
        yield document.problem(steps, f"at least {least} {words} are expected, not {len(value)}")
    if most is not None and len(value) > most:
        yield document.problem(steps, f"at most {most} {words} are expected, not {len(value)}")


def _bounds(document: Document, steps: Steps, value: float, kind: inspect.IntType | inspect.FloatType) -> Iterator[Problem]:
    if not math.isfinite(value):
        yield document.problem(steps, f"{value} is no number to calculate with", "give a finite one")
        return
    for limit, holds, words in (
        (kind.gt, operator.gt, "above"),
        (kind.ge, operator.ge, "at least"),
        (kind.lt, operator.lt, "below"),
        (kind.le, operator.le, "at most"),
    ):
        if limit is not None and not holds(value, limit):
            yield document.problem(steps, f"{value} is out of range", f"it must be {words} {limit:g}")


def _fits(value: Any, kind: inspect.Type) -> bool:
    """Whether a value is of the right sort at all; what is inside is looked at later."""
    if isinstance(kind, inspect.AnyType):
        return True
    if isinstance(kind, inspect.UnionType):
        return any(_fits(value, one) for one in kind.types)
    if isinstance(kind, inspect.LiteralType):
        return value in kind.values and not isinstance(value, bool)
    if isinstance(kind, inspect.StructType | inspect.DictType):
        return isinstance(value, dict)
    if isinstance(kind, inspect.ListType | inspect.TupleType):
        return isinstance(value, list)
    if isinstance(kind, inspect.StrType):
        return isinstance(value, str)
    if isinstance(kind, inspect.BoolType):
        return isinstance(value, bool)
    if isinstance(kind, inspect.IntType):
        return isinstance(value, int) and not isinstance(value, bool)
    if isinstance(kind, inspect.FloatType):
        return isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(kind, inspect.NoneType):
        return value is None
    if isinstance(kind, inspect.DateType):
        return isinstance(value, dt.date) and not isinstance(value, dt.datetime)
    return True


def _named(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.LiteralType):
        return "one of " + ", ".join(f"`{value}`" for value in kind.values)
    if isinstance(kind, inspect.UnionType):
        return " or ".join(_named(one) for one in kind.types if not isinstance(one, inspect.NoneType))
    return _KINDS.get(type(kind), "another value")


def _said(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return "a map" if isinstance(value, dict) else "a list"
    if isinstance(value, str):
        return f"the text `{value if len(value) <= 60 else value[:57] + '...'}`"
    return f"the day {value}" if isinstance(value, dt.date) else f"the number {value}"


def _quotes(value: Any, kind: inspect.Type) -> str:
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    if any(isinstance(one, inspect.StrType) for one in kinds) and isinstance(value, bool | int | float | dt.date):
        return (
            "put quotes around it (YAML reads yes, no, on and off as true and false)" if isinstance(value, bool) else "put quotes around it"
        )
    if isinstance(value, str) and any(isinstance(one, inspect.IntType | inspect.FloatType) for one in kinds):
        return "write a number, without quotes and units"
    if isinstance(value, str) and any(isinstance(one, inspect.ListType) for one in kinds):
        return f"write [{value}]"
    return ""
