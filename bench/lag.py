"""How far consumers are behind, watched from the outside, and whether that grows."""

import statistics
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from confluent_kafka import ConsumerGroupTopicPartitions, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

EVERY_S: Final = 0.5
TIMEOUT_S: Final = 10.0
_LATEST: Final[OffsetSpec] = OffsetSpec.latest()  # type: ignore[no-untyped-call]
# Offsets are committed once a checkpoint, so a single sample swings by a second of input: a median over several checkpoints does not.
SMOOTH_S: Final = 10.0


class Group(msgspec.Struct, frozen=True):
    """A consumer group and what it reads. `committed`: its topics hold transactions, the end is the last stable offset."""

    name: str
    topics: tuple[str, ...]
    committed: bool


class Sample(msgspec.Struct, frozen=True):
    """One look at a group: monotonic seconds, records written to its topics, records it has confirmed."""

    at: float
    written: int
    done: int

    @property
    def lag(self) -> int:
        """Records it is behind."""
        return self.written - self.done


class Watch:
    """Samples groups on a thread of its own, for as long as the block lasts.

    Args:
        bootstrap: the broker.
        groups: which.
    """

    def __init__(self, bootstrap: str, groups: Iterable[Group]) -> None:
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        self._groups = list(groups)
        self._samples: dict[str, list[Sample]] = {group.name: [] for group in self._groups}
        self._halt = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="lag", daemon=True)
        self.failures = 0

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._halt.set()
        self._thread.join(TIMEOUT_S)

    @property
    def names(self) -> list[str]:
        """The groups."""
        return list(self._samples)

    def since(self, group: str, at: float) -> list[Sample]:
        """Samples of a group taken at or after a moment."""
        return [sample for sample in self._samples[group] if sample.at >= at]

    def last(self, group: str) -> Sample | None:
        """The newest sample of a group."""
        samples = self._samples[group]
        return samples[-1] if samples else None

    def _loop(self) -> None:
        while not self._halt.wait(EVERY_S):
            for group in self._groups:
                try:
                    self._samples[group.name].append(self._look(group))
                except KafkaException:
                    self.failures += 1

    def _look(self, group: Group) -> Sample:
        committed = self._admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group.name)], request_timeout=TIMEOUT_S)
        topics = self._admin.list_topics(timeout=TIMEOUT_S).topics
        places = [TopicPartition(topic, number) for topic in group.topics if topic in topics for number in topics[topic].partitions]
        isolation = IsolationLevel.READ_COMMITTED if group.committed else IsolationLevel.READ_UNCOMMITTED
        asked: dict[TopicPartition, OffsetSpec] = dict.fromkeys(places, _LATEST)
        ends = self._admin.list_offsets(asked, isolation_level=isolation, request_timeout=TIMEOUT_S)
        try:
            found = committed[group.name].result().topic_partitions or []
        except KafkaException:
            found = []  # not there before its first commit
        done = {(place.topic, place.partition): max(0, place.offset) for place in found}
        written = {(place.topic, place.partition): ends[place].result().offset for place in places}
        # A group need not confirm a partition that holds nothing for it but markers of transactions.
        return Sample(time.monotonic(), sum(written.values()), sum(done.get(place, 0) for place in written))


def rate(samples: Sequence[Sample], *, of: str) -> float:
    """Records a second between the first and the last sample; `of` is `written` or `done`."""
    if len(samples) < 2:
        return 0.0
    first, last = samples[0], samples[-1]
    return float(getattr(last, of) - getattr(first, of)) / (last.at - first.at)


def smoothed(samples: Sequence[Sample], span_s: float = SMOOTH_S) -> list[float]:
    """Medians of the lag over a span, one per sample from the first full span on."""
    found = []
    start = 0
    for index, sample in enumerate(samples):
        if sample.at - samples[0].at < span_s:
            continue
        while sample.at - samples[start].at > span_s:
            start += 1
        found.append(statistics.median(one.lag for one in samples[start : index + 1]))
    return found


def growth_s(samples: Sequence[Sample], span_s: float = SMOOTH_S) -> float:
    """By how much the lag has grown at worst since the first samples, in seconds of the group's input.

    It is 0 as long as there are too few samples to tell.
    """
    medians, per_s = smoothed(samples, span_s), rate(samples, of="written")
    if not medians or per_s <= 0:
        return 0.0
    return max(0.0, (max(medians) - medians[0]) / per_s)


def behind_s(samples: Sequence[Sample]) -> float:
    """Median lag in seconds of the group's input."""
    per_s = rate(samples, of="written")
    return statistics.median(sample.lag for sample in samples) / per_s if samples and per_s > 0 else 0.0
