"""The store of counts: recent minutes as they are, older ones fading, disturbed ones left out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.quality.series import GAP, HALF_LIFE, MEMORY, WINDOWS, Series
from pipelines.quality.slices import Group, SeriesKey

ONE, OTHER = Group("t", "validity", "A", "x"), Group("t", "validity", "B", "x")
KEYS = [SeriesKey(ONE, ()), SeriesKey(ONE, (("origin", "a"),)), SeriesKey(OTHER, ())]
minutes = st.lists(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=3, max_size=3), min_size=1, max_size=60)


def filled(counts: list[list[tuple[int, int]]], first: int = 1000) -> Series:
    series = Series()
    rows = series.rows(KEYS)
    for number, minute in enumerate(counts):
        series.add(first + number, rows, [passed for passed, _ in minute], [passed + failed for passed, failed in minute])
    return series


@given(minutes)
@settings(max_examples=30)
def test_windows_and_baseline_are_the_sums_they_say(counts: list[list[tuple[int, int]]]) -> None:
    series = filled(counts)
    passed = np.array([[one for one, _ in minute] for minute in counts], float)
    total = np.array([[one + other for one, other in minute] for minute in counts], float)
    for window in WINDOWS:
        found = series.recent(window)
        assert np.array_equal(found[0], passed[-window:].sum(axis=0))
        assert np.array_equal(found[1], total[-window:].sum(axis=0))
    ages = np.arange(len(counts))[::-1] - GAP
    weights = np.where(ages >= 0, 0.5 ** (np.maximum(ages, 0) / HALF_LIFE), 0)
    base_passed, base_total, base_minutes = series.baseline()
    assert base_passed == pytest.approx((passed * weights[:, None]).sum(axis=0))
    assert base_total == pytest.approx((total * weights[:, None]).sum(axis=0))
    assert base_minutes == pytest.approx(((total > 0) * weights[:, None]).sum(axis=0))


def test_minutes_left_out_are_minutes_without_events() -> None:
    sparse, full = Series(), Series()
    rows = sparse.rows(KEYS)
    full.rows(KEYS)
    for minute in range(500):
        if minute % 97 == 0 or minute > 470:
            sparse.add(minute, rows, [5, 3, 1], [6, 6, 6])
            full.add(minute, rows, [5, 3, 1], [6, 6, 6])
        else:
            full.add(minute, rows[:0], [], [])
    for one, other in zip(sparse.baseline(), full.baseline(), strict=True):
        assert one == pytest.approx(other)
    assert sparse.baseline_minutes() == pytest.approx(full.baseline_minutes())
    assert np.array_equal(sparse.recent(15)[1], full.recent(15)[1])


def test_what_lies_further_back_than_the_memory_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    counts = [[(int(one), int(other)) for one, other in rng.integers(1, 50, (3, 2))] for _ in range(MEMORY + 600)]
    whole, rebuilt = filled(counts), filled(counts[-MEMORY:], first=1000 + 600)
    for one, other in zip(whole.baseline()[:2], rebuilt.baseline()[:2], strict=True):
        assert other == pytest.approx(one, rel=0.005)


def test_disturbed_minutes_of_a_group_do_not_become_its_baseline() -> None:
    series, undisturbed = Series(), Series()
    rows = series.rows(KEYS)
    undisturbed.rows(KEYS)
    for minute in range(100):
        bad = 40 <= minute < 60
        series.add(minute, rows, [1 if bad else 9, 9, 9], [10, 10, 10], [ONE] if bad else [])
        undisturbed.add(minute, rows, [9, 9, 9], [10, 10, 10])
    passed, total, _ = series.baseline()
    assert (passed / total)[:2] == pytest.approx([0.9, 0.9])
    assert total[0] < undisturbed.baseline()[1][0]
    assert total[2] == pytest.approx(undisturbed.baseline()[1][2]), "the other group goes on learning"


def test_a_drop_is_disturbing_from_its_first_minute_on_though_it_was_seen_later() -> None:
    series = Series()
    rows = series.rows(KEYS)
    for minute in range(30):
        series.add(minute, rows, [0, 0, 0], [10, 10, 10])
    series.disturb(ONE, 26, 29)
    assert series.disturbed(1).tolist() == [True, True, False]
    for minute in range(30, 33):
        series.add(minute, rows, [0, 0, 0], [10, 10, 10])
    assert not series.disturbed(2).any()
    assert series.disturbed(5).tolist() == [True, True, False]


def test_series_that_fell_silent_are_forgotten_and_the_others_keep_their_counts() -> None:
    series = filled([[(5, 1), (3, 3), (2, 2)]] * 40)
    only = series.rows(KEYS[1:2])
    for minute in range(1040, 1040 + 45 * 20):
        series.add(minute, only, [4], [5])
    before = [counts[1] for counts in (*series.baseline(), *series.recent(15))]
    series.forget()
    assert series.keys == KEYS[1:2]
    assert [counts[0] for counts in (*series.baseline(), *series.recent(15))] == before
    rows = series.rows(KEYS)
    assert sorted(rows.tolist()) == [0, 1, 2]
    series.add(series.minute + 1, rows, [1, 1, 1], [1, 1, 1])
    assert series.recent(1)[1].tolist() == [1, 1, 1]
