"""The pure core computes what the specification says: every field of every published profile, against the brute-force oracle."""

import hashlib
import hmac
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import pytest

from config import loader
from demo.dataset import DAY_MS
from demo.faults import Faults
from demo.replay import Options, plan
from demo.stream import Slice
from operations.raw_topics import partition_of
from operations.timed_stream import Record
from pipelines.ingest import dedupe
from tests.in_process import KEY, InProcess
from tests.oracle import Log, Profiles, RawRecord, Rulebook
from tests.oracle.compare import differences

TICK = b'{"type":"tick"}'


def pseudonym(tenant: str, namespace: str, value: str) -> str:
    return hmac.new(KEY, f"{tenant}|{namespace}|{value}".encode(), hashlib.sha256).hexdigest()[:32]


def raw_records(options: Options) -> list[RawRecord]:
    """The replay as it would lie in the raw topics, two partitions each, in order of log time."""
    offsets: Counter[tuple[str, int]] = Counter()
    records = []
    for item in plan(options).items:
        places = (
            [(item.topic, partition_of(item.key, 2))]
            if isinstance(item, Record)
            else [(t, p) for t in loader.topics().raw() for p in (0, 1)]
        )
        for topic, partition in places:
            value = item.value if isinstance(item, Record) else TICK
            records.append(RawRecord(topic, partition, offsets[topic, partition], item.log_ms, value))
            offsets[topic, partition] += 1
    return records


@pytest.mark.parametrize("forget_every", [0, 7])
def test_every_published_profile_equals_the_oracle(forget_every: int) -> None:
    options = Options(part=Slice(days=75, customers=60), faults=Faults(100, 50, 60, 120, 100), seed=3)
    records = raw_records(options)
    core = InProcess(forget_every=forget_every)
    for record in records:
        core.record(record.value, record.topic, record.partition, record.offset, record.timestamp_ms)
    core.pass_time(records[-1].timestamp_ms)

    check(core, records)


@pytest.mark.parametrize("seed", range(3))
def test_partitions_may_be_read_days_apart(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an outage one partition is caught up before another; what a node hears of it first must not make it forget too early."""
    monkeypatch.setattr(dedupe, "CHUNK", 2)  # nodes look often for ids to forget, as busy ones do
    records = raw_records(Options(part=Slice(days=75, customers=60), faults=Faults(0.6, 0.02, 0.02, 0.05, 100), seed=seed))
    core = InProcess()
    for record, slowest_ms in read_unevenly(records, 8 * DAY_MS, random.Random(seed)):
        core.record(record.value, record.topic, record.partition, record.offset, record.timestamp_ms, slowest_ms)
    core.pass_time(records[-1].timestamp_ms)
    check(core, records)


def read_unevenly(records: Sequence[RawRecord], drift_ms: int, dice: random.Random) -> Iterator[tuple[RawRecord, int]]:
    """Records in the order of each partition, the partitions up to `drift_ms` apart; with each the slowest partition's next log time."""
    waiting: dict[tuple[str, int], list[RawRecord]] = defaultdict(list)
    for record in reversed(records):
        waiting[record.topic, record.partition].append(record)
    while waiting:
        slowest_ms = min(queue[-1].timestamp_ms for queue in waiting.values())
        place = dice.choice([place for place, queue in waiting.items() if queue[-1].timestamp_ms <= slowest_ms + drift_ms])
        for _ in range(min(len(waiting[place]), dice.randint(1, 500))):
            slowest_ms = min(queue[-1].timestamp_ms for queue in waiting.values())
            if waiting[place][-1].timestamp_ms > slowest_ms + drift_ms:
                break
            yield waiting[place].pop(), slowest_ms
            if not waiting[place]:
                del waiting[place]
                break


def check(core: InProcess, records: Sequence[RawRecord]) -> None:
    """Outcomes and profiles are the oracle's."""
    rules = Rulebook.read(loader.folder(), pseudonym)
    log = Log(records, rules)
    judged = {tuple(j.position): j.code or j.outcome for j in log.judged}
    assert core.outcomes == judged

    profiles = Profiles(log, rules)
    assert len(core.newest) == len(log.events)
    wrong = {}
    for profile_id, fields in core.fields():
        change = core.newest[profile_id]
        expected = profiles.at(list(change.record["nodes"]), change.patch.at)
        expected["rfm_version"] = fields["rfm_version"]
        found = differences(expected, fields)
        if found:
            wrong[profile_id] = found
    assert not wrong, f"{len(wrong)} of {len(core.newest)} profiles differ, e.g. {list(wrong.items())[:3]}"


@pytest.mark.parametrize("forget_every", [0, 7])
def test_the_changed_fields_of_each_patch_add_up_to_the_whole_profile(forget_every: int) -> None:
    core = InProcess(forget_every=forget_every)
    for record in raw_records(Options(part=Slice(days=75, customers=40), seed=5)):
        core.record(record.value, record.topic, record.partition, record.offset, record.timestamp_ms)
    stored: dict[str, dict] = {}
    partial = 0
    for change in core.changes:
        patch, features = change.patch, json.loads(change.patch.features)
        if patch.whole:
            stored[patch.profile_id] = features
        else:
            stored[patch.profile_id].update({name: features[name] for name in patch.changed})
            partial += 1
        assert stored[patch.profile_id] == features
    # What was forgotten while a change was waiting to be published is sent whole; all else is not.
    assert partial > 0.8 * len(core.changes)
