"""The values of a node: what it tells its profile, and the moments at which time alone changes them."""

from collections.abc import Callable, Collection
from typing import Any, Final

import msgspec

from pipelines.aggregations.contract import Aggregation
from pipelines.aggregations.registry import ALL
from pipelines.features import sessions
from pipelines.features.layout import (
    BASE,
    CHARGE_BACKS,
    FIRST_ORDER,
    LAST_ORDER,
    OVER_REFUNDS,
    SESSIONS,
    UNMATCHED,
    layout_of,
)
from pipelines.features.ledger import Summary
from pipelines.features.node_state import OWN, LiveNode
from pipelines.features.plan import Ask, Plan
from pipelines.features.series import NEVER, Series, Window
from pipelines.wire import Value

_COUNT: Final = ALL["count"].of_totals
_AMOUNT: Final = ALL["amount"].of_totals
_NO_SUMMARY: Final = Summary()
_UNTOLD: Final = layout_of(()).start


class Said(msgspec.Struct):
    """What a node has to tell.

    Attributes:
        numbers: place in the layout, value, place, value and so on.
        others: values that are no numbers, by name.
    """

    numbers: list[int] = []
    others: dict[str, Value] = {}

    def __bool__(self) -> bool:
        return bool(self.numbers or self.others)


class _Asked(msgspec.Struct, frozen=True):
    """The values asked of one window of a series, and whether a rule reads one of them.

    Attributes:
        window: which; None: the lifetime.
        exact: whether a rule reads one of the values.
        count: place of the number of entries, -1 when it is not asked for; likewise `amount`.
        totals: values that are made of both: name and how.
        cells: values that are made of cells: name, key of the cells, aggregation.
    """

    window: Window | None
    exact: bool
    count: int
    amount: int
    totals: list[tuple[str, Callable[[int, int], Any]]]
    cells: list[tuple[str, str, Aggregation]]


def _by_window(asks: list[Ask], plan: Plan) -> list[_Asked]:
    grouped: dict[Window | None, list[Ask]] = {}
    for ask in asks:
        grouped.setdefault(ask.window, []).append(ask)
    return [_asked(window, group, plan) for window, group in grouped.items()]


def _asked(window: Window | None, group: list[Ask], plan: Plan) -> _Asked:
    count = amount = -1
    totals: list[tuple[str, Callable[[int, int], Any]]] = []
    cells: list[tuple[str, str, Aggregation]] = []
    for ask in group:
        aggregation = ALL[ask.measure]
        if aggregation.of_totals is None:
            cells.append((ask.name, cells_key(ask.series, ask.measure), aggregation))
        elif aggregation.of_totals is _COUNT:
            count = plan.layout.places[ask.name]
        elif aggregation.of_totals is _AMOUNT:
            amount = plan.layout.places[ask.name]
        else:
            totals.append((ask.name, aggregation.of_totals))
    return _Asked(window, any(ask.name in plan.exact for ask in group), count, amount, totals, cells)


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
        self._nothing = {
            name: [number for ask in asks if ask.name in plan.layout.places for number in (plan.layout.places[ask.name], 0)]
            for name, asks in plan.asks.items()
        }

    def all(self, live: LiveNode, now: int, *, is_anew: bool = False) -> Said:
        """Everything at `now`, ms.

        Args:
            live: the node.
            now: clock, ms.
            is_anew: definitions have changed: of series without entries, too, it is said that there are none.
        """
        said = Said([], {})
        self.bring_up(live, now, live.series, said)
        nothing = [pair for name, pairs in self._nothing.items() if name not in live.series for pair in pairs] if is_anew else []
        said.numbers = [*nothing, *_told(live), *said.numbers]
        said.others = dict(live.told or {})
        return said

    def bring_up(self, live: LiveNode, now: int, touched: Collection[str], said: Said) -> None:
        """Bring all values up to `now` after an event; what may differ from what was told goes to `said`."""
        if live.group:
            live.tell_other("kind", live.group, said.others)
            live.tell_other("traits", live.traits, said.others)
            return
        self.refresh(live, now, touched, said)
        live.tell(SESSIONS, sessions.count(live.sessions), said.numbers)
        if "orders" in touched:
            self._of_ledger(live, live.summary or _NO_SUMMARY, said)
        if live.traits:
            live.tell_other("traits", live.traits, said.others)
        if live.groups:
            live.tell_other("groups", list(live.groups), said.others)

    @staticmethod
    def _of_ledger(live: LiveNode, summary: Summary, said: Said) -> None:
        live.tell(FIRST_ORDER, summary.first, said.numbers)
        live.tell(LAST_ORDER, summary.last, said.numbers)
        live.tell(UNMATCHED, summary.unmatched, said.numbers)
        live.tell(OVER_REFUNDS, summary.over_refunds, said.numbers)
        live.tell(CHARGE_BACKS, summary.charge_backs, said.numbers)
        live.tell_other("top_products", dict(summary.top), said.others)

    def refresh(self, live: LiveNode, now: int, touched: Collection[str], said: Said) -> int:
        """Recompute the series that were touched or have something to expire.

        Returns:
            The oldest moment at which one of them changed by time.
        """
        since = now
        for name, series in live.series.items():
            if series.due <= now:
                since = min(since, series.due)
            elif name not in touched:
                continue
            self._of_series(live, series, self._asked.get(name, ()), now, said)
        return since

    def _of_series(self, live: LiveNode, series: Series, asked: Collection[_Asked], now: int, said: Said) -> None:
        exact, phase, refresh, numbers = self._plan.exact_entries, live.phase, self._plan.refresh_ms, said.numbers
        next_due = next_timer = NEVER
        for one in asked:
            window = one.window
            if window is None:
                (count, amount), change = series.total(), NEVER
            else:
                count, amount, change = series.look(now, window, exact, phase)
            if one.count >= 0:
                numbers += (one.count, count)
            if one.amount >= 0:
                numbers += (one.amount, amount)
            for value, of_totals in one.totals:
                live.tell_other(value, of_totals(count, amount), said.others)
            for value, key, aggregation in one.cells:
                change = min(change, self._of_cells(live, value, key, aggregation, window, now, said))
            if change < next_due:
                next_due = change
            if not one.exact:
                change += refresh
            if change < next_timer:
                next_timer = change
        series.due, series.timer = next_due, next_timer

    def _of_cells(self, live: LiveNode, value: str, key: str, aggregation: Aggregation, window: Window | None, now: int, said: Said) -> int:
        """Tell a value that is made of cells; returns the moment at which it may change by time alone."""
        cells = None if live.cells is None else live.cells.get(key)
        found, due = None, NEVER
        if cells is not None and window is None:
            found = cells.total(aggregation.combine)
        elif cells is not None and window is not None:
            found, due = cells.look(now, window, self._plan.exact_entries, live.phase, aggregation.combine)
        live.tell_other(value, found, said.others)
        return due


def _told(live: LiveNode) -> list[int]:
    """The platform's own values as they were told, without those that nothing has been said of."""
    numbers: list[int] = []
    for place in range(len(BASE)):
        value = live.numbers[OWN + place]
        if value != _UNTOLD[place]:
            numbers += (place, value)
    return numbers
