"""Cells: what one minute says of one combination of dimensions, as SQL. Each function makes one SELECT of the same shape.

    tenant, minute, origin, source, event, region, app_version, platform, channel,
    weight UInt64    events in it, for finding the most frequent values
    checks Array(Tuple(measure String, field String, passed UInt64, total UInt64))

Cells of one key may come from several of them; they add up.
"""

from collections.abc import Sequence
from typing import Final

from config.quality import DIMENSIONS as READ_DIMENSIONS
from pipelines.ingest.checks import TOTAL_FLAG
from pipelines.quality.plan import ADDS_UP, FORMAT, IDENTIFIER, OTHER, EventPlan, Plan
from pipelines.quality.sql import during, first_filled, listed, moment, nested_type, nested_value
from pipelines.rules.sql import quoted

CELL: Final = ("tenant", "minute", "origin", "source", "event", "region", "app_version", "platform", "channel")
MINUTE: Final = "toStartOfMinute(toDateTime(log_time, 'UTC'))"
WEEK_MINUTES: Final = 10_080
REPLAY_S: Final = 86_400
"""What came into ClickHouse later than this after its log time is a replay or was loaded again: it says nothing about speed."""
MAX_WORD: Final = 64
"""Characters of a name or a dimension's value that are kept."""
_KEYS: Final = ", ".join(CELL)
_CHECKS: Final = "Array(Tuple(String, String, UInt64, UInt64))"


def checks(entries: Sequence[str]) -> str:
    """An array of checks."""
    return f"CAST([{', '.join(entries)}], '{_CHECKS}')"


def check(name: str, field: str, passed: str, total: str) -> str:
    """One check; `passed` and `total` are SQL."""
    return f"({quoted(name)}, {quoted(field)}, toUInt64({passed}), toUInt64({total}))"


def without_dimensions(origin: str = "origin") -> str:
    """The columns of a cell that is about a whole source."""
    return f"tenant, minute, {origin} AS origin, source, " + ", ".join(f"'' AS {name}" for name in CELL[4:])


def dimension_columns(plan: Plan, properties: str, context: str, traits: str) -> dict[str, str]:
    """SQL of each dimension that is read out of JSON.

    Args:
        plan: where they stand.
        properties: SQL of the JSON text.
        context: SQL of the JSON text.
        traits: SQL of the JSON text.
    """
    texts = {"properties": properties, "context": context, "traits": traits}
    places = {name: [tuple(path.split(".")) for path in paths] for name, paths in plan.quality.dimensions.items()}
    read: dict[str, str] = {}
    for part, text in texts.items():
        # One expression for all dimensions that stand there: ClickHouse computes it once.
        inside = [path[1:] for paths in places.values() for path in paths if path[0] == part]
        read[part] = f"JSONExtract({text}, {quoted(nested_type(inside))})" if inside else ""
    found = {name: [nested_value(read[path[0]], path[1:]) for path in paths] for name, paths in places.items()}
    return {name: f"leftUTF8({first_filled(found.get(name, []))}, {MAX_WORD})" for name in READ_DIMENSIONS}


class _Counters:
    """Columns that the events of a statement get, counters over them, and the checks that come of it, by event."""

    def __init__(self, plan: Plan, plans: Sequence[EventPlan]) -> None:
        self.columns = [f"{sql} AS {name}" for name, sql in dimension_columns(plan, "properties", "context", "traits").items()]
        self.counters: list[str] = []
        self.by_event: dict[str, list[str]] = {}
        self._lacking = self._top_level(plans)
        for number, one in enumerate(plans):
            found = [check("validity", field, "weight", "weight") for field in one.valid]
            for place, field in enumerate(one.complete):
                lacking = self._lacking.get(field) or self._nested(one.event, field, f"lacking_{number}_{place}")
                found.append(check("completeness", field, f"weight - {lacking}", "weight"))
            found += self._rules(one, number) + self._total(one, number)
            if found:
                self.by_event[one.event] = found
        self._speed(plan)

    def _top_level(self, plans: Sequence[EventPlan]) -> dict[str, str]:
        """Counters of events without a property, for every property that some event should have, from one read of all."""
        names = sorted({field for one in plans for field in [*one.complete, one.total] if field and "." not in field})
        if not names:
            return {}
        kind = nested_type([(name,) for name in names], "Nullable(String)")
        self.columns.append(f"JSONExtract(properties, {quoted(kind)}) AS fields")
        found: dict[str, str] = {}
        for number, name in enumerate(names):
            found[name] = f"lacking_{number}"
            self.counters.append(f"countIf(ifNull({nested_value('fields', (name,))}, '') IN ('', '[]', '{{}}')) AS {found[name]}")
        return found

    def _nested(self, event: str, field: str, counter: str) -> str:
        part, *path = field.split(".")
        self.columns.append(f"JSONExtractRaw(if(name = {quoted(event)}, {part}, ''), {listed(path)}) AS at_{counter}")
        self.counters.append(f"countIf(name = {quoted(event)} AND at_{counter} IN ('', 'null', '\"\"', '[]', '{{}}')) AS {counter}")
        return counter

    def _rules(self, one: EventPlan, number: int) -> list[str]:
        found = []
        for place, rule in enumerate(one.rules):
            row = f"rule_{number}_{place}"
            kind = f"Tuple({', '.join(f'`{name}` {kind}' for name, kind in rule.sql.fields.items())})"
            self.columns.append(f"JSONExtract(if(name = {quoted(one.event)}, properties, ''), {quoted(kind)}) AS {row}")
            sql = rule.sql.on(row)
            applies = f"name = {quoted(one.event)} AND {sql.applies}"
            self.counters += [f"countIf({applies}) AS judged_{row}", f"countIf({applies} AND {sql.holds}) AS held_{row}"]
            found.append(check("consistency", rule.name, f"held_{row}", f"judged_{row}"))
        return found

    def _total(self, one: EventPlan, number: int) -> list[str]:
        """The rule of the contract: `decode` has flagged the events that break it."""
        if not one.total:
            return []
        there = f"name = {quoted(one.event)} AND isNotNull({nested_value('fields', (one.total,))})"
        self.counters += [
            f"countIf({there}) AS totals_{number}",
            f"countIf({there} AND NOT has(flags, {quoted(TOTAL_FLAG)})) AS add_up_{number}",
        ]
        return [check("consistency", ADDS_UP, f"add_up_{number}", f"totals_{number}")]

    def _speed(self, plan: Plan) -> None:
        bar = "toFloat64(0)"
        for one in plan.freshness:
            parts = [f"{column} = {quoted(value)}" for column, value in (("origin", one.origin), ("name", one.event)) if value]
            bar = f"if({' AND '.join(parts) or 'true'}, toFloat64({one.seconds!r}), {bar})"
        # The source's own time: milliseconds since the epoch, or a date and time; else when the event says it happened.
        lineage = "if(position(context, 'source_ts') > 0, context, ''), 'lineage', 'source_ts'"
        told = f"toFloat64(parseDateTime64BestEffortOrNull(JSONExtractString({lineage}), 3, 'UTC'))"
        number = f"JSONExtractInt({lineage})"
        self.columns += [
            f"toFloat64(log_time) - if({number} > 0, toFloat64({number}) / 1000, ifNull({told}, toFloat64(event_time))) AS took_s",
            f"{bar} AS bar_s",
            "toFloat64(_ingested_at) - toFloat64(log_time) AS hidden_s",
        ]
        self.counters += [
            "countIf(bar_s > 0) AS timed",
            "countIf(bar_s > 0 AND took_s <= bar_s) AS in_time",
            f"countIf(hidden_s < {REPLAY_S}) AS live",
            f"countIf(hidden_s <= toFloat64({plan.quality.visible_within_s!r})) AS soon_visible",
        ]


