"""Log time ahead of the clock and transactions that stay open are told once when they begin and once when they are over."""

import json
import time
from pathlib import Path
from typing import Any

from stack import topics
from stack.transactions import Transaction
from stack.watch import Alarm, Bell, ahead, alarms, stuck

NOW_MS = 1_790_000_000_000
YEAR_MS = 31_557_600_000


def test_one_record_of_2099_is_an_alarm_and_the_present_and_the_past_are_none() -> None:
    newest = {("raw", 0): NOW_MS + 73 * YEAR_MS, ("raw", 1): NOW_MS + 299_000, ("raw", 2): NOW_MS - 16 * YEAR_MS}
    (alarm,) = ahead(newest, NOW_MS, allowed_s=300)
    assert (alarm.id, alarm.says) == ("clock:raw:0", "raw partition 0: its newest record is 73 years ahead of this machine's clock")


def transaction(state: str, age_s: float) -> Transaction:
    return Transaction("cdp-profiles-cdp.events-0-9", state, 1, 0, age_s, 600.0, [("cdp.events", 0)])


def test_a_transaction_that_stays_open_is_an_alarm() -> None:
    assert stuck([transaction("Ongoing", 299.0), transaction("CompleteCommit", 0.0)]) == []
    (alarm,) = stuck([transaction("Ongoing", 900.0)])
    assert alarm.says == "cdp-profiles-cdp.events-0-9 has been open for 15 minutes: readers of committed records wait in cdp.events/0"


class Topic:
    def __init__(self) -> None:
        self.records: list[tuple[str, dict[str, Any]]] = []

    def produce(self, topic: str, value: str, key: str) -> None:
        assert topic == "cdp.alerts"
        self.records.append((key, json.loads(value)))


def test_what_is_wrong_now_can_be_read_until_nobody_looks_any_more(tmp_path: Path) -> None:
    board = tmp_path / "alarms.json"
    assert alarms(board) == []
    bell = Bell(Topic(), lambda _: None, board=board)  # type: ignore[arg-type]
    clock, other = Alarm("clock:raw:0", "clock", "ahead", "look"), Alarm("transaction:x", "transaction", "open", "look")
    bell.ring("clock", [clock])
    bell.ring("transaction", [other])
    assert alarms(board) == [clock, other]
    bell.ring("clock", [])
    assert alarms(board) == [other]
    assert alarms(board, fresh_s=-1.0) == [], "a ticker that is gone says nothing about now"
    board.write_text("half a")
    assert alarms(board) == []


def test_an_alarm_is_told_when_it_begins_and_when_it_is_over_and_not_in_between() -> None:
    topic, lines = Topic(), list[str]()
    bell = Bell(topic, lines.append, now_s=lambda: 1_790_000_000.0)  # type: ignore[arg-type]
    clock, other = Alarm("clock:raw:0", "clock", "ahead", "look"), Alarm("transaction:x", "transaction", "open", "look")
    for _ in range(3):
        bell.ring("clock", [clock])
        bell.ring("transaction", [other])
    bell.ring("clock", [])
    bell.ring("clock", [])
    assert [(key, value["change"]) for key, value in topic.records] == [
        ("clock:raw:0", "opened"),
        ("transaction:x", "opened"),
        ("clock:raw:0", "closed"),
    ]
    assert topic.records[0][1] == {
        "id": "clock:raw:0", "change": "opened", "kind": "clock", "at": "2026-09-21T14:13:20Z", "says": "ahead", "look": "look",
    }  # fmt: skip
    assert lines == ["ALERT: ahead", "ALERT: open", "over: ahead"]


def test_of_a_topic_the_partition_that_is_furthest_ahead_is_told() -> None:
    now_ms = int(time.time() * 1000)
    stands = {("a", 0): now_ms + 100 * YEAR_MS, ("a", 1): now_ms + 3 * YEAR_MS, ("b", 0): now_ms}
    ((topic, said),) = topics._early(stands)
    assert (topic, "a partition 0" in said, "100 years ahead" in said) == ("a", True, True)
