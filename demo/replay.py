"""A replay from beginning to end: choose, prepare, guard, write, hand over to live."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from config import loader
from demo import dataset, replayer, stream
from demo.faults import Faults, inject
from demo.messages import iso
from demo.records import Record, Tally, Tick, of, with_ticks
from demo.replayer import Progress, ReplayError
from operations import raw_topics
from stack.topics import set_clock

NO_FAULTS: Final = Faults()


class NewerRecordsError(ReplayError):
    """The raw topics already hold records that are newer than the replay's first."""


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
        NewerRecordsError: see there.
        ReplayError: Kafka is not there, or refused a record.
    """
    bootstrap, topics = loader.platform().kafka.bootstrap, loader.topics().raw()
    partitions = raw_topics.partitions_of(bootstrap, topics)
    first = next(prepared.items)
    _guard(first.log_ms, raw_topics.newest_ms(bootstrap, partitions), force=options.force)
    tally = Tally(with_script=options.script)
    set_clock("replay", bootstrap)
    try:
        replayer.write(_again(first, prepared.items), bootstrap, partitions, tally, speed=options.speed, report=report)
    finally:
        if options.then_live:
            set_clock("live", bootstrap)
    if options.expect is not None:
        told = tally.to_json(slice=prepared.story, seed=options.seed, asked=options.faults._asdict())
        options.expect.write_text(json.dumps(told, indent=None if options.script else 1) + "\n")
    return tally


def _again(first: Record | Tick, rest: Iterable[Record | Tick]) -> Iterator[Record | Tick]:
    yield first
    yield from rest


def _guard(first_ms: int, newest_ms: int, *, force: bool) -> None:
    if force or newest_ms <= first_ms:
        return
    raise NewerRecordsError(
        f"the raw topics hold records up to {iso(newest_ms)}, the replay begins at {iso(first_ms)}: the log's clock cannot go back. "
        "Use another, empty stack (`CDP_HOME=/some/folder CDP_RAW_CLOCK=replay cdp up`), or --force if that is what you want"
    )
