"""Comparing large multisets of keys: what is missing, what is too much, what is there twice."""

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Key = tuple[int, ...]


class Difference:
    """How `found` differs from `expected`, as lists of keys.

    Attributes:
        missing: expected and not found.
        extra: found and not expected.
        twice: found more than once.
    """

    def __init__(self, missing: list[Key], extra: list[Key], twice: list[Key]) -> None:
        self.missing = missing
        self.extra = extra
        self.twice = twice

    def __bool__(self) -> bool:
        return bool(self.missing or self.extra or self.twice)

    def __len__(self) -> int:
        return len(self.missing) + len(self.extra) + len(self.twice)


class KeyRangeError(ValueError):
    """The keys span more than 63 bits."""


def difference(expected: Sequence[Array], found: Sequence[Array]) -> Difference:
    """Compare two multisets of keys with several integer columns each.

    Args:
        expected: columns of equal length; each key once.
        found: the same columns.

    Raises:
        KeyRangeError: the keys span more than 63 bits.
    """
    columns = [_Column(left, right) for left, right in zip(expected, found, strict=True)]
    left, right = _combine(columns, 0), _combine(columns, 1)
    left.sort()
    right.sort()
    values, counts = _runs(right)
    known = np.unique(left)
    return Difference(
        missing=_keys(columns, known[~_member(known, values)]),
        extra=_keys(columns, values[~_member(values, known)]),
        twice=_keys(columns, values[counts > 1]),
    )


class _Column:
    """A column as positions in the sorted list of its distinct values, or as it is when it is small already."""

    def __init__(self, left: Array, right: Array) -> None:
        both = [np.asarray(side) for side in (left, right)]
        highest = max((int(side.max()) for side in both if len(side)), default=0)
        lowest = min((int(side.min()) for side in both if len(side)), default=0)
        self.values: Array | None = None
        if lowest >= 0 and highest < 1 << 40:
            self.size = highest + 1
            self.sides = [side.astype(np.int64) for side in both]
        else:
            self.values = np.unique(np.concatenate(both))
            self.size = len(self.values)
            self.sides = [np.searchsorted(self.values, side).astype(np.int64) for side in both]

    def value(self, position: int) -> int:
        return position if self.values is None else int(self.values[position])


def _combine(columns: list[_Column], side: int) -> Array:
    span = 1
    for column in columns:
        span *= column.size
    if span >= 1 << 63:
        raise KeyRangeError(f"keys span {span} values; compare fewer at once")
    key = np.zeros(len(columns[0].sides[side]), np.int64)
    for column in columns:
        key = key * column.size + column.sides[side]
    return key


def _runs(ordered: Array) -> tuple[Array, Array]:
    if not len(ordered):
        return ordered, ordered
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    return ordered[starts], np.diff(np.concatenate((starts, [len(ordered)])))


def _member(values: Array, ordered: Array) -> Array:
    """Which of `values` are in `ordered` (sorted, without repeats)?"""
    if not len(ordered):
        return np.zeros(len(values), bool)
    at = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    inside: Array = ordered[at] == values
    return inside


def _keys(columns: list[_Column], combined: Array) -> list[Key]:
    keys = []
    for key in combined.tolist():
        parts: list[int] = []
        for column in reversed(columns):
            key, position = divmod(key, column.size)
            parts.append(column.value(position))
        keys.append(tuple(reversed(parts)))
    return keys
