"""What `cdp quality` shows: shares of the last stretch of log time against their goals, and what keeps those that miss them."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
import numpy as np

from cli.quality.queries import Question, commands
from config.quality import Quality
from pipelines.quality.alerts import Alert, Span
from pipelines.quality.cause import Cause, Leaves, explain
from pipelines.quality.counts import Counts
from pipelines.quality.meter import MEASURED, progress
from pipelines.quality.schema import Server
from pipelines.quality.slices import OF_ALL_EVENTS, Group
from pipelines.quality.sql import moment
from pipelines.quality.statistics import as_floats, evidence_below, interval

SURE: Final = float(np.log(1000))
"""Evidence, in nats, from which on a goal counts as missed: by chance it would seem so at most once in a thousand."""
MOST_CAUSES: Final = 12
Verdict = Literal["missed", "below", "ok", "none"]


class NothingMeasuredError(LookupError):
    """Job `quality` has not measured anything yet."""


class Line(msgspec.Struct):
    """One question at one source.

    Attributes:
        tenant: owner.
        origin: source, empty when unknown.
        topic: raw topic, where the source is unknown.
        event: name, empty when the whole source is meant.
        measure: what is measured.
        field: field or rule.
        passed: events that pass; of volume: events.
        total: events that were judged; of volume: events a week before.
        share: of those that pass; of volume: of last week's.
        low: the share is at least this, with some certainty.
        high: and at most this; both None for volume.
        goal: share that should be reached, None for none.
        before: share in the stretch before, None when there was nothing.
        verdict: `missed` for certain, `below` perhaps, `ok`, `none` without a goal.
        alert: id of the open alert about it, empty for none.
        cause: where most of what is missing comes from, empty when unknown.
        cause_share: how much of it.
        look: commands and queries that show more.
    """

    tenant: str
    origin: str
    topic: str
    event: str
    measure: str
    field: str
    passed: int
    total: int
    share: float
    low: float | None
    high: float | None
    goal: float | None
    before: float | None
    verdict: Verdict
    alert: str = ""
    cause: dict[str, str] = {}
    cause_share: float | None = None
    look: list[str] = []


def newest_minute(server: Server) -> int:
    """The end of what has been measured, minutes since the epoch.

    Raises:
        NothingMeasuredError: job `quality` has not measured anything yet.
    """
    present = server.rows(
        "SELECT count() AS n FROM system.tables WHERE database = {db:String} AND name = 'quality_progress'", {"db": server.database}
    )
    end = progress(server, MEASURED) if present[0]["n"] else 0
    if not end:
        raise NothingMeasuredError("no minute has been measured yet: is job `quality` running (`cdp status`), and has it seen events?")
    return end


def lines(server: Server, quality: Quality, end: int, minutes: int, wanted: Mapping[str, str]) -> list[Line]:
    """Every question with its answer, the worst first.

    Args:
        server: ClickHouse.
        quality: goals.
        end: minutes since the epoch, excluded.
        minutes: length of the stretch.
        wanted: column -> value, for those that are asked for.
    """
    first = end - minutes
    where = " AND ".join(f"{column} = {{{column}:String}}" for column in wanted) or "true"
    rows = server.rows(
        "SELECT tenant, origin, if(origin = '', source, '') AS topic, event, toString(measure) AS measure, field, "
        f"sumIf(passed, minute >= {moment(first)}) AS p, sumIf(total, minute >= {moment(first)}) AS t, "
        f"sumIf(passed, minute < {moment(first)}) AS bp, sumIf(total, minute < {moment(first)}) AS bt FROM quality FINAL "
        f"WHERE minute >= {moment(first - minutes)} AND minute < {moment(end)} AND {where} "
        "GROUP BY tenant, origin, topic, event, measure, field HAVING t > 0",
        wanted,
    )
    return sorted((_line(row, quality) for row in rows), key=_badness, reverse=True)


def _line(row: dict[str, Any], quality: Quality) -> Line:
    measure, passed, total = row["measure"], int(row["p"]), int(row["t"])
    percent = quality.goal(measure, row["origin"], row["event"], row["field"])
    goal = None if percent is None else percent / 100
    share, before = passed / total, (int(row["bp"]) / int(row["bt"]) if int(row["bt"]) else None)
    low, high = (None, None) if measure == "volume" else interval(passed, total)
    verdict: Verdict = "none" if goal is None else "ok" if share >= goal else "missed" if _sure(measure, passed, total, goal) else "below"
    names = row["tenant"], row["origin"], row["topic"], row["event"]
    return Line(*names, measure, row["field"], passed, total, share, low, high, goal, before, verdict)


def _sure(measure: str, passed: int, total: int, goal: float) -> bool:
    if measure == "volume":  # both weeks are chance: of events now and then, the share of now
        total, goal = total + passed, goal / (1 + goal)
    return float(evidence_below(as_floats([passed]), as_floats([total]), goal)[0]) > SURE


def _badness(line: Line) -> tuple[bool, int, float, float, str]:
    order = {"missed": 3, "below": 2, "ok": 1, "none": 0}
    missing = max(0.0, ((line.goal or 0) - line.share) * line.total)
    names = f"{line.origin}{line.event}{line.measure}{line.field}"
    return bool(line.alert), order[line.verdict], missing, (line.goal or 0) - line.share, names


def explained(server: Server, quality: Quality, found: list[Line], alerts: list[Alert], end: int, minutes: int) -> None:
    """Add alert, cause and commands to what is wrong, and bring what has dropped to the top even if it still reaches its goal.

    Args:
        server: ClickHouse.
        quality: the configuration.
        found: lines; changed in place.
        alerts: open ones.
        end: minutes since the epoch, excluded.
        minutes: length of the stretch.
    """
    counts = Counts(server, quality)
    for line in found:
        alert = next((one for one in alerts if one.group == group_of(line) and line.origin in _origins(one, line)), None)
        if alert is not None:
            line.alert = alert.id
            if alert.kind == "drop" and alert.causes[0].slice:
                line.cause, line.cause_share = dict(alert.causes[0].slice), alert.causes[0].share
    found.sort(key=_badness, reverse=True)
    for line in [one for one in found if one.alert or one.verdict == "missed"][:MOST_CAUSES]:
        if not line.cause and (cause := _cause(counts, line, end, minutes)) is not None and cause.slice:
            line.cause, line.cause_share = dict(cause.slice), cause.share
        where = {name: value for name, value in line.cause.items() if name not in ("origin", "event")}
        line.look = commands(Question(line.measure, line.event, line.field, line.origin, where), quality, end - minutes, end)


def _origins(alert: Alert, line: Line) -> tuple[str, ...]:
    """The sources an alert is about: that of its goal, those of its causes, else any."""
    named = {dict(cause.slice).get("origin", line.origin) for cause in alert.causes}
    return (alert.origin,) if alert.kind == "goal" else tuple(named)


def group_of(line: Line) -> Group:
    """The question as alerts know it."""
    return Group(line.tenant, line.measure, "" if line.measure in OF_ALL_EVENTS else line.event, line.field)  # type: ignore[arg-type]


def _cause(counts: Counts, line: Line, end: int, minutes: int) -> Cause | None:
    leaves = counts.leaves(group_of(line), Span(end - minutes, end - 1), Span(end - 2 * minutes, end - minutes - 1), [])
    inside = leaves.values["origin"] == line.origin
    inside &= (leaves.values["source"] == line.topic) | (line.topic == "")
    if "event" in leaves.values:
        inside &= leaves.values["event"] == line.event
    mine = Leaves({name: values[inside] for name, values in leaves.values.items()}, *(counts[inside] for counts in leaves[1:]))
    goal = line.goal or 0.0
    causes = explain(mine, goal=goal / (1 + goal) if line.measure == "volume" else goal)
    return causes[0] if causes else None
