"""Phase two of each aggregation: one value for a profile out of the values of its nodes, and the fields derived from them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from pipelines.features.plan import Published
from pipelines.wire import Value

TOP_SHOWN: Final = 5
DAY_MS: Final = 86_400_000


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


def _sum(values: Iterable[Any]) -> Any:
    return sum(value or 0 for value in values)


_COMBINE: Final[dict[str, Callable[[Iterable[Any]], Any]]] = {
    "first_seen_at": _least,
    "last_seen_at": _greatest,
    "first_order_at": _least,
    "last_order_at": _greatest,
    "channels": _added_up,
    "top_products": _added_up,
}


def combine(name: str, parts: Sequence[Mapping[str, Value]]) -> Value:
    """The profile's value of `name` out of its nodes' values; commutative and associative (I3).

    Args:
        name: value name as nodes send it.
        parts: the nodes' values; a node that never sent the name has none.
    """
    if len(parts) == 1:
        return parts[0].get(name)
    found: Value = _COMBINE.get(name, _sum)(part.get(name) for part in parts)
    return found


class Fields:
    """Turns node values into published fields.

    Args:
        published: windowed fields.
        scale: minor units in a major one, e.g. 100.
    """

    def __init__(self, published: list[Published], scale: int) -> None:
        self._published = published
        self._scale = scale
        self._reading: dict[str, list[Published]] = {}
        for field in published:
            for name in filter(None, (field.plus, field.minus)):
                self._reading.setdefault(name, []).append(field)

    def all_windowed(self, values: Mapping[str, Value]) -> dict[str, Any]:
        """Every windowed field."""
        return {field.name: self._windowed(field, values) for field in self._published}

    def windowed_of(self, changed: Iterable[str], values: Mapping[str, Value]) -> dict[str, Any]:
        """The windowed fields that read one of the changed values."""
        return {field.name: self._windowed(field, values) for name in changed for field in self._reading.get(name, ())}

    def _windowed(self, field: Published, values: Mapping[str, Value]) -> int | float:
        number: Any = values.get(field.plus) or 0
        if field.minus is not None:
            number -= values.get(field.minus) or 0
        shown: int | float = number / self._scale if field.money else number
        return shown

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
            "late_events": values.get("late_events") or 0,
        }
