"""Windows hold what docs/features.md says, whatever the order of arrival, thinned or not; and they say when they will change."""

from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.features.series import NEVER, Series, Window

MINUTE = 60_000
HOUR = Window("1h", 60 * MINUTE, MINUTE)
DAY = Window("1d", 1440 * MINUTE, 20 * MINUTE)
WINDOWS = [HOUR, DAY]
EXACT = 8
BASE = 1_700_000_000_000

times = st.lists(st.integers(0, 3 * 24 * 3_600_000), min_size=1, max_size=120)
phases = st.integers(0, 20 * MINUTE - 1)


def brute(entries: dict[int, tuple[int, int]], now: int, window: Window, phase: int) -> tuple[int, int]:
    tail = now - window.length
    if sum(tail < time <= now for time in entries) >= EXACT:
        tail = (tail - phase) // window.hop * window.hop + phase
    inside = [entry for time, entry in entries.items() if tail < time <= now]
    return sum(count for count, _ in inside), sum(amount for _, amount in inside)


@settings(max_examples=300, deadline=None)
@given(times, phases, st.randoms(use_true_random=False), st.integers(0, 48 * 3_600_000))
def test_windows_equal_brute_force_in_any_order_of_arrival(offsets: list[int], phase: int, dice, later: int) -> None:
    """Arrival in bursts: each is shuffled, and the clock only moves forward, as on a node."""
    entries: dict[int, tuple[int, int]] = {}
    series, now = Series.empty(), BASE
    ordered = sorted(offsets)
    for start in range(0, len(ordered), 10):
        burst = ordered[start : start + 10]
        now = max(now, BASE + burst[-1])
        dice.shuffle(burst)
        for offset in burst:
            amount = dice.randint(1, 500)
            series.add(BASE + offset, 1, amount)
            count, total = entries.get(BASE + offset, (0, 0))
            entries[BASE + offset] = count + 1, total + amount
        series.thin(now, WINDOWS, EXACT, phase)
        for window in WINDOWS:
            assert series.look(now, window, EXACT, phase)[:2] == brute(entries, now, window, phase)
    for window in WINDOWS:
        assert series.look(now + later, window, EXACT, phase)[:2] == brute(entries, now + later, window, phase)
    assert series.total() == (len(offsets), sum(amount for _, amount in entries.values()))


@settings(max_examples=200, deadline=None)
@given(times, phases)
def test_no_value_changes_before_the_moment_foretold(offsets: list[int], phase: int) -> None:
    series, now = Series.empty(), BASE + max(offsets)
    for offset in sorted(offsets):
        series.add(BASE + offset, 1, 1)
    for window in WINDOWS:
        moment, (*seen, due) = now, series.look(now, window, EXACT, phase)
        while seen != [0, 0]:
            assert moment < due < NEVER
            assert [*series.look(due - 1, window, EXACT, phase)[:2]] == seen
            moment, (*seen, due) = due, series.look(due, window, EXACT, phase)
        assert due == NEVER


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 99)), max_size=40), st.integers(0, 39))
def test_taking_back_leaves_no_trace(entries: list[tuple[int, int]], which: int) -> None:
    once, undone = Series.empty(), Series.empty()
    taken = entries[which % len(entries)] if entries else None
    for index, (offset, amount) in enumerate(entries):
        undone.add(BASE + offset, 1, amount)
        if index != which % len(entries):
            once.add(BASE + offset, 1, amount)
    if taken is not None:
        undone.add(BASE + taken[0], -1, -taken[1])
    assert undone.packed() == once.packed()
    assert Series.unpacked(once.packed()).packed() == once.packed()


def test_a_busy_series_stays_small() -> None:
    series = Series.empty()
    for second in range(200_000):
        now = BASE + second * 1000
        series.add(now, 1, 1)
        series.thin(now, WINDOWS, EXACT, 0)
    assert len(series.times) < 60 + 60 + EXACT + 16 + 40


def test_an_entry_older_than_everything_remembered_is_in_the_total_only() -> None:
    series = Series.empty()
    for minute in range(200):
        series.add(BASE + minute * MINUTE, 1, 10)
    now = BASE + 10 * DAY.length
    series.add(now, 1, 5)
    series.thin(now, WINDOWS, EXACT, 0)
    oldest, before = series.times[0], series.look(now, DAY, EXACT, 0)
    assert oldest > BASE
    series.add(oldest - 1, 1, 7)
    assert series.look(now, DAY, EXACT, 0) == before == (1, 5, now + DAY.length)
    assert series.total() == (202, 2012)


def test_what_would_leave_64_bits_is_refused_and_nothing_changes() -> None:
    most = (1 << 61) + (1 << 60)
    for times in ((2, 1), (1, 2), (1, 1)):
        series = Series.empty()
        assert series.add(BASE + times[0], 1, most)
        before = series.packed()
        assert not series.add(BASE + times[1], 1, most)
        assert series.packed() == before
        assert series.add(BASE + times[1], 1, -most)
        assert series.total() == (2, 0)
