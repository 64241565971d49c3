"""From a producer's send call to a value in Redis: measured from the outside, with two independent clients and one clock."""

import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from confluent_kafka import Producer
from redis import Redis

from demo.messages import CLICKSTREAM, message, render
from profile_store.client import Client
from profile_store.layout import profile_key

FIELD: Final = "views_lifetime"
PROBE: Final = {
    "product_id": "85123A", "name": "WHITE HANGING HEART T-LIGHT HOLDER", "price": 2.55, "currency": "GBP", "category": "Light"
}  # fmt: skip
"""Of a visit that is timed; complete by config/quality.yaml, so that the tour raises no alert of its own."""
VISITORS: Final = 20
PATIENCE_S: Final = 60.0
POLL_S: Final = 0.001


class NotSeenError(RuntimeError):
    """An event did not become visible in time; the message says what to look at."""


class Percentiles(NamedTuple):
    """Milliseconds; the number of events measured."""

    p50: float
    p95: float
    p99: float
    longest: float
    events: int


def percentiles(latencies_ms: list[float]) -> Percentiles:
    """Nearest-rank percentiles."""
    ordered = sorted(latencies_ms)

    def rank(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    return Percentiles(rank(0.5), rank(0.95), rank(0.99), ordered[-1], len(ordered))


class Probe:
    """Sends product views of invented visitors and waits until their counters have grown.

    Args:
        bootstrap: Kafka, on the live clock.
        redis_url: the profile store.
        tenant: whose visitors.
    """

    def __init__(self, bootstrap: str, redis_url: str, tenant: str) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0, "acks": "all", "log_level": 0})
        self._redis: Redis = Redis.from_url(redis_url, socket_timeout=10)
        self._client = Client(redis_url, tenant)
        self._tenant = tenant
        self._run = time.time_ns()
        self._number = 0

    def measure(self, events: int, rate: float, report: Callable[[int], None]) -> list[float]:
        """Send events at a steady rate.

        Args:
            events: how many.
            rate: per second.
            report: told how many have been seen.

        Returns:
            Milliseconds from the send call to the first read that shows the event, one per event.

        Raises:
            NotSeenError: an event stayed invisible for a minute.
        """
        visitors = self._warm_up()
        expected = {key: int(count) for key, count in self._counts(list(visitors))}
        waiting: dict[bytes, list[tuple[int, float]]] = {key: [] for key in visitors}
        latencies: list[float] = []
        keys, begun, sent = list(visitors), time.perf_counter(), 0
        while len(latencies) < events:
            now = time.perf_counter()
            if sent < events and now >= begun + sent / rate:
                key = keys[sent % len(keys)]
                expected[key] += 1
                waiting[key].append((expected[key], time.perf_counter()))
                self._send(visitors[key])
                sent += 1
            for key, count in self._counts([key for key, outstanding in waiting.items() if outstanding]):
                seen_at = time.perf_counter()
                latencies += [(seen_at - sent_at) * 1000 for wanted, sent_at in waiting[key] if wanted <= count]
                waiting[key] = [(wanted, sent_at) for wanted, sent_at in waiting[key] if wanted > count]
            report(len(latencies))
            if any(now - sent_at > PATIENCE_S for outstanding in waiting.values() for _, sent_at in outstanding):
                raise NotSeenError(f"an event was not in Redis after {PATIENCE_S:.0f} s: see `cdp jobs` and `cdp logs profiles`")
            time.sleep(POLL_S)
        return latencies

    def _warm_up(self) -> dict[bytes, str]:
        """One event per visitor, so that every profile exists; returns the profiles' keys with their visitors."""
        visitors = [f"live-visitor-{number:02d}" for number in range(VISITORS)]
        identifiers = {f"user_id:{visitor}": visitor for visitor in visitors}
        before = {
            name: (profile.number(FIELD) or 0) if profile else 0 for name, profile in self._client.get_many(list(identifiers)).items()
        }
        for visitor in visitors:
            self._send(visitor)
        self._producer.flush(10)
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            profiles = self._client.get_many(list(identifiers))
            grown = {name: profile for name, profile in profiles.items() if profile and (profile.number(FIELD) or 0) > before[name]}
            if len(grown) == len(identifiers):
                return {profile_key(self._tenant, profile.profile_id).encode(): identifiers[name] for name, profile in grown.items()}
            time.sleep(0.05)
        raise NotSeenError(
            f"live events were not in Redis after {PATIENCE_S:.0f} s: is the clock live (`cdp topics`), does the job run (`cdp jobs`)?"
        )

    def _send(self, visitor: str) -> None:
        self._number += 1
        now_ms = int(time.time() * 1000)
        context = {"channel": "web", "synthetic": True}
        name = f"live-{self._run}-{self._number}"
        event = message(CLICKSTREAM, now_ms, name, "Product Viewed", user=visitor, device="", context=context, properties=PROBE)
        self._producer.produce(event.topic, render(event.body), key=event.key)
        self._producer.poll(0)

    def _counts(self, keys: list[bytes]) -> list[tuple[bytes, int]]:
        if not keys:
            return []
        pipeline: Any = self._redis.pipeline(transaction=False)
        for key in keys:
            pipeline.hget(key, FIELD)
        return [(key, int(value or 0)) for key, value in zip(keys, pipeline.execute(), strict=True)]
