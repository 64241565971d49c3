"""The raw topics as somebody sees them who writes to them: their partitions, which one a key belongs to, the newest time in them."""

import zlib
from typing import Final

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

ASK_S: Final = 15.0


class RawTopicsError(RuntimeError):
    """The raw topics cannot be written to; the message says what to do."""


def partitions_of(bootstrap: str, topics: list[str]) -> dict[str, int]:
    """Number of partitions of each topic.

    Raises:
        RawTopicsError: Kafka cannot be reached, or a topic does not exist.
    """
    try:
        known = AdminClient({"bootstrap.servers": bootstrap, "log_level": 3}).list_topics(timeout=ASK_S).topics
    except KafkaException as error:
        raise RawTopicsError(f"no Kafka at {bootstrap}: start the stack with `cdp up`") from error
    missing = [topic for topic in topics if topic not in known]
    if missing:
        raise RawTopicsError(f"topics {', '.join(missing)} do not exist: `cdp up` creates them")
    return {topic: len(known[topic].partitions) for topic in topics}


def newest_ms(bootstrap: str, partitions: dict[str, int]) -> int:
    """The greatest record timestamp in the topics, -1 when they are empty."""
    spec = OffsetSpec.max_timestamp()  # type: ignore[no-untyped-call]
    asked = {TopicPartition(topic, partition): spec for topic, count in partitions.items() for partition in range(count)}
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 3})  # has to outlive its futures
    return max(int(future.result().timestamp) for future in admin.list_offsets(asked, request_timeout=ASK_S).values())


def partition_of(key: bytes, count: int) -> int:
    """The partition a key belongs to; the same choice librdkafka's default partitioner makes."""
    return zlib.crc32(key) % count
