"""The clean topics, read as a member of the consumer group whose generation fences the loader."""

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Message, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from pipelines.history.loader import FencedError, RebalancingError, Record
from pipelines.history.marks import resume
from pipelines.history.plan import Mark, Partition, parse_mark

Kept = Callable[[Mapping[str, str]], Mapping[Partition, Mark]]
"""Looks up the marks kept beside the rows, for topics and their ids."""

GROUP: Final = "cdp-history"
SESSION_TIMEOUT_MS: Final = 10_000
_NOT_OURS: Final = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError._FENCED,
        KafkaError._FATAL,  # a consumer knows one fatal error: another came under its instance name
        KafkaError._MAX_POLL_EXCEEDED,
        KafkaError._ASSIGNMENT_LOST,
        KafkaError._STATE,
        KafkaError._NO_OFFSET,
    }
)
_log = logging.getLogger(__name__)


class LogAwayError(Exception):
    """Kafka did not answer within the time allowed."""


class LogError(Exception):
    """Kafka answered with an error that waiting does not cure; the message names topic and remedy."""


def retry(what: str, retry_for_s: float, attempt: Callable[[], Any], sleep: Callable[[float], Any] = time.sleep) -> Any:
    """Call `attempt` until Kafka answers.

    Raises:
        LogAwayError: it did not within `retry_for_s`.
        KafkaException: an error that is not about Kafka being away.
    """
    until, pause_s = time.monotonic() + retry_for_s, 0.1
    while True:
        try:
            return attempt()
        except KafkaException as failed:
            error: KafkaError = failed.args[0]
            if error.fatal() or not (error.retriable() or error.code() in _AWAY):
                raise
            if time.monotonic() + pause_s > until:
                raise LogAwayError(f"{what}: Kafka did not answer for {retry_for_s:.0f} s ({error.name()}); is it running?") from failed
            _log.warning("%s: %s; trying again", what, error.name())
        if sleep(pause_s):
            raise LogAwayError(f"{what}: told to stop while Kafka was away")
        pause_s = min(5.0, pause_s * 2)


_AWAY: Final = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._WAIT_COORD,
        KafkaError._RESOLVE,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.NOT_COORDINATOR,
    }
)


