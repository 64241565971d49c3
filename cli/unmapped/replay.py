"""A replay of kept records: map them again as the live path would, judge, send what has become events."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from cli.import_job import decoder
from cli.rejected import clock, outcomes, replay_log
from cli.rejected.sender import BATCH, Outgoing, Raw, Sender
from cli.unmapped import records
from cli.unmapped.selection import Chosen, position, state
from config import loader
from importers.envelope import Message
from importers.mapping import Failed, Skipped
from importers.mended import Mended, Ready
from importers.unmapped import Kept
from operations.raw_topics import partition_of, partitions_of
from pipelines.rejected.replayed import keep_time
from pipelines.rejected.verdicts import MARGIN_MS, Sent
from pipelines.wire import Event, Rejected
from schemas import json_text
from sinks.clickhouse import ClickHouse, ClickHouseError

EXAMPLES: Final = 5
EXAMPLES_OF_A_REASON: Final = 2
BATCH_BYTES: Final = 8_000_000
NAME: Final = "`cdp unmapped replay`"
HISTORY_AWAY: Final = "history_away"
"""Whether a record's events were applied so long ago that their nodes may have forgotten them only ClickHouse knows."""


class Example(msgspec.Struct, frozen=True):
    """A record that still becomes no event, and why."""

    place: str
    source: str
    code: str
    field: str
    rule: str


class Tally(msgspec.Struct):
    """What a replay found and did.

    Attributes:
        matched: records that match.
        records: those that become events.
        becoming: these events, by name.
        late: those of them that are too old to count in features.
        late_days: how old that is.
        skipped: records that the mapping skips by now, by reason.
        failing: records that still fail, by code and field.
        applied: records whose events were applied already: the source sent them again.
        noted: records of which nothing is sent, but the log of replays learns that they were skipped or applied.
        before: records that were brought back before.
        drifts: records that were mapped when they came.
        sent: events sent; none in a dry run.
        examples: the first that still fail, few of each reason.
    """

    matched: int = 0
    records: int = 0
    becoming: Counter[str] = msgspec.field(default_factory=Counter)
    late: int = 0
    late_days: int = 0
    skipped: Counter[str] = msgspec.field(default_factory=Counter)
    failing: Counter[str] = msgspec.field(default_factory=Counter)
    applied: int = 0
    noted: int = 0
    before: int = 0
    drifts: int = 0
    sent: int = 0
    examples: list[Example] = []

    @property
    def to_do(self) -> int:
        """Records of which something would be sent or noted."""
        return self.records + self.noted


class _Waiting(NamedTuple):
    """A record of the batch at hand: its events, none of one that is skipped."""

    kept: Kept
    label: str
    topic: str
    messages: list[Message]
    events: list[Event]


