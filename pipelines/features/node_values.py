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
)
from pipelines.features.ledger import Summary
from pipelines.features.node_state import OWN, LiveNode, Said
from pipelines.features.plan import NUMBERS, Ask, Plan
from pipelines.features.series import NEVER, Series, Windows

_COUNT: Final = ALL["count"].of_totals
_NO_SUMMARY: Final = Summary()


class _Made(msgspec.Struct, frozen=True):
    """A value that is no plain number.

    Attributes:
        name: what it is called.
        at: of which of the asked windows; of the lifetime for as many as there are.
        of_totals: how it is made of count and amount; None: of cells.
        cells: key of the cells.
        aggregation: which.
    """

    name: str
    at: int
    of_totals: Callable[[int, int], Any] | None
    cells: str
    aggregation: Aggregation


class _Asked(msgspec.Struct, frozen=True):
    """All that is asked of a series.

    Attributes:
        windows: shortest first.
        counts: places of the numbers of entries, in the order of `count_of`.
        count_of: of which window each is; of the lifetime for as many windows as there are.
        amounts, amount_of: likewise.
        made: values that are no plain numbers.
    """

    windows: Windows
    counts: list[int]
    count_of: list[int]
    amounts: list[int]
    amount_of: list[int]
    made: list[_Made]


def _asked(asks: list[Ask], plan: Plan) -> _Asked:
    windows = sorted({ask.window for ask in asks if ask.window is not None}, key=lambda window: window.length)
    exact = [any(ask.window == window and ask.name in plan.exact for ask in asks) for window in windows]
    found = _Asked(Windows(windows, exact, plan.exact_entries, plan.refresh_ms), [], [], [], [], [])
    for ask in asks:
        at = len(windows) if ask.window is None else windows.index(ask.window)
        aggregation = ALL[ask.measure]
        if aggregation.of_totals is not None and ask.measure in NUMBERS:
            places, of = (found.counts, found.count_of) if aggregation.of_totals is _COUNT else (found.amounts, found.amount_of)
            places.append(plan.layout.places[ask.name])
            of.append(at)
        else:
            found.made.append(_Made(ask.name, at, aggregation.of_totals, cells_key(ask.series, ask.measure), aggregation))
    return found


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
        self._asked = {name: _asked(asks, plan) for name, asks in plan.asks.items()}
        self._numbers = {name: [*asked.counts, *asked.amounts] for name, asked in self._asked.items()}

    def all(self, live: LiveNode, now: int) -> Said:
        """Everything at `now`, ms: also that there is nothing, for the profile may know of something."""
        said = Said()
        self.bring_up(live, now, live.series, said)
        nothing = [place for name, places in self._numbers.items() if name not in live.series for place in places]
        said.places = [*range(len(BASE)), *nothing, *said.places]
        said.numbers = [*live.numbers[OWN : OWN + len(BASE)], *[0] * len(nothing), *said.numbers]
        said.others = dict(live.told or {})
        return said

    def bring_up(self, live: LiveNode, now: int, touched: Collection[str], said: Said) -> None:
        """Bring all values up to `now` after an event; what may differ from what was told goes to `said`."""
        if live.group:
            live.tell_other("kind", live.group, said)
            live.tell_other("traits", live.traits, said)
            return
        self.refresh(live, now, touched, said)
        live.tell(SESSIONS, sessions.count(live.sessions), said)
        if "orders" in touched:
            self._of_ledger(live, live.summary or _NO_SUMMARY, said)
        if live.traits:
            live.tell_other("traits", live.traits, said)
        if live.groups:
            live.tell_other("groups", list(live.groups), said)

    @staticmethod
    def _of_ledger(live: LiveNode, summary: Summary, said: Said) -> None:
        live.tell(FIRST_ORDER, summary.first, said)
        live.tell(LAST_ORDER, summary.last, said)
        live.tell(UNMATCHED, summary.unmatched, said)
        live.tell(OVER_REFUNDS, summary.over_refunds, said)
        live.tell(CHARGE_BACKS, summary.charge_backs, said)
        live.tell_other("top_products", dict(summary.top), said)

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
            asked = self._asked.get(name)
            if asked is not None:
                self._of_series(live, series, asked, now, said)
        return since

    def _of_series(self, live: LiveNode, series: Series, asked: _Asked, now: int, said: Said) -> None:
        counts, amounts, due, timer = series.look_all(now, asked.windows, live.phase)
        if asked.counts:
            said.places += asked.counts
            said.numbers += map(counts.__getitem__, asked.count_of)
        if asked.amounts:
            said.places += asked.amounts
            said.numbers += map(amounts.__getitem__, asked.amount_of)
        for made in asked.made:
            if made.of_totals is not None:
                live.tell_other(made.name, made.of_totals(counts[made.at], amounts[made.at]), said)
                continue
            change = self._of_cells(live, made, asked.windows, now, said)
            due = min(due, change)
            if made.at < len(asked.windows.all):  # a lifetime's never changes by time
                timer = min(timer, change + asked.windows.patience[made.at])
        series.due, series.timer = due, timer

    def _of_cells(self, live: LiveNode, made: _Made, windows: Windows, now: int, said: Said) -> int:
        """Tell a value that is made of cells; returns the moment at which it may change by time alone."""
        cells, combine = None if live.cells is None else live.cells.get(made.cells), made.aggregation.combine
        found, due = None, NEVER
        if cells is not None and made.at == len(windows.all):
            found = cells.total(combine)
        elif cells is not None:
            found, due = cells.look(now, windows.all[made.at], self._plan.exact_entries, live.phase, combine)
        live.tell_other(made.name, found, said)
        return due