class GroupLog:
    """A member of the group `cdp-history`.

    Args:
        bootstrap: Kafka's address.
        topics: topics to read.
        instance: name of this member; a member that comes back under its name gets its partitions at once, and the one it replaces
            is fenced.
        kept: the marks kept beside the rows.
        retry_for_s: how long a commit or a look-up waits for Kafka.
        sleep: see `sinks.clickhouse.PatientInserts`.
    """

    def __init__(
        self,
        bootstrap: str,
        topics: list[str],
        instance: str,
        kept: Kept,
        retry_for_s: float = 300,
        sleep: Callable[[float], Any] = time.sleep,
    ) -> None:
        self._retry_for_s = retry_for_s
        self._sleep = sleep
        self._topics = topics
        self._kept = kept
        self._ids = topic_ids(bootstrap, topics, retry_for_s, sleep)
        self._on_assign: Callable[[Mapping[Partition, Mark]], None] = lambda _: None
        self._on_revoke: Callable[[Iterable[Partition]], None] = lambda _: None
        self._failed: BaseException | None = None
        self._told_s = -10.0
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": GROUP,
                "group.instance.id": member_name(instance, topics),
                "client.id": f"{GROUP}-{instance}",
                "partition.assignment.strategy": "cooperative-sticky",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "session.timeout.ms": SESSION_TIMEOUT_MS,
                "heartbeat.interval.ms": SESSION_TIMEOUT_MS // 4,
                "max.poll.interval.ms": int(retry_for_s * 1000) * 2 + 60_000,
                "fetch.wait.max.ms": 100,
                "fetch.message.max.bytes": 4 << 20,
                "queued.max.messages.kbytes": 65_536,
                "reconnect.backoff.max.ms": 1_000,
                "log_level": 2,  # while Kafka is away the client would log each attempt to connect; `_went_wrong` says it once
                "error_cb": self._went_wrong,
            },
            logger=_log,
        )

    def join(self, on_assign: Callable[[Mapping[Partition, Mark]], None], on_revoke: Callable[[Iterable[Partition]], None]) -> None:
        """Join the group; from now on `read` tells through the callbacks which partitions are ours."""
        self._on_assign, self._on_revoke = on_assign, on_revoke
        self._consumer.subscribe(self._topics, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)

    def read(self, limit: int, timeout_s: float) -> list[Record]:
        """See `loader.Log`."""
        messages = self._consumer.consume(limit, timeout_s)
        if self._failed is not None:
            raise self._failed
        return [self._record(message) for message in messages]

    def commit(self, marks: Mapping[Partition, Mark]) -> None:
        """See `loader.Log`."""
        offsets = [TopicPartition(part.topic, part.number, mark.offset, mark.metadata) for part, mark in marks.items()]
        try:
            answers = retry("commit", self._retry_for_s, lambda: self._consumer.commit(offsets=offsets, asynchronous=False), self._sleep)
            refused = next((answer.error for answer in answers if answer.error is not None), None)
        except KafkaException as failed:
            refused = failed.args[0]
        if refused is None:
            return
        if refused.code() == KafkaError.REBALANCE_IN_PROGRESS:
            raise RebalancingError(refused.name())
        if refused.code() in _NOT_OURS or refused.fatal():
            raise _fenced(refused)
        raise LogError(f"group {GROUP}: commit refused: {refused.name()}")

    def topic_id(self, topic: str) -> str:
        """See `loader.Log`."""
        return self._ids[topic]

    def ends(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """End offsets of partitions as of the last fetch, for the lag: asking for them would hold the loader up."""
        found = {part: self._consumer.get_watermark_offsets(TopicPartition(part.topic, part.number), cached=True) for part in partitions}
        return {part: marks[1] for part, marks in found.items() if marks and marks[1] >= 0}

    def close(self) -> None:
        """Leave the log. A static member stays in the group until its session times out, so that a quick restart moves no partition."""
        self._consumer.close()

    def _went_wrong(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN and time.monotonic() - self._told_s > 10:
            self._told_s = time.monotonic()
            _log.warning("Kafka does not answer (%s); waiting", error.name())

    def _record(self, message: Message) -> Record:
        topic, number, offset, value = message.topic(), message.partition(), message.offset(), message.value()
        error = message.error()
        if error is not None:
            if error.fatal() or error.code() in _NOT_OURS:
                raise _fenced(error)
            raise LogError(f"{topic} partition {number}: {error.str()}; was the topic deleted or made anew?")
        assert topic is not None
        assert number is not None
        assert offset is not None
        if value is None:
            raise LogError(f"{topic} partition {number}: offset {offset} has no value; only the platform may write to clean topics")
        return Record(Partition(topic, number), offset, value)

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            committed = retry("read committed offsets", self._retry_for_s, lambda: consumer.committed(partitions, timeout=10), self._sleep)
            kept = self._kept(self._ids)
            marks = {}
            for found in committed:
                part = Partition(found.topic, found.partition)
                look_up = partial(consumer.get_watermark_offsets, found, timeout=10)
                low, high = retry("read offsets", self._retry_for_s, look_up, self._sleep)
                group = parse_mark(found.offset, found.metadata) if found.offset >= 0 else None
                resumed = resume(part, group, kept.get(part), low, high)
                if resumed.note:
                    _log.warning("%s partition %d: %s", part.topic, part.number, resumed.note)
                marks[part] = resumed.mark
            under_way = sum(mark.plan is not None for mark in marks.values())
            _log.info("%d partitions assigned, %d with a planned range to complete", len(marks), under_way)
            self._on_assign(marks)
            consumer.incremental_assign([TopicPartition(part.topic, part.number, mark.offset) for part, mark in marks.items()])
        except Exception as error:  # raised in librdkafka's callback it would be lost; `read` raises it
            self._failed = error

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._on_revoke([Partition(part.topic, part.partition) for part in partitions])
        consumer.incremental_unassign(partitions)


def member_name(instance: str, topics: Sequence[str]) -> str:
    """Name of a member in the group.

    What it reads is part of it: the group gives a member that comes back under its old name its old partitions, without asking what it
    reads now, so a topic added by an upgrade would have no reader.

    Args:
        instance: name of the process.
        topics: what it reads.
    """
    return f"{GROUP}-{instance}-{hashlib.blake2b(chr(0).join(sorted(topics)).encode(), digest_size=4).hexdigest()}"


def _fenced(error: KafkaError) -> FencedError:
    return FencedError(error.name(), replaced=error.code() in (KafkaError.FENCED_INSTANCE_ID, KafkaError._FATAL))


def rewind(bootstrap: str, topics: list[str], retry_for_s: float, sleep: Callable[[float], Any] = time.sleep) -> None:
    """Let the group start topics from their beginning: their tables are new, so whatever the group remembers of them is not in ClickHouse.

    Raises:
        LogError: the group has live members; they go on with the old offsets.
        LogAwayError: see `retry`.
    """
    if not topics:
        return
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": GROUP, "log_level": 2}, logger=_log)
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2}, logger=_log)
    try:
        listed = retry("list topics", retry_for_s, lambda: reader.list_topics(timeout=10), sleep).topics
        parts = [TopicPartition(topic, number) for topic in topics if topic in listed for number in listed[topic].partitions]
        committed = retry("read committed offsets", retry_for_s, lambda: reader.committed(parts, timeout=10), sleep)
        known = [part for part in committed if part.offset >= 0]
        if not known:
            return
        lows = [retry("read offsets", retry_for_s, partial(reader.get_watermark_offsets, part, timeout=10), sleep)[0] for part in known]
        starts = [TopicPartition(part.topic, part.partition, low) for part, low in zip(known, lows, strict=True)]
        _log.warning("tables of %s are new: loading these topics from their beginning", ", ".join(sorted({part.topic for part in known})))
        until = time.monotonic() + 3 * SESSION_TIMEOUT_MS / 1000
        while (refused := alter(admin, starts)) and time.monotonic() < until:
            if sleep(1.0):  # a member that was killed counts as alive until its session times out
                raise LogAwayError("told to stop while the group still had members")
        if refused:
            raise LogError(f"group {GROUP}: cannot start {topics} from the beginning ({refused}); stop the other instances of job history")
    finally:
        reader.close()


