"""Job `quality` on real servers: killed at any moment it measures and judges as if nothing had happened, and what it says arrives."""

import http.server
import json
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import yaml
from confluent_kafka import Consumer, Producer, TopicPartition

from config import loader
from pipelines.quality.closed_minutes import ClosedMinutes
from pipelines.quality.judge import JUDGED
from pipelines.quality.meter import MEASURED, progress
from sinks.clickhouse import ClickHouse
from stack import topics
from stack.settings import PROJECT
from tests.component.quality_data import TOPIC, database, this_minute
from tests.job_process import JobProcess
from tests.simulated_traffic import Drop, Traffic
from tests.stacks import Stack, eventually, read_all

RAW = ("cdp.raw.clickstream", "cdp.raw.orders", "cdp.raw.service")
CLEAN = ("cdp.events", "cdp.duplicates", "cdp.rejected")
FIELDS = {"completeness": ("Product Viewed", "category"), "validity": ("Product Viewed", "price")}


class Hook(http.server.BaseHTTPRequestHandler):
    """A webhook's receiver that refuses the first two posts."""

    taken: ClassVar[list[dict[str, Any]]] = []
    asked: ClassVar[int] = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Hook.asked += 1
        if Hook.asked > 2:
            Hook.taken.append(json.loads(body) | {"key": self.headers["Idempotency-Key"]})
        self.send_response(503 if Hook.asked <= 2 else 204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def hook() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/alerts"
    server.shutdown()


@pytest.fixture(scope="module")
def own(emptied: Stack) -> Iterator[Stack]:
    topics.set_clock("replay")
    yield emptied
    for job in Job.started:
        if job.process.poll() is None:
            job.kill()


@pytest.fixture(scope="module")
def passed_until(own: Stack) -> Any:
    """Makes Kafka look as if everything before a minute had been read and loaded."""
    bootstrap = {"bootstrap.servers": loader.platform().kafka.bootstrap}

    def commit(group: str, topics: tuple[str, ...]) -> None:
        consumer = Consumer({**bootstrap, "group.id": group, "enable.auto.commit": False})
        parts = [
            TopicPartition(topic, number) for topic in topics for number in consumer.list_topics(topic, timeout=10).topics[topic].partitions
        ]
        ends = [TopicPartition(part.topic, part.partition, consumer.get_watermark_offsets(part, timeout=10)[1]) for part in parts]

        def commits() -> bool:
            consumer.commit(offsets=ends, asynchronous=False)
            return True

        eventually(commits, f"the group {group} takes offsets")  # right after its start Kafka is not ready for every group
        consumer.close()

    def pass_until(minute: int) -> None:
        producer = Producer(bootstrap)
        for topic in RAW:
            for number in range(loader.topics().partitions(topic)):
                producer.produce(topic, b'{"type":"tick"}', partition=number, timestamp=minute * 60_000)
        assert producer.flush(20) == 0
        commit("cdp-profiles", RAW)
        commit("cdp-history", CLEAN)

    return pass_until


def test_minutes_close_when_every_raw_partition_has_been_read_past_them_and_loaded(own: Stack, passed_until: Any) -> None:
    base = 25_000_000
    passed_until(base)
    clock = [0.0]
    closed_minutes = ClosedMinutes(loader.platform().kafka.bootstrap, list(RAW), 4.0, clock=lambda: clock[0])
    try:
        assert closed_minutes.look(base - 100) == base - 100, "what was read a moment ago may still be on its way"
        clock[0] += 5
        assert closed_minutes.look(base - 100) == base
        producer = Producer({"bootstrap.servers": loader.platform().kafka.bootstrap})
        for topic in RAW[:2]:
            for number in range(2):
                producer.produce(topic, b'{"type":"tick"}', partition=number, timestamp=(base + 7) * 60_000 + 30_000)
        producer.flush(10)
        for _ in range(3):
            clock[0] += 5
            assert closed_minutes.look(base) == base, "one topic has not passed it, and nobody has read the others"
        passed_until(base + 5)
        closed_minutes.look(base)
        clock[0] += 5
        assert closed_minutes.look(base) == base + 5
        for number in range(30):
            producer.produce("cdp.events", b"x", partition=0, timestamp=(base + 6) * 60_000 + number)
        producer.flush(10)
        passed_until_without_history(base + 9)
        closed_minutes.look(base + 5)
        clock[0] += 5
        assert closed_minutes.look(base + 5) == base + 5, "thirty records are not loaded yet"
        passed_until(base + 9)
        closed_minutes.look(base + 5)
        clock[0] += 5
        assert closed_minutes.look(base + 5) == base + 9
    finally:
        closed_minutes.close()


def passed_until_without_history(minute: int) -> None:
    bootstrap = {"bootstrap.servers": loader.platform().kafka.bootstrap}
    producer = Producer(bootstrap)
    for topic in RAW:
        for number in range(2):
            producer.produce(topic, b'{"type":"tick"}', partition=number, timestamp=minute * 60_000)
    producer.flush(20)
    consumer = Consumer({**bootstrap, "group.id": "cdp-profiles", "enable.auto.commit": False})
    parts = [TopicPartition(topic, number) for topic in RAW for number in range(2)]
    consumer.commit(
        offsets=[TopicPartition(p.topic, p.partition, consumer.get_watermark_offsets(p, timeout=10)[1]) for p in parts], asynchronous=False
    )
    consumer.close()


def load_traffic(server: ClickHouse, traffic: Traffic, first: int, count: int, at: int) -> None:
    """Minutes of simulated traffic as events and rejections, moved so that the first becomes minute `at`."""
    counts: list[str] = []
    leaves = traffic.leaves
    for minute in traffic.minutes(first, count):
        for number, leaf in enumerate(leaves):
            total, complete = int(minute.total[1][number]), int(minute.good[1][number])
            rejected = min(total, round(total * (1 - minute.good[5][number] / max(minute.total[5][number], 1))))
            if total:
                words = ", ".join(f"'{leaf[name]}'" for name in ("origin", "region", "app_version", "platform", "channel"))
                counts.append(
                    f"({(at + minute.number - first) * 60}, {words}, {total - rejected}, {min(complete, total - rejected)}, {rejected})"
                )
    server.command(
        "CREATE TABLE IF NOT EXISTS planned (second Int64, origin String, region String, app_version String, platform String, "
        "channel String, events UInt32, complete UInt32, rejected UInt32) ENGINE = Memory"
    )
    for start in range(0, len(counts), 20_000):
        server.command("INSERT INTO planned VALUES " + ", ".join(counts[start : start + 20_000]))
    said = (
        """concat('{"channel":"', channel, '","app":{"version":"', app_version, '"},"os":{"name":"', platform, """
        """'"},"location":{"region":"', region, '"}}')"""
    )
    when = "fromUnixTimestamp64Milli(second * 1000 + (cityHash64(second, origin, region, app_version, number) % 60000), 'UTC')"
    server.command(f"""INSERT INTO events (tenant, node, type, name, message_id, event_time, source, partition, offset, log_time, channel,
properties, traits, context, origin, _ingested_at)
SELECT 'demo', 'n', 'track', 'Product Viewed', '', {when} AS log_time, '{TOPIC}', 0, rowNumberInAllBlocks(), log_time, channel,
if(number < complete, '{{"product_id":"p","price":1,"category":"c"}}', '{{"product_id":"p","price":1}}'), '{{}}', {said}, origin, log_time
FROM (SELECT *, arrayJoin(range(events)) AS number FROM planned)""")
    server.command(f"""INSERT INTO rejected (source, partition, offset, log_time, code, field, rule, tenant, message_id, original, origin)
SELECT '{TOPIC}', 0, rowNumberInAllBlocks(), {when}, 'quality_rule', '$.properties.price', 'between 0 and 1e+09', 'demo', '',
concat('{{"type":"track","event":"Product Viewed","context":', {said}, '}}'), origin
FROM (SELECT *, arrayJoin(range(rejected)) AS number FROM planned)""")
    server.command("DROP TABLE planned SYNC")


class Job(JobProcess):
    """The job, over a database of its own."""

    started: ClassVar[list["Job"]] = []

    def __init__(self, name: str, config: Path, log: Path) -> None:
        super().__init__("jobs.quality", log, environment={"CDP_CLICKHOUSE_DATABASE": name, "CDP_CONFIG_DIR": str(config)})
        self.started.append(self)


@pytest.fixture
def config(tmp_path: Path, hook: str) -> Path:
    made = tmp_path / "config"
    shutil.copytree(PROJECT / "config", made, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    written = yaml.safe_load((made / "quality.yaml").read_text())
    written["alerts"]["judge_within_hours"] = 1e6
    written["grace_s"] = 0.5
    written["delivery"]["webhooks"] = {
        "duty": {"url": hook, "pause_s": 0.3},
        "nobody": {"url": "http://127.0.0.1:9/", "pause_s": 0.1, "attempts": 3},
    }
    (made / "quality.yaml").write_text(yaml.safe_dump(written))
    return made


def outcome(server: ClickHouse) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Everything the job has said, apart from when and how often it tried."""
    counts = server.rows("SELECT * EXCEPT (version, computed_at) FROM quality FINAL WHERE passed + total > 0 ORDER BY ALL")
    return counts, server.rows("SELECT * EXCEPT (written_at) FROM alerts FINAL ORDER BY opened_at, id, number")


@pytest.mark.timeout(400)
def test_three_drops_are_found_named_and_told_once_though_the_job_is_killed_all_the_time(
    own: Stack, passed_until: Any, config: Path, tmp_path: Path
) -> None:
    minutes, start = 210, 28_417_000
    first = this_minute() - minutes - 30
    drops = (
        Drop(1, {"region": "east"}, 0.6, (start + 80) * 60 + 20, (start + 105) * 60),
        Drop(5, {"origin": "app-ios"}, 0.7, (start + 125) * 60 + 40, (start + 150) * 60),
        Drop(1, {"region": "north", "app_version": "5.4"}, 0.8, (start + 165) * 60 + 5, (start + 185) * 60),
    )
    traffic = Traffic(3, rate=1500, drops=drops)
    calm, harried = database("quality_calm"), database("quality_harried")
    for server in (calm, harried):
        load_traffic(server, traffic, start, minutes, first)
    passed_until(first + minutes)
    quiet = Job("quality_calm", config, tmp_path / "calm.log")
    eventually(lambda: progress(calm, JUDGED) >= first + minutes, "the calm one has judged everything", 120)
    eventually(lambda: not undelivered(calm), "everything is settled", 60)
    assert quiet.stop() == 0, quiet.log.read_text()
    counts, alerts = outcome(calm)

    opened = [row for row in alerts if row["change"] == "opened"]
    told = [(row["measure"], row["field"], {tuple(pair) for pair in json.loads(row["causes"])[0]["slice"]}) for row in opened]
    assert told == [
        ("completeness", "category", {("region", "east")}),
        ("validity", "price", {("origin", "app-ios")}),
        ("completeness", "category", {("region", "north"), ("app_version", "5.4")}),
    ]
    for row, drop in zip(opened, drops, strict=True):
        seconds = calm.rows(f"SELECT toUnixTimestamp(at) AS at FROM alerts WHERE id = '{row['id']}' AND number = 1")[0]["at"]
        assert seconds - (drop.second - start * 60 + first * 60) <= 120, "within two minutes of log time"
    changes = [row["change"] for row in alerts]
    assert changes.count("opened") == changes.count("closed") == 3

    kills = kill_at_every_step(
        harried, config, tmp_path / "harried.log", lambda: progress(harried, JUDGED) >= first + minutes and not undelivered(harried)
    )
    assert kills >= 5
    running = Job("quality_harried", config, tmp_path / "harried.log")
    eventually(lambda: progress(harried, JUDGED) >= first + minutes, "everything is judged", 120)
    eventually(lambda: not undelivered(harried), "everything is settled", 60)
    assert outcome(harried) == (counts, alerts), "as if nothing had happened"
    assert running.stop() == 0

    keys = [f"{row['id']}:{row['number']}" for row in alerts]
    assert {one["key"] for one in Hook.taken} == set(keys)
    topic = [json.loads(message.value() or b"") for message in read_all("cdp.alerts")]
    assert {f"{one['id']}:{one['number']}" for one in topic} == set(keys)
    assert all(one["says"] and one["look"].startswith("cdp quality why ") for one in topic)
    settled = calm.rows("SELECT channel, status, count() AS n, max(attempts) AS most FROM alert_deliveries FINAL GROUP BY 1, 2 ORDER BY 1")
    assert {(row["channel"], row["status"], row["n"]) for row in settled} == {
        ("kafka", "delivered", len(keys)), ("log", "delivered", len(keys)),
        ("webhook:duty", "delivered", len(keys)), ("webhook:nobody", "undelivered", len(keys)),
    }  # fmt: skip
    assert max(row["most"] for row in settled if row["channel"] == "webhook:duty") == 2, "refused at first, then taken"


STEPS = (
    "(SELECT count() FROM quality_facts)", "(SELECT count() > 0 FROM quality)", "(SELECT count() FROM quality_minutes)",
    "(SELECT count() FROM quality_progress)", "(SELECT count() FROM alerts FINAL)", "(SELECT count() FROM alert_deliveries FINAL)",
)  # fmt: skip
"""What the job writes, in the order in which it does."""


def kill_at_every_step(server: ClickHouse, config: Path, log: Path, is_done: Callable[[], bool], most: int = 12) -> int:
    """Run the job and kill it as soon as it has written something new, at most `most` times or until it has nothing more to write."""
    rng, kills = random.Random(5), 0
    seen = server.rows(f"SELECT [{', '.join(STEPS)}] AS steps")[0]["steps"]
    while kills < most:
        job, until = Job(server.database, config, log), time.monotonic() + 40
        while (now := server.rows(f"SELECT [{', '.join(STEPS)}] AS steps")[0]["steps"]) == seen and time.monotonic() < until:
            if is_done():
                break
            time.sleep(rng.uniform(0.01, 0.15))
        job.kill()
        if now == seen:
            return kills
        seen, kills = now, kills + 1
    return kills


def undelivered(server: ClickHouse) -> int:
    rows = server.rows("SELECT (SELECT sum(length(channels)) FROM alerts FINAL) - (SELECT count() FROM alert_deliveries FINAL) AS left")
    return int(rows[0]["left"])


@pytest.mark.timeout(200)
def test_old_minutes_are_measured_without_alerts(own: Stack, passed_until: Any, config: Path, tmp_path: Path) -> None:
    written = yaml.safe_load((config / "quality.yaml").read_text())
    written["alerts"]["judge_within_hours"] = 1
    (config / "quality.yaml").write_text(yaml.safe_dump(written))
    server, first = database("quality_old"), this_minute() - 1000
    load_traffic(server, Traffic(4, rate=300, drops=(Drop(1, {"region": "east"}, 0.9, 28_417_080 * 60),)), 28_417_000, 90, first)
    passed_until(first + 120)
    job = Job("quality_old", config, tmp_path / "old.log")
    eventually(lambda: progress(server, MEASURED) >= first + 120, "everything is measured", 60)
    assert job.stop() == 0, job.log.read_text()
    assert np.sum([row["n"] for row in server.rows("SELECT count() AS n FROM quality")]) > 0
    assert server.rows("SELECT count() AS n FROM alerts") == [{"n": 0}]
