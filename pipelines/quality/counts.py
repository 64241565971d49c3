"""What the detector needs out of ClickHouse: counts of series and of leaves."""

from typing import Any, Final, NamedTuple

import numpy as np

from config.quality import Quality
from pipelines.quality.alerts import Span
from pipelines.quality.cause import Leaves
from pipelines.quality.schema import Server
from pipelines.quality.slices import DIMENSIONS, OF_ALL_EVENTS, Group, SeriesKey, slice_of
from pipelines.quality.sql import MINUTE_S, listed, moment
from pipelines.quality.statistics import Floats, as_floats
from pipelines.rules.sql import quoted

_EVENT: Final = f"if(measure IN ({listed(sorted(OF_ALL_EVENTS))}), '', event)"


class Counted(NamedTuple):
    """Counts of one minute."""

    minute: int
    keys: list[SeriesKey]
    passed: Floats
    total: Floats


class Counts:
    """Reads counts.

    Args:
        server: ClickHouse.
        quality: the configuration: which pairs are watched, and what the goals are.
    """

    def __init__(self, server: Server, quality: Quality) -> None:
        self._server = server
        self._quality = quality
        self._keys: dict[tuple[Any, ...], SeriesKey] = {}

    def first_minute(self) -> int:
        """The first minute there are counts of, 0 when there are none."""
        found = self._server.rows("SELECT toUnixTimestamp(min(minute)) AS at, count() AS rows FROM quality_minutes")[0]
        return int(found["at"]) // MINUTE_S if int(found["rows"]) else 0

    def by_minute(self, first: int, end: int) -> list[Counted]:
        """Counts of every series in the minutes `first` to `end` (excluded), by minute; minutes without any are left out.

        Volume counts events of now as passed, those and last week's together as total.
        """
        singles = [f"[({quoted(name)}, toString({name}))]" for name in DIMENSIONS]
        pairs = [f"[({quoted(one)}, toString({one})), ({quoted(other)}, toString({other}))]" for one, other in self._quality.pairs]
        parts = f"arrayJoin([CAST([], 'Array(Tuple(String, String))'), {', '.join([*singles, *pairs])}]) AS part"
        # A value that is not there is no part of the traffic, except for the source: what has none has goals too.
        useful = "arrayAll(one -> one.2 != '' OR one.1 = 'origin', part) AND (NOT arrayExists(one -> one.1 = 'event', part) OR event = '')"
        rows = self._server.rows(
            f"SELECT toUnixTimestamp(minute) AS at, tenant, measure, event, field, part, sum(passed) AS p, sum(total) AS t FROM ("
            f"SELECT minute, tenant, toString(measure) AS measure, {_EVENT} AS event, field, {parts}, passed, total "
            f"FROM (SELECT * FROM quality FINAL WHERE minute >= {moment(first)} AND minute < {moment(end)})) "
            f"WHERE {useful} GROUP BY minute, tenant, measure, event, field, part HAVING p + t > 0 ORDER BY minute"
        )
        found: dict[int, tuple[list[SeriesKey], list[int], list[int]]] = {}
        for row in rows:
            keys, passed, total = found.setdefault(int(row["at"]) // MINUTE_S, ([], [], []))
            keys.append(self._key(row))
            passed.append(row["p"])
            total.append(row["t"] + row["p"] if row["measure"] == "volume" else row["t"])
        return [Counted(minute, keys, as_floats(passed), as_floats(total)) for minute, (keys, passed, total) in found.items()]

    def _key(self, row: dict[str, Any]) -> SeriesKey:
        part = tuple(tuple(pair) for pair in row["part"])
        name = (row["tenant"], row["measure"], row["event"], row["field"], part)
        key = self._keys.get(name)
        if key is None:
            group = Group(row["tenant"], row["measure"], row["event"], row["field"])
            key = self._keys[name] = SeriesKey(group, slice_of((one, other) for one, other in part))
        return key

    def leaves(self, group: Group, span: Span, base: Span, without: list[Span]) -> Leaves:
        """See `alerts.Traffic`."""
        words = [name for name in DIMENSIONS if name != "event" or group.measure in OF_ALL_EVENTS]
        outside = " AND ".join(f"NOT ({_within(one)})" for one in without)
        before = f"{_within(base)} AND {outside}" if outside else _within(base)
        total = "total + passed" if group.measure == "volume" else "total"
        of_event = "true" if group.measure in OF_ALL_EVENTS else f"event = {quoted(group.event)}"
        rows = self._server.rows(
            f"SELECT {', '.join(words)}, sumIf(passed, {_within(span)}) AS p, sumIf({total}, {_within(span)}) AS t, "
            f"sumIf(passed, {before}) AS bp, sumIf({total}, {before}) AS bt FROM quality FINAL "
            f"WHERE tenant = {{tenant:String}} AND measure = {{measure:String}} AND field = {{field:String}} AND {of_event} "
            f"AND (({_within(span)}) OR ({_within(base)})) GROUP BY {', '.join(words)} HAVING t + bt > 0 ORDER BY {', '.join(words)}",
            {"tenant": group.tenant, "measure": group.measure, "field": group.field},
        )
        values = {name: np.array([row[name] for row in rows], dtype=str) for name in words}
        return Leaves(values, *(as_floats([row[name] for row in rows]) for name in ("p", "t", "bp", "bt")))


def _within(span: Span) -> str:
    return f"minute >= {moment(span.first)} AND minute <= {moment(span.last)}"


def share_of(quality: Quality, group: Group, origin: str) -> float | None:
    """The goal of a group at a source as the share that has to pass; None for none."""
    goal = quality.goal(group.measure, origin, group.event, group.field)
    if goal is None:
        return None
    share = goal / 100
    return share / (1 + share) if group.measure == "volume" else share
