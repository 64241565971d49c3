"""`cdp rejected` on real servers: what it finds, what it sends back, and that it sends nothing twice."""

import json
import os
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner, Result

from cli.audit.conservation import conservation
from cli.audit.evidence import POSITIONED, CleanEvidence, RawEvidence
from cli.audit.report import Check
from cli.main import app
from config import loader
from operations.topics import Reader, processed
from pipelines.history.tables import TABLES
from sinks.clickhouse import ClickHouse
from stack import topics
from stack.settings import PROJECT
from stack.topics import set_clock
from tests.component.core_double import GROUP, CoreDouble
from tests.stacks import Stack, eventually, kill_nine, read_all

ORDERS, CLICKS = "cdp.raw.orders", "cdp.raw.clickstream"
STAMP = "2026-01-31T10:00:00Z"
MANY = 900


class World:
    """Servers, the loader, the core, and a producer of raw records."""

    def __init__(self, folder: Path) -> None:
        with (folder / "loader.log").open("ab") as output:
            self.loader = subprocess.Popen([sys.executable, "-m", "jobs.history"], cwd=PROJECT, stderr=output, stdout=output)
        self.folder = folder
        self.core = CoreDouble()
        self.raw = Producer({"bootstrap.servers": loader.platform().kafka.bootstrap, "log_level": 0})
        self.clickhouse = ClickHouse(loader.platform().clickhouse)

    def produce(self, *values: bytes, topic: str = ORDERS) -> None:
        """Write raw records and let them come out."""
        for value in values:
            self.raw.produce(topic, value, partition=len(value) % 2)
        self.raw.flush(30)
        self.settle()

    def settle(self) -> None:
        """Until everything that was written has come out and is loaded."""
        self.core.catch_up()
        written = held(*POSITIONED)
        for topic in POSITIONED:
            count, rows = written[topic], f"SELECT count() AS n FROM {TABLES[topic].name}"
            eventually(lambda count=count, rows=rows: int(self.clickhouse.rows(rows)[0]["n"]) == count, f"{topic} is loaded")  # type: ignore[misc]

    def fix(self, text: str) -> str:
        """A fix file."""
        path = self.folder / "fix.yaml"
        path.write_text(text)
        return str(path)

    def events(self, name: str) -> list[str]:
        """Message ids of the applied events of a name."""
        return [
            row["message_id"] for row in self.clickhouse.rows("SELECT message_id FROM events WHERE name = {name:String}", {"name": name})
        ]


@pytest.fixture(scope="module")
def world(emptied: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("files"))
    try:
        yield world
    finally:
        world.loader.kill()
        world.loader.wait()


def event(name: str, message_id: str, price: float, user: str | None = "u1", **more: Any) -> bytes:
    envelope = {"type": "track", "event": name, "messageId": message_id, "userId": user, "timestamp": STAMP, **more}
    return json.dumps(envelope | {"properties": {"product_id": "p", "price": price}}).encode()


def held(*topics: str) -> Counter[str]:
    """Committed records of topics."""
    counted: Counter[str] = Counter()
    reader = Reader(loader.platform().kafka.bootstrap, topics, lambda topic, _: counted.update([topic]))
    reader.read_on()
    reader.close()
    return counted


def cdp(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["rejected", *arguments], env={"COLUMNS": "200"})


def tallied(*arguments: str) -> dict[str, Any]:
    result = cdp("replay", "--json", *arguments)
    assert result.exit_code == 0, result.output + str(result.exception)
    found: dict[str, Any] = orjson.loads(result.stdout)
    return found


def listed(*arguments: str) -> list[dict[str, Any]]:
    result = cdp("list", "--json", "--limit", "100000", *arguments)
    assert result.exit_code == 0, result.output + str(result.exception)
    return [orjson.loads(line) for line in result.stdout.splitlines()]


def assert_conserved() -> list[Check]:
    """What `cdp verify` says of the raw topics."""
    sources, bootstrap = loader.topics().raw(), loader.platform().kafka.bootstrap
    raw, clean = RawEvidence(sources), CleanEvidence(sources, list(loader.platform().tenants))
    readers = Reader(bootstrap, sources, raw.take), Reader(bootstrap, POSITIONED, clean.take)
    ends = readers[0].ends()
    readers[0].read_to(ends)
    readers[1].read_on()
    for reader in readers:
        reader.close()
    checks = list(conservation(raw, clean, sources, ends, processed(bootstrap, GROUP, list(ends))))
    assert [check.verdict for check in checks] == ["ok"] * len(checks), checks
    return checks


