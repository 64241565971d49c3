"""What the scenarios write: instalments of the real shop's year, each after the log's clock as it stands, and a writer that can be held."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from demo import browsing, dataset, stream
from demo.dataset import DAY_MS
from demo.messages import TENANT, Message
from demo.pipeline_watch import Ends
from demo.records import of
from operations import timed_writer
from operations.timed_stream import APPLIED, DUPLICATE, LATE, TICK_BYTES, Record, Tally, Tick, with_ticks
from tests.oracle.kafka_log import read_raw
from tests.system.running import Running, say

TICK_EVERY_MS = 3_600_000
SETTLE_MS = 3_700_000  # beyond the hour within which decaying values are published
WRITTEN_WITHIN_S = 300.0


def instalment(part: stream.Slice, after_ms: int, prefix: str = "", tenant: str = TENANT) -> list[Message]:
    """Events of a slice of the data set, moved by whole days so that they follow the log.

    Args:
        part: which slice.
        after_ms: where the log's clock stands.
        prefix: put before user, device and message ids, so that no other instalment has the same people.
        tenant: whose people they are.
    """
    data = dataset.load()
    first_ms = data.invoices[0].time_ms - browsing.LEAD_MS
    shift_days = max(0, (after_ms - first_ms) // DAY_MS + 1)
    return [renamed(message, prefix, tenant) for message in stream.events(data, part, shift_days)]


def renamed(message: Message, prefix: str, tenant: str = TENANT) -> Message:
    """The same event of somebody else."""
    ids = {name: prefix + message.body[name] for name in ("userId", "anonymousId", "messageId") if name in message.body}
    told = message.body.get("properties", {})
    # Orders, refunds and tickets too: the same number would be the same one, whoever tells of it.
    about = {name: prefix + told[name] for name in ("order_id", "refund_id", "ticket_id") if isinstance(told.get(name), str)}
    more = {"properties": told | about} if about else {}
    return message._replace(key=prefix + message.key, body={**message.body, **ids, **more, "tenant": tenant})


def people(messages: Sequence[Message]) -> dict[str, list[Message]]:
    """Events by the node they belong to: the user, or the device when nobody is logged in."""
    found: dict[str, list[Message]] = {}
    for message in messages:
        found.setdefault(node(message), []).append(message)
    return found


def node(message: Message) -> str:
    """The node key of an event of the data set, as docs/contracts.md builds it."""
    body = message.body
    if "userId" in body:
        whole, dot, fraction = body["userId"].partition(".")
        return f"{body['tenant']}|user_id|{whole if dot and whole.isdigit() and fraction == '0' else body['userId']}"
    return f"{body['tenant']}|anonymous_id|{body['anonymousId']}"


def write(platform: Running, records: Sequence[Record | Message], tick_every_ms: int = TICK_EVERY_MS, settle_ms: int = SETTLE_MS) -> Tally:
    """Write records (by log time) with their ticks, and say what must become of them."""
    with Player(platform, records, tick_every_ms=tick_every_ms, settle_ms=settle_ms) as player:
        return player.finish()


def write_exactly(platform: Running, items: Sequence[Record | Tick]) -> Tally:
    """Write records and ticks just as they are given."""
    tally = Tally()
    timed_writer.write(items, platform.bootstrap, platform.partitions, tally)
    return tally


class Written(Tally):
    """Counts what was written, and knows each record, so that one that its client had to write twice can be told.

    A broker forgets the sequence numbers of an idempotent client when it is killed and the newest record of that client bears a time more
    than `producer.id.expiration.ms` ago, as records of 2010 do: what was in the log and not acknowledged yet is then written again.
    (12 kills of a broker under 200,000 records: 419 twice with timestamps of 2010, none with the present.)
    """

    def __init__(self) -> None:
        super().__init__()
        self._written: Counter[tuple[str, int, int, bytes | None]] = Counter()
        self._records: dict[tuple[str, int, int, bytes | None], Record | None] = {}

    def add(self, topic: str, partition: int, log_ms: int, record: Record | None) -> None:
        super().add(topic, partition, log_ms, record)
        key = topic, partition, log_ms, record.value if record else TICK_BYTES
        self._written[key] += 1
        self._records[key] = record

    def count_again(self, platform: Running, since: Ends) -> int:
        """Count what the log holds more often than it was handed to the client: none of it may have an effect.

        Args:
            platform: where it was written.
            since: ends of the partitions before.

        Returns:
            How many records that were.
        """
        found = (
            record for record in read_raw(platform.bootstrap, platform.raw_topics) if record.offset >= since[record.topic, record.partition]
        )
        held = Counter((record.topic, record.partition, record.timestamp_ms, record.value) for record in found)
        assert not self._written - held, "records were lost on the way into the log"
        again = held - self._written
        assert again.keys() <= self._records.keys(), "the log holds what nobody wrote"
        for key in again.elements():
            topic, partition, log_ms, _ = key
            record = self._records[key]
            if record and record.outcome in (APPLIED, LATE):
                record = record._replace(outcome=DUPLICATE, fault="")
            super().add(topic, partition, log_ms, record)
        return again.total()


class Player:
    """Writes records and ticks from a thread of its own, one portion after the other.

    Args:
        platform: where to.
        records: by log time.
        portions: in how many.
        rate: records and ticks a second while portions are asked for one by one; 0 for as fast as Kafka takes them.
        tick_every_ms: see `operations.timed_stream.with_ticks`.
        settle_ms: see there.
    """

    def __init__(
        self,
        platform: Running,
        records: Sequence[Record | Message],
        portions: int = 1,
        rate: float = 0,
        tick_every_ms: int = TICK_EVERY_MS,
        settle_ms: int = SETTLE_MS,
    ) -> None:
        given = [of(record) if isinstance(record, Message) else record for record in records]
        self._items: list[Record | Tick] = list(with_ticks(given, tick_every_ms, settle_ms))
        self._size = -(-len(self._items) // portions)
        self._portions = portions
        self._rate = rate
        self._asked = threading.Semaphore(0)
        self._halted = False
        self._error: BaseException | None = None
        self._tally = Written()
        self._bootstrap, self._partitions = platform.bootstrap, platform.partitions
        self._thread = threading.Thread(target=self._play, daemon=True)
        first_ms, last_ms = self._items[0].log_ms, self._items[-1].log_ms
        say(f"{len(given):,} records and {len(self._items) - len(given):,} ticks for {(last_ms - first_ms) / DAY_MS:.1f} days of log time")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._halted = True
        self._asked.release(self._portions)
        self._thread.join(WRITTEN_WITHIN_S)

    def portion(self) -> None:
        """Begin to write the next portion."""
        self._raise()
        self._asked.release()

    def finish(self) -> Written:
        """Write what is left as fast as it goes; returns what was written and what must become of it."""
        self._rate = 0
        self._asked.release(self._portions)
        self._thread.join(WRITTEN_WITHIN_S)
        self._raise()
        assert not self._thread.is_alive(), f"not written within {WRITTEN_WITHIN_S:.0f} s"
        return self._tally

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _play(self) -> None:
        try:
            timed_writer.write(self._paced(), self._bootstrap, self._partitions, self._tally)
        except BaseException as error:  # handed to the thread that waits
            self._error = error

    def _paced(self) -> Iterator[Record | Tick]:
        for number, item in enumerate(self._items):
            if number % self._size == 0:
                self._asked.acquire()
                begun = time.monotonic()
            if self._halted and self._rate:
                return
            if self._rate:
                time.sleep(max(0.0, begun + (number % self._size) / self._rate - time.monotonic()))
            yield item
