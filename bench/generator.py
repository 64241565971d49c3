"""The load generator, a process of its own: `python -m bench.generator [VARIANT]`.

Reads commands as JSON lines (`Order`) and answers each with a line (`Report`); ends when its standard input does. Between commands it sends
at the rate that was asked for, in small batches, and never less: if it was held up it catches up, as real senders would.
"""

import select
import sys
import time
from typing import Final, Literal

import msgspec
from confluent_kafka import KafkaError, Message, Producer

from bench import workload
from bench.events import Events, Sent
from config import loader

BATCH_S: Final = 0.005
FLUSH_S: Final = 60.0
_CHUNK: Final = 2_000


class Order(msgspec.Struct, frozen=True):
    """A command.

    Attributes:
        do: `seed` one event for each user; `burst` of `events` at once; `rate` from now on (0: silence); `report` only.
        events: for `burst`.
        per_s: for `rate`.
    """

    do: Literal["seed", "burst", "rate", "report"]
    events: int = 0
    per_s: float = 0.0


class Report(msgspec.Struct, frozen=True):
    """The answer.

    Attributes:
        at: monotonic seconds.
        sent: events so far, ticks are none of them.
        failed: events the broker did not take.
        late_s: how far behind its rate the generator has been at worst since the last report.
        cpu_s: CPU time of this process so far.
    """

    at: float
    sent: int
    failed: int
    late_s: float
    cpu_s: float


class Generator:
    """Sends the workload.

    Args:
        load: what to send.
    """

    def __init__(self, load: workload.Workload) -> None:
        self._load = load
        self._events = Events(load)
        self._producer = Producer(
            {
                "bootstrap.servers": loader.platform().kafka.bootstrap,
                "compression.type": "lz4",
                "linger.ms": 5,
                "batch.size": 262_144,
                "queue.buffering.max.messages": 500_000,
                "queue.buffering.max.kbytes": 524_288,
                "delivery.report.only.error": True,
                "on_delivery": self._failure,
                "log_level": 3,
            }
        )
        self._sent = self._failed = 0
        self._late_s = 0.0
        self._per_s, self._since, self._since_sent = 0.0, 0.0, 0

    def run(self) -> None:
        """Serve commands until there are no more."""
        decode, encode = msgspec.json.Decoder(Order).decode, msgspec.json.Encoder().encode
        while True:
            wait_s = BATCH_S if self._per_s else None
            if select.select([sys.stdin], [], [], wait_s)[0]:
                line = sys.stdin.buffer.readline()
                if not line:
                    break
                self._obey(decode(line))
                sys.stdout.buffer.write(encode(self._report()) + b"\n")
                sys.stdout.buffer.flush()
            if self._per_s:
                self._pace()
        self._producer.purge()

    def _obey(self, order: Order) -> None:
        if order.do == "seed":
            self._all(list(self._events.seeds(iter(range(self._load.profiles)))))
        elif order.do == "burst":
            for start in range(0, order.events, _CHUNK):
                self._send(self._events.batch(min(_CHUNK, order.events - start), int(time.time() * 1000)))
            self._producer.flush(FLUSH_S)
        elif order.do == "rate":
            self._per_s, self._since, self._since_sent = order.per_s, time.monotonic(), 0

    def _all(self, events: list[Sent]) -> None:
        for start in range(0, len(events), _CHUNK):
            self._send(events[start : start + _CHUNK])
        self._producer.flush(FLUSH_S)

    def _pace(self) -> None:
        due = int((time.monotonic() - self._since) * self._per_s) - self._since_sent
        self._late_s = max(self._late_s, due / self._per_s)
        if due > 0:
            self._send(self._events.batch(due, int(time.time() * 1000)))
            self._since_sent += due

    def _send(self, events: list[Sent]) -> None:
        produce, poll = self._producer.produce, self._producer.poll
        for topic, key, value in events:
            try:
                produce(topic, value, key)
            except BufferError:
                while len(self._producer) > 400_000:
                    poll(0.05)
                produce(topic, value, key)
        poll(0)
        self._sent += len(events)

    def _failure(self, error: KafkaError | None, _message: Message) -> None:
        self._failed += error is not None

    def _report(self) -> Report:
        late_s, self._late_s = self._late_s, 0.0
        return Report(time.monotonic(), self._sent, self._failed, late_s, time.process_time())


def main() -> None:
    Generator(workload.read(sys.argv[1] if len(sys.argv) > 1 else "")).run()


if __name__ == "__main__":
    main()
