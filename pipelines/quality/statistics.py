"""Tests on shares `passed / total`, vectorised. All of them are likelihood ratios of binomial counts, in nats."""

from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
PRIOR_SAMPLES: Final = 10.0


def as_floats(values: npt.ArrayLike) -> Floats:
    """A float64 array."""
    return np.asarray(values, dtype=np.float64)


def divergence(p: npt.ArrayLike, q: npt.ArrayLike) -> Floats:
    """Kullback-Leibler divergence of a coin with share p from one with share q; infinite where q rules out what p has."""
    one, other = as_floats(p), as_floats(q)
    return _weighted_log(one, other) + _weighted_log(1.0 - one, 1.0 - other)


def _weighted_log(p: Floats, q: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(p > 0, p * (np.log(np.maximum(p, 1e-300)) - np.log(np.maximum(q, 0))), 0.0)


def evidence_of_fall(passed: Floats, total: Floats, base_passed: Floats, base_total: Floats) -> Floats:
    """How surely the share is lower than it was: the log likelihood ratio of two binomial samples (G test; Dunning 1993, eq. 4).

    `n1 KL(p1 | p) + n0 KL(p0 | p)` with p the share of both together; 0 where the share did not fall, or where one sample is empty. By
    Wilks' theorem twice this is chi-square with one degree of freedom, so that the probability of as much by chance is below `exp(-it)`.

    Args:
        passed: of the recent sample; any shape.
        total: of the recent sample.
        base_passed: of the sample to compare with.
        base_total: of the sample to compare with.
    """
    both = np.maximum(total + base_total, 1e-12)
    p1, p0, p = passed / np.maximum(total, 1e-12), base_passed / np.maximum(base_total, 1e-12), (passed + base_passed) / both
    judged = (total > 0) & (base_total > 0) & (p1 < p0)
    p1, p0, p = (np.clip(np.where(judged, share, 0.5), 0, 1) for share in (p1, p0, p))
    return np.where(judged, total * divergence(p1, p) + base_total * divergence(p0, p), 0.0)


def evidence_below(passed: Floats, total: Floats, goal: npt.ArrayLike) -> Floats:
    """How surely a share is below a goal: `n KL(p | goal)`; 0 where it is not.

    The probability of such a share, were the true one the goal, is at most `exp(-it)` (Chernoff's bound, Hoeffding 1963, theorem 1). So
    "more than ln(1/a)" says: the upper confidence bound of level 1 - a lies below the goal.
    """
    goal = np.asarray(goal, float)
    p = passed / np.maximum(total, 1e-12)
    below = (total > 0) & (p < goal)
    found = total * divergence(np.where(below, p, 0.5), np.where(below, goal, 0.5))
    return np.where(below, found, 0.0)


def dispersion(squares: Floats, passed: Floats, total: Floats, count: Floats) -> Floats:
    """How much more a share varies than a binomial one: Pearson's statistic by its degrees of freedom, at least 1.

    Quasi-likelihood (McCullagh and Nelder 1989, section 4.5): evidence is to be divided by it. All arguments may be weighted sums over
    the same samples. With few samples the estimate leans towards 1.5.

    Args:
        squares: sum of `passed^2 / total`.
        passed: sum of passed.
        total: sum of totals.
        count: number of samples with a total above 0.
    """
    p = np.clip(passed / np.maximum(total, 1e-12), 1e-6, 1 - 1e-6)
    pearson = (squares - 2 * p * passed + p * p * total) / (p * (1 - p))
    return as_floats(np.maximum(1.0, (pearson + 1.5 * PRIOR_SAMPLES) / (np.maximum(count - 1, 0) + PRIOR_SAMPLES)))


def interval(passed: float, total: float, level: float = 3.0) -> tuple[float, float]:
    """Shares that are compatible with a sample: those less than `level` nats away (by bisection).

    Args:
        passed: successes.
        total: trials; 0 gives (0, 1).
        level: 3 nats is about 98.6 % both sides together.
    """
    if total <= 0:
        return 0.0, 1.0
    p = passed / total

    def edge(inside: float, outside: float) -> float:
        for _ in range(40):
            middle = (inside + outside) / 2
            if total * float(divergence(p, middle)) < level:
                inside = middle
            else:
                outside = middle
        return inside

    return edge(p, 0.0), edge(p, 1.0)
