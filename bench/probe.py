"""The independent reader, a process of its own: `python -m bench.probe EVENTS PER_SECOND`.

It sends marked events of visitors of its own and asks Redis, over and over, for the counters that these events move. What it measures
is the time from the producer's send call to the first answer that shows the event. Sending times are drawn at random, so that they fall
anywhere between two checkpoints.
"""

import random
import sys
import time
from collections import deque
from typing import Any, Final

import msgspec
from confluent_kafka import Producer
from redis import Redis

from bench import templates
from config import loader
from demo.messages import TENANT, iso
from pipelines.identity.nodes import profile_of
from profile_store.layout import profile_key

FIELD: Final = "views_lifetime"
VISITORS: Final = 100
PATIENCE_S: Final = 30.0
POLL_S: Final = 0.001


class Measured(msgspec.Struct, frozen=True):
    """What the probe found.

    Attributes:
        latencies_ms: one per event seen, in the order in which they were seen.
        missing: events that did not show up in time.
        polls: requests sent to Redis.
        cpu_s: CPU time of this process.
    """

    latencies_ms: list[float]
    missing: int
    polls: int
    cpu_s: float


class Probe:
    """Sends and watches.

    Args:
        seed: of the sending times.
    """

    def __init__(self, seed: int) -> None:
        platform = loader.platform()
        self._dice = random.Random(seed)
        at = {"bootstrap.servers": platform.kafka.bootstrap}
        self._producer = Producer(at | {"linger.ms": 0, "compression.type": "lz4", "log_level": 3})
        self._redis: Redis = Redis.from_url(platform.redis.url, socket_timeout=10)
        self._template = templates.make("Product Viewed", self._dice)
        self._visitors = [f"probe-{seed}-{number:03d}".encode() for number in range(VISITORS)]
        self._keys = {user: profile_key(TENANT, profile_of(f"{TENANT}|user_id|{user.decode()}")) for user in self._visitors}
        self._sent = dict.fromkeys(self._visitors, 0)
        self._waiting: dict[bytes, deque[tuple[int, float]]] = {}
        self._latencies_ms: list[float] = []
        self._number = self._polls = 0

    def run(self, events: int, per_s: float) -> Measured:
        """Measure.

        Args:
            events: how many.
            per_s: mean rate.
        """
        # Each visitor's first event makes its profile; those are not counted.
        for user in self._visitors:
            self._send(user)
            self._watch_for(1 / per_s)
        self._watch_for(PATIENCE_S, until_seen=True)
        self._latencies_ms.clear()
        for _ in range(events):
            self._send(self._dice.choice(self._visitors))
            self._watch_for(self._dice.expovariate(per_s))
        self._watch_for(PATIENCE_S, until_seen=True)
        missing = sum(len(waiting) for waiting in self._waiting.values())
        return Measured(self._latencies_ms, missing, self._polls, time.process_time())

    def _send(self, user: bytes) -> None:
        self._number += 1
        self._sent[user] += 1
        stamp = iso(int(time.time() * 1000)).encode()
        value = self._template.text % (b"probe%08d" % self._number, user, user, stamp, stamp)
        self._waiting.setdefault(user, deque()).append((self._sent[user], time.perf_counter()))
        self._producer.produce(self._template.topic, value, user)
        self._producer.poll(0)

    def _watch_for(self, duration_s: float, *, until_seen: bool = False) -> None:
        until = time.perf_counter() + duration_s
        while (left := until - time.perf_counter()) > 0:
            if self._waiting:
                self._look()
            elif until_seen:
                return
            time.sleep(max(0.0, min(POLL_S, left)))

    def _look(self) -> None:
        watched = list(self._waiting)
        pipeline: Any = self._redis.pipeline(transaction=False)
        for user in watched:
            pipeline.hget(self._keys[user], FIELD)
        counts = pipeline.execute()
        seen_at = time.perf_counter()
        self._polls += 1
        for user, count in zip(watched, counts, strict=True):
            waiting = self._waiting[user]
            while waiting and waiting[0][0] <= int(count or 0):
                self._latencies_ms.append((seen_at - waiting.popleft()[1]) * 1000)
            if not waiting:
                del self._waiting[user]


def main() -> None:
    events, per_s = int(sys.argv[1]), float(sys.argv[2])
    measured = Probe(seed=time.time_ns()).run(events, per_s)
    sys.stdout.buffer.write(msgspec.json.encode(measured) + b"\n")


if __name__ == "__main__":
    main()
