"""The detector: takes the counts of one closed minute after the other, and says which alerts changed."""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import numpy as np

from config.quality import AlertRules
from pipelines.quality.alerts import BASE_MINUTES, Alert, Span, Traffic, open_drop, open_goal, review_drop, review_goal
from pipelines.quality.drops import below_goal, drops, reaches_goal
from pipelines.quality.series import RING, Rows, Series
from pipelines.quality.slices import Group
from pipelines.quality.statistics import Floats, as_floats

DAY_MINUTES: Final = 1440
Goal = Callable[[Group, str], float | None]
"""The share that a group must reach at an origin, None for no goal. Of volume: share of events of now in those and last week's."""


class _WithGoals(NamedTuple):
    """Series that have goals, as of so many changes of the series: group and origin, row, goal."""

    known: int
    keys: list[tuple[Group, str]]
    rows: Rows
    goals: Floats


class Detector:
    """Judges minutes.

    Args:
        series: counts; the detector adds each minute to them.
        goals: what must be reached.
        rules: when to say something.
        known: the newest change of each alert that is open or was of late, when the job begins.
    """

    def __init__(self, series: Series, goals: Goal, rules: AlertRules, known: Iterable[Alert] = ()) -> None:
        self.series = series
        self._goals = goals
        self._rules = rules
        self._drops: dict[Group, Alert] = {}
        self._missed: dict[tuple[Group, str], Alert] = {}
        self._past: dict[Group, list[Span]] = {}
        self._with_goals = _WithGoals(-1, [], np.zeros(0, np.int64), np.zeros(0))
        for alert in sorted(known, key=lambda one: one.minute):
            self._remember(alert)

    def disturbed(self, minute: int) -> list[Group]:
        """Groups that a drop disturbs in a minute."""
        found = [group for group, alert in self._drops.items() if alert.onset - 1 <= minute]
        return found + [group for group, spans in self._past.items() if any(span.first <= minute <= span.last for span in spans)]

    def judge(self, traffic: Traffic) -> list[Alert]:
        """Judge the newest minute of the series.

        Args:
            traffic: counts by leaf of that minute and those before it.

        Returns:
            The alerts that changed, in a fixed order.
        """
        minute, changes = self.series.minute, []
        for alert in sorted(self._drops.values(), key=lambda one: one.group):
            changed = review_drop(traffic, alert, minute, self._rules, self._without(alert.group))
            if changed is not None:
                changes.append(changed)
                self._remember(changed)
        for group, drop in sorted(drops(self.series, self._rules).items()):
            if group not in self._drops:
                opened = open_drop(traffic, group, minute, drop.window, self._without(group))
                changes.append(opened)
                self._remember(opened)
        changes += self._judge_goals(traffic, minute)
        self._forget(minute)
        if minute % DAY_MINUTES == 0:
            self.series.forget()
        return changes

    def _judge_goals(self, traffic: Traffic, minute: int) -> list[Alert]:
        _, keys, rows, goals = self._goal_series()
        if not keys:
            return []
        changes = []
        missed = below_goal(self.series, rows, goals, self._rules)
        concerned = {number for number, key in enumerate(keys) if missed[number] or key in self._missed}
        for number in sorted(concerned, key=lambda one: keys[one]):
            (group, origin), goal = keys[number], float(goals[number])
            alert = self._missed.get((group, origin))
            if alert is not None:
                reached = reaches_goal(self.series, int(rows[number]), goal)
                changed = review_goal(traffic, alert, minute, goal, reached, self._rules)
            elif missed[number] and group not in self._drops:  # a drop says more, and says it already
                changed = open_goal(traffic, group, origin, minute, goal)
            else:
                continue
            if changed is not None:
                changes.append(changed)
                self._remember(changed)
        return changes

    def _goal_series(self) -> "_WithGoals":
        """Series of one origin that have a goal."""
        if self._with_goals.known != self.series.changes:
            found = []
            for row, (group, part) in enumerate(self.series.keys):
                if len(part) == 1 and part[0][0] == "origin" and (goal := self._goals(group, part[0][1])) is not None:
                    found.append(((group, part[0][1]), row, goal))
            rows, goals = np.array([row for _, row, _ in found], np.int64), as_floats([goal for _, _, goal in found])
            self._with_goals = _WithGoals(self.series.changes, [key for key, _, _ in found], rows, goals)
        return self._with_goals

    def _remember(self, alert: Alert) -> None:
        if alert.kind == "goal":
            self._missed[alert.group, alert.origin] = alert
            if alert.change == "closed":
                del self._missed[alert.group, alert.origin]
            return
        if alert.change != "closed":
            self._drops[alert.group] = alert
            self.series.disturb(alert.group, alert.onset - 1, self.series.minute)
            return
        self._drops.pop(alert.group, None)
        self._past.setdefault(alert.group, []).append(Span(alert.onset - 1, alert.minute))

    def _without(self, group: Group) -> list[Span]:
        return self._past.get(group, [])

    def _forget(self, minute: int) -> None:
        for group, spans in list(self._past.items()):
            self._past[group] = [span for span in spans if span.last > minute - BASE_MINUTES * 2 - RING]
            if not self._past[group]:
                del self._past[group]
