"""Flink operator of the ingest stage: raw records in, events keyed by node out, rejections aside."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from pyflink.common import Row
from pyflink.datastream import OutputTag, ProcessFunction, RuntimeContext

from config.identity import Identity
from config.platform import Platform
from config.traits import Traits
from pipelines.identity.nodes import Nodes
from pipelines.ingest.checks import Rules
from pipelines.ingest.decode import Decoder
from pipelines.ingest.personal import Masker
from pipelines.ingest.records import rejected_record
from pipelines.ingest.sealing import Sealer
from pipelines.ingest.told_traits import TraitReader
from pipelines.operators import KEYED, OBJECTS, RECORD, REJECTED, Out, require_thread_mode
from pipelines.wire import Rejected
from schemas import codes


class DecodeFunction(ProcessFunction):
    """Rows `(source, partition, offset, log_time, value)` to rows `(node, event)`.

    Side outputs: `objects` (object or group, event), `rejected`.

    Args:
        platform: tenants and limits.
        identity: identifier rules.
        rules: plans, rates and traffic rules.
        traits: which traits tell that others are verified.
    """

    def __init__(self, platform: Platform, identity: Identity, rules: Rules, traits: Traits) -> None:
        self._platform = platform
        self._identity = identity
        self._rules = rules
        self._traits = traits

    def open(self, runtime_context: RuntimeContext) -> None:
        """Load the secrets that key personal identifiers and seal personal traits; they never travel with the job."""
        require_thread_mode()
        nodes = Nodes(self._identity, Path(os.environ["CDP_HMAC_KEY_FILE"]).read_bytes())
        traits = TraitReader(self._traits, self._identity, Sealer(Path(os.environ["CDP_PII_KEY_FILE"]).read_bytes()))
        self._decode = Decoder(self._platform, nodes, Masker(self._identity, nodes), self._rules, traits).decode
        # The broker refuses such records already, unless it is not ours or its topic lost the bound. One of 2099 would close every window.
        ahead_s = self._platform.limits.clock_ahead_s
        self._ahead_ms = ahead_s * 1000
        self._too_early = Rejected(codes.TIMESTAMP_OUT_OF_RANGE, "$", f"a log time at most {ahead_s} s ahead of the clock")
        self._encode = msgspec.msgpack.Encoder().encode
        self._rejected, self._objects = OutputTag(REJECTED, RECORD), OutputTag(OBJECTS, KEYED)
        metrics = runtime_context.get_metrics_group()
        self._events = metrics.counter("events")
        self._rejections = metrics.counter("rejections")
        self._ticks = metrics.counter("ticks")

    def process_element(self, value: Row, ctx: ProcessFunction.Context) -> Iterator[Any]:
        """Decode one record."""
        source, partition, offset, log_time, raw = value._values
        event = self._decode(raw, source, partition, offset, log_time)
        if event is not None and log_time > time.time() * 1000 + self._ahead_ms:
            event = self._too_early
        if event is None:
            self._ticks.inc()
        elif isinstance(event, Rejected):
            self._rejections.inc()
            yield self._rejected, Out(*rejected_record(event, source, partition, offset, log_time, raw))
        else:
            self._events.inc()
            if event.object:
                yield self._objects, Out(f"{event.tenant}|{event.object}", self._encode(event))
            elif event.group:
                yield self._objects, Out(event.group, self._encode(event))
            else:
                yield Out(event.node, self._encode(event))
