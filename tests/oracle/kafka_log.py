"""Read the raw topics back from Kafka, for the oracle to judge."""

import time
from collections.abc import Sequence

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from tests.oracle.log import RawRecord

IDLE_S = 30.0


def read_raw(bootstrap: str, topics: Sequence[str]) -> list[RawRecord]:
    """All records of some topics from their beginning to where they end now.

    Args:
        bootstrap: Kafka.
        topics: their names.

    Raises:
        TimeoutError: Kafka gave nothing for a while although more is there.
    """
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "oracle", "enable.auto.commit": False, "enable.partition.eof": False, "log_level": 0}
    )
    try:
        metadata = consumer.list_topics(timeout=IDLE_S).topics
        places = [TopicPartition(topic, partition, OFFSET_BEGINNING) for topic in topics for partition in metadata[topic].partitions]
        ends = {(place.topic, place.partition): consumer.get_watermark_offsets(place, timeout=IDLE_S) for place in places}
        missing = {place: end - begin for place, (begin, end) in ends.items() if end > begin}
        consumer.assign([place for place in places if (place.topic, place.partition) in missing])
        records: list[RawRecord] = []
        deadline = time.monotonic() + IDLE_S
        while missing:
            for found in consumer.consume(5000, timeout=1.0):
                error = found.error()
                if error is not None:
                    raise KafkaException(error)
                topic, partition, offset = found.topic(), found.partition(), found.offset()
                assert topic is not None
                assert partition is not None
                assert offset is not None
                if offset >= ends[topic, partition][1]:
                    continue
                records.append(RawRecord(topic, partition, offset, found.timestamp()[1], found.value()))
                if offset == ends[topic, partition][1] - 1:
                    del missing[topic, partition]
                deadline = time.monotonic() + IDLE_S
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {IDLE_S:.0f} s for {missing}")
        return records
    finally:
        consumer.close()
