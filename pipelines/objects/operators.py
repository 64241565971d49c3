"""Flink operator of objects: events that name one in, the same events and words to its owner out."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from pyflink.common import Types
from pyflink.datastream import KeyedProcessFunction, OutputTag, RuntimeContext
from pyflink.datastream.state import MapStateDescriptor, ValueStateDescriptor

from config.identity import Identity
from config.platform import Platform
from pipelines.features.cache import Cache
from pipelines.ingest.dedupe import Conflict, Duplicate
from pipelines.ingest.records import conflict_record, duplicate_record, event_record, object_record
from pipelines.objects.object import ObjectLogic, Stores
from pipelines.objects.object_state import ObjectState
from pipelines.operators import DUPLICATES, EVENTS, OBJECTS, RECORD, REJECTED, MapIds, MapRecords, Out, require_thread_mode
from pipelines.wire import Event

OBJECTS_CACHED: Final = 20_000


class ObjectFunction(KeyedProcessFunction):
    """Rows `(object, event)` to rows `(node, event or word)`; side outputs `events` (of nobody), `duplicates`, `rejected`, `objects`.

    Args:
        platform: limits.
        identity: strength of namespaces.
    """

    def __init__(self, platform: Platform, identity: Identity) -> None:
        self._dedupe_ms = platform.limits.dedupe_s * 1000
        self._namespaces = [namespace.name for namespace in identity.namespaces]

    def open(self, runtime_context: RuntimeContext) -> None:
        """Bind state."""
        require_thread_mode()
        self._logic = ObjectLogic(self._namespaces, self._dedupe_ms)
        self._head = runtime_context.get_state(ValueStateDescriptor("object", Types.PICKLED_BYTE_ARRAY()))
        records = runtime_context.get_map_state(MapStateDescriptor("records", Types.STRING(), Types.PICKLED_BYTE_ARRAY()))
        ids = runtime_context.get_map_state(MapStateDescriptor("ids", Types.LONG(), Types.LONG()))
        batches = runtime_context.get_map_state(MapStateDescriptor("id_batches", Types.LONG(), Types.PICKLED_BYTE_ARRAY()))
        self._stores = Stores(MapRecords(records), MapIds(ids, batches))
        self._cache: Cache[ObjectState] = Cache(OBJECTS_CACHED)
        self._decode = msgspec.msgpack.Decoder(Event).decode
        self._encode = msgspec.msgpack.Encoder().encode
        self._events, self._duplicates = OutputTag(EVENTS, RECORD), OutputTag(DUPLICATES, RECORD)
        self._rejected, self._objects = OutputTag(REJECTED, RECORD), OutputTag(OBJECTS, RECORD)
        metrics = runtime_context.get_metrics_group()
        self._count_applied, self._count_duplicates = metrics.counter("object_events"), metrics.counter("duplicates")
        self._count_conflicts, self._count_handed_over = metrics.counter("id_conflicts"), metrics.counter("handed_over")

    def process_element(self, value: bytes, ctx: KeyedProcessFunction.Context) -> Iterator[Any]:
        """Take in an event; the engine hands over the row without its key."""
        event, key = self._decode(value), ctx.get_current_key()
        state = self._cache.get(key)
        if state is None:
            state = self._cache.put(key, self._logic.load(self._head.value()))
        result = self._logic.take(state, event, ctx.timer_service().current_watermark(), self._stores)
        if isinstance(result, Duplicate):
            self._count_duplicates.inc()
            yield self._duplicates, Out(*duplicate_record(event, result.reason))
            return
        if isinstance(result, Conflict):
            self._count_conflicts.inc()
            yield self._rejected, Out(*conflict_record(event))
            return
        self._count_applied.inc()
        self._head.update(self._logic.dump(state))
        for word in result.words:
            self._count_handed_over.inc()
            yield Out(word.node, self._encode(word))
        if event.node:
            yield Out(event.node, self._encode(event))
        else:
            yield self._events, Out(*event_record(event, "", 0))
        if result.changed:
            yield self._objects, Out(*object_record(event, state))
