"""Where to look further: commands and ClickHouse queries that show the very events behind a figure."""

import datetime as dt
from typing import Final, NamedTuple

from config.quality import Quality
from pipelines.ingest.checks import TOTAL_FLAG
from pipelines.quality.plan import ADDS_UP, FORMAT, IDENTIFIER, OTHER
from pipelines.quality.references import comparisons
from pipelines.quality.sql import MINUTE_S, first_filled, listed
from pipelines.rules.sql import quoted
from schemas import contracts

_EMPTY: Final = "('', 'null', '\"\"', '[]', '{}')"
_COLUMNS: Final = frozenset({"origin", "source", "channel"})


class Question(NamedTuple):
    """What is to be looked at.

    Attributes:
        measure: what is measured.
        event: name, empty for all.
        field: field or rule.
        origin: source, empty when it does not matter.
        where: dimension -> value of the part that explains most.
    """

    measure: str
    event: str
    field: str
    origin: str
    where: dict[str, str]


def commands(question: Question, quality: Quality, first: int, end: int) -> list[str]:
    """Commands of `cdp`, and queries for ClickHouse, most telling first.

    Args:
        question: which figure the commands are to explain.
        quality: the configuration.
        first: minutes since the epoch.
        end: minutes since the epoch, excluded.
    """
    found = {
        "completeness": _completeness,
        "validity": _validity,
        "uniqueness": _uniqueness,
        "timeliness": _timeliness,
        "volume": _volume,
        "consistency": _consistency,
        "accuracy": _compared,
    }[question.measure](question, quality, first, end)
    return [one for one in found if one]


def _rejected(question: Question, first: int, end: int, *options: str) -> str:
    origin = f" --source {question.origin}" if question.origin else ""
    return f"cdp rejected list{''.join(' ' + option for option in options)}{origin} --since {_iso(first)} --until {_iso(end)}"


def _iso(minute: int) -> str:
    return dt.datetime.fromtimestamp(minute * MINUTE_S, dt.UTC).strftime("%Y-%m-%dT%H:%M:00Z")


def _events(question: Question, quality: Quality, first: int, end: int, select: str, condition: str = "", rest: str = "LIMIT 20") -> str:
    """A query over the events in question."""
    times = f"log_time >= '{_iso(first)[:-1].replace('T', ' ')}' AND log_time < '{_iso(end)[:-1].replace('T', ' ')}'"
    parts = [
        times,
        f"name = {quoted(question.event)}" if question.event else "",
        f"origin = {quoted(question.origin)}" if question.origin else "",
    ]
    parts += [_dimension(name, value, quality) for name, value in question.where.items()]
    return f"SELECT {select} FROM events WHERE {' AND '.join(part for part in [*parts, condition] if part)} {rest}".strip()


def _dimension(name: str, value: str, quality: Quality) -> str:
    if name in _COLUMNS:
        return f"{name} = {quoted(value)}"
    if name == "event":
        return f"name = {quoted(value)}"
    places = [path.split(".") for path in quality.dimensions.get(name, [])]  # type: ignore[call-overload]
    read = [f"JSONExtractString({part}, {listed(path)})" for part, *path in places]
    return f"{first_filled(read)} = {quoted(value)}"


def _completeness(question: Question, quality: Quality, first: int, end: int) -> list[str]:
    if question.field == IDENTIFIER:
        return [_rejected(question, first, end, "--code identifier_missing")]
    part, path = (
        ("properties", [question.field]) if "." not in question.field else (question.field.split(".")[0], question.field.split(".")[1:])
    )
    lacking = f"JSONExtractRaw({part}, {listed(path)}) IN {_EMPTY}"
    query = _events(question, quality, first, end, f"log_time, message_id, origin, node, {part}", lacking)
    contract = contracts.load().get(question.event)
    required = contract is not None and question.field in contract.fields and contract.fields[question.field].required
    rejected = _rejected(question, first, end, "--code schema_violation", f"--field '$.properties.{question.field}'")
    return [rejected, query] if required else [query]


