"""Traffic rules catch what they are told to, as the oracle, which shares no code, says."""

import random
from typing import Any

import orjson
import pytest
import yaml

from config import loader
from pipelines.ingest.traffic import STRETCHES_KEPT, TARGETS_KEPT, Traffic, nothing
from tests.in_process import InProcess
from tests.oracle import Log, Profiles, RawRecord, Rulebook
from tests.oracle.compare import differences

SOURCE = "cdp.raw.clickstream"
BASE = 1_700_000_000_000
RULES = """
- {name: twice, says: x, events: [Product Viewed, Product Added], same: [product_id], within_ms: 300, exclude: true}
- {name: burst, says: x, events: [Product Viewed], types: [page], more_than: 5, within_s: 10, exclude: true}
"""


def event(number: int, name: str, at: int, product: str) -> bytes:
    stamp = f"2023-11-14T22:{13 + (at // 60_000) % 40:02}:{(at // 1000) % 60:02}.{at % 1000:03}Z"
    body: dict[str, Any] = {"messageId": f"m{number}", "userId": "u", "timestamp": stamp, "type": "page"}
    if name != "page":
        body |= {"type": "track", "event": name, "properties": {"product_id": product}}
    return orjson.dumps(body)


@pytest.mark.parametrize("seed", range(20))
def test_what_is_caught_and_what_features_become_is_as_the_oracle_says(seed: int, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in loader.folder().glob("*.yaml"):
        (tmp_path / file.name).write_text(file.read_text())
    (tmp_path / "traffic.yaml").write_text(RULES)
    monkeypatch.setenv("CDP_CONFIG_DIR", str(tmp_path))
    dice = random.Random(seed)
    at, records = 0, []
    for number in range(300):
        at += dice.choice((0, 50, 250, 300, 2000, 30_000))
        late_by = dice.choice((0, 0, 0, 200, 5000, 40_000))
        value = event(number, dice.choice(("Product Viewed", "Product Added", "page")), max(0, at - late_by), dice.choice("abcdef"))
        records.append(RawRecord(SOURCE, 0, number, BASE + 3_600_000 + number, value))
    core = InProcess(forget_every=3)
    for record in records:
        core.record(record.value, SOURCE, 0, record.offset, record.timestamp_ms)
    rules = Rulebook.read(loader.folder(), core.nodes.mask)
    log = Log(records, rules)
    excluded = sum(judged.excluded for _, judged in log.events["demo|user_id|u"])
    assert 0 < excluded < 300
    profiles = Profiles(log, rules)
    change = next(iter(core.newest.values()))
    assert not differences(profiles.at(list(change.record["nodes"]), change.record["at"]), orjson.loads(change.patch.features))


def test_what_is_remembered_is_bounded() -> None:
    traffic, recent = Traffic(loader.traffic()), nothing()
    for number in range(1000):
        traffic.caught_by(recent, "Product Viewed", number + 1, number * 100_000)
    assert len(recent) == 2 * TARGETS_KEPT + 1 + 2 * STRETCHES_KEPT  # one rule counts views


def test_the_rules_as_shipped_catch_a_double_click_and_let_it_count() -> None:
    shipped = yaml.safe_load((loader.folder() / "traffic.yaml").read_text())
    assert not any(rule.get("exclude") for rule in shipped), "features do not depend on the order of arrival (I2)"
    traffic, recent = Traffic(loader.traffic()), nothing()
    assert traffic.caught_by(recent, "Product Viewed", 7, 1000) is None
    found = traffic.caught_by(recent, "Product Viewed", 7, 1299)
    assert found is not None
    assert found.name == "accidental_click"
    assert traffic.caught_by(recent, "Product Viewed", 7, 1300) is None
