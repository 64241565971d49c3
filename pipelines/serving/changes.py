"""The topic `cdp.profile.changes`, read uncommitted as a member of a group."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from pipelines.history.group import LogAwayError, LogError, retry, topic_ids
from pipelines.serving.server import Batch, Record

GROUP: Final = "cdp-serve"
TOPIC: Final = "cdp.profile.changes"
SESSION_TIMEOUT_MS: Final = 10_000
_ASK_S: Final = 10.0
_log = logging.getLogger(__name__)


class Changes:
    """See `server.Log`.

    Args:
        bootstrap: Kafka's address.
        instance: name of this member of the group; one that comes back under its name gets its partitions at once.
        retry_for_s: how long a look-up waits for Kafka.
        sleep: waits; a true answer means that the process was told to stop.

    Attributes:
        log_id: id of the topic; another one when the topic is made anew.
    """

    def __init__(self, bootstrap: str, instance: str, retry_for_s: float = 300, sleep: Callable[[float], Any] = time.sleep) -> None:
        self._retry_for_s = retry_for_s
        self._sleep = sleep
        self.log_id = topic_ids(bootstrap, [TOPIC], retry_for_s, sleep)[TOPIC]
        self._on_assign: Callable[[Iterable[int]], Mapping[int, int]] = lambda _: {}
        self._on_revoke: Callable[[], None] = lambda: None
        self._failed: BaseException | None = None
        self._told_s = -_ASK_S
        servers = {
            "bootstrap.servers": bootstrap,
            "isolation.level": "read_uncommitted",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,  # only this event tells that nothing but transaction markers is left
            "fetch.wait.max.ms": 100,
            "fetch.message.max.bytes": 4 << 20,
            "reconnect.backoff.max.ms": 1_000,
            "log_level": 2,  # while Kafka is away the client would log each attempt to connect; `_went_wrong` says it once
            "error_cb": self._went_wrong,
        }
        member = {
            "group.id": GROUP,
            "group.instance.id": f"{GROUP}-{instance}",
            "client.id": f"{GROUP}-{instance}",
            "session.timeout.ms": SESSION_TIMEOUT_MS,
            "heartbeat.interval.ms": SESSION_TIMEOUT_MS // 4,
            "max.poll.interval.ms": int(retry_for_s * 1000) * 2 + 60_000,
            "queued.max.messages.kbytes": 32_768,
        }
        self._live = Consumer(servers | member, logger=_log)
        self._past = Consumer(
            servers | {"group.id": f"{GROUP}-past", "client.id": f"{GROUP}-{instance}-past", "queued.max.messages.kbytes": 8_192},
            logger=_log,
        )

    def join(self, on_assign: Callable[[Iterable[int]], Mapping[int, int]], on_revoke: Callable[[], None]) -> None:
        """Join the group.

        Args:
            on_assign: takes all partitions that are ours now; returns where to begin each.
            on_revoke: none is ours any more, for the moment.
        """
        self._on_assign, self._on_revoke = on_assign, on_revoke
        self._live.subscribe([TOPIC], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)

    def read(self, limit: int, timeout_s: float) -> Batch:
        """See `server.Log`.

        Raises:
            LogError: Kafka refused; the process has to begin anew.
        """
        first = self._live.poll(timeout_s)
        messages = [] if first is None else [first, *self._live.consume(limit - 1, 0)]
        if self._failed is not None:
            raise self._failed
        return _batch(messages)

    def seek(self, partition: int, offset: int) -> None:
        """See `server.Log`."""
        self._live.seek(TopicPartition(TOPIC, partition, offset))

    def piece(self, partition: int, begin: int, end: int) -> Sequence[Record]:
        """See `server.Log`.

        Raises:
            LogAwayError: Kafka did not answer for `retry_for_s`.
        """
        found: list[Record] = []
        until = time.monotonic() + self._retry_for_s
        self._past.assign([TopicPartition(TOPIC, partition, begin)])
        try:
            reached = begin
            while reached < end:
                batch = _batch(self._past.consume(end - reached, 0.05))
                found += batch.records
                reached = batch.upto.get(partition, reached)
                if time.monotonic() > until:
                    raise LogAwayError(f"{TOPIC} partition {partition}: Kafka did not answer for {self._retry_for_s:.0f} s; is it running?")
        finally:
            self._past.unassign()
        return [record for record in found if record.offset < end]

    def bounds(self, partition: int) -> tuple[int, int]:
        """See `server.Log`.

        Raises:
            LogAwayError: Kafka did not answer for `retry_for_s`.
        """
        look_up = partial(self._live.get_watermark_offsets, TopicPartition(TOPIC, partition), timeout=_ASK_S)
        first, end = retry("read offsets", self._retry_for_s, look_up, self._sleep)
        return int(first), int(end)

    def commit(self, offsets: Mapping[int, int], remark: str) -> None:
        """Tell the group how far we are, for `cdp jobs` to see: where to begin, the store's journal says. May get lost."""
        self._live.commit(offsets=[TopicPartition(TOPIC, part, offset, remark) for part, offset in offsets.items()], asynchronous=True)

    def close(self) -> None:
        """Leave the log."""
        self._past.close()
        self._live.close()

    def _went_wrong(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN and time.monotonic() - self._told_s > 10:
            self._told_s = time.monotonic()
            _log.warning("Kafka does not answer (%s); waiting", error.name())

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            starts = self._on_assign([part.partition for part in partitions])
            consumer.assign([TopicPartition(TOPIC, partition, offset) for partition, offset in starts.items()])
            _log.info("partitions %s, from offsets %s", list(starts), list(starts.values()))
        except Exception as error:  # raised in librdkafka's callback it would be lost; `read` raises it
            self._failed = error

    def _revoked(self, consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        self._on_revoke()
        consumer.unassign()


def _batch(messages: Sequence[Message]) -> Batch:
    records: list[Record] = []
    upto: dict[int, int] = {}
    for message in messages:
        partition, offset, value, error = message.partition(), message.offset(), message.value(), message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            raise LogError(f"{TOPIC} partition {partition}: {error.str()}")
        assert partition is not None
        assert offset is not None
        if error is not None:
            upto[partition] = max(offset, upto.get(partition, 0))
            continue
        upto[partition] = offset + 1
        if value is None:
            raise LogError(f"{TOPIC} partition {partition}: offset {offset} has no value; only the platform may write to clean topics")
        records.append(Record(partition, offset, value))
    return Batch(records, upto)


FATAL: Final = (KafkaException, LogAwayError, LogError)
"""What ends the job, for the supervisor to start it anew."""
