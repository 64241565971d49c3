"""Sessions are the same whatever order the events come in, as long as none is later than promised."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.features import sessions

GAP, LATE = 30, 1000


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 20_000), min_size=1, max_size=200), st.randoms(use_true_random=False))
def test_count_equals_splitting_the_sorted_times(times: list[int], dice) -> None:
    ordered = sorted(times)
    expected = 1 + sum(b - a > GAP for a, b in pairwise(ordered))
    arrival = sorted(times, key=lambda time: time + dice.randint(0, LATE - 1))
    kept, clock = sessions.begun(), 0
    for time in arrival:
        # Whoever comes after this event is at most LATE older than the newest seen so far.
        sessions.add(kept, time, GAP, clock - LATE)
        clock = max(clock, time)
    assert sessions.count(kept) == expected
