"""The story of an alert: what `cdp quality why` tells."""

from typing import Any, Final

import msgspec
import numpy as np

from cli.quality.queries import Question, commands
from cli.quality.report import newest_minute
from config.quality import Quality
from pipelines.quality.alert_store import AlertStore
from pipelines.quality.alerts import Alert, Span
from pipelines.quality.cause import Leaves
from pipelines.quality.counts import Counts
from pipelines.quality.messages import moment_of, payload, says
from pipelines.quality.schema import Server
from pipelines.quality.slices import DIMENSIONS, OF_ALL_EVENTS
from pipelines.quality.sql import during, moment
from pipelines.rules.sql import quoted

BEFORE_MINUTES: Final = 30
AFTER_MINUTES: Final = 15
MOST_MINUTES: Final = 180
MOST_VALUES: Final = 6


class UnknownAlertError(LookupError):
    """There is no such alert, or several begin like this."""


class Value(msgspec.Struct):
    """A value of a dimension: its share before and since, how many events, and its part of what is missing."""

    dimension: str
    value: str
    before: float | None
    after: float | None
    events: int
    missing: float


class Reason(msgspec.Struct):
    """Why records were rejected in the meantime: field, rule, how many."""

    field: str
    rule: str
    records: int


class Story(msgspec.Struct):
    """All about one alert.

    Attributes:
        alert: its newest change, as receivers get it.
        changes: when, what, in words.
        first_minute: of the minutes below, as text.
        shares: share of the first cause in each minute, None where it had no events.
        values: the values of each dimension that matter most.
        reasons: of rejected records of the event, most frequent first.
        deliveries: channel -> what became of the changes.
        look: commands and queries.
    """

    alert: dict[str, Any]
    changes: list[tuple[str, str, str]]
    first_minute: str
    shares: list[float | None]
    values: list[Value]
    reasons: list[Reason]
    deliveries: dict[str, str]
    look: list[str]


def of(server: Server, quality: Quality, name: str) -> Story:
    """Tell the story of an alert.

    Raises:
        UnknownAlertError: no alert, or more than one, begins with `name`.
        cli.quality.report.NothingMeasuredError: there is nothing to tell of.
    """
    end = newest_minute(server)
    alert_store = AlertStore(server)
    ids = [row["id"] for row in server.rows("SELECT DISTINCT id FROM alerts WHERE startsWith(id, {id:String}) LIMIT 3", {"id": name})]
    if len(ids) != 1 or not name:
        raise UnknownAlertError(
            f"{'several alerts begin' if len(ids) > 1 else 'no alert begins'} with `{name}`; see `cdp quality alerts --all`"
        )
    changes = alert_store.history_of(ids[0])
    newest = changes[-1]
    last = min(newest.minute if newest.change == "closed" else end - 1, newest.onset + MOST_MINUTES)
    base = Span(newest.onset - 1 - 180, newest.onset - 2)
    leaves = Counts(server, quality).leaves(newest.group, Span(newest.onset, last), base, [])
    return Story(
        alert=payload(newest),
        changes=[(moment_of(one.minute + 1), one.change, says(one)) for one in changes],
        first_minute=moment_of(newest.onset - BEFORE_MINUTES),
        shares=_shares(server, newest, newest.onset - BEFORE_MINUTES, min(last + AFTER_MINUTES, end - 1)),
        values=_values(leaves),
        reasons=_reasons(server, newest, last),
        deliveries=_deliveries(server, newest.id),
        look=commands(_question(newest), quality, newest.onset, last + 1),
    )


def _question(alert: Alert) -> Question:
    where = dict(alert.causes[0].slice)
    origin = where.pop("origin", alert.origin)
    event = where.pop("event", alert.group.event)
    return Question(alert.group.measure, event, alert.group.field, origin, where)


def _shares(server: Server, alert: Alert, first: int, last: int) -> list[float | None]:
    group, parts = alert.group, list(alert.causes[0].slice)
    parts += [("origin", alert.origin)] if alert.origin and "origin" not in dict(parts) else []
    inside = " AND ".join(f"{name} = {quoted(value)}" for name, value in parts) or "true"
    event = "true" if group.measure in OF_ALL_EVENTS else f"event = {quoted(group.event)}"
    rows = server.rows(
        f"SELECT toUnixTimestamp(minute) AS at, sum(passed) AS p, sum(total) AS t FROM quality FINAL WHERE tenant = {{tenant:String}} "
        f"AND measure = {{measure:String}} AND field = {{field:String}} AND {event} AND {inside} "
        f"AND minute >= {moment(first)} AND minute <= {moment(last)} GROUP BY minute",
        {"tenant": group.tenant, "measure": group.measure, "field": group.field},
    )
    found = {int(row["at"]) // 60: int(row["p"]) / int(row["t"]) for row in rows if int(row["t"])}
    return [found.get(minute) for minute in range(first, last + 1)]


def _values(leaves: Leaves) -> list[Value]:
    """What each value of each dimension contributes: events missing beyond its own share before."""
    found: list[Value] = []
    for name in DIMENSIONS:
        values = leaves.values.get(name)
        if values is None or len(np.unique(values)) < 2:
            continue
        names, of = np.unique(values, return_inverse=True)
        passed, total, base_passed, base_total = (np.bincount(of, counts, len(names)) for counts in leaves[1:])
        before = np.divide(base_passed, base_total, out=np.full(len(names), np.nan), where=base_total > 0)
        missing = np.nan_to_num(total * before - passed)
        everything = max(float(np.maximum(missing, 0).sum()), 1e-9)
        for place in np.argsort(-missing)[:MOST_VALUES]:
            after = float(passed[place] / total[place]) if total[place] else None
            past = None if np.isnan(before[place]) else float(before[place])
            found.append(Value(name, str(names[place]), past, after, int(total[place]), max(0.0, float(missing[place]) / everything)))
    return found


def _reasons(server: Server, alert: Alert, last: int) -> list[Reason]:
    if alert.group.measure not in ("completeness", "validity", "consistency") or not alert.group.event:
        return []
    event = f"JSONExtractString(original, 'event') = {quoted(alert.group.event)}"
    rows = server.rows(
        f"SELECT replaceRegexpAll(field, '\\\\[[0-9]+\\\\]', '[*]') AS path, rule, count() AS records FROM rejected "
        f"WHERE {during('log_time', alert.onset, last + 1)} AND {event} GROUP BY path, rule ORDER BY records DESC LIMIT 5"
    )
    return [Reason(row["path"], row["rule"], int(row["records"])) for row in rows]


def _deliveries(server: Server, name: str) -> dict[str, str]:
    rows = server.rows(
        "SELECT channel, countIf(status = 'delivered') AS delivered, countIf(status != 'delivered') AS failed, "
        "argMax(error, number) AS error FROM alert_deliveries FINAL WHERE id = {id:String} GROUP BY channel ORDER BY channel",
        {"id": name},
    )
    found = {}
    for row in rows:
        failed = f", {row['failed']} undelivered ({row['error']})" if int(row["failed"]) else ""
        found[row["channel"]] = f"{row['delivered']} delivered{failed}"
    return found
