"""Sudden drops: each series against its own recent past, and shares against the goals."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from config.quality import AlertRules
from pipelines.quality.series import WINDOWS, Series
from pipelines.quality.slices import Group
from pipelines.quality.statistics import Floats, evidence_below, evidence_of_fall

MINUTES_A_WEEK: Final = 10_080
MIN_BASE_EVENTS: Final = 50.0
MIN_BASE_MINUTES: Final = 20.0
MIN_MISSING: Final = 12.0
"""Events that must be missing beyond what is usual: a single client's batch is no trend."""
GOAL_WINDOW: Final = 15
MIN_GOAL_EVENTS: Final = 20.0
_LATELY: Final = 5


class Drop(NamedTuple):
    """A series that has fallen.

    Attributes:
        group: its group.
        row: of the series.
        window: minutes over which that is clearest.
        evidence: in nats.
    """

    group: Group
    row: int
    window: int
    evidence: float


def threshold(series: int, a_week: float) -> float:
    """The evidence that an alarm needs, in nats, so that chance alone raises at most `a_week` alarms a week (Bonferroni).

    Every series is tested every minute with every window, and chance reaches evidence e with a probability below exp(-e).
    """
    return float(np.log(max(series, 1) * len(WINDOWS) * MINUTES_A_WEEK / a_week))


def drops(series: Series, rules: AlertRules) -> dict[Group, Drop]:
    """The clearest drop of each group that has one."""
    base_passed, base_total, base_minutes = series.baseline()
    known = (base_total >= MIN_BASE_EVENTS) & (base_minutes >= MIN_BASE_MINUTES)
    needed = threshold(int(known.sum()), rules.false_alarms_per_week)
    volume = np.array([group.measure == "volume" for group in series.groups], bool)[series.group_of] if len(series) else np.zeros(0, bool)
    before = base_passed / np.maximum(base_total, 1e-12)
    found: dict[Group, Drop] = {}
    for window in WINDOWS:
        passed, total = series.recent(window)
        missing = total * before - passed
        large = np.where(volume, _volume_fell(series, passed, total, window, rules), missing >= total * rules.drop_points / 100)
        rows = np.flatnonzero(known & (missing >= MIN_MISSING) & large & ~series.disturbed(window))
        evidence = evidence_of_fall(passed[rows], total[rows], base_passed[rows], base_total[rows]) / series.dispersion(window, rows)
        for row, strength in zip(rows, evidence, strict=True):
            group = series.groups[series.group_of[row]]
            if strength > needed and (group not in found or strength > found[group].evidence):
                found[group] = Drop(group, int(row), window, float(strength))
    return found


def _volume_fell(series: Series, passed: Floats, total: Floats, window: int, rules: AlertRules) -> npt.NDArray[np.bool_]:
    """Whether there are clearly fewer events than there should be, by three yardsticks.

    Volume series count events of now as passed, those and last week's together as total. An alarm needs fewer than last week as it is
    (else it is a special offer that ended), than last week scaled by the level of the last hours, and than those hours themselves (else
    it was last week that was unusual).
    """
    keep = 1 - rules.volume_drop / 100
    base_passed, base_total, _ = series.baseline()
    now, last_week = passed, total - passed
    level = base_passed / np.maximum(base_total - base_passed, 1e-12)
    lately = base_passed / np.maximum(series.baseline_minutes(), 1e-12) * window
    fell: npt.NDArray[np.bool_] = (now <= keep * last_week) & (now <= keep * level * last_week) & (now <= keep * lately)
    return fell


def below_goal(series: Series, rows: npt.NDArray[np.int64], goals: Floats, rules: AlertRules) -> npt.NDArray[np.bool_]:
    """Whether series miss their goals for certain, and have for a while.

    Either the last 15 minutes do, and did at each of the last `sustained_minutes`; or, where events are rare, the last hours do and
    nothing shows that it is over. Minutes that a drop's alert has dealt with do not count.

    Args:
        series: counts.
        rows: which series.
        goals: share each must reach.
        rules: how sure, how long.
    """
    needed = threshold(len(rows), rules.false_alarms_per_week)
    passed, total = (counts[rows] for counts in series.recent(GOAL_WINDOW))
    found = np.zeros(len(rows), bool)
    low = np.flatnonzero((passed < goals * total) & ~series.disturbed(GOAL_WINDOW)[rows])
    if not len(low):
        return found
    rows, goals = rows[low], goals[low]
    spread = series.dispersion(GOAL_WINDOW, rows)
    holds = np.ones(len(rows), bool)
    for ago in range(rules.sustained_minutes):
        passed, total = (counts[rows] for counts in series.recent(GOAL_WINDOW, ago))
        holds &= (total >= MIN_GOAL_EVENTS) & (evidence_below(passed, total, goals) / spread > needed)
    passed, total = (counts[rows] for counts in series.recent(GOAL_WINDOW))
    base_passed, base_total, _ = (counts[rows] for counts in series.baseline())
    lately_passed, lately_total = (counts[rows] for counts in series.recent(_LATELY))
    slowly = evidence_below(passed + base_passed, total + base_total, goals) / spread > needed
    found[low] = holds | (slowly & ((lately_total == 0) | (lately_passed < goals * lately_total)))
    return found


def reaches_goal(series: Series, row: int, goal: float) -> bool:
    """Whether a series that missed its goal is there again: over the last 15 minutes, or hours where events are rare."""
    passed, total = (float(counts[row]) for counts in series.recent(GOAL_WINDOW))
    if total < MIN_GOAL_EVENTS:
        base_passed, base_total, _ = series.baseline()
        passed, total = passed + float(base_passed[row]), total + float(base_total[row])
    return total > 0 and passed >= goal * total
