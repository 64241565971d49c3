"""Comparisons between sources: facts that are kept for it, and what they say once the other side has had its time.

A comparison belongs to the minute in which the other side's time runs out: a rule that waits 15 minutes judges at 10:15 what was told at
10:00. So all rows of a minute can be computed when it closes.
"""

from collections.abc import Mapping

import msgspec

from config.quality import Quality, Side
from pipelines.quality.cells import CELL, MINUTE
from pipelines.quality.sql import during, moment, nested_type, nested_value
from pipelines.rules.sql import quoted
from schemas.contracts import MAX_NAME


class Comparison(msgspec.Struct, frozen=True):
    """One comparison between sources.

    Attributes:
        measure: `consistency` (the other side has to know it) or `accuracy` (if it does, it has to agree).
        event: name.
        field: what the rows are called: the rule's name, or the field that is compared.
        of: whose events are judged.
        reference: what they are compared with.
        key: field by which both are recognised.
        same: fields that have to be equal.
        tolerance: by how much numbers may differ.
        minutes: how long the reference may take.
    """

    measure: str
    event: str
    field: str
    of: Side
    reference: Side
    key: str
    same: list[str]
    tolerance: float
    minutes: int


def comparisons(quality: Quality) -> list[Comparison]:
    """Every comparison that is configured."""
    found = [
        Comparison("consistency", one.event, one.name, one.told_by, one.known_to, one.key, one.same, one.tolerance, one.within_minutes)
        for one in quality.consistency.between
    ]
    return found + [
        Comparison("accuracy", one.event, one.field, one.of, one.reference, one.key, [one.field], one.tolerance, one.within_minutes)
        for one in quality.accuracy
    ]


def longest_minutes(quality: Quality) -> int:
    """How many minutes after a fact the last comparison with it is made: its own wait, and that of what it is a reference for."""
    return max((2 * one.minutes for one in comparisons(quality)), default=0)


def facts(quality: Quality, first: int, end: int, dimensions: Mapping[str, str], version: int) -> str:
    """The statement that keeps the keys and values of the minutes `first` to `end` (excluded); empty when nothing is compared.

    Args:
        quality: the configuration.
        first: minutes since the epoch.
        end: minutes since the epoch.
        dimensions: SQL of the dimensions that are read out of JSON.
        version: greater than at any earlier attempt.
    """
    wanted: dict[str, set[str]] = {}
    for one in comparisons(quality):
        wanted.setdefault(one.event, set()).update([one.key, *one.same])
    if not wanted:
        return ""
    branches = []
    for event, fields in wanted.items():
        kind = nested_type([(field,) for field in sorted(fields)], "Nullable(String)")
        row = f"JSONExtract(if(name = {quoted(event)}, properties, ''), {quoted(kind)})"
        entries = ", ".join(f"{quoted(field)}, leftUTF8(ifNull({nested_value(row, (field,))}, ''), {MAX_NAME})" for field in sorted(fields))
        branches.append(f"name = {quoted(event)}, map({entries})")
    read = ", ".join(f"{sql} AS {name}" for name, sql in dimensions.items())
    names = ", ".join(quoted(event) for event in wanted)
    columns = f"minute, tenant, event, origin, source, partition, offset, log_time, {', '.join(dimensions)}, channel, fields, version"
    return f"""INSERT INTO quality_facts ({columns})
SELECT {MINUTE} AS minute, tenant, name, origin, source, partition, offset, log_time, {read}, channel,
  multiIf({", ".join(branches)}, CAST(map(), 'Map(String, String)')) AS fields, {version}
FROM events WHERE name IN ({names}) AND {during("log_time", first, end)}"""


def reference_cells(quality: Quality, first: int, end: int) -> list[str]:
    """Cells of the comparisons whose time runs out in the minutes `first` to `end` (excluded)."""
    return [_compared(one, first, end) for one in comparisons(quality)]


def _compared(one: Comparison, first: int, end: int) -> str:
    wait = one.minutes
    key = f"fields[{quoted(one.key)}]"
    mine = f"event = {quoted(one.event)} AND {key} != ''"
    judged = f"{mine} AND {_side(one.of)} AND minute >= {moment(first - wait)} AND minute < {moment(end - wait)}"
    known = f"{mine} AND {_side(one.reference)} AND minute >= {moment(first - 2 * wait)} AND minute < {moment(end)}"
    if one.measure == "accuracy":
        field = quoted(one.field)
        judged += f" AND fields[{field}] != ''"
        known += f" AND fields[{field}] != ''"
    # A source that has not said a word for days is not there (yet): nothing is expected of it.
    heard = f"(SELECT count() FROM (SELECT 1 FROM quality_facts WHERE event = {quoted(one.event)} AND {_side(one.reference)} LIMIT 1))"
    judged += f" AND {heard} > 0"
    equal = " AND ".join(_equal(field, one.tolerance) for field in one.same) or "true"
    near = f"abs(dateDiff('second', a.log_time, b.log_time)) <= {wait * 60}"
    # What a reference said last counts as its word; between sources one that agrees is enough.
    agreed = "argMax(equal, said)" if one.measure == "accuracy" else "max(equal)"
    total = "there" if one.measure == "accuracy" else "1"
    rest = ", ".join(CELL[2:])
    found = f"CAST([({quoted(one.measure)}, {quoted(one.field)}, sum(good), sum(judged))], 'Array(Tuple(String, String, UInt64, UInt64))')"
    return f"""SELECT tenant, minute + INTERVAL {wait} MINUTE AS minute, {rest}, toUInt64(0) AS weight, {found} AS checks
FROM (
  SELECT tenant, minute, {rest}, partition, offset,
    toUInt64(max(near)) AS there, toUInt64({total}) AS judged, toUInt64({agreed}) AS good
  FROM (
    SELECT {", ".join(f"a.{name} AS {name}" for name in (*CELL, "partition", "offset"))},
      b.there = 1 AND {near} AS near, near AND {equal} AS equal, if(near, b.log_time, toDateTime64(0, 3, 'UTC')) AS said
    FROM (SELECT *, {key} AS key FROM quality_facts FINAL WHERE {judged}) AS a
    LEFT JOIN (SELECT tenant, log_time, fields, {key} AS key, 1 AS there FROM quality_facts FINAL WHERE {known}) AS b
    ON a.tenant = b.tenant AND a.key = b.key)
  GROUP BY tenant, minute, {rest}, partition, offset)
WHERE judged > 0 GROUP BY tenant, minute, {rest}"""


def _side(side: Side) -> str:
    return " AND ".join(f"{column} = {quoted(value)}" for column, value in (("origin", side.origin), ("source", side.source)) if value)


def _equal(field: str, tolerance: float) -> str:
    a, b = f"a.fields[{quoted(field)}]", f"b.fields[{quoted(field)}]"
    # Doubles: 10.01 - 10 is a little more than 0.01.
    close = f"ifNull(abs(toFloat64OrNull({a}) - toFloat64OrNull({b})) <= {tolerance!r} + 1e-9, false)"
    return f"({a} = {b} OR {close})"
