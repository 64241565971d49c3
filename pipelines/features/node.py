"""A node's fragment: everything one identifier has done, folded into a small state. Pure: stores and time come in as arguments.

The node owns this state for ever, whichever profile it belongs to; it tells its profile absolute values, so repeating or merging
is harmless.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from config.traits import Traits
from pipelines.features import sessions
from pipelines.features.combine import all_groups
from pipelines.features.layout import CHANNEL_PLACES, FIRST_SEEN, LAST_SEEN, LATE, MEMBERS, UNKNOWN
from pipelines.features.ledger import LIMIT, Ledger, Store, Summary
from pipelines.features.node_state import CLOCK, EPOCH, HOLD, OWN, PLAN, SEQ, TIMER, LiveNode, Said, unpacked
from pipelines.features.node_values import NodeValues, cells_key
from pipelines.features.plan import Plan
from pipelines.features.series import NEVER
from pipelines.identity.link_log import ALIAS, SEEN, Rule
from pipelines.identity.nodes import phase_ms, profile_of, split
from pipelines.ingest.dedupe import BY_BUSINESS_KEY, BY_MESSAGE_ID, Conflict, Duplicate, IdStore, tell_again
from pipelines.ingest.told_traits import TRAITS_FLAG
from pipelines.ingest.traffic import Traffic
from pipelines.traits.claims import MAX_PACKED, bounded, claims_of, merged, pack, unpack
from pipelines.wire import Alias, Event, Fact, Give, Join, Leave, Membership, Told, Update, Word
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
        phase = phase_ms(key, self._plan.longest_hop_ms)
        if blob is None:
            return LiveNode(key, tenant, profile_of(key), phase)
        live = unpacked(key, blob, phase)
        self._forget_what_nobody_asks(live)
        # What was sent is what the state said at its clock: no need to persist it.
        self._values.bring_up(live, live.numbers[CLOCK], live.series, Said())
        return live

    def _forget_what_nobody_asks(self, live: LiveNode) -> None:
        """Cells, and series with values, of which definitions speak no more: they would have holes if they were asked for again."""
        if live.cells:
            live.cells = {key: cells for key, cells in live.cells.items() if key in self._cells} or None
        if any("#" in name and name not in self._plan.asks for name in live.series):
            live.series = {name: series for name, series in live.series.items() if "#" not in name or name in self._plan.asks}

    @staticmethod
    def dump(live: LiveNode) -> bytes:
        """Encode a node's state."""
        return live.packed()

    def apply(self, live: LiveNode, event: Event, watermark: int, stores: Stores) -> Applied | Duplicate | Conflict:
        """Apply an event to its node.

        Args:
            live: the node.
            event: an event of this node; gets the flags of what is noticed here.
            watermark: nothing with an older log time can come any more, ms.
            stores: ledger and spilled ids of this node.
        """
        numbers = live.numbers
        if not event.object and not event.group:  # else it has passed the gate of its object or group
            known = live.seen.find(event.id_hash, stores.ids)
            if known is not None:
                return BY_MESSAGE_ID if known == event.fingerprint else Conflict()
            if event.business_key and tell_again(stores.ledger, event.business_key, event.business_content):
                return BY_BUSINESS_KEY
            live.seen.remember(event.id_hash, event.fingerprint, event.log_time, watermark - self._dedupe_ms, stores.ids)
        if numbers[CLOCK] < event.log_time:
            numbers[CLOCK] = event.log_time
        numbers[SEQ] += 1
        touched: list[str] = []
        said = Said()
        if event.late:
            live.tell(LATE, numbers[OWN + LATE] + 1, said)
        elif not self._caught(live, event):
            touched = self._count(live, event, watermark, stores, said)
        self._values.bring_up(live, numbers[CLOCK], touched, said)
        update = self._update(live, self._all_if_new(live, said), event.message_id, watermark)
        return Applied(update, self._new_links(live, event))

    def join_group(self, live: LiveNode, call: Membership, watermark: int, store: Store) -> Update:
        """Take a `group` call: this node is the group's.

        Args:
            live: the node.
            call: what it says; told once.
            watermark: nothing with an older log time can come any more, ms.
            store: of this node's members.
        """
        said = Said()
        live.group = split(live.key)[1]
        live.numbers[CLOCK] = max(live.numbers[CLOCK], call.told.position[0])
        live.numbers[SEQ] += 1
        self._see(live, call.told.time, said)
        member = f"m:{call.member}"
        if store.get(member) is None:
            store.put(member, b"")
            live.tell(MEMBERS, live.numbers[OWN + MEMBERS] + 1, said)
        self._tell(live, call.words, call.origin, call.told)
        self._values.bring_up(live, live.numbers[CLOCK], (), said)
        return self._update(live, self._all_if_new(live, said), call.message_id, watermark)

    def _tell(self, live: LiveNode, words: Sequence[Word], source: str, told: Told) -> bool:
        """Note what a call says by its traits; whether all of it could be kept."""
        if not words:
            return True
        both = merged((unpack(live.traits), claims_of(words, source, told)))
        kept, is_cut = bounded(both, self._listed[live.tenant])
        packed = pack(kept)
        if len(packed) > MAX_PACKED and len(packed) > len(live.traits):
            return False
        live.traits = packed
        return not is_cut

    @staticmethod
    def _see(live: LiveNode, time: int, said: Said) -> None:
        first, last = live.numbers[OWN + FIRST_SEEN], live.numbers[OWN + LAST_SEEN]
        if time < first or first == UNKNOWN:
            live.tell(FIRST_SEEN, time, said)
        if time > last:  # than nothing is every time greater
            live.tell(LAST_SEEN, time, said)

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
        plan, numbers = self._plan, live.numbers
        numbers[CLOCK], numbers[HOLD] = max(numbers[CLOCK], word.log_time), max(numbers[HOLD], word.hold)
        touched = _MONEY if changed else ()
        for name in touched:
            live.series[name].thin(numbers[CLOCK], plan.windows, plan.exact_entries, live.phase)
        said = Said()
        self._values.bring_up(live, numbers[CLOCK], touched, said)
        return self._update(live, self._all_if_new(live, said), word.message_id, watermark)

    @staticmethod
    def _update(live: LiveNode, said: Said, message_id: str, watermark: int) -> Update:
        numbers = live.numbers
        hold, clock = numbers[HOLD], numbers[CLOCK]
        return Update(
            *(live.profile_id, live.key, live.tenant, numbers[SEQ], clock, message_id, clock, said.places, said.numbers, said.others),
            hold=hold if hold > watermark else 0,
        )

    def _ledger(self, live: LiveNode, store: Store) -> Ledger:
        if live.summary is None:
            live.summary = Summary()
        return Ledger(store, live.summary, live.series_of("orders"), live.series_of("refunds"), self._units[live.tenant])

    def tick(self, live: LiveNode, now: int) -> Update | None:
        """Let time pass: a timer has fired.

        Args:
            live: the node.
            now: the timer's moment, ms.

        Returns:
            The values that have fallen, or None when none has.
        """
        numbers = live.numbers
        if numbers[TIMER] <= now:
            numbers[TIMER] = 0
        numbers[CLOCK] = max(numbers[CLOCK], now)
        said = Said()
        since = self._values.refresh(live, numbers[CLOCK], (), said)
        said = self._all_if_new(live, said)
        if not said:
            return None
        clock = numbers[CLOCK]
        return Update(live.profile_id, live.key, live.tenant, numbers[SEQ], clock, "", since, said.places, said.numbers, said.others)

    def alias(self, live: LiveNode, alias: Alias, now: int) -> tuple[Leave | None, Join] | None:
        """Move to another profile when the resolver says so.

        Args:
            live: the node.
            alias: the resolver's word.
            now: the watermark, ms: the values that go along are true for it.

        Returns:
            What to tell the old profile (None when there is none to tell) and the new one; None when the word is old.
        """
        numbers = live.numbers
        if alias.epoch <= numbers[EPOCH]:
            return None
        numbers[CLOCK] = max(numbers[CLOCK], now)
        leave = None
        if live.profile_id != alias.profile_id:
            leave = Leave(live.key, live.tenant, alias.epoch, alias.profile_id, numbers[CLOCK])
        live.profile_id, numbers[EPOCH] = alias.profile_id, alias.epoch
        return leave, Join(self._update(live, self._values.all(live, numbers[CLOCK]), "", now), alias.epoch)

    def poke(self, live: LiveNode, now: int) -> Update:
        """Tell all values, at watermark `now` (ms), because definitions have changed; timers follow from the next `next_timer`."""
        numbers = live.numbers
        clock = numbers[CLOCK] = max(numbers[CLOCK], now)
        numbers[PLAN] = self._plan.version
        said = self._values.all(live, clock)
        return Update(
            live.profile_id, live.key, live.tenant, numbers[SEQ], clock, "", clock, said.places, said.numbers, said.others, is_asked=True
        )

    def _all_if_new(self, live: LiveNode, said: Said) -> Said:
        """What to tell: all values when the node last spoke by another plan, which had others, else those that changed."""
        if live.numbers[PLAN] == self._plan.version:
            return said
        live.numbers[PLAN] = self._plan.version
        return self._values.all(live, live.numbers[CLOCK])

    @staticmethod
    def next_timer(live: LiveNode) -> int | None:
        """The moment for which a timer has to be set now, or None when the outstanding one will do. Marks it as set."""
        due = NEVER
        for series in live.series.values():
            if series.timer < due:
                due = series.timer
        outstanding = live.numbers[TIMER]
        if due >= NEVER or 0 < outstanding <= due:
            return None
        live.numbers[TIMER] = due
        return due

    def _caught(self, live: LiveNode, event: Event) -> bool:
        """Flag what a traffic rule catches; whether the rule keeps it out of the features."""
        if event.facts is not None:
            return False
        rule = self._traffic.caught_by(live.recent, event.name, event.target, event.event_time)
        if rule is None:
            return False
        event.flags = [*event.flags, rule.name]
        return rule.exclude

    def _count(self, live: LiveNode, event: Event, watermark: int, stores: Stores, said: Said) -> list[str]:
        """Fold an event into series, ledger, sessions and counters; returns the series it touched."""
        plan, clock, time = self._plan, live.numbers[CLOCK], event.event_time
        touched = self._feed(live, event)
        if event.facts is not None and event.is_owner:
            applied = self._ledger(live, stores.ledger).apply(event.facts, event.told, event.object)
            if applied.changed:
                touched += _MONEY
            event.flags = [*event.flags, *applied.flags]
        for name in touched:
            live.series[name].thin(clock, plan.windows, plan.exact_entries, live.phase)
            for aggregation in plan.cells.get(name, ()):
                live.cells_of(cells_key(name, aggregation.name)).thin(
                    clock, plan.windows, plan.exact_entries, live.phase, aggregation.combine
                )
        sessions.add(live.sessions, time, plan.session_gap_ms, watermark - self._lateness_ms)
        channel = CHANNEL_PLACES[event.channel]
        live.tell(channel, live.numbers[OWN + channel] + 1, said)
        self._see(live, time, said)
        if event.words and not event.group and not self._tell(live, event.words, event.origin, event.told):
            event.flags = [*dict.fromkeys([*event.flags, TRAITS_FLAG])]
        if event.group and not _enter(live, event.group, time):
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
                cells = live.cells_of(cells_key(feed.series, aggregation.name))
                cells.add(event.event_time, aggregation.lift(event.event_time, value), aggregation.combine)
            touched.append(feed.series)
        return touched

    def _new_links(self, live: LiveNode, event: Event) -> list[tuple[str, str, Rule]]:
        linked = live.linked
        stated = event.stated
        fresh = [other for other in event.identifiers[1:] if other not in linked and other not in stated]
        if fresh:  # beyond the bound links are reported again, which changes nothing downstream
            linked = live.linked = (*linked, *fresh)
            if len(linked) > _LINKS_REMEMBERED:
                event.flags = [*event.flags, LINKS_FLAG]
                live.linked = linked[-_LINKS_REMEMBERED:]
        links: list[tuple[str, str, Rule]] = [(event.node, other, SEEN) for other in fresh]
        # Whoever states it anew may want to take back what was unbound since.
        return links + [(event.node, other, ALIAS) for other in stated]


def _enter(live: LiveNode, group: str, time: int) -> bool:
    """Note that somebody is in a group; whether there was room for all."""
    groups = all_groups((live.groups, [(group, time)]))
    live.groups = sorted(sorted(groups, key=lambda entry: (entry[1], entry[0]))[-MAX_GROUPS:])
    return len(groups) <= MAX_GROUPS
