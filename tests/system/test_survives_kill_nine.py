"""Whatever is killed while events pour in, nothing is lost, nothing counts twice, and every profile is exact in the end."""

import contextlib

import pytest

from demo.faults import Faults, inject
from demo.stream import Slice
from tests.stacks import exposed_listeners
from tests.system import shop
from tests.system.outcome import check_profiles, outcomes
from tests.system.running import Committed, Running, say

OPERATORS = ("decode", "node", "profile")
SERVICES = ("jobmanager", "kafka", "redis", "serve", "clickhouse", "history")
FAULTS = Faults(duplicates=600, conflicts=200, late=300, reordered=800, malformed=240)
PART = Slice(days=20)
RATE = 150.0


@pytest.mark.timeout(1800)
def test_every_process_may_be_killed_during_a_replay(platform: Running) -> None:
    records = list(inject(shop.instalment(PART, platform.clock_ms()), FAULTS, seed=5))
    before = platform.raw_ends()
    victims = [*OPERATORS, *SERVICES]
    with (
        shop.Player(platform, records, portions=len(victims) + 1, rate=RATE) as player,
        contextlib.closing(Committed(platform.bootstrap, "cdp.events")) as events,
    ):
        for victim in victims:
            started = events.count()
            player.portion()
            events.await_more_than(started, "the portion is under way")
            killed_at = events.count()
            platform.kill(platform.task_manager_of(victim) if victim in OPERATORS else victim)
            platform.await_processed()
            events.await_more_than(killed_at, f"progress after {victim}")
            platform.await_history(events.count())
            say(f"progress after {victim}: {events.count():,} events committed, {platform.history_rows():,} in ClickHouse")
        tally = player.finish()
    platform.await_processed()
    platform.verify()
    if again := tally.count_again(platform, before):
        say(f"{again} records stand twice in the log: Kafka was killed before it had acknowledged them")
    expected = tally.to_json()
    assert outcomes(platform, before) == expected["partitions"]
    say(f"each record became what it had to: {expected['total']}, {expected['faults']}")
    assert check_profiles(platform) > 1000  # people: more than 2,000 identifiers
    assert exposed_listeners(platform.settings.home) == []
