"""Thousands of mutants of valid records: nothing raises anywhere in the core, and each ends as the oracle, which shares no code, says."""

from collections import Counter

import pytest

from config import loader
from schemas import codes
from tests.in_process import InProcess
from tests.mutants import AT_MS, mutants
from tests.oracle import Rulebook
from tests.oracle.envelope import Rejection, judge_alone

COUNT = 4000


@pytest.mark.parametrize("seed", range(3))
def test_no_mutant_raises_and_each_ends_as_the_oracle_says(seed: int) -> None:
    core = InProcess()
    rules = Rulebook.read(loader.folder(), core.nodes.mask)
    ends: Counter[str] = Counter()
    wrong = []
    for number, value in enumerate(mutants(seed, COUNT)):
        core.record(value, "cdp.raw.clickstream", 0, number, AT_MS + number)
        found = core.outcomes["cdp.raw.clickstream", 0, number]
        said = judge_alone(value, AT_MS + number, rules)
        expected = said.code if isinstance(said, Rejection) else "tick" if said is None else "applied"
        ends[found] += 1
        if found != expected and {found, expected} != {"applied", "duplicate"} and {found, expected} != {"applied", codes.ID_CONFLICT}:
            wrong.append((found, expected, value[:400]))
    assert not wrong, f"{len(wrong)} differ (found, expected, record):\n" + "\n".join(map(str, wrong[:20]))
    assert not ends[codes.INTERNAL]
    assert set(codes.ALL) - {codes.INTERNAL} <= ends.keys()
