"""What chance makes of the contracts' examples ends on the stack as the oracle says, and no mutant stops the job."""

from collections import Counter

import pytest

from demo.messages import iso
from operations.timed_stream import Record
from pipelines import control
from schemas import codes
from tests.mutants import STAMP, mutants
from tests.system import shop
from tests.system.outcome import check_profiles, judged, records_of
from tests.system.running import Running, say

CLICKS = "cdp.raw.clickstream"
KEY = b"hostile"
MUTANTS = 30_000
EACH_CODE_AT_LEAST = 150


@pytest.mark.timeout(900)
def test_mutants_end_as_the_oracle_says(platform: Running) -> None:
    at_ms = platform.clock_ms() + 3_600_000
    drawn = [value.replace(STAMP.encode(), iso(at_ms).encode()) for value in mutants(seed=77, count=MUTANTS)]
    before = platform.restarts()
    shop.write(platform, [Record(at_ms, CLICKS, KEY, value, "") for value in drawn])  # one partition: mutants may share a messageId
    platform.await_processed()
    assert platform.restarts() == before, "the job went on"
    log = judged(platform)
    wanted = {tuple(j.position): j.code for j in log.judged if j.outcome == "rejected"}
    found = {(r["source"], r["partition"], r["offset"]): r["code"] for r in records_of("cdp.rejected") if r["source"] not in control.TOPICS}
    wrong = {
        place: (wanted.get(place), found.get(place)) for place in wanted.keys() | found.keys() if wanted.get(place) != found.get(place)
    }
    assert not wrong, f"{len(wrong)} differ (place, expected, found): {[*wrong.items()][:10]}"
    counts = Counter(found.values())
    say(f"{MUTANTS:,} mutants: {counts}")
    rare = {code for code in set(codes.ALL) - {codes.INTERNAL} if counts[code] < EACH_CODE_AT_LEAST}
    assert not rare, f"too few of {rare}: {counts}"
    assert codes.INTERNAL not in counts
    check_profiles(platform, log=log)
    platform.verify()
