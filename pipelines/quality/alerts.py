"""Alerts: what opens one, what keeps it up to date, what closes it. Each opens once and closes once."""

import hashlib
from typing import Final, Literal, NamedTuple, Protocol

import msgspec
import numpy as np

from config.quality import AlertRules, Measure
from pipelines.quality.cause import Cause, Leaves, explain
from pipelines.quality.slices import Group

BASE_MINUTES: Final = 180
"""So long a stretch before the drop says what each leaf's share was."""
YOUNG_MINUTES: Final = 5
"""An alert this young is looked at every minute: its cause may show clearer."""
LOOK_MINUTES: Final = 15
RECOVERY_WINDOWS: Final = (5, 15, 30)
RECOVERY_EVENTS: Final = 20.0
RECOVERED: Final = 0.75
"""A drop is over when so much of it has been made up for."""
GONE_MINUTES: Final = 60

Change = Literal["opened", "updated", "closed"]
Kind = Literal["drop", "goal"]


class Span(NamedTuple):
    """Minutes `first` to `last`, both included."""

    first: int
    last: int


class Traffic(Protocol):
    """Where the counts by leaf come from."""

    def leaves(self, group: Group, span: Span, base: Span, without: list[Span]) -> Leaves:
        """Counts of a group by leaf.

        Args:
            group: which.
            span: minutes to explain.
            base: minutes to compare with.
            without: minutes to leave out of `base`.
        """


class Alert(msgspec.Struct, frozen=True):
    """An alert after a change. Times are minutes since the epoch, of log time.

    Attributes:
        id: the same for all changes.
        number: of the change: 1, 2, 3 ...
        change: what happened.
        kind: a sudden `drop`, or a `goal` that is missed.
        group: what is worse.
        origin: of a missed goal: the source it is about.
        minute: when the change was seen: the minute that had just closed.
        onset: first minute of the drop.
        opened: minute in which the alert opened.
        before: share that was expected; for a goal, the goal.
        after: share found where the cause is.
        total: how many events that counts.
        causes: most important first.
        why: of a closed one: `recovered`, `new_level` or `no_data`.
    """

    id: str
    number: int
    change: Change
    kind: Kind
    group: Group
    origin: str
    minute: int
    onset: int
    opened: int
    before: float
    after: float
    total: int
    causes: list[Cause]
    why: str = ""


def alert_id(kind: Kind, group: Group, origin: str, opened: int) -> str:
    """A name that the same alert gets whoever opens it, and however often."""
    text = "\0".join([kind, *group, origin, str(opened)])
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def open_drop(traffic: Traffic, group: Group, minute: int, window: int, without: list[Span]) -> Alert:
    """The alert for a drop that was just found in the last `window` minutes."""
    onset = minute - window + 1
    leaves = traffic.leaves(group, Span(onset, minute), _base(onset), without)
    return _changed(_new("drop", group, "", minute, onset), explain(leaves))


def open_goal(traffic: Traffic, group: Group, origin: str, minute: int, goal: float) -> Alert:
    """The alert for a goal that is missed."""
    alert = _new("goal", group, origin, minute, minute)
    return _changed(alert, explain(_of_origin(traffic, group, origin, minute), goal=goal))


def review_drop(traffic: Traffic, alert: Alert, minute: int, rules: AlertRules, without: list[Span]) -> Alert | None:
    """What has become of a drop: the changed alert, or None when there is nothing new."""
    if minute - alert.onset >= rules.forget_hours * 60:
        return _closed(alert, minute, "new_level")
    ended = _recovery(traffic, alert, minute, without)
    if ended:
        return _closed(alert, minute, ended)
    due = minute - alert.minute >= rules.update_minutes
    if not due and minute - alert.opened > YOUNG_MINUTES:
        return None
    span = Span(max(alert.onset, minute - LOOK_MINUTES + 1), minute)
    causes = explain(traffic.leaves(alert.group, span, _base(alert.onset), without))
    if not causes or (not due and causes[0].slice == alert.causes[0].slice):
        return None
    return _changed(msgspec.structs.replace(alert, number=alert.number + 1, change="updated", minute=minute), causes)


