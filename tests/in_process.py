"""The job's pure core without the engine: decode, node and profile in one process, event-time timers on a heap.

State is encoded and decoded as in the job; `forget_every` drops the decoded caches as an eviction or a restart would.
"""

import heapq
from collections.abc import Callable, Iterator

import msgspec

from bench.core import MapStore
from config import loader
from config.definitions import Definitions
from config.platform import Platform
from pipelines.audiences.rules import RuleBook
from pipelines.features.layout import History
from pipelines.features.ledger import Store
from pipelines.features.node import Applied, NodeLogic, Stores
from pipelines.features.node_state import LiveNode
from pipelines.features.plan import compile_plan, layout
from pipelines.features.profile import Change, ProfileLogic
from pipelines.features.profile_state import LiveProfile
from pipelines.identity.link_log import Rule
from pipelines.identity.nodes import Nodes, split
from pipelines.ingest.checks import Rules
from pipelines.ingest.decode import Decoder
from pipelines.ingest.dedupe import Conflict
from pipelines.ingest.personal import Masker
from pipelines.ingest.sealing import Sealer
from pipelines.ingest.told_traits import TraitReader
from pipelines.ingest.traffic import Traffic
from pipelines.objects.object import ObjectLogic, Taken
from pipelines.objects.object import Stores as ObjectStores
from pipelines.objects.object_state import ObjectState
from pipelines.wire import Alias, Event, Fact, Give, Join, Leave, Membership, Rejected, Roster, Update

KEY = b"0" * 32
PII_KEY = b"1" * 64


