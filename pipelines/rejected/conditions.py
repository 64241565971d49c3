"""What can be asked about a rejected record, as a tree of whitelisted names and plain values."""

from typing import Final, Literal, NamedTuple

Kind = Literal["text", "number", "time"]
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

Operator = Literal["=", "!=", "<", "<=", ">", ">="]


class AnyText(NamedTuple):
    """`%` of a pattern."""


class OneCharacter(NamedTuple):
    """`_` of a pattern."""


Pattern = tuple[str | AnyText | OneCharacter, ...]


class Compare(NamedTuple):
    """A field against a value: times in ms."""

    field: str
    operator: Operator
    value: str | int


class Like(NamedTuple):
    """A field against a pattern."""

    field: str
    pattern: Pattern


class OneOf(NamedTuple):
    """A field against several values."""

    field: str
    values: tuple[str | int, ...]


class Not(NamedTuple):
    """The contrary."""

    part: "Condition"


class Every(NamedTuple):
    """All of several; of none: true."""

    parts: tuple["Condition", ...]


class Some(NamedTuple):
    """At least one of several."""

    parts: tuple["Condition", ...]


Condition = Compare | Like | OneOf | Not | Every | Some
EVERYTHING: Final = Every(())
