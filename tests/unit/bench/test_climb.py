"""The search for the sustained rate always ends with a figure, near what the system can do, within the time it has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import workload
from bench.climb import LEAST_PER_S, climb, next_rate

STEP, CLOSE = 1.3, 1.06


class System:
    """Holds rates up to its capacity; counts the rates that were tried."""

    def __init__(self, capacity: float) -> None:
        self.capacity = capacity
        self.tried: list[float] = []

    def hold(self, rate: float) -> float | None:
        self.tried.append(rate)
        return rate if rate <= self.capacity else None


@given(st.floats(40, 50_000), st.floats(0.05, 3.0))
def test_with_time_enough_the_rate_is_within_a_step_of_the_capacity_wherever_the_search_begins(capacity: float, guess: float) -> None:
    system = System(capacity)
    best = climb(capacity * guess, system.hold, lambda: True, STEP, CLOSE)
    assert best is not None
    assert capacity / CLOSE - 1e-6 <= best[0] <= capacity
    assert len(system.tried) <= 20


@given(st.floats(25, 50_000), st.floats(0.05, 20.0), st.integers(0, 8))
def test_when_time_is_short_the_best_rate_that_held_counts(capacity: float, guess: float, rungs: int) -> None:
    system = System(capacity)
    best = climb(capacity * guess, system.hold, lambda: len(system.tried) < rungs, STEP, CLOSE)
    assert best is not None, "a slow day ends with a low figure, not without one"
    held = [rate for rate in system.tried if rate <= capacity]
    assert best == (max(held), max(held))
    assert len(system.tried) <= max(rungs, len(system.tried) - len(held) + 1), "beyond its time it goes on only until one has held"


def test_it_begins_low_and_goes_up() -> None:
    system = System(1000.0)
    climb(400.0, system.hold, lambda: True, STEP, CLOSE)
    assert system.tried[:4] == pytest.approx([400, 520, 676, 878.8])


def test_a_system_that_holds_nothing_ends_the_search() -> None:
    system = System(0.0)
    assert climb(3000.0, system.hold, lambda: False, STEP, CLOSE) is None
    assert min(system.tried) >= LEAST_PER_S
    assert len(system.tried) < 12


def test_a_rate_that_failed_below_one_that_held_does_not_end_the_search() -> None:
    assert next_rate(100.0, held=[130.0], failed=[100.0], step=STEP, close=CLOSE) == pytest.approx(169.0)
    assert next_rate(100.0, held=[100.0], failed=[130.0], step=STEP, close=CLOSE) == pytest.approx(114.0, abs=0.1)
    assert next_rate(100.0, held=[125.0], failed=[130.0], step=STEP, close=CLOSE) is None


@pytest.mark.parametrize("variant", ["", "quick", "large"])
def test_the_time_of_a_search_suffices_for_the_way_up_from_the_first_rate(variant: str) -> None:
    plan = workload.read(variant).plan
    capacity, system = 1000.0, System(1000.0)
    rungs = plan.search_s / (plan.warm_up_s + plan.hold_s)
    best = climb(capacity * plan.first_try, system.hold, lambda: len(system.tried) + 1 <= rungs, plan.step, plan.close)
    assert best is not None
    assert best[0] >= 0.85 * capacity