def test_records_are_listed_counted_shown_and_exported(world: World) -> None:
    bad = [event("Product Viewed", f"look-{number}", -1, user="a@example.org") for number in range(3)]
    world.produce(*bad, b"\xff not JSON", b"[1]", json.dumps({"type": "poke", "messageId": "x"}).encode())
    world.produce(event("Product Viewed", "look-9", -1), topic=CLICKS)
    quality = listed("--where", "code = 'quality_rule' and field like '$.properties.%' and log_time > ago(1h)")
    assert {found["message_id"] for found in quality} == {"look-0", "look-1", "look-2", "look-9"}
    assert [found["log_time"] for found in quality] == sorted((found["log_time"] for found in quality), reverse=True)
    assert {found["message_id"] for found in listed("--topic", "clickstream", "--since", "1h")} == {"look-9"}
    assert listed("--until", "1h") == []
    assert len(listed("--code", "payload_format,schema_violation")) == 3
    assert "quality_rule" in cdp("list").output

    [group] = [found for found in orjson.loads(cdp("stats", "--json", "--by", "code,source").stdout) if found["key"]["source"] == CLICKS]
    assert (group["records"], group["key"]["code"], group["hours"][-1]) == (1, "quality_rule", 1)
    assert group["example"] == next(found["position"] for found in quality if found["message_id"] == "look-9")
    assert "100.0%" in cdp("stats", "--by", "tenant", "--code", "quality_rule").output

    place = next(found["position"] for found in quality if found["message_id"] == "look-1")
    shown = cdp("show", place.removeprefix("cdp.raw.")).output
    assert '"price": -1  ◀ 0 to 1e+09' in shown or '"price": -1  ◀' in shown
    assert "not replayed yet" in shown
    assert "a@example.org" not in shown
    assert "a@example.org" in cdp("show", place, "--plain").output
    unreadable = next(
        found["position"] for found in listed() if found["bytes"] == len(b"\xff not JSON") and found["code"] == "payload_format"
    )
    assert "no JSON object: they may hold personal values" in cdp("show", unreadable).output
    assert "ff 20 6e 6f 74" in cdp("show", unreadable, "--plain").output
    assert "was not rejected" in str(cdp("show", "orders:0:999999").exception)

    target = world.folder / "out.jsonl"
    assert cdp("export", "--code", "payload_format,quality_rule", "-o", str(target)).exit_code == 0
    lines = [orjson.loads(line) for line in target.read_bytes().splitlines()]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert Counter("original" in line for line in lines) == {True: 4, False: 1}
    assert {line["original"].encode() for line in lines if "original" in line} == {*bad, event("Product Viewed", "look-9", -1)}
    assert "is there already" in str(cdp("export", "--code", "internal", "-o", str(target)).exception)


def test_the_topic_tells_the_same_as_clickhouse_which_may_be_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.produce(event("Product Viewed", "both-1", -1), event("Product Viewed", "both-2", -2))
    chosen = ("--where", "message_id like 'both-%' or code = 'payload_format'")
    there = listed(*chosen)
    assert len(there) >= 2
    assert listed("--from-topic", *chosen) == there
    monkeypatch.setenv("CDP_CLICKHOUSE_HTTP", "9")
    loader.platform.cache_clear()
    try:
        assert "--from-topic reads the topic instead" in str(cdp("list").exception)
        assert listed("--from-topic", *chosen) == there
        shown = cdp("show", "--from-topic", there[0]["position"]).output
        assert "what became of it is not known" in shown
        assert "is not known without it" in str(cdp("replay", "--code", "quality_rule").exception)
    finally:
        monkeypatch.undo()
        loader.platform.cache_clear()


def test_a_dry_run_tells_what_would_become_of_each_record_and_sends_nothing(world: World) -> None:
    world.produce(
        *(event("Dry Viewed", f"dry-{number}", 1, user=None) for number in range(3)), event("Product Viewed", "dry-9", -1, user=None)
    )
    before = held(ORDERS, CLICKS, "cdp.replays")
    fix = world.fix("{name: who, set: {userId: somebody}}")
    told = tallied("--dry-run", "--where", "message_id like 'dry-%'", "--fix", fix)
    assert told["passing"] == {"Dry Viewed": 3}
    assert told["late"] == 3
    assert told["failing"] == [{"code": "quality_rule", "field": "$.properties.price", "records": 1}]
    assert told["sent"] == 0
    shown = cdp("replay", "--dry-run", "--where", "message_id like 'dry-%'").output
    assert "would fail again" in shown
    assert "identifier_missing at $.userId 4" in shown
    assert held(ORDERS, CLICKS, "cdp.replays") == before


