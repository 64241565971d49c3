"""`cdp verify` finds what is wrong and calls right what is right."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import Producer
from redis import Redis

from cli import verify_commands
from cli.audit import history, money, served
from cli.audit.evidence import TICK
from cli.audit.report import Check, Report
from cli.verify_commands import run
from config import loader
from pipelines.identity.nodes import profile_of
from profile_store import layout
from profile_store.patch import from_record
from schemas import clean
from sinks.clickhouse import ClickHouse
from stack.settings import PROJECT
from tests.component.pipeline_double import PipelineDouble
from tests.stacks import Stack, eventually


class World:
    """Servers, the loader, and a pipeline that did everything right so far."""

    def __init__(self, folder: Path) -> None:
        with (folder / "loader.log").open("ab") as output:
            self.loader = subprocess.Popen([sys.executable, "-m", "jobs.history"], cwd=PROJECT, stderr=output, stdout=output)
        self.double = PipelineDouble(1)
        self.double.produce(500)
        self.double.produce(500, abort=True)
        self.redis: Any = Redis.from_url(loader.platform().redis.url)
        self.clickhouse = ClickHouse(loader.platform().clickhouse)

    def verify(self) -> Report:
        return run(timeout_s=20)


@pytest.fixture(scope="module")
def world(emptied: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("logs"))
    try:
        eventually(lambda: world.clickhouse.rows("SELECT count() FROM profile_changes"), "the loader has made its tables")
        report = world.verify()
        assert report.exit_code == 0, report.as_json().decode()
        yield world
    finally:
        world.loader.kill()
        world.loader.wait()


@pytest.fixture(autouse=True)
def short_rechecks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "RECHECK_S", 2.0)
    monkeypatch.setattr(history, "RECHECK_S", 2.0)
    monkeypatch.setattr(money, "RECHECK_S", 2.0)
    monkeypatch.setattr(verify_commands, "LOADER_S", 3.0)


def wrong() -> dict[str, list[str]]:
    """What a verification finds that does not wait long for what will not come."""
    report = run(timeout_s=3)
    assert report.exit_code == 1, report.as_json().decode()
    return {check.name: check.differences for check in report.checks if check.differences}


def check(report: Report, name: str) -> Check:
    return next(check for check in report.checks if check.name == name)


def test_all_is_well_and_every_check_counted_something(world: World) -> None:
    report = world.verify()
    assert report.exit_code == 0
    assert [found.verdict for found in report.checks] == ["ok"] * len(report.checks)
    counted = {found.name for found in report.checks if found.found}
    expected = {
        "cdp.raw.orders/0",
        "cdp.raw.orders/1",
        "table events",
        "table duplicates",
        "table rejected",
        "table profile_changes",
        "table identity_updates",
        "table objects",
    }
    expected |= {"demo: live profiles", "demo: view profiles", "demo: view orders", "demo: objects", "event_* rows"}
    expected |= {"demo: people in live profiles", "demo: people in identity_updates"}
    expected |= {"roll-up events_by_minute", "roll-up rejected_by_minute", "roll-up profiles_newest", "Redis profiles", "Redis identifiers"}
    assert counted == expected


def test_it_holds_while_records_flow(world: World) -> None:
    import threading

    halt = threading.Event()

    def flow() -> None:
        while not halt.is_set():
            world.double.produce(50)
            halt.wait(0.2)  # 250 a second at most: the loader has to be able to keep up, also beside another test

    producer = threading.Thread(target=flow)
    producer.start()
    try:
        report = world.verify()
    finally:
        halt.set()
        producer.join()
    assert report.exit_code == 0, report.as_json().decode()


def test_offsets_without_a_record_are_no_records(world: World) -> None:
    """Replays write to the raw topics in transactions: markers, and records of transactions that came to nothing, occupy offsets."""
    before = check(world.verify(), "cdp.raw.service/1")
    servers: dict[str, str | int] = {"bootstrap.servers": loader.platform().kafka.bootstrap, "log_level": 0}
    writer = Producer({**servers, "transactional.id": "marker"})
    writer.init_transactions(30)
    for commit in (True, False, True, False):
        writer.begin_transaction()
        writer.produce("cdp.raw.service", TICK if commit else b"{}", partition=1)
        writer.flush(10)
        if commit:
            writer.commit_transaction(30)
        else:
            writer.abort_transaction(30)
    report = world.verify()
    assert report.exit_code == 0, report.as_json().decode()
    after = check(report, "cdp.raw.service/1")
    assert (after.expected, after.found) == (before.expected, before.found)
    assert "2 ticks" in after.note


def test_a_field_a_version_a_profile_and_a_key_that_are_wrong_in_redis_are_named(world: World) -> None:
    ids = sorted(profile_of(f"demo|user_id|{number}") for number in range(5))
    keys = [f"cdp:{{{profile}}}:demo" for profile in ids]
    kept = {key: world.redis.hgetall(key) for key in keys}
    world.redis.hset(keys[0], "views_lifetime", "666")
    world.redis.hset(keys[1], "_v", "1001-1")
    world.redis.delete(keys[2])
    world.redis.hdel(keys[3], "rfm_segment")
    world.redis.hset(keys[4], "stranger", "1")
    world.redis.hset("cdp:{ffff}:demo", mapping={"_v": "1-1", "_at": "1", "a": "1"})
    world.redis.set("cdp:id:demo:user_id:stranger", "0:ffff")
    world.redis.set("cdp:id:demo:user_id:3", "0:ffff")
    try:
        found = wrong()
    finally:
        for key, fields in kept.items():
            world.redis.delete(key)
            world.redis.hset(key, mapping=fields)
        world.redis.delete("cdp:{ffff}:demo", "cdp:id:demo:user_id:stranger")
        world.redis.set("cdp:id:demo:user_id:3", f"0:{profile_of('demo|user_id|3')}")
    assert set(found) == {"Redis profiles", "Redis identifiers"}
    lines = found["Redis profiles"]
    assert [line.split(": ", 1)[1].split("1001-")[0] for line in lines[:5]] == [
        "field views_lifetime: differs",
        "Redis has version ",
        "not in Redis",
        "field rfm_segment: missing",
        "field stranger: too much",
    ]
    assert lines[5] == "demo ffff: in Redis, but no change of it is in the topic"
    assert len(lines) == 6
    assert len(found["Redis identifiers"]) == 2
    assert world.verify().exit_code == 0


def test_personal_traits_that_are_missing_stale_too_many_or_left_over_are_named_without_their_values(world: World) -> None:
    gone = merged_away(world)
    ids = sorted(profile_of(f"demo|user_id|{number}") for number in range(5, 9))
    keys = [layout.pii_key("demo", profile) for profile in ids]
    kept = {key: world.redis.hgetall(key) for key in keys}
    assert all(kept.values())
    world.redis.delete(keys[0])
    world.redis.hset(keys[1], "email", '{"value":"sealed:older","conflicts":[]}')
    world.redis.hset(keys[2], "phone", '{"value":"sealed:stranger","conflicts":[]}')
    world.redis.hset(keys[3], "email", "no JSON")
    others = [layout.pii_key("demo", gone), layout.pii_key("demo", "fffe")]
    for key in others:
        world.redis.hset(key, mapping=kept[keys[0]])
    try:
        found = wrong()
    finally:
        world.redis.delete(*keys, *others)
        for key, personal in kept.items():
            world.redis.hset(key, mapping=personal)
    said = ["email: missing", "email: differs", "phone: too much", "email: differs"]
    lines = [f"demo {profile}: personal trait {what}" for profile, what in zip(ids, said, strict=True)]
    lines += [f"demo {gone}: personal trait email: too much", "demo fffe: personal traits in Redis, but no change of it is in the topic"]
    assert found == {"Redis profiles": sorted(lines)}
    assert world.verify().exit_code == 0


def merged_away(world: World) -> str:
    """A profile that another one took over: its id."""
    profile = profile_of("demo|anonymous_id|gone")
    change = {"tenant": "demo", "profile_id": profile, "incarnation": 5, "version": 1, "at": 1_700_000_000_000, "cause": "identity"}
    change |= {"message_id": "", "tags_entered": [], "tags_exited": [], "nodes": {}}
    change |= {"features": orjson.dumps({layout.MERGED_INTO: profile_of("demo|user_id|1")}).decode()}
    world.double.clean.begin_transaction()
    world.double.clean.produce("cdp.profile.changes", clean.encode("profile_change", change))
    world.double.clean.commit_transaction(30)
    world.double.store.write([from_record(clean.decode(clean.encode("profile_change", change)))])
    return profile


def test_rows_lost_doubled_and_foreign_in_clickhouse_are_named(world: World) -> None:
    one = world.clickhouse.rows("SELECT source, partition, offset FROM events ORDER BY offset LIMIT 1")[0]
    one_id = profile_of("demo|user_id|1")
    where = f"source = '{one['source']}' AND partition = {one['partition']} AND offset = {one['offset']}"
    copy = "SELECT * EXCEPT (_ingested_at), now64(3) FROM"
    world.clickhouse.command("INSERT INTO duplicates " + copy + " duplicates LIMIT 1")
    world.clickhouse.command("INSERT INTO events SELECT * REPLACE (999999 AS offset) FROM events LIMIT 1")
    world.clickhouse.command(f"DELETE FROM events WHERE {where}")
    world.clickhouse.command(f"DELETE FROM profile_changes WHERE version = 1 AND profile_id = '{one_id}'")
    world.clickhouse.command("INSERT INTO rejected_by_minute VALUES ('2024-01-01 00:00:00', 'cdp.raw.orders', 'quality_rule', 1)")
    found = wrong()
    position = f"{one['source']}/{one['partition']}@{one['offset']}"
    assert found["table events"][0] == f"{position}: not in ClickHouse"
    assert found["table events"][1].endswith("@999999: in ClickHouse, not in the topic")
    assert len(found["table events"]) == 2
    [twice] = found["table duplicates"]
    assert twice.endswith("more than one row")
    assert found["table profile_changes"] == [f"demo {one_id} version {world.double.incarnation}-1: not in ClickHouse"]
    assert "1 in the roll-up" in found["roll-up rejected_by_minute"][0]


def test_people_and_owners_that_are_others_in_clickhouse_are_named(world: World) -> None:
    world.clickhouse.command(
        "INSERT INTO identity_updates SELECT * REPLACE ('moved' AS what, 'ffff' AS profile_id, 1 AS number) FROM identity_updates LIMIT 1"
    )
    world.clickhouse.command("INSERT INTO objects SELECT * REPLACE (99 AS version, 'demo|user_id|thief' AS node) FROM objects LIMIT 1")
    found = wrong()
    try:
        [moved] = found["demo: people in identity_updates"]
        assert ": of profile ffff, by the link log of " in moved
        [owner] = found["demo: objects"]
        assert "thief" in owner
        assert "demo: people in live profiles" not in found
    finally:
        world.clickhouse.command("DELETE FROM identity_updates WHERE profile_id = 'ffff'")
        world.clickhouse.command("DELETE FROM objects WHERE version = 99")


def test_a_raw_record_that_comes_out_twice_is_named(world: World) -> None:
    event = {
        "tenant": "demo",
        "node": "demo|user_id|1",
        "message_id": "m",
        "source": "cdp.raw.orders",
        "partition": 0,
        "offset": 1,
        "log_time": 1_700_000_000_000,
    }
    world.double.clean.begin_transaction()
    world.double.clean.produce("cdp.duplicates", clean.encode("duplicate", event))
    world.double.clean.produce("cdp.duplicates", clean.encode("duplicate", {**event, "offset": 0}))
    world.double.clean.commit_transaction(30)
    lines = wrong()["cdp.raw.orders/0"]
    assert "offset 1: came out more than once" in lines
    assert "offset 0: came out although it is a tick or not there" in lines or "offset 0: came out more than once" in lines


def test_a_raw_record_that_did_not_come_out_yet_is_unknown_and_one_the_job_claims_to_have_done_is_lost(world: World) -> None:
    from confluent_kafka import Consumer, TopicPartition

    raw = world.double.raw
    raw.produce("cdp.raw.service", orjson.dumps({"lost": 1}), partition=0)
    raw.flush(10)
    report = run(timeout_s=1)
    service = check(report, "cdp.raw.service/0")
    assert service.verdict == "unknown"
    assert "1 not processed yet" in service.note
    group = Consumer({"bootstrap.servers": loader.platform().kafka.bootstrap, "group.id": "cdp-profiles"})
    group.commit(offsets=[TopicPartition("cdp.raw.service", 0, 1)], asynchronous=False)
    group.close()
    assert check(run(timeout_s=1), "cdp.raw.service/0").differences == ["offset 0: came out nowhere"]


def test_an_order_that_readers_understand_differently_is_named(world: World) -> None:
    """What public cases 38 and 39 left in the clean topics before texts were written anew."""
    line = '"products":[{"product_id":"p","quantity":1,"price":10.5}]'
    texts = {
        "o38": f'{{"order_id":"o38",{line},"total":10.5,"trade_no":202611280000123456789}}',
        "o39": f'{{"order_id":"o39",{line},"total":40.0,"total":20.0}}',
    }
    node, profile = "demo|user_id|reader", "00000000000abcde"
    where = {"source": "cdp.raw.orders", "partition": 1, "log_time": 1_700_000_000_000}
    envelope = {"tenant": "demo", "node": node, "profile_id": profile, "type": "track", "name": "Order Completed"}
    envelope |= {"event_time": 1_700_000_000_000, "channel": "web", "late": False, "identifiers": [node], "traits": "{}", "context": "{}"}
    world.double.clean.begin_transaction()
    for number, (order, text) in enumerate(texts.items(), 1):
        event = {**envelope, **where, "offset": 900_000 + number, "seq": number, "message_id": order, "properties": text}
        world.double.clean.produce("cdp.events", clean.encode("event", event))
    fields = {"orders_lifetime": 2, "gross_lifetime": 30.5, "refunded_lifetime": 0.0}
    change = {"tenant": "demo", "profile_id": profile, "incarnation": 5, "version": 1, "at": 1_700_000_000_000, "cause": "event"}
    change |= {"message_id": "o39", "tags_entered": [], "tags_exited": [], "nodes": {node: 2}, "features": orjson.dumps(fields).decode()}
    world.double.clean.produce("cdp.profile.changes", clean.encode("profile_change", change))
    world.double.clean.commit_transaction(30)
    found = wrong()
    assert f"profile {profile}, order o39: 40.00 in the view, 20.00 by its events" in found["demo: view orders"]
    assert "event of cdp.raw.orders/1@900001: cannot be folded (JsonTextError)" in found["demo: view orders"]
    assert "event of cdp.raw.orders/1@900002: properties are not canonical JSON" in found["demo: view orders"]
    mine = f"profile {profile}: 2 orders, gross 30.50, refunded 0.00; by its events 1, 20.00, 0.00"
    assert mine in found["demo: live profiles"]
    assert mine in found["demo: view profiles"]
    assert any("event_order_completed: 1 rows without" in said and "order_id" in said for said in found["event_* rows"])


def test_a_server_that_is_away_makes_the_result_unknown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("operations.topics.ANSWER_TIMEOUT_S", 0.5)
    monkeypatch.setenv("CDP_KAFKA", "127.0.0.1:9")
    loader.platform.cache_clear()
    try:
        report = run(timeout_s=1)
    finally:
        monkeypatch.undo()
        loader.platform.cache_clear()
    assert report.exit_code == 2
    assert "is it running (`cdp status`)?" in report.checks[0].note
