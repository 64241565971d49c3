"""A node's fragment: everything one identifier has done, folded into a small state. Pure: stores and time come in as arguments.

The node owns this state for ever, whichever profile it belongs to; it tells its profile absolute values, so repeating or merging
is harmless.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from config.traits import Traits
from pipelines.features.cells import Cells
from pipelines.features.combine import all_groups
from pipelines.features.ledger import LIMIT, Ledger, Store
from pipelines.features.node_state import FORMAT, LiveNode, NodeState, decode, encode
from pipelines.features.node_values import NodeValues, cells_key
from pipelines.features.plan import Plan
from pipelines.features.series import NEVER
from pipelines.identity.link_log import ALIAS, SEEN, Rule
from pipelines.identity.nodes import phase_ms, profile_of, split
from pipelines.ingest.dedupe import BY_BUSINESS_KEY, BY_MESSAGE_ID, Conflict, Duplicate, IdStore, tell_again
from pipelines.ingest.told_traits import TRAITS_FLAG
from pipelines.ingest.traffic import Recent, Traffic
from pipelines.traits.claims import MAX_PACKED, bounded, claims_of, merged, pack, unpack
from pipelines.wire import Alias, Event, Fact, Give, Join, Leave, Membership, Told, Update, Value, Word
from schemas import json_text

_LINKS_REMEMBERED: Final = 256
_MONEY: Final = ("orders", "refunds")
"""Series that the ledger keeps."""
MAX_GROUPS: Final = 50
LIMIT_AMOUNTS: Final = LIMIT + "amounts"
"""On an event that made no entry in a series whose sum would leave 64 bits."""
LINKS_FLAG: Final = "limit:links"
"""On an event that links its node to more identifiers than a node remembers; `limit:` as in docs/features.md, "Limits"."""


class Stores(msgspec.Struct, frozen=True):
    """Where a node's larger parts lie."""

    ledger: Store
    ids: IdStore


class Applied(msgspec.Struct):
    """An event took effect.

    Attributes:
        update: what the profile has to know.
        links: pairs of node keys seen together for the first time, stronger first, and every pair that the event states to be one; with the
            rule by which they are linked.
    """

    update: Update
    links: list[tuple[str, str, Rule]]


