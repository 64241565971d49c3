"""Pieces of ClickHouse SQL that are made from data: literals, and typed reads of JSON."""

from collections.abc import Iterable
from typing import Final

from pipelines.rules.sql import quoted

MINUTE_S: Final = 60


def listed(texts: Iterable[str]) -> str:
    """String literals, separated by commas."""
    return ", ".join(map(quoted, texts))


def moment(minute: int) -> str:
    """The beginning of a minute, given as minutes since the epoch, as a DateTime."""
    return f"toDateTime({minute * MINUTE_S}, 'UTC')"


def during(column: str, first: int, end: int) -> str:
    """Condition on a DateTime64 column: within the minutes `first` to `end`, the latter excluded. It also selects parts by their range."""
    return f"{column} >= toDateTime64({first * MINUTE_S}, 3, 'UTC') AND {column} < toDateTime64({end * MINUTE_S}, 3, 'UTC')"


def nested_type(paths: Iterable[tuple[str, ...]], leaf: str = "String") -> str:
    """The Tuple that reads paths out of one JSON object in one pass; absent and misshapen parts come out empty.

    Args:
        paths: e.g. `("app", "version")`; none may be the beginning of another.
        leaf: type of what stands at their ends.
    """
    by_first: dict[str, list[tuple[str, ...]]] = {}
    for path in paths:
        by_first.setdefault(path[0], []).append(path[1:])
    inner = (f"`{name}` {nested_type(rest, leaf) if any(rest) else leaf}" for name, rest in by_first.items())
    return f"Tuple({', '.join(inner)})"


def nested_value(row: str, path: tuple[str, ...]) -> str:
    """What a tuple of `nested_type` holds at a path."""
    for name in path:
        row = f"tupleElement({row}, {quoted(name)})"
    return row


def first_filled(values: list[str]) -> str:
    """The first of several strings that is not empty, else an empty one."""
    if not values:
        return "''"
    return values[0] if len(values) == 1 else f"if({values[0]} != '', {values[0]}, {first_filled(values[1:])})"
