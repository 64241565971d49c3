"""Flink operators of the feature stage: `node` owns fragments, `profile` combines and publishes them.

Both keep decoded objects in a bounded cache in front of the keyed state and write through on each change, so a restart loses nothing.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from pyflink.common import Row, Types
from pyflink.datastream import KeyedBroadcastProcessFunction, KeyedProcessFunction, OutputTag, RuntimeContext
from pyflink.datastream.state import MapStateDescriptor, ValueStateDescriptor

from config.definitions import CutPoints, Definitions
from config.platform import Platform
from config.traffic import TrafficRule
from pipelines import control
from pipelines.audiences.rules import RuleBook
from pipelines.features import node, profile
from pipelines.features.cache import Cache, collect_seldom
from pipelines.features.layout import History
from pipelines.features.ledger import LIMIT
from pipelines.features.node_state import LiveNode
from pipelines.features.plan import compile_plan
from pipelines.features.profile_state import LiveProfile
from pipelines.identity.nodes import split
from pipelines.ingest.dedupe import Conflict, Duplicate
from pipelines.ingest.records import conflict_record, duplicate_record, event_record, link_record, rejected_record
from pipelines.ingest.traffic import Traffic
from pipelines.operators import (
    DUPLICATES,
    EVENTS,
    LINKS,
    RECORD,
    REJECTED,
    MapIds,
    MapRecords,
    Out,
    attempt_number,
    is_first_subtask,
    require_thread_mode,
)
from pipelines.wire import Alias, Fact, Give, Join, Membership, NodeInput, ProfileInput, Rejected, Roster, Update
from schemas import clean, json_text

NODES_CACHED: Final = 50_000
PROFILES_CACHED: Final = 50_000


class NodeFunction(KeyedProcessFunction):
    """Rows `(node, event or word)` to rows `(profile, update)`; side outputs `events`, `duplicates`, `rejected`, `links`.

    Args:
        definitions: features and rules as of submission.
        platform: tenants and limits.
        traffic: rules that tell what nobody meant.
        layouts: those that have been in force, the present one last.
    """

    def __init__(self, definitions: Definitions, platform: Platform, traffic: list[TrafficRule], layouts: History) -> None:
        self._definitions, self._layouts = definitions, layouts
        self._limits, self._tenants = platform.limits, platform.tenants
        self._traffic = traffic

    def open(self, runtime_context: RuntimeContext) -> None:
        """Bind state and compile the plan."""
        require_thread_mode()
        collect_seldom()
        plan = compile_plan(self._definitions, set(RuleBook(self._definitions).reads), max(0, len(self._layouts.applied) - 1))
        limits, units = self._limits, {name: 10**tenant.minor_units for name, tenant in self._tenants.items()}
        self._logic = node.NodeLogic(
            plan, limits.dedupe_s * 1000, limits.lateness_s * 1000, Traffic(self._traffic), units, self._definitions.traits
        )
        # The state is `bytes` in our own versioned encoding: the engine's typed arrays are slow and do not take null.
        self._head = runtime_context.get_state(ValueStateDescriptor("head", Types.PICKLED_BYTE_ARRAY()))
        ledger = runtime_context.get_map_state(MapStateDescriptor("ledger", Types.STRING(), Types.PICKLED_BYTE_ARRAY()))
        ids = runtime_context.get_map_state(MapStateDescriptor("ids", Types.LONG(), Types.LONG()))
        batches = runtime_context.get_map_state(MapStateDescriptor("id_batches", Types.LONG(), Types.PICKLED_BYTE_ARRAY()))
        self._stores = node.Stores(MapRecords(ledger), MapIds(ids, batches))
        self._cache: Cache[LiveNode] = Cache(NODES_CACHED)
        self._decode = msgspec.msgpack.Decoder(NodeInput).decode
        self._encode = msgspec.msgpack.Encoder().encode
        self._events, self._duplicates = OutputTag(EVENTS, RECORD), OutputTag(DUPLICATES, RECORD)
        self._rejected, self._links = OutputTag(REJECTED, RECORD), OutputTag(LINKS, RECORD)
        metrics = runtime_context.get_metrics_group()
        self._count_applied, self._count_duplicates = metrics.counter("applied"), metrics.counter("duplicates")
        self._count_conflicts = metrics.counter("id_conflicts")
        self._count_flagged = metrics.counter("flagged")
        self._count_limits, self._count_control = metrics.counter("limits"), metrics.counter("control_rejected")

    def process_element(self, value: bytes, ctx: KeyedProcessFunction.Context) -> Iterator[Any]:
        """Apply an event, the resolver's word or a poke; the engine hands over the row without its key."""
        if value[0] == control.MARK:
            yield from self._told(control.unframe(value), ctx)
            return
        event = self._decode(value)
        if isinstance(event, Alias):
            yield from self._alias(event, ctx)
            return
        if isinstance(event, Fact | Give | Membership):
            yield self._word(event, ctx)
            return
        live = self._live(event.node, event.tenant)
        result = self._logic.apply(live, event, ctx.timer_service().current_watermark(), self._stores)
        if isinstance(result, Duplicate):
            self._count_duplicates.inc()
            yield self._duplicates, Out(*duplicate_record(event, result.reason))
            return
        if isinstance(result, Conflict):
            self._count_conflicts.inc()
            yield self._rejected, Out(*conflict_record(event))
            return
        self._count_applied.inc()
        if event.flags:
            self._count_flagged.inc()
            if any(flag.startswith(LIMIT) for flag in event.flags):
                self._count_limits.inc()
        self._save(live, ctx)
        yield Out(live.profile_id, self._encode(result.update))
        yield self._events, Out(*event_record(event, live.profile_id, live.seq))
        for stronger, weaker, rule in result.links:
            yield self._links, Out(*link_record(event, stronger, weaker, rule))

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[Any]:
        """Values fall as their windows move on."""
        key = ctx.get_current_key()
        live = self._live(key, split(key)[0])
        update = self._logic.tick(live, timestamp)
        self._save(live, ctx)
        if update is not None:
            yield Out(live.profile_id, self._encode(update))

    def _told(self, framed: control.Framed, ctx: KeyedProcessFunction.Context) -> Iterator[Any]:
        """Take a poke. Pokes of profiles pass here too and are not for us."""
        found = control.to_node(ctx.get_current_key(), framed, self._tenants)
        if isinstance(found, Rejected):
            self._count_control.inc()
            yield self._rejected, _refused(framed, found)
        elif found is not None:
            yield from self._poke(found.node, found.tenant, ctx)

    def _poke(self, key: str, tenant: str, ctx: KeyedProcessFunction.Context) -> Iterator[Any]:
        """Definitions have changed: tell all that they ask for now. A node that was never seen has nothing to tell."""
        if self._cache.get(key) is None and self._head.value() is None:
            return
        live = self._live(key, tenant)
        update = self._logic.poke(live, ctx.timer_service().current_watermark())
        self._save(live, ctx)
        yield Out(live.profile_id, self._encode(update))

    def _word(self, word: Fact | Give | Membership, ctx: KeyedProcessFunction.Context) -> Out:
        """Take what an object says of its documents, or what a `group` call says of a group."""
        live, now = self._live(word.node, word.tenant), ctx.timer_service().current_watermark()
        if isinstance(word, Fact):
            update = self._logic.fact(live, word, now, self._stores.ledger)
        elif isinstance(word, Membership):
            update = self._logic.join_group(live, word, now, self._stores.ledger)
        else:
            update = self._logic.give(live, word, now, self._stores.ledger)
        self._save(live, ctx)
        return Out(live.profile_id, self._encode(update))

    def _alias(self, alias: Alias, ctx: KeyedProcessFunction.Context) -> Iterator[Any]:
        live = self._live(alias.node, alias.tenant)
        before = live.profile_id
        moved = self._logic.alias(live, alias, ctx.timer_service().current_watermark())
        if moved is None:
            return
        leave, join = moved
        self._save(live, ctx)
        if leave is not None:
            yield Out(before, self._encode(leave))
        yield Out(alias.profile_id, self._encode(join))

    def _live(self, key: str, tenant: str) -> LiveNode:
        live = self._cache.get(key)
        if live is None:
            live = self._cache.put(key, self._logic.load(key, tenant, self._head.value()))
        return live

    def _save(self, live: LiveNode, ctx: KeyedProcessFunction.Context) -> None:
        due = self._logic.next_timer(live)
        if due is not None:
            ctx.timer_service().register_event_time_timer(due)
        self._head.update(self._logic.dump(live))


