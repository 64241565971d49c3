"""Which part of the traffic a drop comes from.

Localisation after HotSpot (Sun et al., "HotSpot: Anomaly Localization for Additive KPIs With Multi-Dimensional Attributes", IEEE Access
2018) and Adtributor (Bhagwan et al., "Adtributor: Revenue Debugging in Advertising Systems", NSDI 2014), for shares instead of sums:

- *Forecast.* Each leaf (combination of all dimensions) is expected to pass with the share p of its own past.
- *Ripple effect* (HotSpot, eq. 3). If slice S is the cause, the same part of what used to pass fails in each leaf of it:
  `p'(leaf) = p(leaf) v(S) / f(S)` with v(S) what passed in S and f(S) what was expected to. Outside S all is as forecast.
- *Potential score.* HotSpot takes 1 - |v - a| / |v - f| for how well that explains the leaves. With counts of very different sizes the
  natural distance is the binomial deviance; the difference of the two deviances is the log likelihood ratio
  `gain(S) = sum over leaves of x ln(p'/p) + (n - x) ln((1 - p')/(1 - p))`, and that is what slices are ranked by.
- *Succinctness* (Adtributor, section 3.2). More dimensions must pay: a slice with one dimension more has to gain clearly more than the
  best with one less, beyond what the number of candidates gives by chance.
- *Explanatory power* (Adtributor, eq. 2): the slice's share of all failures above forecast. They add up over leaves, so shares do too.
"""

from itertools import combinations
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from pipelines.quality.slices import DIMENSIONS, Slice, slice_of
from pipelines.quality.statistics import Floats, as_floats

MOST_CAUSES: Final = 3
MIN_GAIN: Final = 12.0
"""Nats that a further cause must gain to be named."""
MIN_SHARE: Final = 0.1
CLEARLY: Final = 1.1
"""A larger explanation gains this many times what the smaller one does."""
_MARGIN: Final = 3.0
_SMALLEST: Final = 1e-4
_PRIOR: Final = 10.0

Codes = npt.NDArray[np.int64]


class Cause(msgspec.Struct, frozen=True):
    """A part of the traffic that explains a drop.

    Attributes:
        slice: which part; empty: all of it.
        share: of all failures above forecast, 0 to 1.
        before: share that was expected to pass in it.
        after: share that did.
        total: how many counted in it.
        gain: evidence for it, in nats.
    """

    slice: Slice
    share: float
    before: float
    after: float
    total: int
    gain: float


class Leaves(NamedTuple):
    """Counts of a group by combination of all dimensions; arrays of one length.

    Attributes:
        values: dimension -> its value in each leaf.
        passed: in the drop.
        total: in the drop.
        base_passed: before it.
        base_total: before it.
    """

    values: dict[str, npt.NDArray[Any]]
    passed: Floats
    total: Floats
    base_passed: Floats
    base_total: Floats


class _Kind(NamedTuple):
    """The slices that name the same dimensions: leaf -> number of its slice."""

    dimensions: tuple[str, ...]
    of_leaf: Codes
    size: int


def expected_shares(leaves: Leaves, dimensions: list[str]) -> Floats:
    """The share each leaf is expected to pass with: of its own past; where that is short, of its values' pasts by themselves.

    The latter is the product of main effects, `p * prod(p_value / p)`; it counts as much as ten events of the leaf's own.
    """
    passed, total = leaves.base_passed, leaves.base_total
    overall = (passed.sum() + 0.5) / (total.sum() + 1)
    prior = np.full(len(total), overall)
    for dimension in dimensions:
        _, of_leaf = np.unique(leaves.values[dimension], return_inverse=True)
        sums_passed, sums_total = np.bincount(of_leaf, passed), np.bincount(of_leaf, total)
        effect = (sums_passed + _PRIOR * overall) / (sums_total + _PRIOR) / overall
        prior = prior * effect[of_leaf]
    prior = np.clip(prior, _SMALLEST, 1 - _SMALLEST)
    return as_floats(np.clip((passed + _PRIOR * prior) / (total + _PRIOR), _SMALLEST, 1 - _SMALLEST))