def test_a_fixed_record_is_applied_once_whatever_is_tried_and_everything_adds_up(world: World) -> None:
    chosen = ("--where", "message_id = 'once'")
    world.produce(event("Product Viewed", "once", -1))
    [bad] = listed(*chosen)
    fix = world.fix("{name: price, set: {properties.price: 1}}")
    told = tallied(*chosen)
    assert (told["sent"], told["failing"][0]["code"]) == (0, "quality_rule")
    assert tallied(*chosen, "--fix", fix)["sent"] == 1
    world.settle()
    [applied] = world.clickhouse.rows("SELECT context, source, partition FROM events WHERE message_id = 'once'")
    lineage = orjson.loads(applied["context"])["lineage"]
    assert lineage["replay_of"] == bad["position"]
    assert lineage["fix"].startswith("price@")
    assert (applied["source"], applied["partition"]) == (bad["source"], bad["partition"])

    assert tallied(*chosen, "--fix", fix)["refused"] == {"replayed already": 1}
    assert tallied(*chosen, "--fix", fix, "--again")["sent"] == 1
    world.settle()
    assert world.clickhouse.rows("SELECT count() AS n FROM duplicates WHERE message_id = 'once'") == [{"n": 1}]
    other = world.fix("{name: other, set: {properties.price: 2}}")
    assert tallied(*chosen, "--fix", other, "--again", "--code", "quality_rule")["sent"] == 1
    world.settle()
    assert tallied(*chosen, "--code", "id_conflict")["refused"] == {"another fix was applied": 1}
    assert world.events("Product Viewed").count("once") == 1

    shown = cdp("show", bad["position"]).output
    assert "replayed with fix other@" in shown
    assert [word for word in ("applied", "duplicate", "id_conflict") if word not in shown] == []
    checks = {check.name: check for check in assert_conserved()}
    partition = checks[f"{bad['source']}/{bad['partition']}"]
    newest = max(message.offset() or 0 for message in read_all(bad["source"]) if message.partition() == bad["partition"])
    assert partition.found < newest + 1, "transaction markers lie between the records and are none"


def test_what_fails_again_goes_only_when_asked_for_and_is_replayed_from_there(world: World) -> None:
    world.produce(event("Product Viewed", "twice", -1))
    chosen = ("--where", "message_id = 'twice'")
    assert tallied(*chosen, "--all")["sent"] == 1
    world.settle()
    assert len(listed(*chosen)) == 2
    fix = world.fix("{name: price, set: {properties.price: 1}}")
    told = tallied(*chosen, "--fix", fix)
    assert (told["sent"], told["refused"]) == (1, {"replayed already": 1})
    world.settle()
    assert world.events("Product Viewed").count("twice") == 1


def test_a_limit_goes_on_where_the_last_one_ended(world: World) -> None:
    world.produce(*(event("Limit Viewed", f"limit-{number}", 1, user=None) for number in range(5)))
    chosen = ("--where", "message_id like 'limit-%'", "--fix", world.fix("{name: who, set: {userId: somebody}}"), "--limit", "2")
    assert [tallied(*chosen)["sent"] for _ in range(4)] == [2, 2, 1, 0]
    world.settle()
    assert sorted(world.events("Limit Viewed")) == [f"limit-{number}" for number in range(5)]


PAUSING = """
import sys, time
from pathlib import Path
from cli.rejected import sender

class Pausing(sender.Producer):
    commits = 0
    def commit_transaction(self, *arguments):
        if Pausing.commits == {commits} and not {after}:
            self.flush(30)
            self.pause()
        super().commit_transaction(*arguments)
        Pausing.commits += 1
        if Pausing.commits == {commits} and {after}:
            self.pause()
    def pause(self):
        Path({here!r}).touch()
        while not Path({there!r}).exists():
            time.sleep(0.05)

sender.Producer = Pausing
from cli.main import main
main()
"""


