"""How far the bridge is, kept in Kafka for ever: `cdp.progress`, compacted.

What a consumer group has committed is forgotten when nobody uses the group for long, or when somebody deletes it. The bridge would then
read Debezium's topics from the beginning; ids make most of that duplicates, but only for as long as ids are remembered.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

TOPIC: Final = "cdp.progress"
ANSWER_S: Final = 10.0
READ_WITHIN_S: Final = 60.0
_COORDINATOR_TO_COME: Final = frozenset(
    {KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.COORDINATOR_LOAD_IN_PROGRESS}
)

Place = tuple[str, int]


class LogCutError(Exception):
    """A topic ends before the place up to which it was read; the message names the remedy."""


class ResetError(Exception):
    """The group's offsets cannot be changed; the message names the remedy."""


class _Key(msgspec.Struct, frozen=True):
    group: str
    topic: str
    topic_id: str
    partition: int


class Found(NamedTuple):
    """What is known of a partition: offsets committed by the group and kept here (-1: none), and the ends of the log."""

    committed: int
    kept: int
    low: int
    high: int


def resume(place: Place, found: Found) -> int:
    """The offset to go on from.

    Args:
        place: topic and partition.
        found: what is known of it.

    Raises:
        LogCutError: the log does not reach that far any more.
    """
    known = max(found.committed, found.kept)
    if known > found.high:
        raise LogCutError(
            f"{place[0]} partition {place[1]} ends at offset {found.high}, but was read up to {known}: the broker has lost the end of "
            "its log. Bring it back from a backup; or stop job cdc, let `cdp offsets reset cdc` go on with what is written from now on, "
            "and have Debezium write a new snapshot"
        )
    return max(known, found.low)


class Progress:
    """The positions of one group.

    Args:
        bootstrap: brokers.
        group: the group.
    """

    def __init__(self, bootstrap: str, group: str) -> None:
        self._bootstrap, self._group = bootstrap, group
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
        self._producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 0, "log_level": 3})
        self._ids: dict[str, str] = {}

    def read(self, topics: Sequence[str]) -> dict[Place, int]:
        """What was kept of topics as they are now; one that was made anew has nothing.

        Raises:
            KafkaException: Kafka does not answer, or there is no `cdp.progress`.
        """
        ids = {topic: self._id(topic) for topic in topics}
        found: dict[Place, int] = {}
        for key, offset in self._entries().items():
            if key.group == self._group and ids.get(key.topic) == key.topic_id:
                found[key.topic, key.partition] = offset
        return found

    def keep(self, offsets: Mapping[Place, int]) -> None:
        """Write positions down; on the brokers' disks before this returns.

        Raises:
            KafkaException: Kafka does not take them.
        """
        refused: list[KafkaError] = []
        for (topic, partition), offset in offsets.items():
            key = msgspec.json.encode(_Key(self._group, topic, self._id(topic), partition))
            self._producer.produce(TOPIC, b"%d" % offset, key, on_delivery=lambda error, _: refused.append(error) if error else None)
        if self._producer.flush(ANSWER_S) or refused:
            raise KafkaException(refused[0] if refused else KafkaError(KafkaError._TIMED_OUT))

    def _id(self, topic: str) -> str:
        if topic not in self._ids:
            described = self._admin.describe_topics(TopicCollection([topic]), request_timeout=ANSWER_S)[topic]
            self._ids[topic] = str(described.result().topic_id)
        return self._ids[topic]

    def _entries(self) -> dict[_Key, int]:
        consumer = Consumer(
            {"bootstrap.servers": self._bootstrap, "group.id": f"{self._group}-progress", "enable.auto.commit": False, "log_level": 2}
        )
        try:
            low, high = consumer.get_watermark_offsets(TopicPartition(TOPIC, 0), timeout=ANSWER_S)
            consumer.assign([TopicPartition(TOPIC, 0, low)])
            entries: dict[_Key, int] = {}
            deadline = time.monotonic() + READ_WITHIN_S
            while consumer.position([TopicPartition(TOPIC, 0)])[0].offset < high and low < high:
                if time.monotonic() > deadline:
                    raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
                for message in consumer.consume(10_000, 0.2):
                    if error := message.error():
                        raise KafkaException(error)
                    key, value = message.key(), message.value()
                    if key is not None and value is not None:
                        entries[msgspec.json.decode(key, type=_Key)] = int(value)
            return entries
        finally:
            consumer.close()


def reset(bootstrap: str, group: str, topics: Sequence[str]) -> list[str]:
    """Let every partition whose log was cut go on from its end.

    Args:
        bootstrap: brokers.
        group: the group; it must have no members.
        topics: what it reads; those that Debezium has not made yet are left out.

    Returns:
        The partitions it did that to, in words.

    Raises:
        KafkaException: Kafka does not answer.
        ResetError: the group has members; then nothing is changed.
    """
    progress = Progress(bootstrap, group)
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False, "log_level": 2})
    cut: dict[Place, int] = {}
    said = []
    try:
        there = consumer.list_topics(timeout=ANSWER_S).topics
        parts = [TopicPartition(topic, number) for topic in topics if topic in there for number in there[topic].partitions]
        kept = progress.read([topic for topic in topics if topic in there])
        for part in _committed(consumer, parts) if parts else []:
            place = (part.topic, part.partition)
            end = consumer.get_watermark_offsets(part, timeout=ANSWER_S)[1]
            known = max(part.offset, kept.get(place, -1))
            if known > end:
                cut[place] = end
                said.append(f"{part.topic} partition {part.partition}: from {known} to {end}")
    finally:
        consumer.close()
    if cut:
        starts = [TopicPartition(*place, end) for place, end in cut.items()]
        admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
        refused = _alter(admin, group, starts)
        if refused:
            raise ResetError(f"group {group} keeps its offsets ({refused}); stop job cdc first, and wait ten seconds")
        progress.keep(cut)
    return said


def _committed(consumer: Consumer, parts: list[TopicPartition]) -> list[TopicPartition]:
    """What a group has committed; a coordinator that has only just become it is asked again."""
    until = time.monotonic() + ANSWER_S
    while True:
        try:
            return list(consumer.committed(parts, timeout=ANSWER_S))
        except KafkaException as error:
            if error.args[0].code() not in _COORDINATOR_TO_COME or time.monotonic() > until:
                raise
        time.sleep(0.2)


def _alter(admin: AdminClient, group: str, starts: list[TopicPartition]) -> str:
    """Set a group's offsets; why not, as Kafka names it: it refuses partition by partition, and the client raises nothing then."""
    request = ConsumerGroupTopicPartitions(group, starts)
    try:
        answer = admin.alter_consumer_group_offsets([request], request_timeout=ANSWER_S)[group].result()
    except KafkaException as failed:
        return str(failed.args[0].name())
    return next((part.error.name() for part in answer.topic_partitions if part.error is not None), "")
