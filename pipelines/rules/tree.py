"""A rule as a tree: literals, fields, and calls of the functions and operators of `pipelines.rules.functions`."""

from collections.abc import Iterator
from typing import Literal as OneOf

import msgspec

Kind = OneOf["number", "text", "truth", "time", "duration", "set", "list"]
"""What a value is. Times and durations are milliseconds; a set holds texts; a list holds entries with fields of their own."""


class Literal(msgspec.Struct, frozen=True):
    """A value that stands in the rule itself.

    Attributes:
        kind: of the value; no set and no list.
        value: a time in ms since the epoch, a duration in ms.
    """

    kind: Kind
    value: float | str | bool


class Field(msgspec.Struct, frozen=True):
    """A value that is looked up by its name.

    Attributes:
        name: of the field.
        of: name of the list whose entries have it; empty for a field of the whole.
    """

    name: str
    of: str = ""


class Call(msgspec.Struct, frozen=True):
    """A function or an operator with its arguments.

    Attributes:
        function: a name of `functions.ALL`, or `and`, `or`, `not`.
        arguments: one or more.
    """

    function: str
    arguments: tuple["Node", ...]


Node = Literal | Field | Call


def walk(node: Node) -> Iterator[Node]:
    """A node and all below it, from left to right."""
    yield node
    if isinstance(node, Call):
        for argument in node.arguments:
            yield from walk(argument)


def fields(node: Node) -> list[Field]:
    """The fields in a node, from left to right."""
    return [found for found in walk(node) if isinstance(found, Field)]


def names(node: Node) -> frozenset[str]:
    """The fields and lists that a node reads."""
    return frozenset(found.of or found.name for found in fields(node))
