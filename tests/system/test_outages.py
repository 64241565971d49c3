"""A store that is away holds the pipeline up and costs nothing: no event is lost, and afterwards it is as quick as before."""

import contextlib
import time
from collections.abc import Callable

import pytest
from confluent_kafka import Producer

from config import loader
from demo.messages import CLICKSTREAM, TENANT, message, render
from demo.stream import Slice
from profile_store.client import Client
from profile_store.connection import ANSWER_TIMEOUT_S
from tests.stacks import eventually
from tests.system import shop
from tests.system.outcome import check_profiles, outcomes
from tests.system.running import Committed, Running, say

PART = Slice(days=12, customers=300)
PORTIONS = 4
RATE = 100.0
REDIS_AWAY_S = ANSWER_TIMEOUT_S + 5.0  # a client gives an answer up and has to try again
CLICKHOUSE_AWAY_S = 20.0  # nobody gives up for minutes: it is enough to see that the others go on
PROBES = 10
LOOK_EVERY_S = 0.1
QUICK_S = 5.0


@pytest.mark.timeout(1200)
def test_redis_and_clickhouse_may_each_be_away_during_a_replay(platform: Running) -> None:
    events = shop.instalment(PART, platform.clock_ms(), "outage-")
    before, runs = platform.raw_ends(), platform.restarts()
    with (
        shop.Player(platform, events, PORTIONS, RATE) as player,
        contextlib.closing(Committed(platform.bootstrap, "cdp.events")) as committed,
    ):
        started = committed.count()
        player.portion()
        committed.await_more_than(started, "the replay is under way")
        with platform.away("redis"):
            player.portion()
            held = observe(committed.count, REDIS_AWAY_S)
            assert platform.stack.state("serve").state == "ready"
        say(f"without Redis: {held[-1] - held[0]:,} events committed within {REDIS_AWAY_S:.0f} s")
        assert held[-1] > held[0], "profiles do not wait for Redis"
        platform.await_processed()

        with platform.away("clickhouse"):
            player.portion()
            grown = observe(committed.count, CLICKHOUSE_AWAY_S)
        say(f"without ClickHouse: {grown[-1] - grown[0]:,} events committed within {CLICKHOUSE_AWAY_S:.0f} s")
        assert grown[-1] > grown[0], "profiles do not wait for history"
        tally = player.finish()
    platform.await_processed()
    assert platform.restarts() == runs, "back-pressure, not a restart"
    assert outcomes(platform, before) == tally.to_json()["partitions"]
    latencies_s = probe(platform)
    say(f"{PROBES} probe events reached Redis after at most {max(latencies_s):.2f} s")
    assert max(latencies_s) < QUICK_S
    platform.verify()
    check_profiles(platform)


def observe(figure: Callable[[], int], duration_s: float) -> list[int]:
    """A figure, looked at again and again for as long as an outage lasts."""
    until = time.monotonic() + duration_s
    seen = []
    while time.monotonic() < until:
        seen.append(figure())
        time.sleep(LOOK_EVERY_S)
    return seen


def probe(platform: Running) -> list[float]:
    """Seconds from sending a view to reading it in Redis, one after the other."""
    producer = Producer({"bootstrap.servers": platform.bootstrap, "linger.ms": 0})
    client = Client(loader.platform().redis.url, TENANT)
    clock_ms, user = platform.clock_ms(), "outage-probe"

    def views() -> float:
        profile = client.get(f"user_id:{user}")
        return (profile.number("views_lifetime") or 0) if profile else 0

    took_s = []
    for number in range(1, PROBES + 1):
        event = message(
            CLICKSTREAM,
            clock_ms + number,
            f"{user}-{number}-{clock_ms}",
            "Product Viewed",
            user=user,
            device="",
            context={},
            properties={"product_id": "1"},
        )
        wanted = views() + 1
        begun = time.monotonic()
        producer.produce(event.topic, render(event.body), key=event.key, timestamp=event.log_ms)
        producer.flush(10.0)
        eventually(lambda wanted=wanted: views() >= wanted, "the probe's view in Redis")
        took_s.append(time.monotonic() - begun)
    return took_s
