"""Phase two of each aggregation: one value for a profile out of the values of its nodes, and the fields derived from them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from typing import Any, Final

from pipelines.aggregations.registry import ALL
from pipelines.features.plan import Published, measure_of
from pipelines.identity.nodes import split
from pipelines.traits.claims import merged, pack, unpack
from pipelines.wire import Value

TOP_SHOWN: Final = 5
DAY_MS: Final = 86_400_000

_Windowed = tuple[str, str, str | None, int, Callable[[Any, int], Any] | None]
"""A windowed field: its name, the value that is shown and the one that is taken off, what amounts are divided by (0: nothing), and how it
is shown where it is no plain number."""
_LEDGER_VALUES: Final = frozenset(
    {"orders.count.lifetime", "orders.amount.lifetime", "first_order_at", "last_order_at", "top_products", "unmatched_refunds"}
    | {"over_refunds", "charge_backs"}
)
_AS_THEY_ARE: Final = frozenset({"first_seen_at", "last_seen_at", "sessions", "channels", "late_events"})
_PLAIN: Final = frozenset({"count", "amount"})
"""Measures that are added up and subtracted as numbers."""
_UNKNOWN: Final = object()


def _least(values: Iterable[Any]) -> Any:
    return min((value for value in values if value is not None), default=None)


def _greatest(values: Iterable[Any]) -> Any:
    return max((value for value in values if value is not None), default=None)


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


def _sum(values: Iterable[Any]) -> Any:
    return sum(value or 0 for value in values)


_COMBINE: Final[dict[str, Callable[[Iterable[Any]], Any]]] = {
    "first_seen_at": _least,
    "last_seen_at": _greatest,
    "first_order_at": _least,
    "last_order_at": _greatest,
    "channels": _added_up,
    "top_products": _added_up,
    "traits": _all_claims,
    "kind": _least,
    "groups": all_groups,
}


def combine(name: str, parts: Sequence[Mapping[str, Value]]) -> Value:
    """The profile's value of `name` out of its nodes' values; commutative and associative (I3).

    Args:
        name: value name as nodes send it.
        parts: the nodes' values; a node that never sent the name has none.
    """
    if len(parts) == 1:
        return parts[0].get(name)
    aggregation = measure_of(name)
    if aggregation is not None:
        return reduce(aggregation.combine, (part.get(name) for part in parts))
    found: Value = _COMBINE.get(name, _sum)(part.get(name) for part in parts)
    return found


class Fields:
    """Turns node values into published fields.

    Args:
        published: windowed fields.
        scale: minor units in a major one, e.g. 100.
    """

    def __init__(self, published: list[Published], scale: int) -> None:
        self._scale = scale
        self._windowed: list[_Windowed] = [
            (field.name, field.plus, field.minus, field.units(scale), None if field.measure in _PLAIN else ALL[field.measure].present)
            for field in published
        ]
        self._reading: dict[str, list[_Windowed]] = {}
        for row in self._windowed:
            for name in filter(None, (row[1], row[2])):
                self._reading.setdefault(name, []).append(row)

    def all(self, values: Mapping[str, Value]) -> dict[str, Any]:
        """Every field."""
        fields = self.plain(values)
        self._fill(fields, self._windowed, values)
        return fields

    def stirred(self, changed: Mapping[str, Value], values: Mapping[str, Value], known: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that changed with some values.

        Args:
            changed: the values that changed.
            values: all values.
            known: the fields before.
        """
        found: dict[str, Any] = {}
        for name in changed:
            if name in self._reading:
                self._fill(found, self._reading[name], values)
            elif name in _AS_THEY_ARE:
                found[name] = values[name]
            elif name == "groups":
                found[name] = _shown_groups(values)
        if not _LEDGER_VALUES.isdisjoint(changed):
            found |= self.plain(values)
        return {name: value for name, value in found.items() if known.get(name, _UNKNOWN) != value}

    @staticmethod
    def _fill(fields: dict[str, Any], rows: list[_Windowed], values: Mapping[str, Any]) -> None:
        for name, plus, minus, scale, present in rows:
            if present is not None:
                fields[name] = present(values.get(plus), scale)
                continue
            number = values.get(plus) or 0
            if minus is not None:
                number -= values.get(minus) or 0
            fields[name] = number / scale if scale else number

    def plain(self, values: Mapping[str, Value]) -> dict[str, Any]:
        """Fields that are no windows: times, the rhythm of purchases, sessions, channels, top products."""
        orders: Any = values.get("orders.count.lifetime") or 0
        gross: Any = values.get("orders.amount.lifetime") or 0
        first: Any = values.get("first_order_at")
        last: Any = values.get("last_order_at")
        top: Any = values.get("top_products") or {}
        return {
            "first_seen_at": values.get("first_seen_at"),
            "last_seen_at": values.get("last_seen_at"),
            "first_order_at": first,
            "last_order_at": last,
            "average_basket": gross / self._scale / orders if orders else None,
            "mean_interpurchase_days": (last - first) / DAY_MS / (orders - 1) if orders > 1 else None,
            "top_products": [[name, units] for name, units in sorted(top.items(), key=lambda pair: (-pair[1], pair[0]))[:TOP_SHOWN]],
            "sessions": values.get("sessions") or 0,
            "channels": values.get("channels") or {},
            "unmatched_refunds": values.get("unmatched_refunds") or 0,
            "over_refunds": values.get("over_refunds") or 0,
            "charge_backs": values.get("charge_backs") or 0,
            "late_events": values.get("late_events") or 0,
            "groups": _shown_groups(values),
        }


def of_group(values: Mapping[str, Value]) -> dict[str, Any]:
    """Fields of a group's profile, without its traits."""
    return {name: values.get(name) for name in ("kind", "members", "first_seen_at", "last_seen_at")}


def _shown_groups(values: Mapping[str, Value]) -> dict[str, list[str]]:
    """Kind -> ids, both in alphabetical order."""
    shown: dict[str, list[str]] = {}
    known: Any = values.get("groups") or ()
    for key, _ in known:
        _, kind, value = split(key)
        shown.setdefault(kind, []).append(value)
    return {kind: sorted(shown[kind]) for kind in sorted(shown)}