class Paused:
    """A replay in a process of its own that stops before or after its n-th commit, until it is let go or killed."""

    def __init__(self, folder: Path, name: str, commits: int, after: bool, *arguments: str) -> None:
        here, self.go = folder / f"{name}.here", folder / f"{name}.go"
        code = PAUSING.format(commits=commits, after=after, here=str(here), there=str(self.go))
        command = [sys.executable, "-c", code, "rejected", "replay", *arguments]
        self.process = subprocess.Popen(
            command, cwd=PROJECT, env=os.environ.copy(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        eventually(here.exists, "the replay is in the middle")

    def kill(self) -> None:
        kill_nine(self.process.pid)
        self.process.wait(30)


def replays(prefix: str) -> Counter[str]:
    """Committed raw records by the message id that begins with something and whose lineage says they are replays."""
    found: Counter[str] = Counter()
    for message in read_all(CLICKS):
        value = message.value() or b""
        if b'"replay_of"' in value and f'"{prefix}'.encode() in value:
            found[orjson.loads(value)["messageId"]] += 1
    return found


@pytest.mark.parametrize(("commits", "after"), [(0, False), (2, True), (3, False)])
def test_a_replay_that_is_killed_and_run_again_sends_nothing_twice_and_forgets_nothing(world: World, commits: int, after: bool) -> None:
    name = f"killed-{commits}-{after}"
    world.produce(*(event(name, f"{name}-{number}", 1, user=None) for number in range(MANY)), topic=CLICKS)
    chosen = ("--where", f"message_id like '{name}-%'", "--fix", world.fix("{name: who, set: {userId: somebody}}"))
    Paused(world.folder, name, commits, after, *chosen).kill()
    sent = sum(replays(name).values()) if after else commits * 200
    told = tallied(*chosen)
    assert (told["sent"], told["refused"].get("replayed already", 0)) == (MANY - sent, sent)
    assert replays(name) == {f"{name}-{number}": 1 for number in range(MANY)}
    assert len([message for message in read_all("cdp.replays") if f'"{name}-'.encode() in (message.value() or b"")]) == MANY
    world.settle()
    assert sorted(world.events(name)) == sorted(f"{name}-{number}" for number in range(MANY))
    assert_conserved()


def test_a_second_replay_puts_an_end_to_the_first_and_nothing_goes_twice(world: World) -> None:
    world.produce(*(event("Fenced", f"fenced-{number}", 1, user=None) for number in range(MANY)), topic=CLICKS)
    chosen = ("--where", "message_id like 'fenced-%'", "--fix", world.fix("{name: who, set: {userId: somebody}}"))
    first = Paused(world.folder, "fenced", 1, False, *chosen)
    told = tallied(*chosen)
    assert told["sent"] == MANY - 200
    first.go.touch()
    _, said = first.process.communicate(timeout=60)
    assert first.process.returncode == 1
    assert "another `cdp rejected replay` of tenant demo has begun" in said
    assert replays("fenced") == {f"fenced-{number}": 1 for number in range(MANY)}
    world.settle()
    assert_conserved()


def place_ahead(topic: str, value: bytes, partition: int, at_ms: int) -> None:
    """Write a record of the future as soon as it is let pass: a broker confirms new settings of a topic a moment before they act."""
    producer = Producer({"bootstrap.servers": loader.platform().kafka.bootstrap})

    def is_taken() -> bool:
        errors: list[object] = []
        producer.produce(topic, value, partition=partition, timestamp=at_ms, on_delivery=lambda error, _: errors.append(error))
        producer.flush(10.0)
        return errors == [None]

    eventually(is_taken, f"{topic} takes a record of {at_ms}")


def test_on_the_producers_clock_a_replay_does_not_move_the_logs_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last test of this stack: its log goes on in 2030, which the broker has to let pass."""
    far_ms = 1_900_000_000_000
    monkeypatch.setattr(topics, "_ahead_ms", lambda: str(2**62))
    set_clock("replay")
    stamp = {"timestamp": "2030-03-17T17:46:40Z"}
    place_ahead(ORDERS, event("Product Viewed", "clock-1", -1, **stamp), 0, far_ms)
    place_ahead(CLICKS, event("Product Viewed", "clock-2", 1, **stamp), 1, far_ms + 5000)
    world.produce()
    assert [found["message_id"] for found in listed("--since", "10s")] == ["clock-1"], "ago is reckoned from the newest record of the log"
    fix = world.fix("{name: price, set: {properties.price: 1}}")
    assert tallied("--where", "message_id = 'clock-1'", "--fix", fix)["sent"] == 1
    [sent] = [
        message for message in read_all(ORDERS) if b'"replay_of"' in (message.value() or b"") and b'"clock-1"' in (message.value() or b"")
    ]
    assert sent.timestamp()[1] == far_ms + 5000
    world.settle()
    assert world.events("Product Viewed").count("clock-1") == 1
