"""The meter: has closed minutes measured, each span by one statement, and again when late records changed them.

What it has done is kept in ClickHouse. `quality_progress` says up to which minute; `quality_minutes` how many records each minute had when
it was measured, so that a difference to the roll-ups of history shows which minutes to measure again. The counts are taken before the
statement runs: what arrives in between looks like a difference later, and costs a repetition, never an omission.
"""

import logging
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from pipelines.quality.cells import WEEK_MINUTES, dimension_columns
from pipelines.quality.plan import Plan
from pipelines.quality.references import facts, longest_minutes
from pipelines.quality.schema import Server
from pipelines.quality.sql import MINUTE_S, during, moment
from pipelines.quality.statements import measure

MEASURED: Final = "measured"
MAX_EVENTS: Final = 200_000
"""Records one statement measures, unless a single minute has more: what it needs in memory grows with the number of cells."""
MAX_MINUTES: Final = WEEK_MINUTES
"""A span may be as long as what it is compared with lies back, and no longer."""
LATE_MINUTES: Final = 180
"""How far back late records are looked for each minute; all of `LATE_DAYS` once an hour."""
LATE_DAYS: Final = 8
_log = logging.getLogger(__name__)


class Span(NamedTuple):
    """Minutes since the epoch, the end excluded."""

    first: int
    end: int


