"""The job's pure core in one process, a step at a time: what the operators do between the engine's calls.

Dicts stand in for RocksDB.
"""

import cProfile
from collections.abc import Callable
from time import thread_time_ns
from typing import TYPE_CHECKING, Any, Final

import msgspec

from config import loader
from pipelines.audiences.rules import RuleBook
from pipelines.features import node, profile
from pipelines.features.cache import Cache, collect_seldom
from pipelines.features.plan import compile_plan
from pipelines.identity.nodes import Nodes
from pipelines.ingest.checks import Rules
from pipelines.ingest.decode import Decoder
from pipelines.ingest.dedupe import Duplicate
from pipelines.ingest.personal import Masker
from pipelines.ingest.records import duplicate_record, event_record, link_record, object_record
from pipelines.ingest.traffic import Traffic
from pipelines.objects.object import ObjectLogic, Taken
from pipelines.objects.object import Stores as ObjectStores
from pipelines.objects.object_state import ObjectState
from pipelines.wire import Event, Fact, Give, NodeInput, ProfileInput, Rejected, Update
from profile_store import patch
from schemas import clean

if TYPE_CHECKING:  # earlier versions, which this file measures too, have them elsewhere
    from pipelines.features.node_state import LiveNode
    from pipelines.features.profile_state import LiveProfile

KEY: Final = b"0" * 32
REFRESH_MS: Final = loader.definitions().features.refresh_s * 1000


