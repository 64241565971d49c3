"""Reading topics from their beginning to their end, for checks: no group, nothing committed."""

import time
from collections.abc import Callable, Iterable
from typing import Final

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

ANSWER_TIMEOUT_S: Final = 10.0
Handle = Callable[[str, Message], None]


class TopicsAwayError(Exception):
    """Kafka does not answer, or a topic is not there."""


class Reader:
    """Reads the records of topics, from the beginning on, as far as one asks.

    Args:
        bootstrap: Kafka's address.
        topics: topics to read.
        handle: called with topic and message, in order of offset within a partition.
        committed: whether records of transactions that were aborted, or are still open, are left out.
    """

    def __init__(self, bootstrap: str, topics: Iterable[str], handle: Handle, *, committed: bool = True) -> None:
        self._bootstrap = bootstrap
        self._handle = handle
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "cdp-verify",
                "enable.auto.commit": False,
                "isolation.level": "read_committed" if committed else "read_uncommitted",
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "queued.max.messages.kbytes": 131_072,
                "fetch.message.max.bytes": 8 << 20,
                "fetch.wait.max.ms": 50,
                "log_level": 2,
            }
        )
        try:
            listed = self._consumer.list_topics(timeout=ANSWER_TIMEOUT_S).topics
        except KafkaException as error:
            raise self._away(error) from error
        missing = [topic for topic in topics if topic not in listed]
        if missing:
            raise TopicsAwayError(f"Kafka at {bootstrap} has no topic {', '.join(missing)}; `cdp up` makes them")
        self._parts = [TopicPartition(topic, number) for topic in topics for number in listed[topic].partitions]
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
        self._reached = self._offsets(OffsetSpec.earliest())  # type: ignore[no-untyped-call]
        self._consumer.assign([TopicPartition(topic, number, offset) for (topic, number), offset in self._reached.items()])
        self.count = 0

    def ends(self, *, committed: bool = True) -> dict[tuple[str, int], int]:
        """The end of each partition.

        Args:
            committed: as readers of committed records see it: the first record of the oldest transaction that is still open, if there is
                one. Else that of all that is written; reading up to there waits for such transactions.
        """
        return self._offsets(OffsetSpec.latest(), committed=committed)  # type: ignore[no-untyped-call]

    def read_to(self, ends: dict[tuple[str, int], int], tell: Callable[[int], None] = lambda _: None) -> None:
        """Read until every partition has reached its end.

        Args:
            ends: from `ends`.
            tell: called now and then with the number of records read so far.

        Raises:
            TopicsAwayError: nothing came for a long time although there is more.
        """
        silent_since = time.monotonic()
        while any(self._reached[part] < end for part, end in ends.items()):
            messages = self._consumer.consume(20_000, 0.2)
            if messages:
                silent_since = time.monotonic()
            elif time.monotonic() - silent_since > 3 * ANSWER_TIMEOUT_S:
                raise TopicsAwayError(f"Kafka at {self._bootstrap} has stopped answering; is it running (`cdp status`)?")
            for message in messages:
                self._take(message)
            tell(self.count)

    def read_on(self, tell: Callable[[int], None] = lambda _: None) -> None:
        """Read to the end as it is now."""
        self.read_to(self.ends(), tell)

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()

    def _take(self, message: Message) -> None:
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        assert topic is not None
        assert partition is not None
        assert offset is not None
        error = message.error()
        if error is None:
            self._reached[topic, partition] = offset + 1
            self.count += 1
            self._handle(topic, message)
        elif error.code() == KafkaError._PARTITION_EOF:
            self._reached[topic, partition] = offset  # behind the last record there may be transaction markers: only this event tells
        else:
            raise TopicsAwayError(f"Kafka at {self._bootstrap}: {topic}: {error.str()}")

    def _offsets(self, spec: OffsetSpec, *, committed: bool = True) -> dict[tuple[str, int], int]:
        """One request for all partitions, on a connection that no fetch keeps waiting."""
        asked = dict.fromkeys(self._parts, spec)
        try:
            level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
            futures = self._admin.list_offsets(asked, isolation_level=level, request_timeout=ANSWER_TIMEOUT_S)
            return {(part.topic, part.partition): future.result().offset for part, future in futures.items()}
        except KafkaException as error:
            raise self._away(error) from error

    def _away(self, error: KafkaException) -> TopicsAwayError:
        return TopicsAwayError(f"Kafka at {self._bootstrap} does not answer ({error.args[0].name()}); is it running (`cdp status`)?")


def each(
    bootstrap: str,
    topic: str,
    take: Callable[[Message], None],
    *,
    wait: bool = False,
    committed: bool = True,
    tell: Callable[[int, int], None] = lambda *_: None,
) -> None:
    """Hand over every record that a topic holds now, from the oldest to the newest of each partition.

    Args:
        bootstrap: Kafka's address.
        topic: what to read.
        take: called with each record.
        wait: for transactions that are open, so that what lies behind them is not missed.
        committed: see `Reader`.
        tell: called now and then with the number of records read and about how many there are.

    Raises:
        TopicsAwayError: Kafka does not answer, or the topic is not there.
    """
    reader = Reader(bootstrap, [topic], lambda _, message: take(message), committed=committed)
    try:
        ends = reader.ends(committed=committed and not wait)
        total = sum(ends.values())
        reader.read_to(ends, lambda done: tell(done, total))
    finally:
        reader.close()


def processed(bootstrap: str, group: str, parts: list[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """The offset a group has committed for each partition: what lies below is done. Partitions without one are left out."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group})
    try:
        committed = consumer.committed([TopicPartition(topic, number) for topic, number in parts], timeout=ANSWER_TIMEOUT_S)
    except KafkaException as error:
        raise TopicsAwayError(f"Kafka at {bootstrap} does not answer ({error.args[0].name()}); is it running (`cdp status`)?") from error
    finally:
        consumer.close()
    return {(part.topic, part.partition): part.offset for part in committed if part.offset >= 0}