class Meter:
    """Measures minutes.

    Args:
        server: ClickHouse, with the tables of history and of quality.
        plan: what is checked.
        default_tenant: of records whose tenant nobody could read.
        clock: seconds since the epoch, for versions.

    Attributes:
        end: everything before this minute is measured; 0: nothing is.
    """

    def __init__(self, server: Server, plan: Plan, default_tenant: str, clock: Callable[[], float] = time.time) -> None:
        self._server = server
        self._plan = plan
        self._default_tenant = default_tenant
        self.end = progress(server, MEASURED)
        self._looked_far = 0
        # The clock may have gone back since the last attempt: a version never does.
        newest = server.rows("SELECT greatest((SELECT max(version) FROM quality), (SELECT max(version) FROM quality_minutes)) AS version")
        self._version = max(int(newest[0]["version"]), int(clock() * 1000))

    def next(self, closed_end: int) -> Span | None:
        """Measure the next span.

        Args:
            closed_end: all minutes before this one are closed.

        Returns:
            What was measured, None when there is nothing left to do.
        """
        if not self.end:
            first = self._first_minute()
            if first is None or first >= closed_end:
                return None
            self.end = max(first, closed_end - self._plan.quality.catch_up_days * 1440)
        self.end = max(self.end, min(self._busy_from(self.end), closed_end))
        if self.end >= closed_end:
            return None
        span = self._span(self.end, closed_end)
        self._measure(span)
        self._save(span.end)
        return span

    def late(self) -> list[Span]:
        """Measure minutes again that got records after they had been measured; the spans that were."""
        hour = self.end // 60
        back = LATE_DAYS * 1440 if hour != self._looked_far else LATE_MINUTES
        self._looked_far = hour
        changed = self._changed(self.end - back, self.end)
        if not changed:
            return []
        reach = longest_minutes(self._plan.quality)  # what was compared with the late record changes too
        spans: list[Span] = []
        for minute in changed:
            end = min(minute + reach + 1, self.end)
            if spans and minute <= spans[-1].end and end - spans[-1].first <= MAX_MINUTES:
                spans[-1] = Span(spans[-1].first, max(end, spans[-1].end))
            else:
                spans.append(Span(minute, end))
        _log.info("%d minutes got late records: measuring %d spans again", len(changed), len(spans))
        for span in spans:
            first = span.first
            while first < span.end:
                part = self._span(first, span.end)
                self._measure(part)
                first = part.end
        return spans

    def _busy_from(self, minute: int) -> int:
        """The next minute there is anything to measure of: records, or some a week before (between a replay and now lie years)."""
        since = minute - WEEK_MINUTES - longest_minutes(self._plan.quality)
        where = f"minute >= {moment(since)}"
        found = self._server.rows(
            "SELECT toUnixTimestamp(min(minute)) AS at, count() AS rows FROM ("
            f"SELECT minute FROM events_by_minute WHERE {where} UNION ALL SELECT minute FROM rejected_by_minute WHERE {where})"
        )[0]
        return int(found["at"]) // MINUTE_S if int(found["rows"]) else minute

    def _first_minute(self) -> int | None:
        row = self._server.rows("SELECT min(minute) AS minute, count() AS rows FROM events_by_minute")[0]
        return None if not row["rows"] else _minute_of(self._server, "SELECT min(minute) FROM events_by_minute")

    def _span(self, first: int, closed_end: int) -> Span:
        """As many minutes as one statement may take."""
        end = min(first + MAX_MINUTES, closed_end)
        where = f"minute >= {moment(first)} AND minute < {moment(end)}"
        found = self._server.rows(
            f"SELECT toUnixTimestamp(minute) AS at, sum(records) AS records FROM (SELECT minute, events AS records FROM events_by_minute "
            f"WHERE {where} UNION ALL SELECT minute, records FROM rejected_by_minute WHERE {where}) GROUP BY minute ORDER BY minute"
        )
        added = 0
        for row in found:
            added += int(row["records"])
            minute = int(row["at"]) // MINUTE_S
            if added > MAX_EVENTS and minute > first:
                return Span(first, minute)
        return Span(first, end)

    def _measure(self, span: Span) -> None:
        self._version += 1
        counted = self._counted(span)
        names = [
            row["name"]
            for row in self._server.rows(
                f"SELECT DISTINCT name FROM events_by_minute WHERE minute >= {moment(span.first)} AND minute < {moment(span.end)}"
            )
        ]
        dimensions = dimension_columns(self._plan, "properties", "context", "traits")
        if statement := facts(self._plan.quality, span.first, span.end, dimensions, self._version):
            self._server.command(statement)
        self._server.command(measure(self._plan, span.first, span.end, names, self._version, self._default_tenant))
        if counted:
            values = ", ".join(f"({moment(minute)}, {', '.join(map(str, counts))}, {self._version})" for minute, counts in counted.items())
            self._server.command(f"INSERT INTO quality_minutes (minute, events, rejected, duplicates, version) VALUES {values}")

    def _counted(self, span: Span) -> dict[int, tuple[int, int, int]]:
        rows = self._server.rows(f"SELECT toUnixTimestamp(minute) AS at, events, rejected, duplicates FROM ({_present(span)})")
        return {int(row["at"]) // MINUTE_S: (int(row["events"]), int(row["rejected"]), int(row["duplicates"])) for row in rows}

    def _changed(self, first: int, end: int) -> list[int]:
        """Minutes that have other counts now than when they were measured."""
        where = f"minute >= {moment(first)} AND minute < {moment(end)}"
        known = (
            f"SELECT minute, toInt64(events), toInt64(rejected), toInt64(duplicates), -1 AS side FROM quality_minutes FINAL WHERE {where}"
        )
        rows = self._server.rows(
            "SELECT toUnixTimestamp(minute) AS at FROM ("
            f"SELECT minute, events, rejected, duplicates, 1 AS side FROM ({_present(Span(first, end))}) UNION ALL {known}) "
            "GROUP BY minute HAVING sum(events * side) != 0 OR sum(rejected * side) != 0 OR sum(duplicates * side) != 0 ORDER BY minute"
        )
        return [int(row["at"]) // MINUTE_S for row in rows]

    def _save(self, end: int) -> None:
        self.end = end
        save_progress(self._server, MEASURED, end, self._version)


def _present(span: Span) -> str:
    """Records by minute as they are in history at this moment."""
    where = f"minute >= {moment(span.first)} AND minute < {moment(span.end)}"
    repeated = f"SELECT toStartOfMinute(toDateTime(log_time, 'UTC')) AS minute FROM duplicates WHERE {during('log_time', *span)}"
    return (
        "SELECT minute, toInt64(sum(e)) AS events, toInt64(sum(r)) AS rejected, toInt64(sum(d)) AS duplicates FROM ("
        f"SELECT minute, events AS e, 0 AS r, 0 AS d FROM events_by_minute WHERE {where} UNION ALL "
        f"SELECT minute, 0 AS e, records AS r, 0 AS d FROM rejected_by_minute WHERE {where} UNION ALL "
        f"SELECT minute, 0 AS e, 0 AS r, count() AS d FROM ({repeated}) GROUP BY minute) GROUP BY minute"
    )


def _minute_of(server: Server, query: str) -> int:
    return int(server.rows(f"SELECT toUnixTimestamp(({query})) AS at")[0]["at"]) // MINUTE_S


def progress(server: Server, name: str) -> int:
    """How far something has come: a minute since the epoch, 0 when it has not begun."""
    found = server.rows("SELECT toUnixTimestamp(minute) AS at FROM quality_progress FINAL WHERE name = {name:String}", {"name": name})
    return int(found[0]["at"]) // MINUTE_S if found else 0


def save_progress(server: Server, name: str, minute: int, version: int) -> None:
    """Note how far something has come."""
    server.command(f"INSERT INTO quality_progress (name, minute, version) VALUES ('{name}', {moment(minute)}, {version})")
