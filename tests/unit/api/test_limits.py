"""Token buckets, and the word about what was refused."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from api.collector.limits import ANNOUNCE_EVERY_S, Board, take
from config.sources import Rate

RATES = st.builds(Rate, st.floats(0.5, 5000), st.floats(1, 5000))
STEPS = st.lists(st.tuples(st.floats(0, 20), st.integers(1, 2500)), min_size=1, max_size=40)


@given(RATES, STEPS)
def test_no_more_passes_than_burst_and_rate_allow_whatever_the_order_of_requests(rate: Rate, steps: list[tuple[float, int]]) -> None:
    tokens = since = 0.0
    now = begin = 1000.0
    passed, largest = 0, 0
    for pause_s, events in steps:
        now += pause_s
        tokens, wait_s = take(tokens, since, now, events, rate)
        since = now
        if not wait_s:
            passed += events
            largest = max(largest, events)
        # One request may overdraw the full bucket; nobody passes before that is paid back.
        overdraft = max(0.0, largest - rate.burst)
        assert passed <= rate.burst + overdraft + rate.events_per_s * (now - begin) + 1e-6 * passed


@given(RATES, STEPS, st.integers(1, 2500))
def test_who_waits_as_long_as_he_was_told_is_let_through(rate: Rate, steps: list[tuple[float, int]], events: int) -> None:
    tokens = since = 0.0
    now = 1000.0
    for pause_s, before in steps:
        now += pause_s
        tokens, _ = take(tokens, since, now, before, rate)
        since = now
    tokens, wait_s = take(tokens, since, now, events, rate)
    if wait_s:
        assert take(tokens, now, now + wait_s * 0.99, events, rate)[1] > 0.0, "nobody is made to wait longer than it takes"
        assert take(tokens, now, now + wait_s + 1e-6, events, rate)[1] == 0.0


def test_a_refusal_takes_nothing() -> None:
    rate = Rate(events_per_s=1, burst=10)
    left, wait_s = take(5.0, 100.0, 100.0, 7, rate)
    assert (left, wait_s) == (5.0, 2.0)
    assert take(left, 100.0, 100.0, 5, rate) == (0.0, 0.0)


def test_workers_share_one_bucket(tmp_path: Path) -> None:
    rate = Rate(events_per_s=1, burst=10)
    one, two = (Board(tmp_path / "limits", ["", "shop", "app"]) for _ in range(2))
    assert one.take("shop", 6, rate, 100.0) == 0.0
    assert two.take("shop", 6, rate, 100.0) == 2.0
    assert two.take("app", 6, rate, 100.0) == 0.0


def test_a_notice_comes_at_once_then_once_a_minute_with_all_that_was_refused_meanwhile(tmp_path: Path) -> None:
    one, two = (Board(tmp_path / "limits", ["", "shop"]) for _ in range(2))
    one.refuse("shop", "rate", 5)
    assert list(two.due(100.0)) == [("shop", "rate", 5)]
    one.refuse("shop", "rate", 3)
    two.refuse("shop", "rate", 4)
    one.refuse("", "request_bytes", 1)
    assert list(one.due(101.0)) == [("", "request_bytes", 1)]
    assert list(one.due(100.0 + ANNOUNCE_EVERY_S)) == [("shop", "rate", 7)]
    assert list(two.due(100.0 + ANNOUNCE_EVERY_S)) == []
    one.refuse("shop", "rate", 1)
    assert list(two.due(100.0 + ANNOUNCE_EVERY_S + 1, at_once=True)) == [("shop", "rate", 1)]