class InProcess:
    """Feeds raw records through the pure core and keeps what comes out.

    Args:
        definitions: features and rules; by default those of `config/`.
        forget_every: drop the decoded caches after so many records (0: never).
        platform: tenants and limits; by default those of `config/`.
        decoder: reads raw records; by default made as the job makes it.
        ledger_store: makes a node's ledger; by default a dict.
        layouts: that have been in force before.

    Attributes:
        applied: every event that took effect, as its node leaves it.
        objects: the objects by tenant and name, as their last changes left them.
    """

    def __init__(
        self,
        definitions: Definitions | None = None,
        forget_every: int = 0,
        *,
        platform: Platform | None = None,
        decoder: Decoder | None = None,
        ledger_store: Callable[[], Store] | None = None,
        layouts: History | None = None,
    ) -> None:
        self.definitions = definitions or loader.definitions()
        platform, identity = platform or loader.platform(), loader.identity()
        self.nodes = Nodes(identity, KEY)
        self._decoder = decoder or Decoder(
            platform,
            self.nodes,
            Masker(identity, self.nodes),
            Rules.configured(),
            TraitReader(self.definitions.traits, identity, Sealer(PII_KEY)),
        )
        self._ledger_store = ledger_store or MapStore
        rules = RuleBook(self.definitions)
        self.layouts = (layouts or History()).with_(layout(self.definitions.features))
        plan = compile_plan(self.definitions, set(rules.reads), len(self.layouts.applied) - 1)
        limits = platform.limits
        units = {name: 10**tenant.minor_units for name, tenant in platform.tenants.items()}
        self._node_logic = NodeLogic(
            plan, limits.dedupe_s * 1000, limits.lateness_s * 1000, Traffic(loader.traffic()), units, self.definitions.traits
        )
        self.profile_logic = ProfileLogic(self.definitions, rules, units, 1, self.layouts.by_id())
        self.object_logic = ObjectLogic([namespace.name for namespace in identity.namespaces], limits.dedupe_s * 1000)
        self._object_blobs: dict[str, bytes] = {}
        self._object_stores: dict[str, ObjectStores] = {}
        self.objects: dict[str, ObjectState] = {}
        self._stores: dict[str, Stores] = {}
        self._node_blobs: dict[str, bytes] = {}
        self._profile_blobs: dict[str, bytes] = {}
        self._live_nodes: dict[str, LiveNode] = {}
        self._live_profiles: dict[str, LiveProfile] = {}
        self._timers: list[tuple[int, int, str]] = []
        self._forget_every = forget_every
        self._records = 0
        self.watermark = -(1 << 62)
        self.outcomes: dict[tuple[str, int, int], str] = {}
        self.changes: list[Change] = []
        self.newest: dict[str, Change] = {}
        self.links: list[tuple[str, str, Rule]] = []
        self.applied: list[Event] = []

    def restarted(self, definitions: Definitions) -> "InProcess":
        """The same state under other definitions, as after a restart from a savepoint."""
        after = InProcess(definitions, layouts=self.layouts)
        after._stores, after._node_blobs, after._profile_blobs = self._stores, self._node_blobs, self._profile_blobs
        after._object_blobs, after._object_stores = self._object_blobs, self._object_stores
        after._timers, after.watermark, after.newest = self._timers, self.watermark, self.newest
        return after

    def record(self, value: bytes | None, source: str, partition: int, offset: int, log_ms: int, read_up_to_ms: int | None = None) -> None:
        """Feed one raw record; time passes up to just before it, or before what the slowest partition has been read up to."""
        self.pass_time((log_ms if read_up_to_ms is None else read_up_to_ms) - 1)
        self._records += 1
        if self._forget_every and self._records % self._forget_every == 0:
            self._live_nodes.clear()
            self._live_profiles.clear()
        found = self._decoder.decode(value, source, partition, offset, log_ms)
        outcome = "tick"
        if isinstance(found, Rejected):
            outcome = found.code
        elif found is not None:
            event = msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=Event)
            outcome = self._of_object(event) if event.object or event.group else self._event(event)
        self.outcomes[source, partition, offset] = outcome

    def pass_time(self, until: int) -> None:
        """Advance the watermark, firing what is due in order."""
        self.watermark = max(self.watermark, until)
        while self._timers and self._timers[0][0] <= self.watermark:
            due, kind, key = heapq.heappop(self._timers)
            if kind == 0:
                node = self._node(key, split(key)[0])
                update = self._node_logic.tick(node, due)
                self._save_node(node)
                if update is not None:
                    self._to_profile(node.profile_id, update)
            else:
                profile = self._profile(key, "")
                self._publish(profile, self.profile_logic.tick(profile, due))

    def alias(self, alias: Alias) -> None:
        """The resolver's word to a node."""
        node = self._node(alias.node, alias.tenant)
        before = node.profile_id
        moved = self._node_logic.alias(node, alias, self.watermark)
        if moved is None:
            return
        self._save_node(node)
        leave, join = moved
        if leave is not None:
            self._to_profile(before, leave)
        self._to_profile(alias.profile_id, join)

    def roster(self, roster: Roster) -> None:
        """The resolver's word to a profile."""
        profile = self._profile(roster.profile_id, roster.tenant)
        self._publish(profile, self.profile_logic.roster(profile, roster, self.watermark))

    def poke(self, profile_id: str, now: int) -> Change | None:
        """A definition changed: look again."""
        profile = self._profile(profile_id, "demo")
        change = self.profile_logic.poke(profile, now)
        self._publish(profile, change)
        return change

    def poke_node(self, key: str) -> None:
        """A definition changed: the node tells all that is asked of it now."""
        node = self._node(key, split(key)[0])
        update = self._node_logic.poke(node, self.watermark)
        self._save_node(node)
        self._to_profile(node.profile_id, update)

    def fields(self) -> Iterator[tuple[str, dict]]:
        """Newest published fields of every profile that is not merged away."""
        for profile_id, change in self.newest.items():
            fields = msgspec.json.decode(change.patch.features)
            if "_merged_into" not in fields:
                yield profile_id, fields

    def _of_object(self, event: Event) -> str:
        key = event.group or f"{event.tenant}|{event.object}"
        state = self.object_logic.load(self._object_blobs.get(key))
        stores = self._object_stores.setdefault(key, ObjectStores(MapStore(), MapStore()))
        result = self.object_logic.take(state, event, self.watermark, stores)
        if not isinstance(result, Taken):
            return "id_conflict" if isinstance(result, Conflict) else "duplicate"
        self._object_blobs[key] = self.object_logic.dump(state)
        if result.changed:
            self.objects[key] = state
        for word in result.words:
            self._word(msgspec.msgpack.decode(msgspec.msgpack.encode(word), type=Fact | Give | Membership))
        if event.node:
            return self._event(event)
        self.applied.append(event)
        return "applied"

    def _word(self, word: Fact | Give | Membership) -> None:
        node = self._node(word.node, word.tenant)
        ledger = self._stores[word.node].ledger
        if isinstance(word, Fact):
            update = self._node_logic.fact(node, word, self.watermark, ledger)
        elif isinstance(word, Membership):
            update = self._node_logic.join_group(node, word, self.watermark, ledger)
        else:
            update = self._node_logic.give(node, word, self.watermark, ledger)
        self._save_node(node)
        self._to_profile(node.profile_id, update)

    def _event(self, event: Event) -> str:
        node = self._node(event.node, event.tenant)
        result = self._node_logic.apply(node, event, self.watermark, self._stores[event.node])
        if not isinstance(result, Applied):
            return "id_conflict" if isinstance(result, Conflict) else "duplicate"
        self._save_node(node)
        self.applied.append(event)
        self.links.extend(result.links)
        self._to_profile(node.profile_id, result.update)
        return "applied"

    def _to_profile(self, profile_id: str, message: Update | Join | Leave) -> None:
        tenant = message.update.tenant if isinstance(message, Join) else message.tenant
        profile = self._profile(profile_id, tenant)
        if isinstance(message, Update):
            change = self.profile_logic.update(profile, msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=Update))
        elif isinstance(message, Join):
            change = self.profile_logic.join(profile, msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=Join))
        else:
            change = self.profile_logic.leave(profile, message)
        self._publish(profile, change)

    def _publish(self, profile: LiveProfile, change: Change | None) -> None:
        due = self.profile_logic.next_timer(profile)
        if due is not None:
            heapq.heappush(self._timers, (due, 1, profile.profile_id))
        self._profile_blobs[profile.profile_id] = self.profile_logic.dump(profile)
        if change is not None:
            self.changes.append(change)
            self.newest[profile.profile_id] = change

    def _node(self, key: str, tenant: str) -> LiveNode:
        if key not in self._live_nodes:
            self._live_nodes[key] = self._node_logic.load(key, tenant, self._node_blobs.get(key))
            self._stores.setdefault(key, Stores(self._ledger_store(), MapStore()))
        return self._live_nodes[key]

    def _save_node(self, node: LiveNode) -> None:
        due = self._node_logic.next_timer(node)
        if due is not None:
            heapq.heappush(self._timers, (due, 0, node.key))
        self._node_blobs[node.key] = self._node_logic.dump(node)

    def _profile(self, profile_id: str, tenant: str) -> LiveProfile:
        if profile_id not in self._live_profiles:
            self._live_profiles[profile_id] = self.profile_logic.load(profile_id, tenant, self._profile_blobs.get(profile_id))
        return self._live_profiles[profile_id]
