"""Sends what records became: events to the raw topic, what cannot be mapped and what has drifted to `cdp.unmapped`."""

import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from importers.cdc.bridge import SCHEMA_DRIFT, Bridge, Handled
from importers.cdc.consumer import Record
from importers.cdc.drift import SchemaDrift
from importers.cdc.freshness import Freshness
from importers.mapping import Failed
from importers.unmapped import TOPIC, unmapped


class Target(Protocol):
    """Where messages go; see `importers.sender.Sender`."""

    def send(self, topic: str, key: bytes, value: bytes) -> None:
        """Hand a message over."""
        ...

    def flush(self) -> None:
        """Wait for all acknowledgements."""
        ...


class Delivery:
    """Delivers batches of records.

    Args:
        bridges: one a source; their topics do not overlap.
        target: Kafka.
        now_ms: the wall clock, milliseconds since 1970, for the measure of freshness only.

    Attributes:
        freshness: what was delivered, and how old it was.

    Raises:
        ValueError: two sources read the same topic.
    """

    def __init__(self, bridges: Sequence[Bridge], target: Target, now_ms: Callable[[], int]) -> None:
        self._by_topic: dict[str, Bridge] = {}
        for bridge in bridges:
            for topic in bridge.topics():
                if topic in self._by_topic:
                    raise ValueError(f"sources `{self._by_topic[topic].source.name}` and `{bridge.source.name}` both read {topic}")
                self._by_topic[topic] = bridge
        self._target, self._now_ms = target, now_ms
        self.freshness = Freshness()

    def topics(self) -> list[str]:
        """All topics to read."""
        return list(self._by_topic)

    def deliver(self, records: Sequence[Record]) -> list[str]:
        """Map and send records, and wait until Kafka has acknowledged all that came of them.

        Returns:
            Lines for the log: drifts, and the first failure of each kind in this batch. No personal values.

        Raises:
            importers.sender.SendError: Kafka did not take something in time; nothing of this batch may be committed.
        """
        lines: dict[str, str] = {}
        fresh: list[tuple[str, int]] = []
        for record in records:
            bridge = self._by_topic[record.topic]
            handled = bridge.handle(*record)
            for message in handled.messages:
                self._target.send(bridge.source.topic, message.key, message.value)
            self._keep(bridge, record, handled, lines)
            self._count(handled)
            if handled.messages and handled.source_ms is not None:
                fresh.append((handled.table, handled.source_ms))
        if records:
            self._target.flush()
            now_ms = self._now_ms()
            for table, source_ms in fresh:
                self.freshness.add(table, source_ms, now_ms)
        return list(lines.values())

    def _keep(self, bridge: Bridge, record: Record, handled: Handled, lines: dict[str, str]) -> None:
        kept = [_failure(drift) for drift in handled.drifts] + ([handled.failed] if handled.failed else [])
        if not kept:
            return
        source = bridge.source
        position: dict[str, Any] = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        key = f"{record.topic}:{record.partition}:{record.offset}".encode()
        for failed in kept:
            self._target.send(TOPIC, key, unmapped(source.name, source.tenant, position, failed, record.key, record.value))
        for drift in handled.drifts:
            told = json.dumps({"schema_drift": {"source": source.name, **msgspec.to_builtins(drift), "position": position}})
            lines[told] = told
        if handled.failed:
            failed = handled.failed
            why = {"code": failed.code, "field": failed.field, "rule": failed.rule}
            first = json.dumps({"unmapped": {"source": source.name, **why, "position": position}})
            lines.setdefault(f"{failed.code} {failed.field} {failed.rule}", first)

    def _count(self, handled: Handled) -> None:
        counts = self.freshness.counts
        counts["events"] += len(handled.messages)
        counts["drifts"] += len(handled.drifts)
        counts["unmapped"] += handled.failed is not None
        counts["skipped"] += bool(handled.skipped)


def _failure(drift: SchemaDrift) -> Failed:
    return Failed(SCHEMA_DRIFT, drift.column, f"{drift.kind}: {drift.says}")
