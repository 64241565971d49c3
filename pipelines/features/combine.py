"""Phase two of each aggregation: one value for a profile out of the values of its nodes, and the fields derived from them."""

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from itertools import chain
from operator import itemgetter, sub, truediv
from typing import Any, Final

from pipelines.aggregations.registry import ALL
from pipelines.features.layout import (
    BASE,
    CHANNEL,
    CHANNEL_NAMES,
    FIRST_ORDER,
    FIRST_SEEN,
    GREATEST,
    LAST_ORDER,
    LAST_SEEN,
    LEAST,
    MEMBERS,
    UNKNOWN,
    Layout,
)
from pipelines.features.plan import NUMBERS, Published, measure_of
from pipelines.identity.nodes import split
from pipelines.traits.claims import merged, pack, unpack
from pipelines.wire import Value

TOP_SHOWN: Final = 5
DAY_MS: Final = 86_400_000

_Row = tuple[str, int, int, int]
"""A field that is a number: its name, places of what is shown and of what is taken off (-1: nothing), and units (0: none)."""
_PLACED: Final = ("sessions", "late_events", "unmatched_refunds", "over_refunds", "charge_backs")
"""Fields that are numbers of the platform's own as they are."""
_OF_ORDERS: Final = ("average_basket", "mean_interpurchase_days")
_READ_BY: Final[dict[str, tuple[str, ...]]] = {
    "orders.count.lifetime": _OF_ORDERS,
    "orders.amount.lifetime": ("average_basket",),
    "first_order_at": ("first_order_at", "mean_interpurchase_days"),
    "last_order_at": ("last_order_at", "mean_interpurchase_days"),
}
"""Fields by the values that they are made of, where these have other names; besides windowed ones."""


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


class Fields:
    """Turns a profile's values into published fields.

    Args:
        published: windowed fields.
        layout: of its numbers.
        scale: minor units in a major one, e.g. 100.
    """

    def __init__(self, published: Sequence[Published], layout: Layout, scale: int) -> None:
        places = layout.places
        reading: dict[str, list[str]] = {name: list(fields) for name, fields in _READ_BY.items()}
        plain = [(name, places[name], -1, 0) for name in _PLACED]
        amounts: list[_Row] = []
        differences: list[_Row] = []
        self._presented: list[tuple[str, str, int, Callable[[Any, int], Any]]] = []
        for field in published:
            units = field.units(scale)
            for value in filter(None, (field.plus, field.minus)):
                reading.setdefault(value, []).append(field.name)
            if field.measure not in NUMBERS:
                self._presented.append((field.name, field.plus, units, ALL[field.measure].present))
            elif field.minus is not None:
                differences.append((field.name, places[field.plus], places[field.minus], units))
            else:
                (amounts if units else plain).append((field.name, places[field.plus], -1, units))
        counted = [row for row in differences if not row[3]]
        differences = [row for row in differences if row[3]]
        # All of a kind at once and none by name: one by one they took half of a profile's time.
        self._rows = [*plain, *counted, *amounts, *differences]
        self._names = [name for name, *_ in self._rows]
        self._plain, self._amounts = _getter(row[1] for row in plain), _getter(row[1] for row in amounts)
        self._counted_plus, self._counted_minus = _getter(row[1] for row in counted), _getter(row[2] for row in counted)
        self._plus, self._minus = _getter(row[1] for row in differences), _getter(row[2] for row in differences)
        self._units = [row[3] for row in (*amounts, *differences)]
        self._orders, self._gross = places.get("orders.count.lifetime", -1), places.get("orders.amount.lifetime", -1)
        self._scale = scale
        self._of_place = [tuple(reading.get(name, [_shown_as(name)])) for name in layout.names]
        self._of_other = {name: tuple(fields) for name, fields in reading.items()}
        self._touched: dict[tuple[int | str, ...], dict[str, None]] = {}

    def touched(self, places: Sequence[int], names: Sequence[str]) -> dict[str, None]:
        """Names of the fields that may change with numbers in some places and other values of some names; not to be changed."""
        asked: tuple[int | str, ...] = (*places, *names)
        found = self._touched.get(asked)
        if found is None:
            found = dict.fromkeys(field for place in places for field in self._of_place[place])
            found |= dict.fromkeys(field for name in names for field in self._of_other.get(name, (name,)))
            if len(self._touched) >= _REMEMBERED:
                self._touched.clear()
            self._touched[asked] = found
        return found

    def all(self, values: Sequence[int], others: Mapping[str, Value], *, has_unknown: bool = False) -> dict[str, Any]:
        """Every field that does not move with the clock, but traits.

        Args:
            values: numbers by the layout.
            others: values that are no numbers.
            has_unknown: whether some numbers have not been counted: their fields are null.
        """
        numbers = values.tolist() if isinstance(values, array) else values
        money = chain(self._amounts(numbers), map(sub, self._plus(numbers), self._minus(numbers)))
        counts = chain(self._plain(numbers), map(sub, self._counted_plus(numbers), self._counted_minus(numbers)))
        fields: dict[str, Any] = dict(zip(self._names, chain(counts, map(truediv, money, self._units)), strict=True))
        for name, value, units, present in self._presented:
            fields[name] = present(others.get(value), units)
        if has_unknown:
            fields |= {name: None for name, plus, minus, _ in self._rows if UNKNOWN in (numbers[plus], numbers[minus] if minus >= 0 else 0)}
        for place, name in _TIMES:
            time = numbers[place]
            fields[name] = None if time == UNKNOWN else time
        orders = numbers[self._orders] if self._orders >= 0 else 0
        gross = numbers[self._gross] if self._gross >= 0 else 0
        fields["average_basket"] = gross / self._scale / orders if orders > 0 else None
        fields["mean_interpurchase_days"] = (numbers[LAST_ORDER] - numbers[FIRST_ORDER]) / DAY_MS / (orders - 1) if orders > 1 else None
        fields["channels"] = {name: number for name, number in zip(CHANNEL_NAMES, numbers[CHANNEL:_CHANNELS_END], strict=True) if number}
        fields["top_products"] = _shown_products(others["top_products"]) if "top_products" in others else []
        fields["groups"] = _shown_groups(others["groups"]) if "groups" in others else {}
        return fields


