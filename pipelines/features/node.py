"""A node's fragment: everything one identifier has done, folded into a small state. Pure: stores and time come in as arguments.

The node owns this state for ever, whichever profile it belongs to; it tells its profile absolute values, so repeating or merging
is harmless.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from pipelines.features.documents import Told
from pipelines.features.ledger import Ledger, Store, Summary
from pipelines.features.plan import Ask, Plan
from pipelines.features.series import NEVER, Packed, Series, Window
from pipelines.features.sessions import Sessions
from pipelines.identity.nodes import phase_ms, profile_of
from pipelines.ingest.dedupe import Ids, IdStore, Seen, tell_again
from pipelines.ingest.traffic import Recent, Traffic
from pipelines.wire import Alias, Event, Join, Leave, Update, Value

FORMAT: Final = 3
_LINKS_REMEMBERED: Final = 256
LINKS_FLAG: Final = "limit:links"
"""On an event that links its node to more identifiers than a node remembers; `limit:` as in docs/features.md, "Limits"."""


class NodeState(msgspec.Struct, array_like=True):
    """What is persisted of a node on each event ("head"); the ledger and spilled ids lie apart.

    Attributes:
        format: version of this encoding; new fields go to the end with a default.
        tenant: owner.
        profile_id: profile it belongs to, `epoch` of that decision.
        seq: events applied so far.
        clock: newest log time or timer seen, ms.
        timer: earliest event-time timer outstanding, 0 if none.
        series: by name, packed.
        summary: the ledger's `Summary`, encoded.
        linked: node keys whose link to this one has been reported, encoded.
        plan: version of the plan by which the node last told its values; 0 before it ever did.
        recent: what traffic rules remember.
    """

    format: int
    tenant: str
    profile_id: str
    epoch: int
    seq: int = 0
    clock: int = 0
    timer: int = 0
    series: dict[str, Packed] = {}
    seen: Seen = msgspec.field(default_factory=Seen)
    sessions: Sessions = msgspec.field(default_factory=Sessions)
    summary: bytes = b""
    channels: dict[str, int] = {}
    first_seen: int | None = None
    last_seen: int | None = None
    late_events: int = 0
    linked: bytes = b""
    plan: int = 0
    recent: Recent = msgspec.field(default_factory=Recent)


class Live:
    """A decoded node with what is worth remembering between its events.

    Attributes:
        key: node key.
        state: the persisted part; what it holds packed is brought up to date when it is dumped.
        series: by name, unpacked.
        summary: of the ledger.
        linked: node keys whose link to this one has been reported.
        dirty: names of series that differ from the packed ones; with `orders` the summary does.
        ids: message ids seen.
        phase: tile phase, ms.
        values: values as last sent to the profile.
        due: series -> the earliest moment at which one of its values may change by time alone.
        timers: series -> the moment by which that has to be acted upon (at once for values that rules read, else within the refresh time).
    """

    __slots__ = ("dirty", "due", "ids", "key", "linked", "phase", "series", "state", "summary", "timers", "values")

    def __init__(self, key: str, state: NodeState, phase: int) -> None:
        self.key = key
        self.state = state
        self.series = {name: Series.unpacked(packed) for name, packed in state.series.items()}
        self.summary = _decode_summary(state.summary) if state.summary else Summary()
        self.linked: dict[str, None] = dict.fromkeys(_decode_names(state.linked)) if state.linked else {}
        self.dirty: set[str] = set()
        self.ids = Ids(state.seen)
        self.phase = phase
        self.values: dict[str, Value] = {}
        self.due: dict[str, int] = {}
        self.timers: dict[str, int] = {}

    def set(self, name: str, value: Value, changed: dict[str, Value]) -> None:
        """Note a value, and in `changed` if it differs from what was sent."""
        if self.values.get(name, _UNSENT) != value:
            self.values[name] = changed[name] = value


class Stores(msgspec.Struct, frozen=True):
    """Where a node's larger parts lie."""

    ledger: Store
    ids: IdStore


class Applied(msgspec.Struct):
    """An event took effect.

    Attributes:
        update: what the profile has to know.
        links: pairs of node keys seen together for the first time, stronger first.
    """

    update: Update
    links: list[tuple[str, str]]


class Duplicate(msgspec.Struct, frozen=True):
    """The event repeats one that was applied: `reason` is `message_id` or `business_key`."""

    reason: str


class Conflict(msgspec.Struct):
    """The event has the message id of another one."""