def review_goal(traffic: Traffic, alert: Alert, minute: int, goal: float, reached: bool, rules: AlertRules) -> Alert | None:
    """What has become of a missed goal, see `review_drop`.

    Args:
        traffic: counts.
        alert: as it was.
        minute: that just closed.
        goal: as it is configured now.
        reached: whether the goal is reached again.
        rules: how often to tell.
    """
    if reached and minute - alert.opened >= LOOK_MINUTES:
        return _closed(alert, minute, "recovered")
    if minute - alert.minute < rules.update_minutes:
        return None
    causes = explain(_of_origin(traffic, alert.group, alert.origin, minute), goal=goal)
    # A goal may be missed for weeks: the longer it lasts, the less often it is news.
    told_lately = minute - alert.minute < max(rules.update_minutes, (alert.minute - alert.opened) / 2)
    if not causes or (told_lately and causes[0].slice == alert.causes[0].slice):
        return None
    return _changed(msgspec.structs.replace(alert, number=alert.number + 1, change="updated", minute=minute), causes)


def _new(kind: Kind, group: Group, origin: str, minute: int, onset: int) -> Alert:
    name = alert_id(kind, group, origin, minute)
    return Alert(name, 1, "opened", kind, group, origin, minute, onset, minute, 0.0, 0.0, 0, [])


def _changed(alert: Alert, causes: list[Cause]) -> Alert:
    first = causes[0] if causes else Cause((), 1.0, 0.0, 0.0, 0, 0.0)
    return msgspec.structs.replace(
        alert, causes=causes or [first], before=ratio(alert.group.measure, first.before), after=ratio(alert.group.measure, first.after),
        total=first.total,
    )  # fmt: skip


def ratio(measure: Measure, share: float) -> float:
    """What a share means to people: itself; for volume, events of now by those of last week."""
    return share / max(1 - share, 1e-9) if measure == "volume" else share


def _closed(alert: Alert, minute: int, why: str) -> Alert:
    return msgspec.structs.replace(alert, number=alert.number + 1, change="closed", minute=minute, why=why)


def _base(onset: int) -> Span:
    return Span(onset - 1 - BASE_MINUTES, onset - 2)  # the minute before may hold the drop's first seconds


def _of_origin(traffic: Traffic, group: Group, origin: str, minute: int) -> Leaves:
    leaves = traffic.leaves(group, Span(minute - 59, minute), Span(minute - 60 - BASE_MINUTES, minute - 60), [])
    mine = leaves.values["origin"] == origin
    return Leaves({name: values[mine] for name, values in leaves.values.items()}, *(counts[mine] for counts in leaves[1:]))


def _recovery(traffic: Traffic, alert: Alert, minute: int, without: list[Span]) -> str:
    """Why a drop is over, empty when it is not: what its causes cover passes nearly as before, or there is nothing of it any more."""
    for window in RECOVERY_WINDOWS:
        if minute - window < alert.opened:
            return ""
        leaves = traffic.leaves(alert.group, Span(minute - window + 1, minute), _base(alert.onset), without)
        found = [_within(leaves, cause) for cause in alert.causes]
        if sum(total for _, total in found) >= RECOVERY_EVENTS:
            return "recovered" if all(_made_up(cause, *counts) for cause, counts in zip(alert.causes, found, strict=True)) else ""
    return "" if minute - alert.opened < GONE_MINUTES or leaves.total.sum() else "no_data"


def _within(leaves: Leaves, cause: Cause) -> tuple[float, float]:
    inside = np.ones(len(leaves.total), bool)
    for name, value in cause.slice:
        inside &= leaves.values[name] == value
    return float(leaves.passed[inside].sum()), float(leaves.total[inside].sum())


def _made_up(cause: Cause, passed: float, total: float) -> bool:
    return total == 0 or passed / total >= cause.after + RECOVERED * (cause.before - cause.after)
