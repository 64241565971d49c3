"""Phase two of each aggregation: one value for a profile out of the values of its nodes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from typing import Any, Final

from pipelines.features.layout import GREATEST, LEAST, UNKNOWN
from pipelines.features.plan import measure_of
from pipelines.traits.claims import merged, pack, unpack
from pipelines.wire import Value


def _least(values: Iterable[Any]) -> Any:
    return min((value for value in values if value is not None), default=None)


def _added_up(values: Iterable[Any]) -> Any:
    total: dict[str, int] = {}
    for value in values:
        for name, count in (value or {}).items():
            total[name] = total.get(name, 0) + count
    return total


def _all_claims(values: Iterable[Any]) -> str:
    return pack(merged(unpack(value) for value in values if value))


def all_groups(values: Iterable[Any]) -> list[tuple[str, int]]:
    """The groups that several parts name, each with the newest event time (ms) that did, by key."""
    newest: dict[str, int] = {}
    for value in values:
        for group, time in value or ():
            newest[group] = max(time, newest.get(group, time))
    return sorted(newest.items())


_COMBINE: Final[dict[str, Callable[[Iterable[Any]], Any]]] = {
    "top_products": _added_up,
    "traits": _all_claims,
    "kind": _least,
    "groups": all_groups,
}
COMBINED: Final = frozenset(_COMBINE)
"""Values that are no numbers and no definition asks for."""


def combined_other(name: str, parts: Sequence[Mapping[str, Value]]) -> Value:
    """A profile's value that is no number out of its nodes' values; commutative and associative (I3).

    Args:
        name: value name as nodes send it.
        parts: the nodes' values; a node that never sent the name has none.
    """
    if len(parts) == 1:
        return parts[0].get(name)
    found: Value
    if name in _COMBINE:
        found = _COMBINE[name](part.get(name) for part in parts)
        return found
    aggregation = measure_of(name)
    assert aggregation is not None, name
    return reduce(aggregation.combine, (part.get(name) for part in parts))


def combined(place: int, rows: Sequence[Sequence[int]]) -> int:
    """The same for the number in one place of the nodes' rows; beyond 64 bits if need be."""
    column = [row[place] for row in rows]
    if place in GREATEST:
        return max(column)  # than nothing (`UNKNOWN`) is every time greater
    if place in LEAST:
        return min((value for value in column if value != UNKNOWN), default=UNKNOWN)
    return UNKNOWN if UNKNOWN in column else sum(column)