_decode_state = msgspec.msgpack.Decoder(NodeState).decode
_decode_summary = msgspec.msgpack.Decoder(Summary).decode
_decode_names = msgspec.msgpack.Decoder(list[str]).decode
_encode = msgspec.msgpack.Encoder().encode


class NodeLogic:
    """The rules by which a node changes.

    Args:
        plan: compiled features.
        dedupe_ms: how long message ids are remembered at least.
        lateness_ms: how late an event may be and still count.
        traffic: tells what nobody meant.
        units: minor units in a major one, by tenant.
    """

    def __init__(self, plan: Plan, dedupe_ms: int, lateness_ms: int, traffic: Traffic, units: Mapping[str, int]) -> None:
        self._plan = plan
        self._traffic = traffic
        self._units = units
        self._dedupe_ms = dedupe_ms
        self._lateness_ms = lateness_ms
        self._asked = {name: _by_window(asks, plan) for name, asks in plan.asks.items()}
        self._lifetime = {name: [(ask.name, ask.amount) for ask in asks if ask.window is None] for name, asks in plan.asks.items()}

    def load(self, key: str, tenant: str, blob: bytes | None) -> Live:
        """Decode a node, or begin it.

        Args:
            key: node key.
            tenant: owner.
            blob: persisted state, None for a node never seen.
        """
        state = NodeState(FORMAT, tenant, profile_of(key), 0) if blob is None else _decode_state(blob)
        live = Live(key, state, phase_ms(key, self._plan.longest_hop_ms))
        if blob is not None:
            # What was sent is what the state said at its clock: no need to persist it.
            self._bring_up(live, state.clock, list(live.series), {})
        return live

    def dump(self, live: Live) -> bytes:
        """Encode a node's state."""
        if live.dirty:
            for name in live.dirty:
                live.state.series[name] = live.series[name].packed()
            if "orders" in live.dirty:
                live.state.summary = _encode(live.summary)
            live.dirty.clear()
        return _encode(live.state)

    def apply(self, live: Live, event: Event, watermark: int, stores: Stores) -> Applied | Duplicate | Conflict:
        """Apply an event to its node.

        Args:
            live: the node.
            event: an event of this node; gets the flags of what is noticed here.
            watermark: nothing with an older log time can come any more, ms.
            stores: ledger and spilled ids of this node.
        """
        state = live.state
        known = live.ids.find(event.id_hash, stores.ids)
        if known is not None:
            return _BY_MESSAGE_ID if known == event.fingerprint else Conflict()
        if event.business_key and tell_again(stores.ledger, event.business_key, event.business_content):
            return _BY_BUSINESS_KEY
        state.clock = max(state.clock, event.log_time)
        live.ids.remember(event.id_hash, event.fingerprint, event.log_time, watermark - self._dedupe_ms, stores.ids)
        state.seq += 1
        touched: list[str] = []
        if event.late:
            state.late_events += 1
        elif not self._caught(state.recent, event):
            touched = self._count(live, event, watermark, stores)
        changed: dict[str, Value] = {}
        self._bring_up(live, state.clock, touched, changed)
        changed = self._all_if_new(live, changed)
        update = Update(state.profile_id, live.key, state.tenant, state.seq, state.clock, event.message_id, state.clock, changed)
        return Applied(update, self._new_links(live, event))

    def tick(self, live: Live, now: int) -> Update | None:
        """Let time pass: a timer has fired.

        Args:
            live: the node.
            now: the timer's moment, ms.

        Returns:
            The values that have fallen, or None when none has.
        """
        state = live.state
        if state.timer <= now:
            state.timer = 0
        state.clock = max(state.clock, now)
        changed: dict[str, Value] = {}
        since = self._refresh(live, state.clock, [], changed)
        changed = self._all_if_new(live, changed)
        if not changed:
            return None
        return Update(state.profile_id, live.key, state.tenant, state.seq, state.clock, "", since, changed)

    def alias(self, live: Live, alias: Alias, now: int) -> tuple[Leave | None, Join] | None:
        """Move to another profile when the resolver says so.

        Args:
            live: the node.
            alias: the resolver's word.
            now: the watermark, ms: the values that go along are true for it.

        Returns:
            What to tell the old profile (None when there is none to tell) and the new one; None when the word is old.
        """
        state = live.state
        if alias.epoch <= state.epoch:
            return None
        state.clock = max(state.clock, now)
        self._refresh(live, state.clock, [], {})
        leave = None
        if state.profile_id != alias.profile_id:
            leave = Leave(live.key, state.tenant, alias.epoch, alias.profile_id, state.clock)
        state.profile_id, state.epoch = alias.profile_id, alias.epoch
        update = Update(state.profile_id, live.key, state.tenant, state.seq, state.clock, "", state.clock, dict(live.values))
        return leave, Join(update, alias.epoch)

    def poke(self, live: Live, now: int) -> Update:
        """Tell all values, at watermark `now` (ms), because definitions have changed; timers follow from the next `next_timer`."""
        state = live.state
        state.clock, state.plan = max(state.clock, now), self._plan.version
        self._refresh(live, state.clock, [], {})
        values = dict(live.values)
        return Update(state.profile_id, live.key, state.tenant, state.seq, state.clock, "", state.clock, values, is_asked=True)

    def _all_if_new(self, live: Live, changed: dict[str, Value]) -> dict[str, Value]:
        """What to tell: all values when the node last spoke by another plan, which had others, else those that changed."""
        if live.state.plan == self._plan.version:
            return changed
        live.state.plan = self._plan.version
        return dict(live.values)

    def next_timer(self, live: Live) -> int | None:
        """The moment for which a timer has to be set now, or None when the outstanding one will do. Marks it as set."""
        due = min(live.timers.values(), default=NEVER)
        state = live.state
        if due >= NEVER or (state.timer and state.timer <= due):
            return None
        state.timer = due
        return due

    def _caught(self, recent: Recent, event: Event) -> bool:
        """Flag what a traffic rule catches; whether the rule keeps it out of the features."""
        if event.facts is not None:
            return False
        rule = self._traffic.caught_by(recent, event.name, event.target, event.event_time)
        if rule is None:
            return False
        event.flags = [*event.flags, rule.name]
        return rule.exclude

    def _count(self, live: Live, event: Event, watermark: int, stores: Stores) -> list[str]:
        """Fold an event into series, ledger, sessions and counters; returns the series it touched."""
        plan, state, time = self._plan, live.state, event.event_time
        touched = [*plan.by_event.get(event.name, ()), *plan.by_type.get(event.type, ())]
        for name in touched:
            _series(live, name, counting=True).add(time, 1, 0)
        if event.facts is not None:
            ledger = Ledger(stores.ledger, live.summary, _series(live, "orders"), _series(live, "refunds"), self._units[state.tenant])
            position = (event.log_time, event.source, event.partition, event.offset)
            applied = ledger.apply(event.facts, Told(time, position, event.origin_log, event.origin_order))
            if applied.changed:
                touched += ["orders", "refunds"]
            event.flags = [*event.flags, *applied.flags]
        live.dirty.update(touched)
        for name in touched:
            live.series[name].thin(state.clock, plan.windows, plan.exact_entries, live.phase)
        state.sessions.add(time, plan.session_gap_ms, watermark - self._lateness_ms)
        state.channels[event.channel] = state.channels.get(event.channel, 0) + 1
        if state.first_seen is None or time < state.first_seen:
            state.first_seen = time
        if state.last_seen is None or time > state.last_seen:
            state.last_seen = time
        return touched

    def _new_links(self, live: Live, event: Event) -> list[tuple[str, str]]:
        linked = live.linked
        fresh = [other for other in event.identifiers[1:] if other not in linked]
        if fresh:  # beyond the bound links are reported again, which changes nothing downstream
            linked.update(dict.fromkeys(fresh))
            if len(linked) > _LINKS_REMEMBERED:
                event.flags = [*event.flags, LINKS_FLAG]
            while len(linked) > _LINKS_REMEMBERED:
                del linked[next(iter(linked))]
            live.state.linked = _encode(list(linked))
        return [(event.node, other) for other in fresh]

    def _bring_up(self, live: Live, now: int, touched: list[str], changed: dict[str, Value]) -> None:
        """Bring all values up to `now` after an event; what differs from what was sent goes to `changed`."""
        self._refresh(live, now, touched, changed)
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

    def _refresh(self, live: Live, now: int, touched: list[str], changed: dict[str, Value]) -> int:
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
                    if values.get(value, _UNSENT) != found:
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


_UNSENT: Final = object()
_BY_MESSAGE_ID: Final = Duplicate("message_id")
_BY_BUSINESS_KEY: Final = Duplicate("business_key")


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


def _series(live: Live, name: str, *, counting: bool = False) -> Series:
    series = live.series.get(name)
    if series is None:
        series = live.series[name] = Series.empty(counting=counting)
    return series
