"""The whole log: what becomes of each record, and which events each node holds (docs/contracts.md; docs/objects.md, "What ends where")."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tests.oracle.envelope import Event, Rejection, judge_alone
from tests.oracle.ledger import Place
from tests.oracle.rulebook import Rulebook
from tests.oracle.traffic import Traffic

Scope = tuple[str, str, str]
"""Tenant, object or group, and node; what is not named is empty."""


class Position(NamedTuple):
    """Where a raw record stands."""

    topic: str
    partition: int
    offset: int


class RawRecord(NamedTuple):
    """A record of a raw topic as read from Kafka; `value` is None for a tombstone."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    value: bytes | None


class Judged(NamedTuple):
    """What must become of a record: `tick`, `applied`, `duplicate` or `rejected` with its code; `event` unless tick or rejected alone."""

    position: Position
    outcome: str
    code: str
    event: Event | None


class Log:
    """All raw records, judged.

    Args:
        records: in any order; within a partition the offsets give the order in which a node sees its events.
        rules: configuration.

    Attributes:
        events: node key -> the applied events that name it.
        nameless: applied events that name an object and no node.
    """

    def __init__(self, records: Iterable[RawRecord], rules: Rulebook) -> None:
        latest_ms = time.time() * 1000 + rules.limits.get("clock_ahead_s", 3600) * 1000
        self._memory_ms = rules.limits["dedupe_s"] * 1000
        self._seen: dict[tuple[Scope, str], Event] = {}
        self._told: set[tuple[Scope, object]] = set()
        self._traffic = Traffic(rules.traffic)
        self.judged: list[Judged] = []
        self.events: dict[str, list[tuple[Position, Event]]] = defaultdict(list)
        self.nameless: list[tuple[Position, Event]] = []
        self.end_ms = 0
        for record in sorted(records, key=lambda record: record[:3]):
            found = judge_alone(record.value, record.timestamp_ms, rules, record.topic)
            if record.timestamp_ms > latest_ms:
                found = Rejection("timestamp_out_of_range") if found is not None else None
            else:
                self.end_ms = max(self.end_ms, record.timestamp_ms)
            self._file(Position(*record[:3]), found)

    def _file(self, position: Position, found: Event | Rejection | None) -> None:
        if found is None:
            self.judged.append(Judged(position, "tick", "", None))
        elif isinstance(found, Rejection):
            self.judged.append(Judged(position, "rejected", found.code, None))
        else:
            self._file_event(position, found)

    def _file_event(self, position: Position, event: Event) -> None:
        """A message id counts as seen from the moment its event was applied, for the length of the memory; repetitions do not renew it.

        What happens once is a duplicate for ever, under whatever message id. Both are remembered for each pair of object or group and node
        that is named, and for the node alone by events that concern neither.
        """
        scope = event.tenant, event.object or event.group, event.node
        key = scope, event.message_id
        first = self._seen.get(key)
        if first is not None and event.log_ms - first.log_ms <= self._memory_ms:
            same = first.body == event.body
            self.judged.append(Judged(position, "duplicate" if same else "rejected", "" if same else "id_conflict", event))
            return
        if event.once is not None and (scope, event.once) in self._told:
            self.judged.append(Judged(position, "duplicate", "", event))
            return
        self._told.add((scope, event.once))
        self._seen[key] = event
        event = event._replace(excluded=self._traffic.excludes(event))
        (self.events[event.node] if event.node else self.nameless).append((position, event))
        self.judged.append(Judged(position, "applied", "", event))

    def applied(self) -> Iterator[tuple[Place, Event]]:
        """All applied events, late ones and those that name no node too."""
        for told in (*self.events.values(), self.nameless):
            for position, event in told:
                yield (event.log_ms, *position), event

    def counts(self) -> dict[tuple[str, int], Counter[str]]:
        """Per topic and partition: ticks, applied, duplicates, and `rejected:<code>`; `late` counts again those among the applied."""
        counted: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
        for position, outcome, code, event in self.judged:
            partition = counted[position.topic, position.partition]
            partition[f"rejected:{code}" if code else outcome] += 1
            if outcome == "applied" and event is not None and event.late:
                partition["late"] += 1
        return dict(counted)
