"""The values of a node: what it tells its profile, and the moments at which time alone changes them."""

import msgspec

from pipelines.features.node_state import UNSENT, LiveNode
from pipelines.features.plan import Ask, Plan
from pipelines.features.series import NEVER, Window
from pipelines.wire import Value


class _Asked(msgspec.Struct, frozen=True):
    """The values asked of one window of a series, and whether a rule reads one of them."""

    window: Window
    exact: bool
    values: list[tuple[str, bool]]


def _by_window(asks: list[Ask], plan: Plan) -> list[_Asked]:
    grouped: dict[Window, list[Ask]] = {}
    for ask in asks:
        if ask.window is not None:
            grouped.setdefault(ask.window, []).append(ask)
    return [
        _Asked(window, any(ask.name in plan.exact for ask in group), [(ask.name, ask.amount) for ask in group])
        for window, group in grouped.items()
    ]


class NodeValues:
    """Computes a node's values.

    Args:
        plan: compiled features.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._asked = {name: _by_window(asks, plan) for name, asks in plan.asks.items()}
        self._lifetime = {name: [(ask.name, ask.amount) for ask in asks if ask.window is None] for name, asks in plan.asks.items()}

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
                count, amount, change = series.look(now, asked.window, exact, phase)
                for value, is_amount in asked.values:
                    found = amount if is_amount else count
                    if values.get(value, UNSENT) != found:
                        values[value] = changed[value] = found
                if change < next_due:
                    next_due = change
                if not asked.exact:
                    change += refresh
                if change < next_timer:
                    next_timer = change
            count, amount = series.total()
            for value, is_amount in self._lifetime.get(name, ()):
                live.set(value, amount if is_amount else count, changed)
            dues[name], live.timers[name] = next_due, next_timer
        return since
