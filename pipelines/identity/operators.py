"""Flink operator of identity: the link log in, words to nodes and profiles out."""

from collections.abc import Iterator
from typing import Any

import msgspec
from pyflink.common import Types
from pyflink.datastream import KeyedProcessFunction, OutputTag, RuntimeContext
from pyflink.datastream.state import MapStateDescriptor, ValueStateDescriptor

from config.identity import Identity
from pipelines import control
from pipelines.identity import link_log
from pipelines.identity.graph import Graph
from pipelines.identity.updates import update_records
from pipelines.ingest.records import rejected_record
from pipelines.operators import KEYED, RECORD, REJECTED, ROSTERS, UPDATES, MapRecords, Out, require_thread_mode
from pipelines.wire import Rejected
from schemas import clean, codes
from schemas.registry import RegistryError


class ResolverFunction(KeyedProcessFunction):
    """Rows `(tenant, framed record of the link log)` to rows `(node, alias)`; side outputs `rosters`, `updates`, `rejected`.

    Args:
        identity: the rules.
        tenants: that there are.
    """

    def __init__(self, identity: Identity, tenants: list[str]) -> None:
        self._identity = identity
        self._tenants = tenants

    def open(self, runtime_context: RuntimeContext) -> None:
        """Bind state."""
        require_thread_mode()
        # The state is `bytes` in our own versioned encoding: the engine's typed arrays are slow and do not take null.
        graph = runtime_context.get_map_state(MapStateDescriptor("graph", Types.STRING(), Types.PICKLED_BYTE_ARRAY()))
        store = MapRecords(graph)
        self._graphs = {tenant: Graph(self._identity, tenant, store) for tenant in self._tenants}
        self._reached = runtime_context.get_state(ValueStateDescriptor("reached", Types.PICKLED_BYTE_ARRAY()))
        self._encode = msgspec.msgpack.Encoder().encode
        self._rosters, self._updates = OutputTag(ROSTERS, KEYED), OutputTag(UPDATES, RECORD)
        self._rejected = OutputTag(REJECTED, RECORD)
        metrics = runtime_context.get_metrics_group()
        self._count_records, self._count_moved = metrics.counter("links"), metrics.counter("nodes_moved")
        self._count_control = metrics.counter("control_rejected")

    def process_element(self, value: bytes, ctx: KeyedProcessFunction.Context) -> Iterator[Any]:
        """Take in a record of the link log; the engine hands over the row without its key."""
        framed = control.unframe(value)
        found = self._read(ctx.get_current_key(), framed)
        if isinstance(found, Rejected):
            self._count_control.inc()
            yield (
                self._rejected,
                Out(*rejected_record(found, framed.topic, framed.partition, framed.offset, framed.log_time, framed.original)),
            )
            return
        self._count_records.inc()
        epoch = framed.offset + 1
        outcome = self._graphs[found.tenant].take(found, epoch)
        self._reached.update(b"%d|%d" % (framed.partition, framed.offset))
        for alias in outcome.aliases:
            self._count_moved.inc()
            yield Out(alias.node, self._encode(alias))
        for roster in outcome.rosters:
            yield self._rosters, Out(roster.profile_id, self._encode(roster))
        for key, update in update_records(found, epoch, outcome.decisions):
            yield self._updates, Out(key, update)

    def _read(self, key: str, framed: control.Framed) -> link_log.LogRecord | Rejected:
        tenant = key if key in self._graphs else ""
        try:
            record = clean.decode(framed.original)
            said = link_log.read(record, self._identity.groups)
        except RegistryError:
            raise  # what schema the record was written by cannot be told now; that is no fault of the record's
        except link_log.LinkLogError as error:
            return Rejected(codes.SCHEMA_VIOLATION, "$", str(error), tenant)
        except Exception as error:  # whoever wrote it may be wrong: it costs one record, never the job
            return Rejected(codes.PAYLOAD_FORMAT, "$", f"a record of the link log ({type(error).__name__})", tenant)
        if said.tenant not in self._graphs or said.tenant != key:
            return Rejected(
                codes.SCHEMA_VIOLATION, "$.tenant", "a tenant of platform.yaml, and what the record's key says", tenant, said.cause
            )
        reached = self._reached.value()
        if reached is not None:
            partition, offset = map(int, reached.split(b"|"))
            if partition != framed.partition or framed.offset <= offset:
                rule = f"in partition {partition} like all of the tenant's: the log is in the order of its offsets"
                return Rejected(codes.SCHEMA_VIOLATION, "$", rule, tenant, said.cause)
        return said
