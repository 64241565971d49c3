"""A replay from beginning to end: choose, prepare, guard, write, hand over to live."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from config import loader
from demo import dataset, stream
from demo.faults import Faults, inject
from demo.records import of
from operations import timed_writer
from operations.timed_stream import Record, Tally, Tick, with_ticks
from operations.timed_writer import Progress
from stack.topics import set_clock

NO_FAULTS: Final = Faults()


class Options(NamedTuple):
    """What to replay and how; times in seconds."""

    part: stream.Slice = stream.WHOLE
    shift: bool = False
    faults: Faults = NO_FAULTS
    seed: int = 0
    tick_every_s: int = 3600
    settle_s: int = 3700
    speed: float = 0
    force: bool = False
    then_live: bool = False
    expect: Path | None = None
    script: bool = False


class Plan(NamedTuple):
    """A stream ready to be written: the records with their ticks, how many events (0: not counted beforehand), and a line about them."""

    items: Iterator[Record | Tick]
    events: int
    story: str


def plan(options: Options) -> Plan:
    """Prepare the stream of a replay; touches no server.

    Raises:
        TooManyFaultsError: more faults than events.
    """
    data = dataset.load()
    chosen = stream.select(data, options.part)
    now_ms = stream.today_ms()
    shift_days = stream.days_until_yesterday(chosen, now_ms) if options.shift else 0
    messages = stream.events(data, options.part, shift_days)
    records: Iterable[Record] = map(of, messages)
    events = stream.WHOLE_EVENTS if options.part == stream.WHOLE else 0
    if any(options.faults):
        records = list(inject(list(messages), options.faults, options.seed))
        events = len(records)
    items = with_ticks(records, options.tick_every_s * 1000, options.settle_s * 1000, now_ms if options.shift else None)
    return Plan(items, events, stream.describe(chosen, shift_days))


def run(options: Options, prepared: Plan, report: Callable[[Progress], None] | None = None) -> Tally:
    """Write a plan to Kafka.

    Args:
        options: the same the plan was made with.
        prepared: from `plan`.
        report: told about the progress.

    Returns:
        What was written, and what must become of it.

    Raises:
        NewerRecordsError, ReplayError: see `timed_writer.run`.
    """
    bootstrap, tally = loader.platform().kafka.bootstrap, Tally(with_script=options.script)
    timed_writer.run(
        prepared.items,
        bootstrap,
        loader.topics().raw(),
        tally,
        lambda clock: set_clock(clock, bootstrap),
        force=options.force,
        then_live=options.then_live,
        speed=options.speed,
        report=report,
    )
    if options.expect is not None:
        told = tally.to_json(slice=prepared.story, seed=options.seed, asked=options.faults._asdict())
        options.expect.write_text(json.dumps(told, indent=None if options.script else 1) + "\n")
    return tally
