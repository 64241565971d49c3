"""Reads Debezium's topics as one consumer group; what was read is committed when the caller says so, not before."""

import hashlib
import logging
from collections.abc import Sequence
from typing import Final, NamedTuple

from confluent_kafka import Consumer as Client
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from importers.cdc.progress import ANSWER_S, Found, Progress, resume

GROUP: Final = "cdp-cdc"
BATCH: Final = 500
READ_S: Final = 0.2
_log = logging.getLogger("importers.cdc")
_WAIT: Final = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError.LEADER_NOT_AVAILABLE)
"""Debezium makes its topics with the first change, and Kafka may be away for a while: the client goes on asking by itself."""
_GIVEN_AWAY: Final = (KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID, KafkaError.REBALANCE_IN_PROGRESS, KafkaError._NO_OFFSET)


class Record(NamedTuple):
    """One record with its place."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


class Consumer:
    """A member of the group.

    Args:
        bootstrap: brokers.
        topics: Debezium's.
        instance: name of this member; started again under it, it takes over at once, and another process of the same name replaces it.
    """

    def __init__(self, bootstrap: str, topics: Sequence[str], instance: str = "0") -> None:
        self._progress = Progress(bootstrap, GROUP)
        self._failed: Exception | None = None
        # What it reads is part of the name: a member that comes back under its old name gets its old partitions, whatever it reads now.
        reads = hashlib.blake2b(chr(0).join(sorted(topics)).encode(), digest_size=4).hexdigest()
        self._client = Client(
            {
                "bootstrap.servers": bootstrap,
                "group.id": GROUP,
                "group.instance.id": f"{GROUP}-{instance}-{reads}",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "max.poll.interval.ms": 600_000,
                "session.timeout.ms": 10_000,
                "log_level": 3,
            }
        )
        self._client.subscribe(list(topics), on_assign=self._assigned)
        self._said = ""

    def read(self) -> list[Record]:
        """The next records, none after a short while.

        Raises:
            KafkaException: an error that waiting does not cure.
            LogCutError: a topic ends before the place up to which it was read.
        """
        found = []
        messages = self._client.consume(BATCH, READ_S)
        if self._failed is not None:
            raise self._failed
        for message in messages:
            error = message.error()
            if error is None:
                topic, partition, offset = message.topic(), message.partition(), message.offset()
                assert topic is not None
                assert partition is not None
                assert offset is not None
                found.append(Record(topic, partition, offset, _bytes(message.key()), _bytes(message.value())))
            elif error.code() in _WAIT or error.retriable():
                self._say(error.str())
            else:
                raise KafkaException(error)
        return found

    def commit(self, records: Sequence[Record]) -> None:
        """Remember that these are done; when the group has given their partitions away, the new owner does them again.

        Raises:
            KafkaException: Kafka refuses for another reason.
        """
        next_offsets: dict[tuple[str, int], int] = {}
        for record in records:
            next_offsets[record.topic, record.partition] = record.offset + 1
        if not next_offsets:
            return
        try:
            self._client.commit(offsets=[TopicPartition(*place, offset) for place, offset in next_offsets.items()], asynchronous=False)
        except KafkaException as error:
            if error.args[0].code() not in _GIVEN_AWAY and not error.args[0].retriable():
                raise
            _log.warning("not committed, so these records come again: %s", error.args[0].str())
            return
        self._progress.keep(next_offsets)

    def _assigned(self, client: Client, partitions: list[TopicPartition]) -> None:
        try:
            starts = []
            kept = self._progress.read(sorted({part.topic for part in partitions}))
            for part in client.committed(partitions, timeout=ANSWER_S):
                low, high = client.get_watermark_offsets(part, timeout=ANSWER_S)
                place = (part.topic, part.partition)
                found = Found(part.offset if part.offset >= 0 else -1, kept.get(place, -1), low, high)
                if found.kept > found.committed:
                    _log.warning("%s partition %d: the group remembers %d, going on from %d", *place, found.committed, found.kept)
                starts.append(TopicPartition(*place, resume(place, found)))
            client.assign(starts)
        except Exception as error:  # raised in librdkafka's callback it would be lost; `read` raises it
            self._failed = error

    def close(self) -> None:
        """Leave the group."""
        self._client.close()

    def _say(self, what: str) -> None:
        if what != self._said:
            _log.warning("waiting: %s", what)
            self._said = what


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