def definitions_descriptor() -> MapStateDescriptor:
    """Broadcast state of published definitions: `<tenant>/<kind>` -> JSON."""
    return MapStateDescriptor("definitions", Types.STRING(), Types.STRING())


class ProfileFunction(KeyedBroadcastProcessFunction):
    """Rows `(profile, message)` and broadcast definitions to rows `(key, change)`; side output `rejected`.

    Args:
        definitions: features and rules as of submission.
        platform: tenants.
        run: number of this submission of the job, greater than that of every earlier one (`jobs.topology.run_number`).
        layouts: those that the state may have been written by.
    """

    def __init__(self, definitions: Definitions, platform: Platform, run: int, layouts: History) -> None:
        self._definitions = definitions
        self._layouts = layouts
        self._platform = platform
        self._run = run

    def open(self, runtime_context: RuntimeContext) -> None:
        """Bind state, compile the rules, take the next incarnation: whatever an earlier operator has published is older."""
        require_thread_mode()
        collect_seldom()
        scale = {name: 10**tenant.minor_units for name, tenant in self._platform.tenants.items()}
        incarnation = profile.incarnation(self._run, attempt_number(runtime_context))
        self._logic = profile.ProfileLogic(self._definitions, RuleBook(self._definitions), scale, incarnation, self._layouts.by_id())
        self._state = runtime_context.get_state(ValueStateDescriptor("profile", Types.PICKLED_BYTE_ARRAY()))
        self._cache: Cache[LiveProfile] = Cache(PROFILES_CACHED)
        self._decode = msgspec.msgpack.Decoder(ProfileInput).decode
        self._restored = False
        self._rejected = OutputTag(REJECTED, RECORD)
        self._tells = is_first_subtask(runtime_context)
        metrics = runtime_context.get_metrics_group()
        self._count_changes, self._count_control = metrics.counter("changes"), metrics.counter("control_rejected")

    def process_element(self, value: bytes, ctx: KeyedBroadcastProcessFunction.ReadOnlyContext) -> Iterator[Any]:
        """Take a message of a node or the resolver, or a poke."""
        if not self._restored:
            self._restore(ctx)
        if value[0] == control.MARK:
            yield from self._told(control.unframe(value), ctx)
            return
        message = self._decode(value)
        now = ctx.timer_service().current_watermark()
        if isinstance(message, Roster):
            live = self._live(message.profile_id, message.tenant)
            change = self._logic.roster(live, message, now)
        elif isinstance(message, Update):
            live = self._live(message.profile_id, message.tenant)
            change = self._logic.update(live, message)
        elif isinstance(message, Join):
            live = self._live(message.update.profile_id, message.update.tenant)
            change = self._logic.join(live, message)
        else:
            live = self._live(ctx.get_current_key(), message.tenant)
            change = self._logic.leave(live, message)
        yield from self._done(live, change, ctx)

    def process_broadcast_element(self, value: Row, ctx: KeyedBroadcastProcessFunction.Context) -> Iterator[Any]:
        """Take a new version of a definition."""
        key, payload = value._values
        framed = control.unframe(bytes(payload))
        found = control.definition(key, framed, tuple(self._platform.tenants))
        if isinstance(found, Rejected):
            if self._tells:  # every subtask hears of a definition, one speaks of it
                self._count_control.inc()
                yield self._rejected, _refused(framed, found)
        elif self._logic.set_cut_points(found.tenant, found.cuts):
            ctx.get_broadcast_state(definitions_descriptor()).put(key, framed.original.decode())

    def on_timer(self, timestamp: int, ctx: KeyedBroadcastProcessFunction.OnTimerContext) -> Iterator[Any]:
        """Time alone turns a rule, or an unpublished change is due."""
        if not self._restored:
            self._restore(ctx)
        blob = self._state.value()
        profile_id = ctx.get_current_key()
        live = self._cache.get(profile_id)
        if live is None:
            if blob is None:
                return
            live = self._cache.put(profile_id, self._logic.load(profile_id, "", blob))
        yield from self._done(live, self._logic.tick(live, timestamp), ctx)

    def _restore(self, ctx: KeyedBroadcastProcessFunction.ReadOnlyContext) -> None:
        """Definitions published before a restart lie in broadcast state, which is first reachable here."""
        for _, text in ctx.get_broadcast_state(definitions_descriptor()).items():
            self._define(text)
        self._restored = True

    def _define(self, text: str) -> bool:
        definition = json_text.read_object(text)
        return self._logic.set_cut_points(definition["tenant"], msgspec.convert(definition["body"], CutPoints))

    def _told(self, framed: control.Framed, ctx: KeyedBroadcastProcessFunction.ReadOnlyContext) -> Iterator[Any]:
        """Take a poke. Pokes of nodes pass here too and are not for us."""
        found = control.to_profile(ctx.get_current_key(), framed, tuple(self._platform.tenants))
        if found is None:
            return
        if not isinstance(found, Rejected):
            live = self._live(ctx.get_current_key(), found.tenant)
            if live.tenant != found.tenant:
                found = control.foreign(framed, found.tenant)
        if isinstance(found, Rejected):
            self._count_control.inc()
            yield self._rejected, _refused(framed, found)
            return
        yield from self._done(live, self._logic.poke(live, ctx.timer_service().current_watermark()), ctx)

    def _live(self, profile_id: str, tenant: str) -> LiveProfile:
        live = self._cache.get(profile_id)
        if live is None:
            live = self._cache.put(profile_id, self._logic.load(profile_id, tenant, self._state.value()))
        return live

    def _done(self, live: LiveProfile, change: profile.Change | None, ctx: Any) -> Iterator[Any]:
        due = self._logic.next_timer(live)
        if due is not None:
            ctx.timer_service().register_event_time_timer(due)
        if live.is_begun:
            self._state.update(self._logic.dump(live))
        if change is not None:
            self._count_changes.inc()
            yield Out(live.profile_id.encode(), clean.encode("profile_change", change.record))


def _refused(framed: control.Framed, rejected: Rejected) -> Out:
    """A control record for `cdp.rejected`."""
    return Out(*rejected_record(rejected, framed.topic, framed.partition, framed.offset, framed.log_time, framed.original))
