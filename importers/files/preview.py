"""A dry run: what would become of every row, the first failures, and what the platform would refuse; nothing is sent."""

import datetime as dt
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from importers.files.opening import open_rows
from importers.files.rows import Reader
from importers.files.run import Import, Judge, event_name, is_late, made, moment, prepare
from importers.files.seen import SeenKeys
from importers.mapping import Failed, Skipped


class Trouble(msgspec.Struct, frozen=True):
    """One row that would fail here, or one event that the platform would reject; `event` is empty for the former."""

    row: int
    line: int
    event: str
    code: str
    field: str
    rule: str
    value: Any


class Preview(msgspec.Struct):
    """What a dry run saw.

    Attributes:
        rows: rows read.
        units: records made of them.
        events: events that would be sent and taken, by name.
        skipped: units by reason.
        failed: units that cannot be mapped, by code.
        rejected: events that the platform would reject, by code.
        repeated: events whose message id another event of this file has: they end as duplicates or id conflicts.
        late: events before the moment from which on the platform counts features.
        timeless: events without a time of their own.
        first: earliest event time.
        last: latest event time.
        troubles: the first failures and rejections.
        sample: the first event of each name.
    """

    rows: int = 0
    units: int = 0
    events: Counter[str] = msgspec.field(default_factory=Counter)
    skipped: Counter[str] = msgspec.field(default_factory=Counter)
    failed: Counter[str] = msgspec.field(default_factory=Counter)
    rejected: Counter[str] = msgspec.field(default_factory=Counter)
    repeated: int = 0
    late: int = 0
    timeless: int = 0
    first: dt.datetime | None = None
    last: dt.datetime | None = None
    troubles: list[Trouble] = []
    sample: dict[str, dict[str, Any]] = {}


def preview(
    job: Import,
    judge: Judge,
    late_before: dt.datetime,
    *,
    show: int = 10,
    limit: int = 0,
    report: Callable[[Preview, Reader], None] | None = None,
) -> Preview:
    """Map a file without sending anything.

    Args:
        job: what would be imported.
        judge: the platform's own checks.
        late_before: events before this moment are late.
        show: how many troubles to keep.
        limit: how many units to look at; 0: all.
        report: told about the progress now and then.

    Raises:
        FileError: the file cannot be imported as it is.
    """
    prepare(job)
    seen = Preview()
    reader = open_rows(job.path, job.rules.options)
    try:
        with SeenKeys() as ids:
            for one in made(job, reader):
                seen.units += 1
                seen.rows += one.unit.rows
                if isinstance(one.outcome, Skipped):
                    seen.skipped[one.outcome.reason] += 1
                elif isinstance(one.outcome, Failed):
                    seen.failed[one.outcome.code] += 1
                    _keep(seen, show, one.unit.row, one.unit.line, "", one.outcome)
                else:
                    for message in one.outcome:
                        seen.repeated += not ids.add(message.message_id)
                        refused = judge(message)
                        _look(seen, message.envelope, refused, late_before)
                        if refused is not None:
                            _keep(seen, show, one.unit.row, one.unit.line, event_name(message.envelope), refused)
                if report is not None and seen.units % 1000 == 0:
                    report(seen, reader)
                if limit and seen.units >= limit:
                    break
        if report is not None:
            report(seen, reader)
    finally:
        reader.close()
    return seen


def value_at(envelope: dict[str, Any], field: str) -> Any:
    """What stands at a JSON path such as `$.properties.products[3].price`; None when there is nothing."""
    value: Any = envelope
    for step in field.removeprefix("$").replace("[", ".[").split("."):
        if step.startswith("[") and isinstance(value, list) and step[1:-1].isdecimal():
            number = int(step[1:-1])
            value = value[number] if number < len(value) else None
        elif step:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def _look(seen: Preview, envelope: dict[str, Any], refused: Failed | None, late_before: dt.datetime) -> None:
    name = event_name(envelope)
    seen.sample.setdefault(name, envelope)
    if refused is not None:
        seen.rejected[refused.code] += 1
        return
    seen.events[name] += 1
    at = moment(envelope)
    if at is None:
        seen.timeless += 1
        return
    seen.late += is_late(envelope, late_before)
    seen.first = at if seen.first is None else min(seen.first, at)
    seen.last = at if seen.last is None else max(seen.last, at)


def _keep(seen: Preview, show: int, row: int, line: int, event: str, failed: Failed) -> None:
    if len(seen.troubles) < show:
        seen.troubles.append(Trouble(row, line, event, failed.code, failed.field, failed.rule, failed.value))
