"""`cdp import --clock event`: a first load in which the log's clock is the events' own, written as a replay is."""

from collections.abc import Iterator
from typing import Final

from rich.console import Console
from rich.progress import Progress as Bar

from cli.import_job import ImportRefusedError, bars, identity, judge, progress_folder
from cli.import_run import account
from cli.terminal import plain_console
from config import loader
from importers.files.failures import Failures
from importers.files.opening import open_rows
from importers.files.progress import Progress, State
from importers.files.run import Import, event_name, made, moment, prepare
from importers.files.time_order import TimeOrder
from importers.mapping import Failed, Skipped
from importers.mapping.outcome import MISSING
from operations import timed_writer
from operations.timed_stream import APPLIED, Record, Tally, with_ticks
from operations.timed_writer import Progress as Written
from pipelines.rejected.record import iso
from stack.topics import set_clock

TICK_EVERY_MS: Final = 3_600_000
SETTLE_MS: Final = 3_700_000


def load(job: Import, *, again: bool, force: bool, then_live: bool) -> int:
    """Import in order of event time, the records' timestamps being the events' times; how many records failed.

    The file is mapped and sorted on disk first, then written as one stream with its ticks. When that was broken off, the next run writes
    the stream again from its beginning: what was there already ends as duplicates.

    Raises:
        ImportRefusedError: Kafka is not there.
        operations.timed_writer.ReplayError: the topics hold newer records, or Kafka refuses one.
        importers.files.rows.FileError: the file cannot be imported.
    """
    console = plain_console()
    which = identity(job, f"{job.topic} by event time")
    prepare(job)
    with Progress(progress_folder(), which, job.path) as progress, TimeOrder() as order, bars(Console(stderr=True)) as bar:
        before = State() if again else progress.load()
        if before.done:
            console.print("imported already; --again writes it once more (it ends as duplicates)")
            return sum(before.failed.values())
        state = State()
        with Failures(job.path, 0) as failures:
            _sort(job, order, failures, state, bar)
            state.failed_bytes = failures.flush()
        if not order.count:
            raise ImportRefusedError(f"{job.path}: no row became an event; `--dry-run` shows why")
        progress.save(state)
        _write(job, order, bar, force=force or bool(before.units), then_live=then_live)
        state.done = True
        progress.save(state)
    account(job, state, failures.path, console)
    if not then_live:
        console.print("The raw topics keep the producer's clock; `cdp topics clock live` hands it to the broker.")
    return sum(state.failed.values())


def _sort(job: Import, order: TimeOrder, failures: Failures, state: State, bar: Bar) -> None:
    task, judged = bar.add_task("mapping and sorting", total=None, note=""), judge(job.topic, by_event_time=True)
    reader = open_rows(job.path, job.rules.options)
    try:
        for unit, outcome in made(job, reader):
            state.units += 1
            state.rows += unit.rows
            if isinstance(outcome, list):
                times = [moment(message.envelope) for message in outcome]
                if None in times:
                    outcome = Failed(MISSING, "timestamp", "an event time, for an import by event time")
                for message, at in zip(outcome if isinstance(outcome, list) else (), times, strict=False):
                    if at is not None:
                        order.add(at, message)
                        refused = judged(message)
                        if refused is not None:
                            state.rejected[refused.code] = state.rejected.get(refused.code, 0) + 1
                        name = event_name(message.envelope)
                        state.sent[name] = state.sent.get(name, 0) + 1
            if isinstance(outcome, Skipped):
                state.skipped[outcome.reason] = state.skipped.get(outcome.reason, 0) + 1
            elif isinstance(outcome, Failed):
                state.failed[outcome.code] = state.failed.get(outcome.code, 0) + 1
                failures.add(unit, outcome)
            if state.units % 1000 == 0:
                bar.update(task, total=reader.size, completed=reader.position(), note=f"{state.rows:,} rows")
        bar.remove_task(task)
    finally:
        reader.close()


def _write(job: Import, order: TimeOrder, bar: Bar, *, force: bool, then_live: bool) -> None:
    task = bar.add_task("writing", total=order.count, note="")

    def records() -> Iterator[Record]:
        for one in order:
            yield Record(one.at_ms, job.topic, one.key, one.value, APPLIED, one.message_id)

    def report(now: Written) -> None:
        bar.update(task, completed=now.events, note=f"{now.events:,} events, log time {iso(now.log_ms)[:10]}")

    bootstrap = loader.platform().kafka.bootstrap
    timed_writer.run(
        with_ticks(records(), TICK_EVERY_MS, SETTLE_MS),
        bootstrap,
        loader.topics().raw(),
        Tally(),
        lambda clock: set_clock(clock, bootstrap),
        force=force,
        then_live=then_live,
        report=report,
    )
