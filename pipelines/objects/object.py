"""What an object does with a record that names it: the gate, the claim, the facts for its owner. Pure: stores and time come in."""

from collections.abc import Sequence

import msgspec

from pipelines.identity.nodes import split
from pipelines.ingest.dedupe import BY_BUSINESS_KEY, BY_MESSAGE_ID, Conflict, Duplicate, IdStore, tell_again
from pipelines.ingest.hashing import hash64
from pipelines.objects.object_state import FORMAT, Claim, Documents, ObjectState, Records
from pipelines.wire import CancelFacts, Event, Fact, Facts, Give, Membership, OrderFacts, RefundFacts, Telling


class Stores(msgspec.Struct, frozen=True):
    """Where an object's larger parts lie."""

    records: Records
    ids: IdStore


class Taken(msgspec.Struct):
    """A record takes effect.

    Attributes:
        words: for nodes, before the event; of a `group` call for the group's.
        changed: whether owner or stages are others than before.
    """

    words: list[Fact | Give | Membership]
    changed: bool


class ObjectLogic:
    """The rules by which an object changes.

    Args:
        namespaces: from the strongest to the weakest.
        dedupe_ms: how long message ids are remembered at least.
    """

    def __init__(self, namespaces: Sequence[str], dedupe_ms: int) -> None:
        self._rank = {name: rank for rank, name in enumerate(namespaces)}
        self._dedupe_ms = dedupe_ms

    @staticmethod
    def load(blob: bytes | None) -> ObjectState:
        """Decode an object, or begin it."""
        return ObjectState(FORMAT) if blob is None else _decode(blob)

    @staticmethod
    def dump(state: ObjectState) -> bytes:
        """Encode an object's state."""
        return _encode(state)

    def take(self, state: ObjectState, event: Event, watermark: int, stores: Stores) -> Taken | Duplicate | Conflict:
        """Take in a record.

        Args:
            state: of the object, or the group, that it names. Of a group only the message ids are kept here: the rest is its node's.
            event: learns whether its node owns the object.
            watermark: nothing with an older log time can come any more, ms.
            stores: of this object.
        """
        id_hash = hash64(f"{event.node}\0{event.message_id}".encode())
        known = state.seen.find(id_hash, stores.ids)
        if known is not None:
            return BY_MESSAGE_ID if known == event.fingerprint else Conflict()
        if event.business_key and tell_again(stores.records, f"{event.node}|{event.business_key}", event.business_content):
            return BY_BUSINESS_KEY
        state.seen.remember(id_hash, event.fingerprint, event.log_time, watermark - self._dedupe_ms, stores.ids)
        if event.late:
            return Taken([], changed=False)
        if event.group:
            return Taken([membership(event)], changed=False)
        before, stages = state.owner, len(state.stages)
        self._claim(state, event)
        moved = self._reach(state, event) or len(state.stages) != stages
        words = self._words(state, before, event, watermark, stores)
        changed = moved or state.owner != before
        state.version += changed
        return Taken(words, changed)

    def _claim(self, state: ObjectState, event: Event) -> None:
        if event.node:
            claim: Claim = (self._rank.get(split(event.node)[1], len(self._rank)), event.event_time, event.node)
            if state.claim is None or claim < state.claim:
                state.claim = claim

    @staticmethod
    def _reach(state: ObjectState, event: Event) -> bool:
        """Note the stage; money that has not gone back yet is none."""
        if not event.stage or (isinstance(event.facts, RefundFacts) and not event.facts.counts):
            return False
        before = state.stages.get(event.stage)
        if before is not None and before <= event.event_time:
            return False
        state.stages[event.stage] = event.event_time
        return True

    @staticmethod
    def _words(state: ObjectState, before: str, event: Event, watermark: int, stores: Stores) -> list[Fact | Give | Membership]:
        """What the owner has to know, and whoever was it before."""
        documents, owner = Documents(stores.records, state.documents), state.owner
        event.is_owner = owner == event.node
        words: list[Fact | Give | Membership] = []
        if owner != before and state.documents:
            # A moment that lies ahead of the watermark: both have heard of it when that has come.
            hold = max(event.log_time, watermark + 1) if before else 0
            tellings = documents.all()
            if before:
                words.append(Give(before, event.tenant, *_numbers(tellings), event.message_id, event.log_time, hold, event.object))
            words.append(Fact(owner, event.tenant, tellings, event.message_id, event.log_time, hold, event.object))
        if event.facts is not None:
            telling = Telling(event.facts, event.told)
            documents.add(_document(event.facts), telling)
            if owner and not event.is_owner:
                words.append(Fact(owner, event.tenant, [telling], event.message_id, event.log_time, object=event.object))
        return words


def membership(event: Event) -> Membership:
    """What a `group` call tells the group."""
    return Membership(event.group, event.tenant, event.node, event.message_id, event.origin, event.told, event.words)


def _document(facts: Facts) -> str:
    """Which of an object's documents the facts are of."""
    if isinstance(facts, RefundFacts):
        return "r:" + facts.refund_id
    return "o" if isinstance(facts, OrderFacts) else "c"


def _numbers(tellings: Sequence[Telling]) -> tuple[list[str], list[str]]:
    """Numbers of the orders and refunds that tellings speak of."""
    orders: dict[str, None] = {}
    refunds: dict[str, None] = {}
    for telling in tellings:
        facts = telling.facts
        if isinstance(facts, OrderFacts | CancelFacts):
            orders[facts.order_id] = None
        else:
            refunds[facts.refund_id] = None
            if facts.order_id:
                orders[facts.order_id] = None
    return list(orders), list(refunds)


_decode = msgspec.msgpack.Decoder(ObjectState).decode
_encode = msgspec.msgpack.Encoder().encode
