"""The values of a node: what it tells its profile, and the moments at which time alone changes them."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from pipelines.aggregations.contract import Aggregation
from pipelines.aggregations.registry import ALL
from pipelines.features.node_state import UNSENT, LiveNode
from pipelines.features.plan import Ask, Plan
from pipelines.features.series import NEVER, Window
from pipelines.wire import Value

_COUNT: Final = ALL["count"].of_totals
_AMOUNT: Final = ALL["amount"].of_totals


class _Asked(msgspec.Struct, frozen=True):
    """The values asked of one window of a series, and whether a rule reads one of them.

    Attributes:
        window: which; None: the lifetime.
        exact: whether a rule reads one of the values.
        counts: names of values that are the number of entries; likewise `amounts`.
        totals: values that are made of both.
        cells: values that are made of cells: name, key of the cells, aggregation.
    """

    window: Window | None
    exact: bool
    counts: list[str]
    amounts: list[str]
    totals: list[tuple[str, Callable[[int, int], Any]]]
    cells: list[tuple[str, str, Aggregation]]


def _by_window(asks: list[Ask], plan: Plan) -> list[_Asked]:
    grouped: dict[Window | None, list[Ask]] = {}
    for ask in asks:
        grouped.setdefault(ask.window, []).append(ask)
    return [_asked(window, group, plan) for window, group in grouped.items()]


def _asked(window: Window | None, group: list[Ask], plan: Plan) -> _Asked:
    asked = _Asked(window, any(ask.name in plan.exact for ask in group), [], [], [], [])
    for ask in group:
        aggregation = ALL[ask.measure]
        if aggregation.of_totals is None:
            asked.cells.append((ask.name, cells_key(ask.series, ask.measure), aggregation))
        elif aggregation.of_totals is _COUNT:
            asked.counts.append(ask.name)
        elif aggregation.of_totals is _AMOUNT:
            asked.amounts.append(ask.name)
        else:
            asked.totals.append((ask.name, aggregation.of_totals))
    return asked


def cells_key(series: str, measure: str) -> str:
    """Under which name a node keeps an aggregation's cells of a series."""
    return f"{series}.{measure}"


class NodeValues:
    """Computes a node's values.

    Args:
        plan: compiled features.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._asked = {name: _by_window(asks, plan) for name, asks in plan.asks.items()}

    def bring_up(self, live: LiveNode, now: int, touched: list[str], changed: dict[str, Value]) -> None:
        """Bring all values up to `now` after an event; what differs from what was sent goes to `changed`."""
        if live.state.group:
            self._of_group(live, changed)
            return
        self.refresh(live, now, touched, changed)
        state, summary = live.state, live.summary
        live.set("first_seen_at", state.first_seen, changed)
        live.set("last_seen_at", state.last_seen, changed)
        live.set("sessions", state.sessions.count(), changed)
        live.set("late_events", state.late_events, changed)
        live.set("channels", dict(state.channels), changed)
        if "orders" in touched or "first_order_at" not in live.values:
            live.set("first_order_at", summary.first, changed)
            live.set("last_order_at", summary.last, changed)
            live.set("unmatched_refunds", summary.unmatched, changed)
            live.set("over_refunds", summary.over_refunds, changed)
            live.set("charge_backs", summary.charge_backs, changed)
            live.set("top_products", dict(summary.top), changed)
        if state.traits or "traits" in live.values:
            live.set("traits", state.traits, changed)
        if state.groups:
            live.set("groups", state.groups, changed)

    @staticmethod
    def _of_group(live: LiveNode, changed: dict[str, Value]) -> None:
        state = live.state
        live.set("kind", state.group, changed)
        live.set("members", state.members, changed)
        live.set("first_seen_at", state.first_seen, changed)
        live.set("last_seen_at", state.last_seen, changed)
        live.set("traits", state.traits, changed)

    def refresh(self, live: LiveNode, now: int, touched: list[str], changed: dict[str, Value]) -> int:
        """Recompute the series that were touched or have something to expire; the oldest moment at which one changed by time."""
        exact, phase, refresh = self._plan.exact_entries, live.phase, self._plan.refresh_ms
        values, dues = live.values, live.due
        since = now
        for name, series in live.series.items():
            due = dues.get(name, NEVER)
            if due > now and name not in touched:
                continue
            since = min(since, due)
            next_due = next_timer = NEVER
            for asked in self._asked.get(name, ()):
                window = asked.window
                if window is None:
                    (count, amount), change = series.total(), NEVER
                else:
                    count, amount, change = series.look(now, window, exact, phase)
                for value in asked.counts:
                    if values.get(value, UNSENT) != count:
                        values[value] = changed[value] = count
                for value in asked.amounts:
                    if values.get(value, UNSENT) != amount:
                        values[value] = changed[value] = amount
                for value, of_totals in asked.totals:
                    live.set(value, of_totals(count, amount), changed)
                for value, key, aggregation in asked.cells:
                    change = min(change, self._of_cells(live, value, key, aggregation, window, now, changed))
                if change < next_due:
                    next_due = change
                if not asked.exact:
                    change += refresh
                if change < next_timer:
                    next_timer = change
            dues[name], live.timers[name] = next_due, next_timer
        return since

    def _of_cells(
        self, live: LiveNode, value: str, key: str, aggregation: Aggregation, window: Window | None, now: int, changed: dict[str, Value]
    ) -> int:
        """Set a value that is made of cells; returns the moment at which it may change by time alone."""
        cells = live.cells.get(key)
        found, due = None, NEVER
        if cells is not None and window is None:
            found = cells.total(aggregation.combine)
        elif cells is not None and window is not None:
            found, due = cells.look(now, window, self._plan.exact_entries, live.phase, aggregation.combine)
        live.set(value, found, changed)
        return due
