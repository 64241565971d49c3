"""Scripted faults: as many as asked, each with the outcome that the independent oracle arrives at from the bytes alone."""

import itertools
from collections import Counter
from pathlib import Path

import pytest

from demo import dataset, stream
from demo.dataset import DAY_MS
from demo.faults import Faults, TooManyFaultsError, inject
from demo.malformed import KINDS
from demo.messages import Message
from demo.records import of
from demo.stream import Slice
from operations.raw_topics import partition_of
from operations.timed_stream import Record, Tally, Tick, with_ticks
from tests.oracle import Log, RawRecord, Rulebook

CONFIG = Path(__file__).parents[3] / "config"


def pseudonym(tenant: str, namespace: str, value: str) -> str:
    return f"{tenant}-{namespace}-{value}"


ASKED = Faults(duplicates=150, conflicts=60, late=80, reordered=0.03, malformed=2 * len(KINDS))

pytestmark = pytest.mark.xdist_group("shop")  # one worker reads the data set for all of them


@pytest.fixture(scope="module")
def messages() -> list[Message]:
    return list(stream.events(dataset.load(), Slice(days=6)))


@pytest.fixture(scope="module")
def records(messages: list[Message]) -> list[Record]:
    return list(inject(messages, ASKED, seed=3))


def as_raw(items: list[Record | Tick]) -> tuple[list[RawRecord], Tally]:
    """Lay records out on two partitions per topic the way the replayer does."""
    tally = Tally(with_script=True)
    offsets: Counter[tuple[str, int]] = Counter()
    raw = []
    everywhere = [(topic, partition) for topic in ("cdp.raw.clickstream", "cdp.raw.orders", "cdp.raw.service") for partition in (0, 1)]
    for item in items:
        record = item if isinstance(item, Record) else None
        targets = everywhere if record is None else [(record.topic, partition_of(record.key, 2))]
        for target in targets:
            value = b'{"type":"tick"}' if record is None else record.value
            raw.append(RawRecord(*target, offsets[target], item.log_ms, value))
            tally.add(*target, item.log_ms, record)
            offsets[target] += 1
    return raw, tally


def test_as_many_faults_as_asked(messages: list[Message], records: list[Record]) -> None:
    faults = Counter(record.fault.partition(":")[0] for record in records)
    assert faults["duplicate"] == 150
    assert faults["conflict"] == 60
    assert faults["late"] == 80
    assert faults["reordered"] == round(0.03 * len(messages))
    assert faults["malformed"] == 2 * len(KINDS)
    assert Counter(r.fault for r in records if r.fault.startswith("malformed")) == {f"malformed:{kind.name}": 2 for kind in KINDS}


def test_the_oracle_agrees_with_every_scripted_outcome(records: list[Record]) -> None:
    raw, tally = as_raw(list(with_ticks(records, 3_600_000, 3_700_000)))
    log = Log(raw, Rulebook.read(CONFIG, pseudonym))
    assert len(log.judged) == len(raw)
    counted = {place: {k: v for k, v in counts.items() if k not in ("late", "applied")} for place, counts in log.counts().items()}
    expected = {place: {k: v for k, v in counts.items() if k not in ("late", "applied")} for place, counts in tally.counts.items()}
    assert counted == expected
    for place, counts in log.counts().items():
        assert counts["late"] == tally.counts[place]["late"]
        assert counts["applied"] == tally.counts[place]["applied"] + tally.counts[place]["late"]


def test_each_kind_of_malformed_record_is_wrong_in_the_way_it_says(records: list[Record]) -> None:
    bad = [record for record in records if record.fault.startswith("malformed")]
    raw = [RawRecord(record.topic, 0, at, record.log_ms, record.value) for at, record in enumerate(bad)]
    codes = {position[2]: f"rejected:{code}" for position, _, code, _ in Log(raw, Rulebook.read(CONFIG, pseudonym)).judged}
    for at, record in enumerate(bad):
        assert codes[at] == record.outcome, record.fault


def test_an_original_stands_before_its_repetition_in_the_same_partition(records: list[Record]) -> None:
    applied: dict[str, tuple[int, int, bytes]] = {}
    for at, record in enumerate(records):
        if record.fault in ("duplicate", "conflict"):
            first, log_ms, key = applied[record.message_id]
            assert first < at
            assert key == record.key
            assert 0 <= record.log_ms - log_ms < 7 * DAY_MS
        elif not record.fault.startswith("malformed"):
            applied[record.message_id] = at, record.log_ms, record.key


def test_log_time_never_goes_back_and_faults_do_not_prolong_it(messages: list[Message], records: list[Record]) -> None:
    assert all(before.log_ms <= after.log_ms for before, after in itertools.pairwise(records))
    assert records[-1].log_ms == messages[-1].log_ms


def test_the_same_seed_chooses_the_same_victims(messages: list[Message], records: list[Record]) -> None:
    assert list(inject(messages, ASKED, seed=3)) == records
    assert list(inject(messages, ASKED, seed=4)) != records


def test_too_many_faults_are_refused(messages: list[Message]) -> None:
    with pytest.raises(TooManyFaultsError, match="only"):
        list(inject(messages, Faults(duplicates=0.6, late=0.6)))


def test_ticks_stand_at_every_boundary_and_at_the_end() -> None:
    def record(log_ms: int) -> Record:
        return of(Message(log_ms, "cdp.raw.orders", "a", {"messageId": str(log_ms)}))

    items = list(with_ticks([record(500), record(1000), record(3500)], every_ms=1000, settle_ms=700))
    assert [item.log_ms for item in items if isinstance(item, Tick)] == [500, 1000, 2000, 3000, 4000, 4200]
    assert [item.log_ms for item in items] == [500, 500, 1000, 1000, 2000, 3000, 3500, 4000, 4200]
    assert isinstance(items[0], Tick)
    assert isinstance(items[2], Tick)


def test_the_last_tick_stays_behind_the_clock_of_a_shifted_replay() -> None:
    message = Message(500, "cdp.raw.orders", "a", {"messageId": "m"})
    assert list(with_ticks([of(message)], 1000, 5000, latest_ms=900))[-1] == Tick(900)
    assert list(with_ticks([of(message)], 1000, 5000, latest_ms=100))[-1] == Tick(500)
