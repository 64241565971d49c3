"""Write a prepared stream to the raw topics as if its time were passing now."""

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Final, Literal, NamedTuple

from confluent_kafka import KafkaError, Producer

from operations.raw_topics import RawTopicsError, newest_ms, partition_of, partitions_of
from operations.timed_stream import TICK_BYTES, Record, Tally, Tick
from pipelines.rejected.record import iso

PRODUCER: Final[dict[str, str | int | bool]] = {
    "acks": "all",
    "enable.idempotence": True,
    "compression.type": "lz4",
    "linger.ms": 20,
    "message.max.bytes": 2_097_152,
    "queue.buffering.max.messages": 200_000,
    "queue.buffering.max.kbytes": 262_144,
    "delivery.report.only.error": True,
    "log_level": 3,
}
POLL_EVERY: Final = 500  # records between two looks at delivery errors and the progress bar
FLUSH_S: Final = 60.0


class ReplayError(RawTopicsError):
    """The replay cannot start or cannot go on; the message says what to do."""


class NewerRecordsError(ReplayError):
    """The raw topics already hold records that are newer than the stream's first."""


class Progress(NamedTuple):
    """Where a replay is: events written (ticks not counted) and the log time reached."""

    events: int
    log_ms: int


def run(
    items: Iterator[Record | Tick],
    bootstrap: str,
    topics: list[str],
    tally: Tally,
    set_clock: Callable[[Literal["live", "replay"]], None],
    *,
    force: bool = False,
    then_live: bool = False,
    speed: float = 0,
    report: Callable[[Progress], None] | None = None,
) -> None:
    """Write a stream to the raw topics, which keep its time meanwhile.

    Args:
        items: by log time; at least one.
        bootstrap: Kafka.
        topics: the raw ones; a tick goes to every partition of each.
        tally: counts what is written.
        set_clock: makes the topics keep the producer's clock (`replay`) or the broker's (`live`).
        force: also behind newer records.
        then_live: hand the clock over to the broker at the end.
        speed: see `write`.
        report: see `write`.

    Raises:
        NewerRecordsError: there are newer records, and not `force`.
        ReplayError: Kafka is not there, or refused a record.
    """
    partitions = partitions_of(bootstrap, topics)
    first = next(items)
    newest = newest_ms(bootstrap, partitions)
    if newest > first.log_ms and not force:
        raise NewerRecordsError(
            f"the raw topics hold records up to {iso(newest)}, the replay begins at {iso(first.log_ms)}: the log's clock cannot go back. "
            "Use another, empty stack (`CDP_HOME=/some/folder CDP_RAW_CLOCK=replay cdp up`), or --force if that is what you want"
        )
    set_clock("replay")
    try:
        write(chain([first], items), bootstrap, partitions, tally, speed=speed, report=report)
    finally:
        if then_live:
            set_clock("live")


class _Deliveries:
    """Counts what the broker did not take."""

    def __init__(self) -> None:
        self.failed = 0
        self.first = ""

    def __call__(self, error: KafkaError | None, message: object) -> None:
        if error is not None:
            self.failed += 1
            self.first = self.first or error.str()

    def check(self) -> None:
        if self.failed:
            raise ReplayError(
                f"{self.failed:,} records were not accepted by Kafka ({self.first}); the replay has stopped and is incomplete"
            )


def write(
    items: Iterable[Record | Tick],
    bootstrap: str,
    partitions: dict[str, int],
    tally: Tally,
    *,
    speed: float = 0,
    report: Callable[[Progress], None] | None = None,
) -> None:
    """Send a stream to Kafka, in order, each record with its log time as timestamp.

    Args:
        items: by log time.
        bootstrap: Kafka.
        partitions: of the raw topics; a tick goes to all of them.
        tally: is told about every record that was handed to the producer.
        speed: log seconds per second; 0: as fast as Kafka takes it.
        report: called now and then, and at the end.

    Raises:
        ReplayError: a record was refused.
    """
    deliveries = _Deliveries()
    producer = Producer({**PRODUCER, "bootstrap.servers": bootstrap, "on_delivery": deliveries})
    everywhere = [(topic, partition) for topic, count in partitions.items() for partition in range(count)]
    start_s, first_ms, log_ms = time.monotonic(), -1, 0
    try:
        for number, item in enumerate(items):
            log_ms = item.log_ms
            if first_ms < 0:
                first_ms = log_ms
            if speed:
                _wait(producer, start_s + (log_ms - first_ms) / 1000 / speed)
            if isinstance(item, Tick):
                for topic, partition in everywhere:
                    _send(producer, topic, partition, log_ms, None, TICK_BYTES)
                    tally.add(topic, partition, log_ms, None)
            else:
                partition = partition_of(item.key, partitions[item.topic])
                _send(producer, item.topic, partition, log_ms, item.key, item.value)
                tally.add(item.topic, partition, log_ms, item)
            if speed or number % POLL_EVERY == 0:
                producer.poll(0)
                deliveries.check()
                if report is not None:
                    report(Progress(tally.events, log_ms))
    finally:
        unsent = producer.flush(FLUSH_S)
        if report is not None:
            report(Progress(tally.events, log_ms))
    deliveries.check()
    if unsent:
        raise ReplayError(f"{unsent:,} records were still waiting for Kafka after {FLUSH_S:.0f} s: is the broker alive? (`cdp status`)")


def _send(producer: Producer, topic: str, partition: int, log_ms: int, key: bytes | None, value: bytes | None) -> None:
    """Hand one record over; when the producer's queue is full, wait until the broker has taken some."""
    while True:
        try:
            producer.produce(topic, value=value, key=key, partition=partition, timestamp=log_ms)
            return
        except BufferError:
            producer.poll(0.1)


def _wait(producer: Producer, until_s: float) -> None:
    """Let real time catch up, serving delivery reports meanwhile."""
    while (left_s := until_s - time.monotonic()) > 0:
        producer.poll(min(left_s, 0.5))