def event_cells(plan: Plan, first: int, end: int, plans: Sequence[EventPlan]) -> str:
    """Cells of applied events: everything that an event says about itself.

    Args:
        plan: what is checked.
        first: minutes since the epoch.
        end: minutes since the epoch, excluded.
        plans: of the events there are in these minutes.
    """
    made = _Counters(plan, plans)
    general = [
        check("volume", "", "weight", "0"),
        check("completeness", IDENTIFIER, "weight", "weight"),
        check("validity", OTHER, "weight", "weight"),
        check("timeliness", "arrival", "in_time", "timed"),
        check("timeliness", "visible", "soon_visible", "live"),
    ]
    cases = [f"event = {quoted(event)}, {checks(found)}" for event, found in made.by_event.items()]
    particular = f"multiIf({', '.join(cases)}, {checks([])})" if cases else checks([])
    return f"""SELECT {_KEYS}, weight,
  arrayFilter(one -> one.4 > 0 OR one.1 = 'volume', arrayConcat({checks(general)}, {particular})) AS checks
FROM (
  SELECT tenant, {MINUTE} AS minute, origin, source, name AS event, region, app_version, platform, channel, toUInt64(count()) AS weight,
    {", ".join(made.counters)}
  FROM (
    SELECT tenant, log_time, origin, source, leftUTF8(name, {MAX_WORD}) AS name, channel, flags, {", ".join(made.columns)}
    FROM events WHERE {during("log_time", first, end)})
  GROUP BY {_KEYS})"""


def source_cells(first: int, end: int) -> list[str]:
    """Cells of whole sources: applied events against repetitions, and against records that could not be read at all."""
    unique = checks([check("uniqueness", "", "weight", "weight")])
    readable = checks([check("validity", FORMAT, "weight", "weight")])
    repeated = checks([check("uniqueness", "", "0", "weight")])
    counted = (
        "SELECT tenant, {minute} AS minute, origin, source, toUInt64(count()) AS weight "
        "FROM {table} WHERE {during} GROUP BY tenant, minute, origin, source"
    )
    applied, duplicates = (
        counted.format(minute=MINUTE, table=table, during=during("log_time", first, end)) for table in ("events", "duplicates")
    )
    return [
        f"SELECT {without_dimensions('who.1')}, toUInt64(0) AS weight, who.2 AS checks\n"
        f"FROM (SELECT *, arrayJoin([(toString(origin), {unique}), ('', {readable})]) AS who FROM ({applied}))",
        f"SELECT {without_dimensions()}, toUInt64(0) AS weight, found AS checks\nFROM (SELECT *, {repeated} AS found FROM ({duplicates}))",
    ]


def last_week(first: int, end: int) -> str:
    """Cells of a week before: what volume is compared with."""
    between = f"minute >= {moment(first - WEEK_MINUTES)} AND minute < {moment(end - WEEK_MINUTES)}"
    found, rest = checks([check("volume", "", "0", "passed")]), ", ".join(CELL[2:])
    # The condition stands inside: out here `minute` would be the new one.
    return f"""SELECT tenant, minute + INTERVAL 7 DAY AS minute, {rest}, passed AS weight, {found} AS checks
FROM (SELECT * FROM quality FINAL WHERE {between} AND measure = 'volume' AND passed > 0)"""
