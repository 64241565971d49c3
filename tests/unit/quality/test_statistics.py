"""The tests on shares keep what their formulas promise."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.quality.statistics import dispersion, divergence, evidence_below, evidence_of_fall, interval

shares = st.floats(0, 1)
counts = st.integers(0, 2000)


def one(value: float) -> np.ndarray:
    return np.array([float(value)])


@given(shares, st.floats(0.001, 0.999))
def test_divergence_is_zero_only_between_equals(p: float, q: float) -> None:
    found = float(divergence(p, q))
    assert found >= -1e-12
    assert float(divergence(q, q)) == pytest.approx(0, abs=1e-12)
    assert found >= 2 * (p - q) ** 2 - 1e-9, "Pinsker's inequality"


@given(counts, counts, counts, counts)
def test_there_is_evidence_of_a_fall_exactly_when_the_share_fell(passed: int, failed: int, base_passed: int, base_failed: int) -> None:
    total, base_total = passed + failed, base_passed + base_failed
    found = float(evidence_of_fall(one(passed), one(total), one(base_passed), one(base_total))[0])
    fell = bool(total and base_total and passed * base_total < base_passed * total)
    assert (found > 0) == fell
    assert math.isfinite(found)


@given(st.integers(1, 500), st.integers(0, 500), st.integers(1, 4))
def test_evidence_grows_in_proportion_to_the_samples(passed: int, failed: int, times: int) -> None:
    once = evidence_of_fall(one(passed), one(passed + failed), one(900), one(1000))[0]
    often = evidence_of_fall(one(passed * times), one((passed + failed) * times), one(900 * times), one(1000 * times))[0]
    assert often == pytest.approx(once * times, rel=1e-9, abs=1e-9)


@given(st.integers(1, 60), st.floats(0.5, 0.99))
def test_the_bound_on_a_missed_goal_is_never_bolder_than_the_exact_binomial_tail(total: int, goal: float) -> None:
    passed = np.arange(total + 1)
    tail = np.cumsum([math.comb(total, k) * goal**k * (1 - goal) ** (total - k) for k in passed])
    found = evidence_below(passed.astype(float), np.full(total + 1, float(total)), goal)
    below = found > 0
    assert (np.exp(-found[below]) >= tail[below] - 1e-12).all()
    assert (passed[~below] >= goal * total - 1e-9).all()


@given(st.integers(1, 400), st.data())
def test_an_interval_holds_its_share_and_narrows_with_more_events(total: int, data: st.DataObject) -> None:
    passed = data.draw(st.integers(0, total))
    low, high = interval(passed, total)
    assert 0 <= low <= passed / total <= high <= 1
    narrower = interval(passed * 10, total * 10)
    assert narrower[1] - narrower[0] < high - low
    assert interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("concentration", "expected"), [(None, 1.0), (20.0, 6.0)])
def test_dispersion_is_one_for_coin_tosses_and_what_it_is_for_clustered_ones(concentration: float | None, expected: float) -> None:
    rng = np.random.default_rng(3)
    total = np.full(4000, 120.0)
    share = np.full(4000, 0.9) if concentration is None else rng.beta(0.9 * concentration, 0.1 * concentration, 4000)
    passed = rng.binomial(120, share).astype(float)
    found = dispersion(one((passed**2 / total).sum()), one(passed.sum()), one(total.sum()), one(4000))[0]
    # Of a beta-binomial sample: 1 + (n - 1) / (concentration + 1).
    assert found == pytest.approx(expected if concentration is None else 1 + 119 / (concentration + 1), rel=0.1)
