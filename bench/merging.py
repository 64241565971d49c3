"""How soon a merge is seen: visits at a steady rate, some of which are log-ins; from its send to Redis knowing whose the browser is.

Runs against the stack that is up, on the live clock, with invented visitors. `python -m bench.merging --rate 1000 --seconds 60`
"""

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

from confluent_kafka import Producer
from redis import Redis

from config import loader
from demo.latency import PROBE, percentiles
from demo.messages import CLICKSTREAM, TENANT, message, render
from operations.progress import Progress
from pipelines.identity.nodes import profile_of
from profile_store import layout
from stack import settings

PATIENCE_S: Final = 30.0
BROWSERS: Final = 5_000
AT_ONCE: Final = 200
LOOK_S: Final = 0.005
CONTEXT: Final = {"channel": "web", "synthetic": True}


class Visits:
    """Sends visits of browsers that nobody has logged in on, and log-ins on browsers that have been seen.

    Args:
        bootstrap: Kafka.
        share: of events that are log-ins.
    """

    def __init__(self, bootstrap: str, share: float) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 1, "acks": "all", "log_level": 0})
        self._every = round(1 / share)
        self._run = f"{time.time_ns() // 1_000_000:x}"
        self._sent = self._known = self._put_so_far = 0

    def send(self) -> tuple[str, str] | None:
        """Send the next event; of a log-in the browser's key in Redis and the profile that it has to lead to."""
        self._sent += 1
        if self._sent % self._every or self._sent < BROWSERS:
            self._put("Product Viewed", "", f"b{self._run}-{self._known + self._sent % BROWSERS}")
            return None
        browser, user = f"b{self._run}-{self._known}", f"u{self._run}-{self._known}"
        self._known += 1
        self._put("identify", user, browser)
        return layout.node_key(TENANT, "anonymous_id", browser), profile_of(f"{TENANT}|user_id|{user}")

    def flush(self) -> None:
        """Wait until Kafka has everything."""
        self._producer.flush(30)

    def _put(self, kind: str, user: str, browser: str, context: dict[str, Any] = CONTEXT) -> None:
        rest: dict[str, Any] = {} if kind == "identify" else {"properties": PROBE}
        self._put_so_far += 1
        named = f"{self._run}-{self._put_so_far}"
        event = message(CLICKSTREAM, int(time.time() * 1000), named, kind, user=user, device=browser, context=context, **rest)
        self._producer.produce(event.topic, render(event.body), key=event.key or named)
        self._producer.poll(0)


def measure(visits: Visits, redis: Any, rate: float, seconds: float) -> Iterator[float]:
    """Send for a while and look at Redis all the time.

    Args:
        visits: what to send.
        redis: the profile store.
        rate: events a second.
        seconds: how long.

    Yields:
        For each log-in the milliseconds from its send to the first look that shows the browser as the user's.

    Raises:
        TimeoutError: one was not seen.
    """
    waiting: dict[str, tuple[str, float]] = {}
    begun, sent = time.perf_counter(), 0
    with Progress("events sent") as progress:
        while (now := time.perf_counter()) < begun + seconds or waiting:
            while now < begun + seconds and sent < (now - begun) * rate:
                sent += 1
                login = visits.send()
                if login is not None:
                    waiting[login[0]] = login[1], time.perf_counter()
                now = time.perf_counter()
            progress.at(sent, int(rate * seconds))
            asked = list(waiting)[:AT_ONCE]
            for key, value in zip(asked, redis.mget(asked) if asked else [], strict=True):
                wanted, since = waiting[key]
                if value is not None and layout.parse_node_value(value)[1] == wanted:
                    del waiting[key]
                    yield (time.perf_counter() - since) * 1000
                elif time.perf_counter() - since > PATIENCE_S:
                    raise TimeoutError(f"{key} did not lead to {wanted} within {PATIENCE_S:.0f} s")
            time.sleep(LOOK_S)
    visits.flush()


def options(about: str | None) -> argparse.ArgumentParser:
    """What one is asked for; `about` is the module's text."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=1000.0, help="events a second (default: 1000)")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (default: 60)")
    parser.add_argument("--share", type=float, default=0.05, help="of the visits that are log-ins (default: 0.05)")
    return parser


def merges(visits: Visits, rate: float, seconds: float) -> str:
    """Measure against the stack that is up; the result as a text."""
    redis = Redis.from_url(loader.platform().redis.url, socket_timeout=10)
    found = list(measure(visits, redis, rate, seconds))
    if not found:
        sys.exit(f"no log-in was sent: it takes more than {BROWSERS:,} visits")
    told = percentiles(found)
    tail = f"p50 {told.p50:.0f} ms, p95 {told.p95:.0f}, p99 {told.p99:.0f}, longest {told.longest:.0f}"
    return f"{told.events:,} merges at {rate:,.0f} events/s: {tail}"


def main() -> None:
    """Measure and print."""
    asked = options(__doc__).parse_args()
    settings.apply_environment()
    print(merges(Visits(loader.platform().kafka.bootstrap, asked.share), asked.rate, asked.seconds))


if __name__ == "__main__":
    main()
