"""State of an earlier version is read field by field as it was, and goes on as if it had been ours from the beginning.

`tests/data/state_of_355039d.msgpack.gz` was written by the pure core of that commit, the last that named each value in its state: nodes,
profiles, objects, their stores and timers after some 1,400 records; those records, and 1,000 that come after. Among the customers are one
who is busy, one with traits and a group, and one of whom nothing is heard again.
"""

import gzip
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.core import MapStore
from config import loader
from pipelines.features import older_state
from pipelines.features.node import Stores
from pipelines.features.profile_state import CLOCK
from pipelines.objects.object import Stores as ObjectStores
from tests.in_process import InProcess
from tests.oracle import Log, Profiles, RawRecord, Rulebook
from tests.oracle.compare import differences
from tests.unit.pipelines.test_core_against_oracle import pseudonym

STATE = Path(__file__).parents[2] / "data" / "state_of_355039d.msgpack.gz"


def map_store(records: dict[Any, Any], batches: dict[int, list[int]]) -> MapStore:
    store = MapStore()
    store.records.update(records)
    store.batches.update(batches)
    return store


def world() -> tuple[InProcess, list[RawRecord], list[RawRecord]]:
    """The core on that state, and the records before and after it."""
    found = msgspec.msgpack.decode(gzip.decompress(STATE.read_bytes()), strict=False)
    core = InProcess()
    core._node_blobs, core._profile_blobs, core._object_blobs = found["nodes"], found["profiles"], found["objects"]
    for key, (ledger, ids, batches) in found["stores"].items():
        core._stores[key] = Stores(map_store(ledger, {}), map_store(ids, batches))
    for key, (records, ids, batches) in found["object_stores"].items():
        core._object_stores[key] = ObjectStores(map_store(records, {}), map_store(ids, batches))
    core._timers = [(due, kind, key) for due, kind, key in found["timers"]]
    core.watermark = found["watermark"]
    return core, *([RawRecord(*record) for record in found[part]] for part in ("before", "after"))


def shown(core: InProcess, profile_id: str, at: int) -> dict[str, Any]:
    """What a profile would publish at a moment, ms."""
    live = core._profile(profile_id, "demo")
    live.numbers[CLOCK] = at
    core.profile_logic._recompute(live)
    found: dict[str, Any] = json.loads(core.profile_logic._written(live))
    return found


@pytest.mark.parametrize("is_written_anew", [False, True])
def test_every_profile_is_what_it_was_silent_ones_too(is_written_anew: bool) -> None:
    core, before, _ = world()
    assert {older_state.format_of(blob) for blob in core._node_blobs.values()} == {3}
    assert {older_state.format_of(blob) for blob in core._profile_blobs.values()} == {1}
    if is_written_anew:
        for key in core._node_blobs:
            core._save_node(core._node(key, "demo"))
        for profile_id in core._profile_blobs:
            core._publish(core._profile(profile_id, "demo"), None)
        core._live_nodes.clear()
        core._live_profiles.clear()
    rules = Rulebook.read(loader.folder(), pseudonym)
    profiles, wrong, at = Profiles(Log(before, rules), rules), {}, before[-1].timestamp_ms
    for profile_id in core._profile_blobs:
        fields = shown(core, profile_id, at)
        if "kind" not in fields:
            nodes = list(core._profile(profile_id, "demo").nodes)
            wrong[profile_id] = differences(profiles.at(nodes, at), fields)
    assert len(wrong) > 20
    assert not any(wrong.values()), {profile_id: found for profile_id, found in wrong.items() if found}


def test_it_goes_on_as_if_it_had_been_ours_from_the_beginning() -> None:
    core, before, after = world()
    ours = InProcess()
    for record in before:
        ours.record(record.value, record.topic, record.partition, record.offset, record.timestamp_ms)
    for record in after:
        for one in (core, ours):
            one.record(record.value, record.topic, record.partition, record.offset, record.timestamp_ms)
    assert after
    assert all(core.outcomes[place] == ours.outcomes[place] for place in core.outcomes)
    published = dict(core.fields())
    assert len(published) > 15
    theirs = dict(ours.fields())
    for profile_id, fields in published.items():
        assert fields == theirs[profile_id]
        assert core.newest[profile_id].record["nodes"] == ours.newest[profile_id].record["nodes"]
        assert core.newest[profile_id].record["version"] == ours.newest[profile_id].record["version"]


def test_a_customer_told_again_after_the_change_is_still_recognised() -> None:
    core, before, _ = world()
    for number, record in enumerate(before):
        core.record(record.value, record.topic, record.partition, 5_000_000 + number, core.watermark + 1)
    told_again = [outcome for (_, _, offset), outcome in core.outcomes.items() if offset >= 5_000_000]
    assert set(told_again) <= {"duplicate", "tick"}
    assert told_again.count("duplicate") > 500
