"""Cells of rejected records (see `pipelines.quality.cells`): what is known of the event inside is read from the original bytes.

Of a record in Avro that is its name alone: its body is nothing ClickHouse could read by a statement.
"""

from collections.abc import Iterable
from typing import Final

from pipelines.ingest.envelope import CHANNELS
from pipelines.quality.cells import CELL, MAX_WORD, MINUTE, check, checks, dimension_columns, without_dimensions
from pipelines.quality.plan import ADDS_UP, FORMAT, IDENTIFIER, OTHER, Plan
from pipelines.quality.sql import during, listed
from pipelines.rules.sql import quoted
from schemas import codes, event_avro

WRONG: Final = (codes.SCHEMA_VIOLATION, codes.QUALITY_RULE, codes.TIMESTAMP_OUT_OF_RANGE, codes.SIZE_VIOLATION)
"""Codes that say: the event is there, and not valid."""
MISSING: Final = "(rule LIKE 'Object missing required field%' OR rule LIKE '%got `null`%' OR rule LIKE '%of length >= 1%')"
"""Rules of `schemas.validators` that say: a required field is not there, or empty."""
_UNREADABLE: Final = f"event = '' OR code = {quoted(codes.PAYLOAD_FORMAT)}"
_IDS: Final = ", ".join(map(str, event_avro.known()))
_NAMES: Final = [schema["cdp.event"] for schema in event_avro.known().values()]
_TOP: Final = r"extract(field, '^\\$\\.properties\\.([^.\\[]+)')"


def rejected_cells(plan: Plan, first: int, end: int, default_tenant: str) -> list[str]:
    """What rejected records say of completeness, validity, uniqueness and volume.

    Args:
        plan: what is checked.
        first: minutes since the epoch.
        end: minutes since the epoch, excluded.
        default_tenant: of records whose tenant nobody could read.
    """
    read = _read(plan, first, end, default_tenant)
    unreadable = checks([check("volume", "", "1", "0"), check("validity", FORMAT, "0", "1")])
    conflict = checks([check("uniqueness", "", "0", "1")])
    return [
        f"SELECT {', '.join(CELL)}, toUInt64(1) AS weight, {_of_event(plan)} AS checks\nFROM ({read}) WHERE NOT ({_UNREADABLE})",
        f"SELECT {without_dimensions(quoted(''))}, toUInt64(0) AS weight, found AS checks\n"
        f"FROM (SELECT tenant, minute, source, {unreadable} AS found FROM ({read}) WHERE {_UNREADABLE})",
        f"SELECT {without_dimensions()}, toUInt64(0) AS weight, found AS checks\n"
        f"FROM (SELECT tenant, minute, origin, source, {conflict} AS found FROM ({read}) WHERE code = {quoted(codes.ID_CONFLICT)})",
    ]


def _read(plan: Plan, first: int, end: int, default_tenant: str) -> str:
    """Rejected records with what their bytes say: the event's name (as `decode` reads it), dimensions, channel."""
    parts = [f"JSONExtractRaw(original, {quoted(part)})" for part in ("properties", "context", "traits")]
    dimensions = ", ".join(f"{sql} AS {name}" for name, sql in dimension_columns(plan, *parts).items())
    told, kind = "JSONExtractString(original, 'context', 'channel')", "JSONExtractString(original, 'type')"
    channel = f"multiIf({told} = '', 'web', {told} IN ({listed(sorted(CHANNELS))}), {told}, 'other')"
    typed = f"transform(reinterpretAsUInt32(reverse(substring(original, 2, 4))), [{_IDS}], [{listed(_NAMES)}], '')"
    told_name = f"if({kind} = 'track', JSONExtractString(original, 'event'), {kind})"
    name = f"leftUTF8(if(startsWith(original, '\\0'), {typed}, {told_name}), {MAX_WORD})"
    return f"""SELECT if(tenant = '', {quoted(default_tenant)}, tenant) AS tenant, {MINUTE} AS minute, origin, source, {name} AS event,
  code, field, rule, {_TOP} AS top, {dimensions}, {channel} AS channel
FROM rejected WHERE {during("log_time", first, end)}"""


def _of_event(plan: Plan) -> str:
    """The checks of one rejected event. One that lacks a field counts against completeness, not against validity as well."""
    came = check("volume", "", "1", "0")
    failed = "({}, {}, toUInt64(0), toUInt64(1))"
    complete = _pairs((one.event, field) for one in plan.events.values() for field in one.complete if "." not in field)
    valid = _pairs((one.event, field) for one in plan.events.values() for field in one.valid)
    lacking = (
        f"code = {quoted(codes.SCHEMA_VIOLATION)} AND {MISSING} AND field = concat('$.properties.', top) AND (event, top) IN ({complete})"
    )
    totals = _pairs((one.event, one.total) for one in plan.events.values() if one.total)
    adds_up = f"code = {quoted(codes.QUALITY_RULE)} AND rule LIKE 'the sum of `%' AND (event, top) IN ({totals})"
    named = f"if((event, top) IN ({valid}), top, {quoted(OTHER)})"
    cases = {
        lacking: failed.format("'completeness'", "top"),
        f"code = {quoted(codes.IDENTIFIER_MISSING)}": failed.format("'completeness'", quoted(IDENTIFIER)),
        adds_up: failed.format("'consistency'", quoted(ADDS_UP)),
        f"code IN ({listed(WRONG)})": failed.format("'validity'", named),
    }
    branches = ", ".join(f"{condition}, {checks([came, found])}" for condition, found in cases.items())
    return f"multiIf({branches}, {checks([came])})"


def _pairs(entries: Iterable[tuple[str, str]]) -> str:
    found = [f"({quoted(event)}, {quoted(field)})" for event, field in entries]
    return ", ".join(found or ["('', '')"])
