"""The pure core with rejected records that are replayed: what `cdp rejected replay` does, without its servers."""

import json
from collections.abc import Callable
from typing import Any

import orjson

from config import loader
from pipelines.identity.nodes import Nodes
from pipelines.ingest.checks import Rules
from pipelines.ingest.decode import Decoder
from pipelines.ingest.personal import Masker
from pipelines.rejected import verdicts
from pipelines.rejected.fixes import LoadedFix
from pipelines.rejected.record import Position, Record
from pipelines.rejected.replayed import Replayed, content_hash, lineage_of, readable, replayed
from pipelines.wire import Event, Rejected
from schemas import codes
from tests.in_process import KEY, InProcess

TOPIC = "cdp.raw.orders"
DAY_MS = 86_400_000
START_MS = 1_700_000_000_000


def fix(label: str, change: Callable[[dict[str, Any]], object]) -> LoadedFix:
    """A fix out of a function that changes its argument."""

    def apply(record: dict[str, Any]) -> dict[str, Any]:
        copied: dict[str, Any] = json.loads(json.dumps(record))
        change(copied)
        return copied

    return LoadedFix(label, apply)


class World:
    """The core, what came out of it, and the ledger of replays.

    Attributes:
        rejected: records by position.
        applied: events that took effect, in their order.
        replays: the ledger, by position.
        now: the log's clock, ms.
    """

    def __init__(self) -> None:
        identity = loader.identity()
        self.nodes = Nodes(identity, KEY)
        self.limits = loader.platform().limits
        self.decoder = Decoder(loader.platform(), self.nodes, Masker(identity, self.nodes), Rules.configured())
        self.core = InProcess()
        self.now = START_MS
        self.rejected: dict[Position, Record] = {}
        self.applied: list[Event] = []
        self.replays: dict[Position, verdicts.Sent] = {}
        self._offset = 0

    def produce(self, value: bytes) -> str:
        """Write a raw record; what became of it."""
        self.now += 1
        self._offset += 1
        position = Position(TOPIC, 0, self._offset)
        self.core.record(value, *position, self.now)
        outcome = self.core.outcomes[position]
        found = self.decoder.decode(value, *position, self.now)
        if outcome == "applied":
            assert isinstance(found, Event)
            self.applied.append(found)
        elif outcome in codes.ALL:
            why = found if isinstance(found, Rejected) else Rejected(outcome, "$.messageId", "another", found.tenant, found.message_id)  # type: ignore[union-attr]
            self.rejected[position] = Record(*position, self.now, why.code, why.field, why.rule, why.tenant, why.message_id, value)
        return outcome

    def newest(self) -> Record:
        """The newest rejected record."""
        return self.rejected[max(self.rejected)]

    def judged(
        self, record: Record, mend: LoadedFix | None, again: bool = False
    ) -> tuple[Replayed, Event | Rejected, verdicts.Refusal | None]:
        """What would be sent of a record, what `decode` makes of it, and why it must not be sent, if so."""
        sent = self.replays.get(record.position)
        ready = replayed(record, mend, self.limits.message_id_chars, sent.message_id if sent else "")
        verdict = self.decoder.decode(ready.value, TOPIC, 0, 0, self.now)
        assert verdict is not None
        before = verdicts.node_as_sent(ready, verdict.tenant, self.nodes, record.origin)
        others = [
            entry
            for position, entry in self.replays.items()
            if position != record.position and (entry.tenant, entry.message_id) == (verdict.tenant, ready.message_id)
        ]
        known = verdicts.Knowledge(
            sent, others, self._under(verdict.tenant, ready.message_id), self._under(verdict.tenant, record.message_id)
        )
        refused = verdicts.refusal(record, ready, verdict, before, known, self.now, self.limits.dedupe_s * 1000, again)
        if refused is None:
            node = verdict.node if isinstance(verdict, Event) else ""
            label = ready.lineage.fix
            self._entry = verdicts.Sent(label, ready.message_id, self.now, verdict.tenant, TOPIC, node, before)
        return ready, verdict, refused

    def replay(self, record: Record, mend: LoadedFix | None = None, again: bool = False) -> str:
        """Replay a record; what became of it, or why it was not sent."""
        ready, _, refused = self.judged(record, mend, again)
        if refused is not None:
            return refused.short
        self.replays[record.position] = self._entry
        return self.produce(ready.value)

    def _under(self, tenant: str, message_id: str) -> list[verdicts.Applied]:
        return [
            verdicts.Applied(event.node, event.log_time, f"{event.source}:{event.partition}:{event.offset}", content_of(event))
            for event in self.applied
            if (event.tenant, event.message_id) == (tenant, message_id)
        ]


def content_of(event: Event) -> str:
    """The content hash in an event's lineage, empty when it is no replay."""
    return lineage_of({"context": orjson.loads(event.context)}).content


def sent_content(event: Event) -> str:
    """Hash of what a producer sent for an event, whether it was replayed or not."""
    return content_of(event) or content_hash(event.original, readable(event.original))