def _validity(question: Question, quality: Quality, first: int, end: int) -> list[str]:
    if question.field == FORMAT:
        return [_rejected(question, first, end, "--code payload_format")]
    if question.field == OTHER:
        return [
            f"cdp rejected stats --by field,rule{f' --source {question.origin}' if question.origin else ''} --since {_iso(first)}",
            _rejected(question, first, end),
        ]
    return [_rejected(question, first, end, f"--field '$.properties.{question.field}*'")]


def _uniqueness(question: Question, quality: Quality, first: int, end: int) -> list[str]:
    times = f"log_time >= '{_iso(first)[:-1].replace('T', ' ')}' AND log_time < '{_iso(end)[:-1].replace('T', ' ')}'"
    origin = f" AND origin = {quoted(question.origin)}" if question.origin else ""
    return [
        f"SELECT reason, message_id, count() AS repetitions FROM duplicates WHERE {times}{origin} "
        "GROUP BY reason, message_id ORDER BY repetitions DESC LIMIT 20",
        _rejected(question, first, end, "--code id_conflict"),
    ]


def _timeliness(question: Question, quality: Quality, first: int, end: int) -> list[str]:
    took = "log_time - event_time" if question.field == "arrival" else "_ingested_at - log_time"
    select = f"origin, name, count() AS events, arrayMap(s -> round(s, 1), quantiles(0.5, 0.95, 0.99)(toFloat64({took}))) AS seconds"
    return [_events(question, quality, first, end, select, "", "GROUP BY origin, name ORDER BY seconds[2] DESC LIMIT 20")]


def _volume(question: Question, quality: Quality, first: int, end: int) -> list[str]:
    origin = f" AND origin = {quoted(question.origin)}" if question.origin else ""
    event = f" AND event = {quoted(question.event)}" if question.event else ""
    span = f"minute >= '{_iso(first)[:-1].replace('T', ' ')}' AND minute < '{_iso(end)[:-1].replace('T', ' ')}'"
    return [
        "SELECT origin, event, minute, passed AS events, total AS last_week FROM quality_by_minute "
        f"WHERE measure = 'volume' AND {span}{origin}{event} ORDER BY minute DESC LIMIT 60",
        "cdp status",
    ]


def _consistency(question: Question, quality: Quality, first: int, end: int) -> list[str]:
    if question.field == ADDS_UP:
        flagged = f"has(flags, {quoted(TOTAL_FLAG)})"
        return [_events(question, quality, first, end, "log_time, message_id, origin, node, properties", flagged)]
    rule = next((one for one in quality.consistency.within if one.name == question.field), None)
    if rule is None:
        return _compared(question, quality, first, end)
    return [_events(question, quality, first, end, f"log_time, message_id, origin, properties /* rule: {rule.holds} */")]


def _compared(question: Question, quality: Quality, first: int, end: int) -> list[str]:
    """Facts of the judged side beside those of the other, where they differ."""
    one = next(
        (one for one in comparisons(quality) if (one.measure, one.field, one.event) == (question.measure, question.field, question.event)),
        None,
    )
    if one is None:
        return []
    mine, theirs = (
        " AND ".join(f"{column} = {quoted(value)}" for column, value in (("origin", side.origin), ("source", side.source)) if value)
        for side in (one.of, one.reference)
    )
    values = ", ".join(f"a.fields[{quoted(name)}] AS {name}_told, b.fields[{quoted(name)}] AS {name}_known" for name in one.same)
    span = f"minute >= '{_iso(first - one.minutes)[:-1].replace('T', ' ')}' AND minute < '{_iso(end - one.minutes)[:-1].replace('T', ' ')}'"
    key, different = (
        quoted(one.key),
        " OR ".join(f"{name}_told != {name}_known" for name in one.same) or f"b.fields[{quoted(one.key)}] = ''",
    )
    return [
        f"SELECT a.log_time AS told_at, a.fields[{key}] AS {one.key}, {values}{', ' if values else ''}b.log_time AS known_at "
        f"FROM (SELECT * FROM quality_facts FINAL WHERE event = {quoted(one.event)} AND {mine} AND {span}) AS a "
        f"LEFT JOIN (SELECT * FROM quality_facts FINAL WHERE event = {quoted(one.event)} AND {theirs}) AS b "
        f"ON a.fields[{key}] = b.fields[{key}] WHERE {different} ORDER BY told_at LIMIT 20"
    ]
