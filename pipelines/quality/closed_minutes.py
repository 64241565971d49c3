"""Which minutes of log time are over: the log has passed them, job `profiles` has read them, job `history` has loaded what came of them.

Each step is asked of Kafka. The last one leaves room: markers of transactions are offsets too, so a group that has everything still
stands a few offsets behind the end. Should a record be on its way nevertheless, the minute is measured again (`meter.Meter.late`).
"""

import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, NamedTuple

from confluent_kafka import OFFSET_END, Consumer, TopicPartition

from pipelines.history.group import GROUP as HISTORY_GROUP
from pipelines.history.group import retry
from pipelines.quality.messages import moment_of
from pipelines.quality.sql import MINUTE_S

PROFILES_GROUP: Final = "cdp-profiles"
MEASURED_TOPICS: Final = ("cdp.events", "cdp.duplicates", "cdp.rejected")
MARKERS: Final = 8
SAY_S: Final = 60.0
FAR_MINUTES: Final = 1 << 26
_log = logging.getLogger(__name__)

Partition = tuple[str, int]


class _Passed(NamedTuple):
    """An end that job `profiles` has passed.

    Attributes:
        end: minute.
        seen_s: when that was noticed, monotonic.
        ends: where the clean topics ended once its records had had their grace; empty: not asked yet.
    """

    end: int
    seen_s: float
    ends: Mapping[Partition, int]


class ClosedMinutes:
    """Says up to where minutes are closed.

    Args:
        bootstrap: Kafka's address.
        raw: raw topics.
        grace_s: time between reading a record and committing what comes of it.
        retry_for_s: how long to wait for Kafka.
        sleep: see `pipelines.history.group.retry`.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        bootstrap: str,
        raw: list[str],
        grace_s: float,
        retry_for_s: float = 300,
        sleep: Callable[[float], bool | None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._raw = raw
        self._grace_s = grace_s
        self._clock = clock
        self._retry = partial(retry, retry_for_s=retry_for_s, sleep=sleep)
        quiet = {"bootstrap.servers": bootstrap, "enable.auto.commit": False, "log_level": 2}
        self._reader = Consumer({**quiet, "group.id": PROFILES_GROUP}, logger=_log)
        # What is committed is what counts: the end is that of a reader of committed records.
        self._loader = Consumer({**quiet, "group.id": HISTORY_GROUP, "isolation.level": "read_committed"}, logger=_log)
        self._waiting: list[_Passed] = []
        self._said_s = 0.0
        self.end = 0

    def close(self) -> None:
        """Leave Kafka."""
        self._reader.close()
        self._loader.close()

    def look(self, after: int) -> int:
        """All minutes before the answer are closed.

        Args:
            after: minute up to which it is known already; 0: nothing is known.

        Raises:
            pipelines.history.group.LogAwayError: Kafka did not answer for long.
        """
        known = max(after, self.end)
        newest = self._waiting[-1].end if self._waiting else known
        passed = self._passed(newest)
        if passed > newest:
            self._waiting.append(_Passed(passed, self._clock(), {}))
        while self._waiting and self._clock() - self._waiting[0].seen_s >= self._grace_s:
            first = self._waiting[0]
            if not first.ends:
                first = self._waiting[0] = first._replace(ends=self._ends())
            if not self._loaded(first.ends):
                self._wait_aloud(first)
                break
            self.end = first.end
            self._waiting.pop(0)
        return max(known, self.end)

    def _wait_aloud(self, passed: _Passed) -> None:
        now = self._clock()
        if now - max(self._said_s, passed.seen_s) > SAY_S:
            self._said_s = now
            _log.info("minutes up to %s have been read; waiting for job `history` to load them", moment_of(passed.end))

    def _passed(self, after: int) -> int:
        """The last end of a minute that every raw partition's reader has passed, `after` if there is none."""
        read = self._committed(self._reader, self._raw)
        if not read:
            return after
        step, low = 1, after
        while step < FAR_MINUTES and self._has_passed(read, after + step):
            low, step = after + step, step * 2
        high = after + step
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._has_passed(read, middle) else (low, middle)
        return low

    def _has_passed(self, read: Mapping[Partition, int], minute: int) -> bool:
        """Whether every partition has a record of that minute or later, and all before it has been read."""
        wanted = [TopicPartition(topic, number, minute * MINUTE_S * 1000) for topic, number in read]
        found = self._retry("look up times", attempt=lambda: self._reader.offsets_for_times(wanted, timeout=10))
        return all(part.offset not in (OFFSET_END, -1) and read[part.topic, part.partition] >= part.offset for part in found)

    def _committed(self, consumer: Consumer, topics: list[str]) -> dict[Partition, int]:
        """What a group has committed; partitions it never read are left out: nothing of them can come."""
        found = self._retry("read committed offsets", attempt=lambda: consumer.committed(self._partitions(consumer, topics), timeout=10))
        return {(part.topic, part.partition): part.offset for part in found if part.offset >= 0}

    def _partitions(self, consumer: Consumer, topics: list[str]) -> list[TopicPartition]:
        listed = consumer.list_topics(timeout=10).topics
        return [TopicPartition(topic, number) for topic in topics if topic in listed for number in listed[topic].partitions]

    def _ends(self) -> dict[Partition, int]:
        found: dict[Partition, int] = {}
        for part in self._retry("list topics", attempt=lambda: self._partitions(self._loader, list(MEASURED_TOPICS))):
            marks = self._retry("read offsets", attempt=partial(self._loader.get_watermark_offsets, part, timeout=10))
            found[part.topic, part.partition] = marks[1]
        return found

    def _loaded(self, ends: Mapping[Partition, int]) -> bool:
        loaded = self._committed(self._loader, list(MEASURED_TOPICS))
        return all(end <= MARKERS or loaded.get(part, 0) >= end - MARKERS for part, end in ends.items())