class Clock:
    """Adds up the time of steps.

    Attributes:
        spent_ns: step -> time.
        calls: step -> number of calls.
    """

    def __init__(self) -> None:
        self.spent_ns: dict[str, int] = {}
        self.calls: dict[str, int] = {}
        self._profiler: cProfile.Profile | None = None
        self._profiled = ""
        for _ in range(10_000):
            self.run("", int)
        self._own_ns = self.spent_ns.pop("") // 10_000
        self.calls.clear()

    def profile(self, stage: str) -> cProfile.Profile:
        """From now on, profile the functions of a stage, or of `all`."""
        self._profiler = cProfile.Profile()
        self._profiled = "" if stage == "all" else stage
        return self._profiler

    def run(self, step: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function and note the CPU time it took (a busy machine does not count)."""
        profiler = self._profiler if self._profiler and step.startswith(self._profiled) else None
        if profiler:
            profiler.enable()
        begun = thread_time_ns()
        found = function(*arguments)
        took = thread_time_ns() - begun
        if profiler:
            profiler.disable()
        self.spent_ns[step] = self.spent_ns.get(step, 0) + took
        self.calls[step] = self.calls.get(step, 0) + 1
        return found

    def us(self, step: str) -> float:
        """Mean microseconds of one call, without the clock's own time."""
        return max(0.0, self.spent_ns[step] / self.calls[step] - self._own_ns) / 1000


class MapStore:
    """A dict where the job has MapState; serves as ledger and as id store."""

    def __init__(self) -> None:
        self.records: dict[Any, Any] = {}
        self.batches: dict[int, list[int]] = {}
        self.get = self.records.get
        self.items = self.records.items

    def put(self, key: Any, value: Any) -> None:
        """See `Store` of the ledger."""
        self.records[key] = value

    def remove(self, key: Any) -> None:
        """See `Store` of the ledger."""
        del self.records[key]

    def put_batch(self, number: int, ids: list[int]) -> None:
        """See `IdStore`."""
        self.batches[number] = ids

    def drop_batch(self, number: int) -> None:
        """See `IdStore`."""
        for known in self.batches.pop(number):
            del self.records[known]


class Core:
    """Feeds raw records through decode, node and profile.

    Args:
        clock: notes the time of each step.
        cached: nodes and profiles kept decoded, as in the operators.
    """

    def __init__(self, clock: Clock, cached: int) -> None:
        collect_seldom()
        definitions, platform, identity = loader.definitions(), loader.platform(), loader.identity()
        nodes = Nodes(identity, KEY)
        rules = RuleBook(definitions)
        scale = {name: 10**tenant.minor_units for name, tenant in platform.tenants.items()}
        self._clock = clock
        self._decode = Decoder(platform, nodes, Masker(identity, nodes), Rules.configured()).decode
        plan, limits = compile_plan(definitions, set(rules.reads)), platform.limits
        self._node = node.NodeLogic(plan, limits.dedupe_s * 1000, limits.lateness_s * 1000, Traffic(loader.traffic()), scale)
        self._profile = profile.ProfileLogic(definitions, rules, scale, 1)
        self._encode = msgspec.msgpack.Encoder().encode
        self._node_input = msgspec.msgpack.Decoder(NodeInput).decode
        self._profile_input = msgspec.msgpack.Decoder(ProfileInput).decode
        self._object = ObjectLogic([namespace.name for namespace in identity.namespaces], limits.dedupe_s * 1000)
        self._objects: Cache[ObjectState] = Cache(cached)
        self._object_stores: dict[str, ObjectStores] = {}
        self.objects: dict[str, bytes] = {}
        self._nodes: Cache[LiveNode] = Cache(cached)
        self._profiles: Cache[LiveProfile] = Cache(cached)
        self.heads: dict[str, bytes] = {}
        self.profiles: dict[str, bytes] = {}
        self.ledgers: dict[str, MapStore] = {}
        self.ids: dict[str, MapStore] = {}
        self._stores: dict[str, node.Stores] = {}
        self._offset = 0
        self.timers = 0

    def restart(self) -> Clock:
        """Go on with a clock that has counted nothing yet; returns it."""
        self._clock = Clock()
        return self._clock

    def record(self, topic: str, value: bytes, log_ms: int) -> None:
        """Take one raw record all the way."""
        clock = self._clock
        self._offset += 1
        event = clock.run("decode", self._decode, value, topic, 0, self._offset, log_ms)
        assert isinstance(event, Event), event if isinstance(event, Rejected) else "tick"
        sent = clock.run("decode: to node", self._encode, event)
        if event.object:
            told = self._at_object(clock.run("object: from decode", self._node_input, sent))
        else:
            told = [clock.run("node: from decode", self._node_input, sent)]
        for message in told:
            update = self._at_node(message) if isinstance(message, Event) else self._word(message)
            if update is not None:
                self._at_profile(clock.run("profile: from node", self._profile_input, clock.run("node: to profile", self._encode, update)))

    def _at_object(self, event: Event) -> list[Event | Fact | Give]:
        clock, key = self._clock, f"{event.tenant}|{event.object}"
        state = self._objects.get(key)
        if state is None:
            state = self._objects.put(key, clock.run("object: load", self._object.load, self.objects.get(key)))
        stores = self._object_stores.get(key)
        if stores is None:
            stores = self._object_stores[key] = ObjectStores(MapStore(), MapStore())
        result = clock.run("object: take", self._object.take, state, event, event.log_time - 1, stores)
        if not isinstance(result, Taken):
            reason = result.reason if isinstance(result, Duplicate) else "id_conflict"
            clock.run("object: avro duplicate", duplicate_record, event, reason)
            return []
        self.objects[key] = clock.run("object: dump", self._object.dump, state)
        if result.changed:
            clock.run("object: avro object", object_record, event, state)
        sent = [clock.run("object: to node", self._encode, one) for one in (*result.words, *([event] if event.node else ()))]
        return [clock.run("node: from object", self._node_input, one) for one in sent]

    def _word(self, word: Fact | Give) -> Update:
        clock, key = self._clock, word.node
        live = self._nodes.get(key)
        if live is None:
            live = clock.run("node: load", self._node.load, key, word.tenant, self.heads.get(key))
            self._nodes.put(key, live)
        stores = self._stores.get(key) or self._begin(key)
        if isinstance(word, Fact):
            update = clock.run("node: fact", self._node.fact, live, word, word.log_time - 1, stores.ledger)
        else:
            update = clock.run("node: give", self._node.give, live, word, word.log_time - 1, stores.ledger)
        self.heads[key] = clock.run("node: dump", self._node.dump, live)
        assert isinstance(update, Update)
        return update

    def _at_node(self, event: Event) -> Update | None:
        clock, key = self._clock, event.node
        live = self._nodes.get(key)
        if live is None:
            blob = self.heads.get(key)
            live = clock.run("node: load" if blob else "node: begin", self._node.load, key, event.tenant, blob)
            clock.run("node: cache", self._nodes.put, key, live)
        stores = self._stores.get(key) or self._begin(key)
        result = clock.run(f"node: apply {event.name}", self._node.apply, live, event, event.log_time - 1, stores)
        if not isinstance(result, node.Applied):
            reason = result.reason if isinstance(result, Duplicate) else "id_conflict"
            clock.run("node: avro duplicate", duplicate_record, event, reason)
            return None
        self.timers += clock.run("node: next timer", self._node.next_timer, live) is not None
        self.heads[key] = clock.run("node: dump", self._node.dump, live)
        found = getattr(live, "state", live)  # of earlier versions
        clock.run("node: avro event", event_record, event, found.profile_id, found.seq)
        for stronger, weaker, rule in result.links:
            clock.run("node: avro link", link_record, event, stronger, weaker, rule)
        return result.update

    def _begin(self, key: str) -> node.Stores:
        ledger, ids = self.ledgers[key], self.ids[key] = MapStore(), MapStore()
        found = self._stores[key] = node.Stores(ledger, ids)
        return found

    def _at_profile(self, update: Update) -> None:
        clock, key = self._clock, update.profile_id
        live = self._profiles.get(key)
        if live is None:
            blob = self.profiles.get(key)
            step = "profile: load" if blob else "profile: begin"
            live = clock.run(step, self._profile.load, key, update.tenant, blob)
            clock.run("profile: cache", self._profiles.put, key, live)
        whole = "" if live.published else " whole"
        change = clock.run(f"profile: update{whole}", self._profile.update, live, update)
        self.timers += clock.run("profile: next timer", self._profile.next_timer, live) is not None
        self.profiles[key] = clock.run("profile: dump", self._profile.dump, live)
        if change is not None:
            message = clock.run(f"profile: avro change{whole}", clean.encode, "profile_change", change.record)
            record = clock.run("serve: avro", clean.decode, message)
            clock.run("serve: patch", patch.from_record, record)

    def expire(self, log_ms: int) -> None:
        """Let time pass for every node and profile that is kept decoded, as its hourly refresh would."""
        for key in list(self.heads):
            live = self._nodes.get(key)
            if live is None:
                continue
            update = self._clock.run("refresh: node tick", self._node.tick, live, log_ms)
            if update is None:
                continue
            mine = self._profiles.get(update.profile_id)
            if mine is not None:
                self._clock.run("refresh: profile update", self._profile.update, mine, update)
                # By then it has to publish what has fallen.
                self._clock.run("refresh: profile tick", self._profile.tick, mine, log_ms + REFRESH_MS)
