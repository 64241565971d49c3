"""`cdp import`: the dry run's picture, and the run itself with its bar and its account."""

import datetime as dt
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from cli.import_job import ALWAYS, ImportRefusedError, bars, identity, judge, late_before, progress_folder
from cli.terminal import plain_console
from config import loader
from importers.files.preview import Preview, Trouble, preview
from importers.files.progress import Progress, State
from importers.files.rows import Reader
from importers.files.run import Import, event_name, run
from importers.personal import Personal
from importers.sender import Sender
from stack.topics import CLOCKS, clocks

FIRST_LOAD: Final = "on an empty stack `--clock event` plays them in at their own times, as `cdp replay` does, and features count them"


def look(job: Import, show: int, limit: int, *, by_event_time: bool) -> int:
    """A dry run; how many rows and events would not get through."""
    console = plain_console()
    for note in job.rules.notes:
        console.print(f"[yellow]note:[/yellow] {note}", highlight=False)
    with bars(Console(stderr=True)) as bar:
        task = bar.add_task("looking", total=None, note="")

        def report(seen: Preview, reader: Reader) -> None:
            bar.update(task, total=reader.size, completed=reader.position(), note=f"{seen.rows:,} rows")

        before = ALWAYS if by_event_time else late_before()
        seen = preview(job, judge(job.topic, by_event_time=by_event_time), before, show=show, limit=limit, report=report)
    _tell(job, seen, console)
    return seen.failed.total() + seen.rejected.total()


def send(job: Import, *, again: bool) -> int:
    """Import on the live clock; how many records failed.

    Raises:
        ImportRefusedError: Kafka is not there, or the topic is on another clock.
        importers.files.rows.FileError: the file cannot be imported.
        importers.sender.SendError: Kafka did not take it.
    """
    console = plain_console()
    bootstrap = loader.platform().kafka.bootstrap
    which = identity(job, job.topic)
    if clocks([job.topic], bootstrap)[job.topic] != CLOCKS["live"]:
        advice = "hand it over with `cdp topics clock live`, or import on the events' own times with `--clock event`"
        raise ImportRefusedError(f"{job.topic} is on the producer's clock, as for a replay, and an import would move it to now: {advice}")
    with Progress(progress_folder(), which, job.path) as progress:
        state = State() if again else progress.load()
        if state.done:
            console.print(f"imported already, {_when(state.at)}; --again sends it once more (it ends as duplicates)")
            account(job, state, _failures(job), console)
            return sum(state.failed.values())
        if state.units:
            console.print(f"going on after row {state.rows:,}, where the last run stopped")
        _send(job, Sender(bootstrap), progress, state)
    account(job, state, _failures(job), console)
    return sum(state.failed.values())


def _send(job: Import, sender: Sender, progress: Progress, state: State) -> None:
    began, done_before = time.monotonic(), state.rows
    with bars(Console(stderr=True)) as bar:
        task = bar.add_task("importing", total=None, note="")

        def report(now: State, reader: Reader) -> None:
            rate = (now.rows - done_before) / max(0.001, time.monotonic() - began)
            bar.update(task, total=reader.size, completed=reader.position(), note=f"{now.rows:,} rows, {rate:,.0f} rows/s")

        try:
            run(job, sender, progress, state, late_before(), report, judge(job.topic, by_event_time=False))
        except KeyboardInterrupt:
            raise ImportRefusedError("broken off; the same command goes on from where it was") from None


def account(job: Import, state: State, failures: Path, console: Console) -> None:
    """The last words of an import: every row in one of three."""
    console.print(f"{_rows(job, state.rows, state.units, f' of {job.path.name}')}:")
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, count in state.sent.items():
        table.add_row(f"{count:,}", "sent", f"{name} to {job.topic}")
    for reason, count in state.skipped.items():
        table.add_row(f"{count:,}", "skipped", reason)
    for code, count in state.failed.items():
        table.add_row(f"{count:,}", "[red]failed[/]", f"{code}; see {failures}")
    table.columns[0].justify = "right"
    console.print(table)
    if state.rejected:
        reasons = ", ".join(f"{code} {count:,}" for code, count in state.rejected.items())
        console.print(f"[red]Of the events sent {sum(state.rejected.values()):,} are rejected by the platform[/] ({reasons}):")
        console.print(
            f"`cdp rejected list --source {job.origin.source}` shows them and why; docs/rejected.md says how to mend and resend them."
        )
    if state.late:
        console.print(_late(state.late))


def _tell(job: Import, seen: Preview, console: Console) -> None:
    personal = Personal(loader.identity())
    rows = _rows(job, seen.rows, seen.units)
    console.print(f"{rows}; source {job.origin.source}, tenant {job.origin.tenant}, topic {job.topic}")
    table = Table(box=None, pad_edge=False, show_header=False)
    _add(table, seen.events, "would be sent", "")
    _add(table, seen.skipped, "would be skipped", "")
    _add(table, seen.failed, "[red]would fail[/]", "")
    _add(table, seen.rejected, "[red]would be rejected[/]", " (sent, and kept in cdp.rejected)")
    table.columns[0].justify = "right"
    console.print(table)
    if seen.first and seen.last:
        console.print(f"event times from {seen.first:%Y-%m-%d %H:%M} to {seen.last:%Y-%m-%d %H:%M} UTC")
    if seen.timeless:
        console.print(f"{seen.timeless:,} events have no time of their own: they count from their arrival")
    if seen.repeated:
        console.print(f"[yellow]{seen.repeated:,} events have the message id of another one of this file[/]: is `message_id` unique?")
    if seen.late:
        console.print(_late(seen.late))
    if seen.troubles:
        console.print(_troubles(seen.troubles, personal))
    for envelope in list(seen.sample.values())[:1]:
        console.print(f"for example `{event_name(envelope)}` (personal values by their shape):")
        print(json.dumps(personal.masked(envelope), indent=2, ensure_ascii=False))


def _troubles(troubles: list[Trouble], personal: Personal) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", title="the first that do not get through", title_justify="left")
    for column in ("row", "line", "code", "field", "expected", "found"):
        table.add_column(column, overflow="fold", justify="right" if column in ("row", "line") else "left")
    for one in troubles:
        field = f"{one.event}: {one.field}" if one.event else one.field
        shown = "" if one.value is None else personal.shown(one.field, one.value)
        table.add_row(str(one.row), str(one.line or ""), one.code, field, one.rule, shown)
    return table


def _rows(job: Import, rows: int, records: int, of_file: str = "") -> str:
    """`20 rows`; where a mapping brings rows together also how many records they became."""
    return f"{rows:,} rows{of_file}" + (f", {records:,} records" if job.rules.group_by is not None else "")


def _add(table: Table, counts: Mapping[str, int], what: str, more: str) -> None:
    for name, count in counts.items():
        table.add_row(f"{count:,}", what, name + more)


def _late(count: int) -> str:
    days = loader.platform().limits.lateness_s // 86_400
    return f"[yellow]{count:,} events are more than {days} days old: they go to history only, not to features;[/] {FIRST_LOAD}"


def _failures(job: Import) -> Path:
    return job.path.with_name(job.path.name + ".failed.jsonl")


def _when(at: float) -> str:
    return f"{dt.datetime.fromtimestamp(at, dt.UTC):%Y-%m-%d %H:%M} UTC"