def explain(leaves: Leaves, goal: float | None = None, spread: float = 1.0) -> list[Cause]:
    """What explains a drop, most important first; at least one cause, unless there are no leaves.

    Args:
        leaves: counts by leaf.
        goal: explain what is missing to this share, instead of what has changed.
        spread: dispersion of the counts; evidence is divided by it.
    """
    if not len(leaves.total):
        return []
    dimensions: list[str] = [name for name in DIMENSIONS if name in leaves.values and len(np.unique(leaves.values[name])) > 1]
    expected = expected_shares(leaves, dimensions) if goal is None else np.full(len(leaves.total), min(goal, 1 - _SMALLEST))
    kinds = _kinds(leaves, dimensions)
    above = np.maximum(float((leaves.total * expected - leaves.passed).sum()), 1e-9)
    causes: list[Cause] = []
    for _ in range(MOST_CAUSES):
        found = _best(leaves, expected, kinds, spread)
        kind, number, gain = found
        inside = kind.of_leaf == number
        total, passed = leaves.total[inside], leaves.passed[inside]
        forecast = float((total * expected[inside]).sum())
        missing = forecast - float(passed.sum())
        share = float(min(1.0, max(0.0, missing / above)))
        if causes and (gain < MIN_GAIN or share < MIN_SHARE):
            break
        count = max(float(total.sum()), 1e-9)
        first = int(np.argmax(inside))
        part = slice_of((name, str(leaves.values[name][first])) for name in kind.dimensions)
        causes.append(Cause(part, share, forecast / count, float(passed.sum()) / count, int(total.sum()), gain))
        if not kind.dimensions:
            break
        expected = np.where(inside, np.maximum(expected * (float(passed.sum()) / max(forecast, 1e-9)), _SMALLEST), expected)
    return causes


def _kinds(leaves: Leaves, dimensions: list[str]) -> list[list[_Kind]]:
    """Slices by number of dimensions: none, one, two."""
    everything = _Kind((), np.zeros(len(leaves.total), np.int64), 1)
    single: list[_Kind] = []
    for name in dimensions:
        values, of_leaf = np.unique(leaves.values[name], return_inverse=True)
        single.append(_Kind((name,), of_leaf.astype(np.int64), len(values)))
    pairs: list[_Kind] = []
    for one, other in combinations(single, 2):
        present, of_leaf = np.unique(one.of_leaf * other.size + other.of_leaf, return_inverse=True)
        if len(present) > max(one.size, other.size):  # else one value says the other
            pairs.append(_Kind(one.dimensions + other.dimensions, of_leaf.astype(np.int64), len(present)))
    return [[everything], single, pairs]


def _best(leaves: Leaves, expected: Floats, kinds: list[list[_Kind]], spread: float) -> tuple[_Kind, int, float]:
    """The slice that gains most, the smaller one where they are about equal: kind, number, gain."""
    chosen: tuple[_Kind, int, float] | None = None
    for level in kinds:
        candidates = 0
        best: tuple[_Kind, int, float] | None = None
        for kind in level:
            gains = _gains(leaves, expected, kind) / spread
            candidates += kind.size
            number = int(np.argmax(gains))
            if best is None or gains[number] > best[2] * (1 + 1e-9):
                best = kind, number, float(gains[number])
        if best is None:
            continue
        if chosen is None or best[2] > max(chosen[2] * CLEARLY, chosen[2] + _MARGIN + np.log(candidates)):
            chosen = best
    assert chosen is not None
    return chosen


def _gains(leaves: Leaves, expected: Floats, kind: _Kind) -> Floats:
    """`gain` of each slice of a kind."""
    of_leaf = kind.of_leaf
    forecast = np.bincount(of_leaf, leaves.total * expected, kind.size)
    actual = np.bincount(of_leaf, leaves.passed, kind.size)
    ripple = np.minimum(1.0, actual / np.maximum(forecast, 1e-12))
    then = np.maximum(expected * ripple[of_leaf], _SMALLEST / 10)
    gained = leaves.passed * np.log(then / expected) + (leaves.total - leaves.passed) * np.log((1 - then) / (1 - expected))
    return as_floats(np.bincount(of_leaf, gained, kind.size))