def alter(admin: AdminClient, starts: list[TopicPartition]) -> str:
    """Set the group's offsets.

    Kafka refuses that partition by partition while the group has members, and the client raises nothing then.

    Returns:
        Why not, as Kafka names it; empty when it is done.
    """
    request = ConsumerGroupTopicPartitions(GROUP, starts)
    try:
        answer = admin.alter_consumer_group_offsets([request], request_timeout=10)[GROUP].result()
    except KafkaException as failed:
        return str(failed.args[0].name())
    return next((part.error.name() for part in answer.topic_partitions if part.error is not None), "")


def topic_ids(bootstrap: str, topics: list[str], retry_for_s: float = 30, sleep: Callable[[float], Any] = time.sleep) -> dict[str, str]:
    """Ids that Kafka gave topics when they were made.

    Raises:
        LogError: a topic does not exist.
        LogAwayError: see `retry`.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2}, logger=_log)

    def look_up() -> dict[str, str]:
        futures = admin.describe_topics(TopicCollection(topics), request_timeout=10)
        return {topic: str(future.result().topic_id) for topic, future in futures.items()}

    try:
        found: dict[str, str] = retry("look the clean topics up", retry_for_s, look_up, sleep)
    except KafkaException as failed:
        raise LogError(f"clean topics: {failed.args[0].str()}; create the topics of config/topics.yaml first") from failed
    return found
