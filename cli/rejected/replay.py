"""A replay from beginning to end: choose, fix, judge, refuse what must not go, send the rest."""

import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from cli.rejected import clock, outcomes, replay_log
from cli.rejected.history import History
from cli.rejected.sender import BATCH, Outgoing, Raw, Sender
from config import loader
from operations.raw_topics import partitions_of
from pipelines import control
from pipelines.identity.nodes import Nodes
from pipelines.ingest.checks import Rules
from pipelines.ingest.decode import Decoder
from pipelines.ingest.personal import Masker
from pipelines.rejected.fixes import LoadedFix
from pipelines.rejected.record import Record
from pipelines.rejected.replayed import NotReplayableError, Replayed, replayed
from pipelines.rejected.verdicts import Knowledge, Refusal, Sent, node_as_sent, refusal
from pipelines.rules.tree import Node
from pipelines.wire import Event, Rejected

PAGE: Final = 1000
EXAMPLES: Final = 10
EXAMPLES_OF_A_REASON: Final = 3


class ReplayError(RuntimeError):
    """A replay cannot begin; the message says what is missing."""


class Options(NamedTuple):
    """What to replay and how.

    Attributes:
        condition: which records.
        fix: what corrects them, None for nothing.
        to: raw topic they go to, empty for the one they came from.
        limit: look at this many records at most that were not replayed before; 0: at all.
        dry_run: send nothing.
        send_all: send also what fails again.
        again: send also what was sent or applied before.
    """

    condition: Node
    fix: LoadedFix | None = None
    to: str = ""
    limit: int = 0
    dry_run: bool = False
    send_all: bool = False
    again: bool = False


class Example(msgspec.Struct, frozen=True):
    """A record that does not pass or is refused, and why."""

    position: str
    code: str
    field: str
    rule: str


class Tally(msgspec.Struct):
    """What a replay found and did.

    Attributes:
        matched: records that match.
        looked_at: records looked at so far.
        passing: records that `decode` takes, by event name.
        late: those of them that are too old to count in features.
        failing: records that fail again, by code and field.
        refused: records that must not be sent, by reason.
        sent: records sent; none in a dry run.
        examples: the first that fail again.
        refusals: the first that are refused for each reason; their code is empty.
    """

    matched: int = 0
    looked_at: int = 0
    passing: Counter[str] = msgspec.field(default_factory=Counter)
    late: int = 0
    failing: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)
    refused: Counter[str] = msgspec.field(default_factory=Counter)
    sent: int = 0
    examples: list[Example] = []
    refusals: list[Example] = []

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        failing = [{"code": code, "field": field, "records": count} for (code, field), count in self.failing.most_common()]
        return {**msgspec.to_builtins(msgspec.structs.replace(self, failing=Counter())), "failing": failing}


class _Judged(NamedTuple):
    record: Record
    ready: Replayed
    verdict: Event | Rejected
    topic: str