class Replay:
    """One replay.

    Args:
        chosen: which records.
        dry_run: send nothing.
    """

    def __init__(self, chosen: Chosen, *, dry_run: bool) -> None:
        platform = loader.platform()
        self._chosen, self._dry_run, self._platform = chosen, dry_run, platform
        self._mended = Mended(loader.sources(), loader.folder() / "mappings")
        self._decoder = decoder()
        self._partitions = partitions_of(platform.kafka.bootstrap, loader.topics().raw())
        self._clocks = clock.clocks(self._partitions)
        self._old_ms = int(time.time() * 1000) - platform.limits.dedupe_s * 1000 + MARGIN_MS
        self._batch: list[_Waiting] = []
        self._bytes = 0
        self._sender: Sender | None = None
        self.tally = Tally(late_days=platform.limits.lateness_s // 86_400)

    def run(self, tell: Callable[[int, int], None] = lambda *_: None) -> Tally:
        """Look at every kept record that matches, and send what may go.

        Args:
            tell: called now and then with the number of records of the topic read, and about how many there are.

        Raises:
            MappingError: a mapping cannot be used.
            SendError: a batch was not sent; those before it were.
            TopicsAwayError: Kafka does not answer.
        """
        bootstrap = self._platform.kafka.bootstrap
        try:
            if not self._dry_run:  # before the log of replays is read: from here on nobody else brings kept records back
                self._sender = Sender(bootstrap, "cdp-unmapped-replay", NAME)
            self._log = replay_log.read(bootstrap, wait=not self._dry_run)
            records.scan(bootstrap, self._take, tell)
            self._flush()
        finally:
            if self._sender is not None:
                self._sender.close()
        return self.tally

    def _take(self, kept: Kept) -> None:
        if not self._chosen.holds(kept):
            return
        self.tally.matched += 1
        entry = self._log.of(kept.place)
        now = state(kept, entry)
        if now in ("mapped", "brought back"):
            self.tally.drifts += now == "mapped"
            self.tally.before += now == "brought back"
            return
        found = self._mended.become(kept)
        if isinstance(found, Failed):
            self._fail(kept, found.code, found.field, found.rule)
        elif isinstance(found, Skipped):
            self.tally.skipped[found.reason] += 1
            if entry is None:
                self._add(_Waiting(kept, "", "", [], []))
        else:
            self._judge(kept, found)

    def _judge(self, kept: Kept, ready: Ready) -> None:
        """What the platform would reject stays where it is: here a mended mapping still reaches it."""
        messages, events = [_brought_back(message, kept) for message in ready.messages], []
        for message in messages:
            verdict = self._decoder.decode(message.value, ready.topic, 0, 0, self._clocks[ready.topic])
            if isinstance(verdict, Rejected):
                self._fail(kept, verdict.code, verdict.field, verdict.rule)
                return
            assert verdict is not None, "an event is no tick"
            events.append(verdict)
        self._add(_Waiting(kept, ready.label, ready.topic, messages, events))

    def _add(self, waiting: _Waiting) -> None:
        self._batch.append(waiting)
        self._bytes += sum(len(message.value) for message in waiting.messages)
        if len(self._batch) >= BATCH or self._bytes >= BATCH_BYTES:
            self._flush()

    def _flush(self) -> None:
        batch, self._batch, self._bytes = self._batch, [], 0
        applied = self._applied(batch)
        going = [outgoing for waiting in batch if (outgoing := self._outgoing(waiting, applied)) is not None]
        if self._sender is not None and going:
            self._sender.send(going)
            self.tally.sent += sum(len(outgoing.records) for outgoing in going)

    def _applied(self, batch: list[_Waiting]) -> outcomes.AppliedIds | str:
        """Events of old records that were applied; else why that is not known. Ids of younger ones are still known to their nodes."""
        ids = [message.message_id for waiting in batch if waiting.kept.at < self._old_ms for message in waiting.messages]
        try:
            return outcomes.applied(ClickHouse(self._platform.clickhouse), ids) if ids else {}
        except ClickHouseError as error:
            return str(error)

    def _outgoing(self, waiting: _Waiting, applied: outcomes.AppliedIds | str) -> Outgoing | None:
        kept, tally = waiting.kept, self.tally
        if not waiting.messages:
            tally.noted += 1
            return Outgoing(position(kept), Sent("", "", int(time.time() * 1000), kept.tenant, ""), [])
        if isinstance(applied, str):
            if kept.at < self._old_ms:
                rule = f"to know whether the source sent it again since, so long ago that ids may be forgotten: {applied}"
                self._fail(kept, HISTORY_AWAY, "", rule)
                return None
            applied = {}
        going = [pair for pair in zip(waiting.messages, waiting.events, strict=True) if (pair[1].tenant, pair[0].message_id) not in applied]
        tally.applied += not going
        tally.noted += not going
        tally.records += bool(going)
        for _, event in going:
            tally.becoming[event.name] += 1
            tally.late += event.late
        topic, now = waiting.topic, self._clocks[waiting.topic]
        count = self._partitions[topic]
        records = [Raw(topic, partition_of(message.key, count), now, message.value, message.key) for message, _ in going]
        return Outgoing(position(kept), Sent(waiting.label, waiting.messages[0].message_id, now, waiting.events[0].tenant, topic), records)

    def _fail(self, kept: Kept, code: str, field: str, rule: str) -> None:
        tally = self.tally
        reason = f"{code} at {field}" if field else code
        tally.failing[reason] += 1
        if len(tally.examples) < EXAMPLES and tally.failing[reason] <= EXAMPLES_OF_A_REASON:
            tally.examples.append(Example(kept.place, kept.source, code, field, rule))


def _brought_back(message: Message, kept: Kept) -> Message:
    """A message as the live path makes it, which also says where it was kept meanwhile, and is not younger for it."""
    context: dict[str, Any] = message.envelope["context"]
    envelope = {**message.envelope, "context": {**context, "lineage": {**context["lineage"], "replay_of": kept.place}}}
    keep_time(envelope, kept.at)
    return msgspec.structs.replace(message, value=json_text.write(envelope), envelope=envelope)
