"""An import: units in, messages out, and an account of every row that a kill cannot falsify."""

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from importers.envelope import Message, Origin, complete, completed
from importers.files.failures import Failures
from importers.files.opening import check_columns, open_rows
from importers.files.progress import Progress, State
from importers.files.rows import Reader
from importers.files.units import Unit, check_adjacent, units
from importers.mapping import Failed, Mapped, MappingRules, Skipped
from schemas.odd_spellings import iso_text

BATCH_MESSAGES: Final = 2000
BATCH_UNITS: Final = 20_000
DIGITS: Final = 16
"""Digits of the file's digest in a message id."""


class Import(msgspec.Struct, frozen=True):
    """What is to be imported.

    Attributes:
        path: the file.
        file_sha256: of its bytes.
        rules: the mapping.
        origin: source and tenant.
        topic: raw topic.
    """

    path: Path
    file_sha256: str
    rules: MappingRules
    origin: Origin
    topic: str


Judge = Callable[[Message], Failed | None]
"""Tells what the platform would refuse an event for; None when it would take it."""


def nobody_judges(_message: Message) -> Failed | None:
    """Takes everything."""
    return None


class Made(NamedTuple):
    """A unit and what it became."""

    unit: Unit
    outcome: list[Message] | Skipped | Failed


class Target(Protocol):
    """Where messages go; see `importers.sender.Sender`."""

    def send(self, topic: str, key: bytes, value: bytes) -> None:
        """Hand a message over."""
        ...

    def flush(self) -> None:
        """Wait for all acknowledgements."""
        ...


def prepare(job: Import) -> None:
    """Find out beforehand what would make the import wrong as a whole.

    Raises:
        FileError: the file cannot be read, lacks columns, or has a group's rows apart.
    """
    reader = open_rows(job.path, job.rules.options)
    try:
        check_columns(job.path, reader, job.rules)
        if job.rules.group_by is not None and job.rules.groups == "adjacent":
            check_adjacent(reader.rows(), job.rules)
    finally:
        reader.close()


def made(job: Import, reader: Reader, after: int = 0) -> Iterator[Made]:
    """Map all units of a file.

    Args:
        job: what is imported.
        reader: the open file.
        after: units to leave out at the beginning.

    Yields:
        In the order of the units, always the same.
    """
    for number, unit in enumerate(units(reader.rows(), job.rules), 1):
        if number > after:
            yield Made(unit, _outcome(job, unit))


def run(
    job: Import,
    target: Target,
    progress: Progress,
    state: State,
    late_before: dt.datetime,
    report: Callable[[State, Reader], None] | None = None,
    judge: Judge = nobody_judges,
) -> Path:
    """Import a file from where the last run stopped.

    A kill at any moment loses nothing and counts nothing twice: events that were sent and not yet accounted for are sent again,
    under the same message ids.

    Args:
        job: what is imported.
        target: Kafka.
        progress: is told after each batch.
        state: the account to go on with; is changed.
        late_before: events before this moment are counted as late.
        report: called after each batch.
        judge: the platform's own checks: what they refuse is sent and counted, so that nobody takes it for applied.

    Returns:
        The path of the file of failures.

    Raises:
        FileError: the file cannot be imported.
        importers.sender.SendError: Kafka does not take it.
    """
    prepare(job)
    reader = open_rows(job.path, job.rules.options)
    try:
        with Failures(job.path, state.failed_bytes) as failures:
            waiting = 0
            for number, one in enumerate(made(job, reader, state.units), 1):
                waiting += _account(job, one, target, failures, state, late_before, judge)
                if waiting >= BATCH_MESSAGES or number % BATCH_UNITS == 0:
                    _settle(target, failures, progress, state)
                    waiting = 0
                    if report is not None:
                        report(state, reader)
            state.done = True
            _settle(target, failures, progress, state)
            if report is not None:
                report(state, reader)
            return failures.path
    finally:
        reader.close()


def event_name(envelope: dict[str, Any]) -> str:
    """What an event is called in accounts: its name, or the kind of its call."""
    return str(envelope.get("event") or envelope.get("type"))


def moment(envelope: dict[str, Any]) -> dt.datetime | None:
    """The event's own time; None when it carries none that can be read."""
    text = envelope.get("timestamp")
    if not isinstance(text, str):
        return None
    try:
        found = dt.datetime.fromisoformat(iso_text(text))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


def is_late(envelope: dict[str, Any], before: dt.datetime) -> bool:
    """Whether an event says of itself that it happened before a moment."""
    found = moment(envelope)
    return found is not None and found < before


def _outcome(job: Import, unit: Unit) -> list[Message] | Skipped | Failed:
    if unit.failed is not None:
        return unit.failed
    outcome = job.rules.apply(unit.record)
    if not isinstance(outcome, Mapped):
        return outcome
    lineage = {"file_sha256": job.file_sha256, "row": unit.row}
    position = f"{job.file_sha256[:DIGITS]}:{unit.row}"
    return completed(outcome.events, lambda event: complete(event, job.origin, position, lineage))


def _account(job: Import, one: Made, target: Target, failures: Failures, state: State, late_before: dt.datetime, judge: Judge) -> int:
    """Send or note what a unit became; how many messages were sent."""
    outcome, sent = one.outcome, 0
    if isinstance(outcome, list):
        for message in outcome:
            target.send(job.topic, message.key, message.value)
            _count(state.sent, event_name(message.envelope))
            refused = judge(message)
            if refused is not None:
                _count(state.rejected, refused.code)
            state.late += is_late(message.envelope, late_before)
            sent += 1
    elif isinstance(outcome, Skipped):
        _count(state.skipped, outcome.reason)
    else:
        _count(state.failed, outcome.code)
        failures.add(one.unit, outcome)
    state.units += 1
    state.rows += one.unit.rows
    return sent


def _settle(target: Target, failures: Failures, progress: Progress, state: State) -> None:
    """First Kafka, then the failures, then the account: whatever is accounted for is safe."""
    target.flush()
    state.failed_bytes = failures.flush()
    progress.save(state)


def _count(counts: dict[str, int], name: str) -> None:
    counts[name] = counts.get(name, 0) + 1