class NodeLogic:
    """The rules by which a node changes.

    Args:
        plan: compiled features.
        dedupe_ms: how long message ids are remembered at least.
        lateness_ms: how late an event may be and still count.
        traffic: tells what nobody meant.
        units: minor units in a major one, by tenant.
        traits: which traits have a rule of their own.
    """

    def __init__(
        self, plan: Plan, dedupe_ms: int, lateness_ms: int, traffic: Traffic, units: Mapping[str, int], traits: Traits | None = None
    ) -> None:
        self._plan = plan
        self._traffic = traffic
        self._units = units
        self._listed = {tenant: (traits or Traits()).listed(tenant) for tenant in units}
        self._dedupe_ms = dedupe_ms
        self._lateness_ms = lateness_ms
        self._values = NodeValues(plan)
        self._cells = {cells_key(series, one.name) for series, found in plan.cells.items() for one in found}

    def load(self, key: str, tenant: str, blob: bytes | None) -> LiveNode:
        """Decode a node, or begin it.

        Args:
            key: node key.
            tenant: owner.
            blob: persisted state, None for a node never seen.
        """
        state = NodeState(FORMAT, tenant, profile_of(key), 0) if blob is None else decode(blob)
        self._forget_what_nobody_asks(state)
        live = LiveNode(key, state, phase_ms(key, self._plan.longest_hop_ms))
        if blob is not None:
            # What was sent is what the state said at its clock: no need to persist it.
            self._values.bring_up(live, state.clock, list(live.series), {})
        return live

    def _forget_what_nobody_asks(self, state: NodeState) -> None:
        """Cells, and series with values, of which definitions speak no more: they would have holes if they were asked for again."""
        if state.cells:
            state.cells = {key: packed for key, packed in state.cells.items() if key in self._cells}
        if any("#" in name and name not in self._plan.asks for name in state.series):
            state.series = {name: packed for name, packed in state.series.items() if "#" not in name or name in self._plan.asks}

    def dump(self, live: LiveNode) -> bytes:
        """Encode a node's state."""
        return live.pack()

    def apply(self, live: LiveNode, event: Event, watermark: int, stores: Stores) -> Applied | Duplicate | Conflict:
        """Apply an event to its node.

        Args:
            live: the node.
            event: an event of this node; gets the flags of what is noticed here.
            watermark: nothing with an older log time can come any more, ms.
            stores: ledger and spilled ids of this node.
        """
        state = live.state
        if not event.object and not event.group:  # else it has passed the gate of its object or group
            known = live.ids.find(event.id_hash, stores.ids)
            if known is not None:
                return BY_MESSAGE_ID if known == event.fingerprint else Conflict()
            if event.business_key and tell_again(stores.ledger, event.business_key, event.business_content):
                return BY_BUSINESS_KEY
            live.ids.remember(event.id_hash, event.fingerprint, event.log_time, watermark - self._dedupe_ms, stores.ids)
        state.clock = max(state.clock, event.log_time)
        state.seq += 1
        touched: list[str] = []
        if event.late:
            state.late_events += 1
        elif not self._caught(state.recent, event):
            touched = self._count(live, event, watermark, stores)
        changed: dict[str, Value] = {}
        self._values.bring_up(live, state.clock, touched, changed)
        update = self._update(live, self._all_if_new(live, changed), event.message_id, watermark)
        return Applied(update, self._new_links(live, event))

    def join_group(self, live: LiveNode, call: Membership, watermark: int, store: Store) -> Update:
        """Take a `group` call: this node is the group's.

        Args:
            live: the node.
            call: what it says; told once.
            watermark: nothing with an older log time can come any more, ms.
            store: of this node's members.
        """
        state = live.state
        state.group = split(live.key)[1]
        state.clock = max(state.clock, call.told.position[0])
        state.seq += 1
        self._seen(state, call.told.time)
        member = f"m:{call.member}"
        if store.get(member) is None:
            store.put(member, b"")
            state.members += 1
        self._tell(state, call.words, call.origin, call.told)
        changed: dict[str, Value] = {}
        self._values.bring_up(live, state.clock, [], changed)
        return self._update(live, self._all_if_new(live, changed), call.message_id, watermark)

    def _tell(self, state: NodeState, words: Sequence[Word], source: str, told: Told) -> bool:
        """Note what a call says by its traits; whether all of it could be kept."""
        if not words:
            return True
        both = merged((unpack(state.traits), claims_of(words, source, told)))
        kept, is_cut = bounded(both, self._listed[state.tenant])
        packed = pack(kept)
        if len(packed) > MAX_PACKED and len(packed) > len(state.traits):
            return False
        state.traits = packed
        return not is_cut

    @staticmethod
    def _seen(state: NodeState, time: int) -> None:
        if state.first_seen is None or time < state.first_seen:
            state.first_seen = time
        if state.last_seen is None or time > state.last_seen:
            state.last_seen = time

    def fact(self, live: LiveNode, fact: Fact, watermark: int, store: Store) -> Update:
        """Count what an object of this node has been told by others.

        Args:
            live: the node.
            fact: the object's word.
            watermark: nothing with an older log time can come any more, ms.
            store: the ledger of this node.
        """
        ledger, changed = self._ledger(live, store), False
        for telling in fact.tellings:
            changed |= ledger.apply(telling.facts, telling.told, fact.object).changed
        return self._moved(live, fact, watermark, changed=changed)

    def give(self, live: LiveNode, give: Give, watermark: int, store: Store) -> Update:
        """Documents are another node's from now on; see `fact`."""
        changed = self._ledger(live, store).forget(give.orders, give.refunds, give.object)
        return self._moved(live, give, watermark, changed=changed)

    def _moved(self, live: LiveNode, word: Fact | Give, watermark: int, *, changed: bool) -> Update:
        state, plan = live.state, self._plan
        state.clock, state.hold = max(state.clock, word.log_time), max(state.hold, word.hold)
        touched = [*_MONEY] if changed else []
        live.dirty.update(touched)
        for name in touched:
            live.series[name].thin(state.clock, plan.windows, plan.exact_entries, live.phase)
        values: dict[str, Value] = {}
        self._values.bring_up(live, state.clock, touched, values)
        return self._update(live, self._all_if_new(live, values), word.message_id, watermark)

    @staticmethod
    def _update(live: LiveNode, values: dict[str, Value], message_id: str, watermark: int) -> Update:
        state = live.state
        hold = state.hold if state.hold > watermark else 0
        return Update(state.profile_id, live.key, state.tenant, state.seq, state.clock, message_id, state.clock, values, hold=hold)

    def _ledger(self, live: LiveNode, store: Store) -> Ledger:
        return Ledger(store, live.summary, live.series_of("orders"), live.series_of("refunds"), self._units[live.state.tenant])

    def tick(self, live: LiveNode, now: int) -> Update | None:
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
        since = self._values.refresh(live, state.clock, [], changed)
        changed = self._all_if_new(live, changed)
        if not changed:
            return None
        return Update(state.profile_id, live.key, state.tenant, state.seq, state.clock, "", since, changed)

    def alias(self, live: LiveNode, alias: Alias, now: int) -> tuple[Leave | None, Join] | None:
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
        self._values.refresh(live, state.clock, [], {})
        leave = None
        if state.profile_id != alias.profile_id:
            leave = Leave(live.key, state.tenant, alias.epoch, alias.profile_id, state.clock)
        state.profile_id, state.epoch = alias.profile_id, alias.epoch
        return leave, Join(self._update(live, dict(live.values), "", now), alias.epoch)

    def poke(self, live: LiveNode, now: int) -> Update:
        """Tell all values, at watermark `now` (ms), because definitions have changed; timers follow from the next `next_timer`."""
        state = live.state
        state.clock, state.plan = max(state.clock, now), self._plan.version
        self._values.refresh(live, state.clock, [], {})
        values = dict(live.values)
        return Update(state.profile_id, live.key, state.tenant, state.seq, state.clock, "", state.clock, values, is_asked=True)

    def _all_if_new(self, live: LiveNode, changed: dict[str, Value]) -> dict[str, Value]:
        """What to tell: all values when the node last spoke by another plan, which had others, else those that changed."""
        if live.state.plan == self._plan.version:
            return changed
        live.state.plan = self._plan.version
        return dict(live.values)

    def next_timer(self, live: LiveNode) -> int | None:
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

    def _count(self, live: LiveNode, event: Event, watermark: int, stores: Stores) -> list[str]:
        """Fold an event into series, ledger, sessions and counters; returns the series it touched."""
        plan, state, time = self._plan, live.state, event.event_time
        touched = self._feed(live, event)
        if event.facts is not None and event.is_owner:
            applied = self._ledger(live, stores.ledger).apply(event.facts, event.told, event.object)
            if applied.changed:
                touched += _MONEY
            event.flags = [*event.flags, *applied.flags]
        live.dirty.update(touched)
        for name in touched:
            live.series[name].thin(state.clock, plan.windows, plan.exact_entries, live.phase)
            for aggregation in plan.cells.get(name, ()):
                cells = live.cells.setdefault(cells_key(name, aggregation.name), Cells())
                cells.thin(state.clock, plan.windows, plan.exact_entries, live.phase, aggregation.combine)
        state.sessions.add(time, plan.session_gap_ms, watermark - self._lateness_ms)
        state.channels[event.channel] = state.channels.get(event.channel, 0) + 1
        self._seen(state, time)
        if event.words and not event.group and not self._tell(state, event.words, event.origin, event.told):
            event.flags = [*dict.fromkeys([*event.flags, TRAITS_FLAG])]
        if event.group and not _enter(state, event.group, time):
            event.flags = [*event.flags, TRAITS_FLAG]
        return touched

    def _feed(self, live: LiveNode, event: Event) -> list[str]:
        """Make the entries of an event; returns the series that got one."""
        touched: list[str] = []
        properties: dict[str, Any] | None = None
        for feed in (*self._plan.by_event.get(event.name, ()), *self._plan.by_type.get(event.type, ())):
            value: Any = 0
            if not feed.is_plain:
                properties = json_text.read_object(event.properties) if properties is None else properties
                value = feed.value(properties)
                if value is None:
                    continue
            series = live.series_of(feed.series, counting=not feed.is_number)
            if not series.add(event.event_time, 1, value if feed.is_number else 0):
                event.flags = [*dict.fromkeys([*event.flags, LIMIT_AMOUNTS])]
                continue
            for aggregation in feed.cells:
                cells = live.cells.setdefault(cells_key(feed.series, aggregation.name), Cells())
                cells.add(event.event_time, aggregation.lift(event.event_time, value), aggregation.combine)
            touched.append(feed.series)
        return touched

    def _new_links(self, live: LiveNode, event: Event) -> list[tuple[str, str, Rule]]:
        linked = live.linked
        stated = event.stated
        fresh = [other for other in event.identifiers[1:] if other not in linked and other not in stated]
        if fresh:  # beyond the bound links are reported again, which changes nothing downstream
            linked.update(dict.fromkeys(fresh))
            if len(linked) > _LINKS_REMEMBERED:
                event.flags = [*event.flags, LINKS_FLAG]
            while len(linked) > _LINKS_REMEMBERED:
                del linked[next(iter(linked))]
            live.state.linked = encode(list(linked))
        links: list[tuple[str, str, Rule]] = [(event.node, other, SEEN) for other in fresh]
        # Whoever states it anew may want to take back what was unbound since.
        return links + [(event.node, other, ALIAS) for other in stated]


def _enter(state: NodeState, group: str, time: int) -> bool:
    """Note that somebody is in a group; whether there was room for all."""
    groups = all_groups((state.groups, [(group, time)]))
    state.groups = sorted(sorted(groups, key=lambda entry: (entry[1], entry[0]))[-MAX_GROUPS:])
    return len(groups) <= MAX_GROUPS
