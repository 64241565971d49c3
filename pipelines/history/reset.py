"""Lets job `history` go on after the broker has lost the end of a clean topic: with what is written from now on."""

from collections.abc import Mapping
from typing import NamedTuple

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from pipelines.history import marks
from pipelines.history.group import GROUP, LogError, alter, retry, topic_ids
from pipelines.history.plan import Mark, Partition
from pipelines.history.tables import TABLES

ANSWER_S = 10.0


class Cut(NamedTuple):
    """A partition whose log ends before what is loaded of it."""

    part: Partition
    end: int
    loaded: int


def reset(bootstrap: str, server: marks.Server) -> list[Cut]:
    """Let every partition whose log was cut go on from its end; rows below the old place are looked for before they are inserted.

    Args:
        bootstrap: Kafka's address.
        server: ClickHouse.

    Returns:
        The partitions it did that to.

    Raises:
        LogError: the job runs; then nothing is changed.
        KafkaException: Kafka does not answer.
    """
    server.command(marks.CREATE)  # a loader that never ran has not made it
    ids = topic_ids(bootstrap, list(TABLES))
    found = _cut(bootstrap, marks.read(server, ids))
    if found:
        starts = [TopicPartition(cut.part.topic, cut.part.number, cut.end) for cut in found]
        admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
        refused = alter(admin, starts)
        if refused:
            raise LogError(f"group {GROUP} keeps its offsets ({refused}); stop job history first, and wait ten seconds")
        for cut in found:
            marks.reset(server, cut.part, ids[cut.part.topic], cut.end, cut.loaded)
    return found


def _cut(bootstrap: str, kept: Mapping[Partition, Mark]) -> list[Cut]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": GROUP, "enable.auto.commit": False, "log_level": 2})
    try:
        there = consumer.list_topics(timeout=ANSWER_S).topics
        parts = [TopicPartition(topic, number) for topic in TABLES if topic in there for number in there[topic].partitions]
        cuts = []
        for one in retry("read committed offsets", ANSWER_S, lambda: consumer.committed(parts, timeout=ANSWER_S)):
            part = Partition(one.topic, one.partition)
            mark = kept.get(part)
            loaded = max(one.offset, mark.plan.end if mark and mark.plan else mark.offset if mark else -1)
            end = consumer.get_watermark_offsets(one, timeout=ANSWER_S)[1]
            if loaded > end:
                cuts.append(Cut(part, end, loaded))
        return cuts
    finally:
        consumer.close()
