"""A record of 2099 that a broker without the bound has let in is rejected, and told while it is there."""

import orjson
import pytest
from confluent_kafka import Message, Producer
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from stack import topics
from tests.stacks import eventually
from tests.system.outcome import records_of
from tests.system.running import Running
from tests.system.test_hostile_records import CLICKS, KEY, view

IN_2099_MS = 4_070_908_800_000


@pytest.mark.timeout(600)
def test_a_record_of_2099_that_the_broker_let_in_is_rejected_and_told(platform: Running) -> None:
    """How far it moves the clock is bounded by `limits.clock_ahead_s`, ten years on this stack: its partition then waits for the others."""
    at_ms, before = platform.clock_ms() + 3_600_000, platform.restarts()
    place = write_without_the_bound(platform, orjson.dumps(view("in-2099", at_ms)))
    eventually(lambda: place in rejections(), "it is rejected", 120.0)
    assert rejections()[place] == ("timestamp_out_of_range", "a log time at most 315360000 s ahead of the clock")
    for command in ("topics", "status"):
        eventually(lambda said=command: tells(platform, said), f"`cdp {command}` says it", 60.0)
    assert platform.restarts() == before, "the job went on"


def tells(platform: Running, command: str) -> bool:
    """Whether a command tells of the record; raises what it says instead."""
    said = " ".join(platform.cdp(command).split())  # cells of tables are folded
    if "years ahead of this machine's clock" not in said:
        raise AssertionError(said)
    return True


def rejections() -> dict[tuple[str, int, int], tuple[str, str]]:
    """Code and rule of every rejected record, by its place."""
    return {(found["source"], found["partition"], found["offset"]): (found["code"], found["rule"]) for found in records_of("cdp.rejected")}


def write_without_the_bound(platform: Running, value: bytes) -> tuple[str, int, int]:
    """Write a record with a log time in 2099, as a broker would take it that nobody told of the bound; returns where it stands."""
    admin = topics.connect(platform.bootstrap)
    lifted = ConfigEntry(topics.AHEAD, str(2**63 - 1), incremental_operation=AlterConfigOpType.SET)
    for future in admin.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, CLICKS, incremental_configs=[lifted])]).values():
        future.result(30.0)
    places: list[tuple[str, int, int]] = []

    def note(error: object, message: Message) -> None:
        if error is None:
            places.append((message.topic() or "", message.partition() or 0, message.offset() or 0))

    producer = Producer({"bootstrap.servers": platform.bootstrap})

    def is_taken() -> bool:
        producer.produce(CLICKS, value, KEY, timestamp=IN_2099_MS, on_delivery=note)
        return producer.flush(30.0) == 0 and len(places) == 1

    # A broker confirms new settings of a topic a moment before they act.
    eventually(is_taken, "the topic takes a record of 2099", 30.0)
    platform.hold_clock()  # sets the bound anew
    return places[0]
