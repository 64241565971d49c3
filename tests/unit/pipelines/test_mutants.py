"""Thousands of mutants of valid records: nothing raises, and records and profiles end as the oracle, which shares no code, says."""

from collections import Counter

import orjson
import pytest

from config import loader
from schemas import codes
from tests.in_process import InProcess
from tests.mutants import AT_MS, mutants
from tests.oracle import Log, Profiles, RawRecord, Rulebook
from tests.oracle.compare import differences

COUNT = 4000
SOURCE = "cdp.raw.clickstream"


@pytest.mark.parametrize("seed", [0, 1, 77])
def test_mutants_end_as_the_oracle_says(seed: int) -> None:
    core = InProcess()
    records = [RawRecord(SOURCE, 0, number, AT_MS + number, value) for number, value in enumerate(mutants(seed, COUNT))]
    for record in records:
        core.record(record.value, SOURCE, 0, record.offset, record.timestamp_ms)
    rules = Rulebook.read(loader.folder(), core.nodes.mask)
    log = Log(records, rules)
    expected = {tuple(judged.position): judged.code or judged.outcome for judged in log.judged}
    wrong = [(found, expected[place], records[place[2]].value) for place, found in core.outcomes.items() if found != expected[place]]
    shown = "\n".join(str(found)[:500] for found in wrong[:20])
    assert not wrong, f"{len(wrong)} differ (found, expected, record):\n{shown}"
    assert set(codes.ALL) - {codes.INTERNAL} <= Counter(core.outcomes.values()).keys(), "every code occurs"
    profiles = Profiles(log, rules)
    for change in core.newest.values():
        found = differences(profiles.at(list(change.record["nodes"]), change.record["at"]), orjson.loads(change.patch.features))
        assert not found, f"{[*change.record['nodes']]}: {found}"
