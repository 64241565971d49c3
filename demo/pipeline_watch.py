"""How far the pipeline is: read from the outside, from what it commits and what it writes."""

import itertools
from collections import Counter
from typing import Final

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from redis import Redis

from pipelines.serving.changes import TOPIC as CHANGES
from profile_store import journal
from profile_store.layout import PROFILE_PATTERN, parse_profile_key

GROUP: Final = "cdp-profiles"
ASK_S: Final = 15.0
SCAN_COUNT: Final = 1000
Ends = dict[tuple[str, int], int]


class PipelineWatch:
    """Looks at Kafka and Redis the way any outsider could.

    Args:
        bootstrap: Kafka.
        redis_url: the profile store.
        partitions: of the raw topics.
    """

    def __init__(self, bootstrap: str, redis_url: str, partitions: dict[str, int]) -> None:
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        self._redis: Redis = Redis.from_url(redis_url, socket_timeout=ASK_S)
        self._places = [(topic, partition) for topic, count in partitions.items() for partition in range(count)]

    def ends(self) -> Ends:
        """End offsets of the raw partitions."""
        return self._ends(self._places)

    def is_served(self) -> bool:
        """Does Redis hold every change that has been written to the topic of changes?"""
        changes = self._admin.describe_topics(TopicCollection([CHANGES]), request_timeout=ASK_S)[CHANGES].result()
        held = journal.read(self._redis, str(changes.topic_id))
        ends = self._ends([(CHANGES, part.id) for part in changes.partitions])
        return all(partition in held and held[partition].done >= end for (_, partition), end in ends.items() if end)

    def _ends(self, places: list[tuple[str, int]]) -> Ends:
        spec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked = {TopicPartition(topic, partition): spec for topic, partition in places}
        futures = self._admin.list_offsets(asked, request_timeout=ASK_S)
        return {(place.topic, place.partition): int(future.result().offset) for place, future in futures.items()}

    def processed(self, upto: Ends | None = None) -> int:
        """Raw records whose effects are committed, up to given ends; the group commits them with each checkpoint."""
        try:
            group = self._admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(GROUP)], request_timeout=ASK_S)[GROUP].result()
        except KafkaException:
            return 0  # the job has not committed anything yet
        offsets = {(place.topic, place.partition): max(0, place.offset) for place in group.topic_partitions or []}
        if upto is None:
            return sum(offsets.get(place, 0) for place in self._places)
        return sum(min(offsets.get(place, 0), end) for place, end in upto.items())

    def keys(self) -> int:
        """Keys in the profile store: a profile and at least one identifier each."""
        return int(self._redis.dbsize())  # type: ignore[arg-type]

    def first_customer(self, tenant: str) -> str | None:
        """The id of any profile that has an order, None as long as there is none."""
        keys = itertools.islice(self._redis.scan_iter(match=PROFILE_PATTERN, count=SCAN_COUNT), SCAN_COUNT)
        found = [(key, parsed[1]) for key in keys if (parsed := parse_profile_key(key.decode())) and parsed[0] == tenant]
        pipeline = self._redis.pipeline(transaction=False)
        for key, _ in found:
            pipeline.hget(key, "orders_lifetime")
        orders = pipeline.execute()
        return next((profile_id for (_, profile_id), count in zip(found, orders, strict=True) if int(count or 0)), None)

    def cut_points(self, tenant: str) -> Counter[int]:
        """How many profiles carry scores of which version of the cut points."""
        keys = [key for key in self._redis.scan_iter(match=PROFILE_PATTERN, count=SCAN_COUNT) if key.endswith(f":{tenant}".encode())]
        pipeline = self._redis.pipeline(transaction=False)
        for key in keys:
            pipeline.hget(key, "rfm_version")
        return Counter(int(version) for version in pipeline.execute() if version is not None)