def _getter(places: Iterable[int]) -> Callable[[Sequence[int]], Sequence[int]]:
    """Takes numbers out of their places."""
    wanted = list(places)
    if len(wanted) > 1:
        return itemgetter(*wanted)
    return lambda numbers: [numbers[place] for place in wanted]


_CHANNELS_END: Final = CHANNEL + len(CHANNEL_NAMES)
_TIMES: Final = tuple((place, BASE[place]) for place in (FIRST_SEEN, LAST_SEEN, FIRST_ORDER, LAST_ORDER))
_REMEMBERED: Final = 4096


def _shown_as(value: str) -> str:
    """The field that shows a number of the platform's own."""
    return "channels" if value.startswith("channel:") else value


def of_group(values: Sequence[int], others: Mapping[str, Value]) -> dict[str, Any]:
    """Fields of a group's profile, without its traits."""
    first, last = values[FIRST_SEEN], values[LAST_SEEN]
    return {
        "kind": others["kind"],
        "members": values[MEMBERS],
        "first_seen_at": None if first == UNKNOWN else first,
        "last_seen_at": None if last == UNKNOWN else last,
    }


def _shown_products(top: Any) -> list[list[Any]]:
    """The products with the most units, the most first."""
    return [[name, units] for name, units in sorted(top.items(), key=lambda pair: (-pair[1], pair[0]))[:TOP_SHOWN]]


def _shown_groups(known: Any) -> dict[str, list[str]]:
    """Kind -> ids, both in alphabetical order."""
    shown: dict[str, list[str]] = {}
    for key, _ in known:
        _, kind, value = split(key)
        shown.setdefault(kind, []).append(value)
    return {kind: sorted(shown[kind]) for kind in sorted(shown)}