class Replay:
    """One replay.

    Args:
        history: rejected records, and what was applied.
        options: which records, and how.

    Raises:
        ReplayError: the raw topic to send to, or the key of this installation, is not there.
    """

    def __init__(self, history: History, options: Options) -> None:
        platform, identity, raw = loader.platform(), loader.identity(), loader.topics().raw()
        if options.to and options.to not in raw:
            raise ReplayError(f"--to: `{options.to}` is no raw topic; there are {', '.join(raw)} (config/topics.yaml)")
        self._history, self._options, self._platform = history, options, platform
        self._nodes = Nodes(identity, _hmac_key())
        self._decoder = Decoder(platform, self._nodes, Masker(identity, self._nodes), Rules.configured())
        self._partitions = partitions_of(platform.kafka.bootstrap, raw)
        self._clocks = clock.clocks(self._partitions)
        self._dedupe_ms = platform.limits.dedupe_s * 1000
        self.tally = Tally()

    def run(self, tell: Callable[[Tally], None] = lambda _: None) -> Tally:
        """Look at every record that matches now, and send what may go.

        Args:
            tell: called after each batch.

        Raises:
            SendError: a batch was not sent; those before it were.
        """
        options, until = self._options, self._history.moment()
        self.tally.matched = self._history.count(options.condition, until)
        senders: dict[str, Sender] = {}
        try:
            if not options.dry_run:  # all of them before the log of replays is read: from here on nobody else adds to it
                owners = self._history.tenants(options.condition, until)
                senders = {owner: _sender(self._platform.kafka.bootstrap, owner) for owner in owners}
            self._log = replay_log.read(self._platform.kafka.bootstrap, wait=not options.dry_run)
            for page in self._pages(until):
                going = list(self._going(page))
                for first in range(0, len(going), BATCH):
                    self._send(going[first : first + BATCH], senders)
                    tell(self.tally)
                tell(self.tally)
        finally:
            for sender in senders.values():
                sender.close()
        return self.tally

    def _pages(self, until: str) -> Iterator[list[Record]]:
        records = self._limited(itertools.chain.from_iterable(self._history.oldest_first(self._options.condition, until, PAGE)))
        while page := list(itertools.islice(records, PAGE)):
            yield page

    def _limited(self, records: Iterator[Record]) -> Iterator[Record]:
        """What was replayed before does not count, so that the next command with the same limit goes on where this one ended."""
        counted = 0
        for record in records:
            counted += self._options.again or self._log.of(str(record.position)) is None
            yield record
            if counted and counted == self._options.limit:
                return

    def _going(self, page: list[Record]) -> Iterator[tuple[str, Outgoing]]:
        """The records of a page that are to be sent, each with its owner."""
        judged = [found for record in page if (found := self._judged(record)) is not None]
        ids = {message_id for found in judged for message_id in (found.ready.message_id, found.record.message_id)}
        applied = outcomes.applied(self._history.server, ids)
        for record, ready, verdict, topic in judged:
            position, now = str(record.position), self._clocks[topic]
            before = node_as_sent(ready, verdict.tenant, self._nodes, record.origin)
            known = Knowledge(
                self._log.of(position),
                self._log.others(verdict.tenant, ready.message_id, position),
                applied.get((verdict.tenant, ready.message_id), ()),
                applied.get((verdict.tenant, record.message_id), ()),
            )
            refused = refusal(record, ready, verdict, before, known, now, self._dedupe_ms, self._options.again)
            if refused is not None:
                self._refuse(record, refused)
                continue
            self._count(record, verdict)
            if isinstance(verdict, Rejected) and not self._options.send_all:
                continue
            node = verdict.node if isinstance(verdict, Event) else ""
            entry = Sent(ready.lineage.fix, ready.message_id, now, verdict.tenant, topic, node, before)
            self._log.add(position, entry)
            partition = record.partition % self._partitions[topic]
            yield record.tenant, Outgoing(record.position, entry, [Raw(topic, partition, now, ready.value)])

    def _judged(self, record: Record) -> _Judged | None:
        self.tally.looked_at += 1
        topic = self._options.to or record.source
        if record.source in control.TOPICS:
            self._refuse(record, Refusal("control record", f"{record.source} is no raw topic: whoever wrote the record writes it anew"))
            return None
        if topic not in self._partitions:
            self._refuse(record, Refusal("topic is gone", f"{topic} is no raw topic any more; --to names another one"))
            return None
        sent = self._log.of(str(record.position))
        try:
            ready = replayed(record, self._options.fix, self._platform.limits.message_id_chars, sent.message_id if sent else "")
        except NotReplayableError as error:
            self._refuse(record, Refusal("cannot be sent", str(error)))
            return None
        verdict = self._decoder.decode(ready.value, topic, 0, 0, self._clocks[topic])
        if verdict is None:
            raise AssertionError("a record with a lineage is no tick")
        return _Judged(record, ready, verdict, topic)

    def _send(self, batch: list[tuple[str, Outgoing]], senders: dict[str, Sender]) -> None:
        if self._options.dry_run:
            return
        for owner in dict.fromkeys(owner for owner, _ in batch):
            mine = [item for whose, item in batch if whose == owner]
            senders[owner].send(mine)
            self.tally.sent += len(mine)

    def _refuse(self, record: Record, why: Refusal) -> None:
        self.tally.refused[why.short] += 1
        if self.tally.refused[why.short] <= EXAMPLES_OF_A_REASON:
            self.tally.refusals.append(Example(str(record.position), "", "", why.full))

    def _count(self, record: Record, verdict: Event | Rejected) -> None:
        if isinstance(verdict, Event):
            self.tally.passing[verdict.name] += 1
            self.tally.late += verdict.late
            return
        self.tally.failing[verdict.code, verdict.field] += 1
        if len(self.tally.examples) < EXAMPLES:
            self.tally.examples.append(Example(str(record.position), verdict.code, verdict.field, verdict.rule))


def _sender(bootstrap: str, tenant: str) -> Sender:
    """One a tenant, so that two tenants' replays leave each other alone."""
    whose = f"of tenant {tenant}" if tenant else "of records without a tenant"
    return Sender(bootstrap, f"cdp-rejected-replay-{tenant}", f"`cdp rejected replay` {whose}")


def _hmac_key() -> bytes:
    path = os.environ.get("CDP_HMAC_KEY_FILE")
    if not path or not Path(path).exists():
        raise ReplayError(
            "the key of this installation is missing, and without it nobody can tell whose a record is; CDP_HMAC_KEY_FILE names its file, "
            "`data/secrets/hmac.key` below CDP_HOME if `cdp up` made it"
        )
    return Path(path).read_bytes()
