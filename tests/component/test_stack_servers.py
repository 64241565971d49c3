"""The stack's promises about its servers: they come, they come back, and they go, all of them."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest
import redis
import urllib3
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME, KafkaError, Producer

from config import loader, passwords
from sinks.clickhouse import ClickHouse, ClickHouseRefusedError
from stack import board, control, overview, process, settings, topics
from stack import redis as redis_service
from stack.errors import StackError
from stack.settings import PROJECT
from tests.stacks import Stack, _is_loopback, config_copy, eventually, exposed_listeners, kill_nine, read_all

SERVICES = ("kafka", "redis", "clickhouse", "ticker")


@pytest.fixture(scope="module")
def ticking(emptied: Stack) -> Iterator[None]:
    emptied.up(*SERVICES)
    yield
    emptied.mend("kafka", "redis", "clickhouse")


@pytest.fixture
def own(ticking: None, breakable: Stack) -> Stack:
    return breakable


def test_a_second_up_starts_nothing(own: Stack) -> None:
    before = {name: own.state(name).pid for name in SERVICES}
    states = own.up(*SERVICES)
    assert {name: state.pid for name, state in states.items()} == before


def test_nothing_listens_beyond_this_machine(own: Stack) -> None:
    assert exposed_listeners(own.settings.home) == []
    with socket.socket() as mistake:  # the test would see one
        mistake.bind(("0.0.0.0", 0))
        mistake.listen()
        assert not _is_loopback(mistake.getsockname()[0])


def test_the_stores_ask_for_a_password_that_only_its_owner_can_read(own: Stack) -> None:
    url = loader.platform().redis.url
    with pytest.raises(redis.AuthenticationError):
        redis.Redis.from_url(url.replace(url[url.index("//:") + 2 : url.index("@") + 1], "")).ping()
    assert redis.Redis.from_url(url).ping()
    house = loader.platform().clickhouse
    assert ClickHouse(house, database="").rows("SELECT currentUser() AS me") == [{"me": "cdp"}]
    for stranger in (msgspec.structs.replace(house, user="default", password=""), msgspec.structs.replace(house, password="wrong")):
        for statement in ("SELECT * FROM system.databases", "SYSTEM STOP LISTEN HTTP", "CREATE DATABASE theirs"):
            with pytest.raises(ClickHouseRefusedError):
                ClickHouse(stranger, database="").command(statement)
    assert ClickHouse(house, database="").rows("SELECT 1 AS one") == [{"one": 1}]  # a wrong password has not ended it
    for store in passwords.STORES:
        path = passwords.file_of(store, own.settings.home)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        secret = path.read_text()
        assert len(secret) >= 32
        shown = subprocess.run(
            [sys.executable, "-m", "cli.main", "secrets"], cwd=PROJECT, capture_output=True, text=True, check=True
        ).stdout
        assert secret in shown
        told = [word for found in process.belonging_to(own.settings.home).values() for one in found for word in cmdline(one.pid)]
        logs = "".join(log.read_text(errors="replace") for log in own.settings.logs.glob("*.log"))
        assert secret not in " ".join(told) + logs


def cmdline(pid: int) -> list[str]:
    return psutil.Process(pid).cmdline()


def test_a_page_of_another_origin_gets_no_leave_to_ask_clickhouse(own: Stack) -> None:
    address = f"http://127.0.0.1:{own.settings.ports.clickhouse_http}/"
    asked = {
        "Origin": "http://elsewhere.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "X-ClickHouse-Key",
    }
    for method, headers in (("OPTIONS", asked), ("POST", {"Origin": "http://elsewhere.example"})):
        answer = urllib3.request(method, address, headers=headers, body=b"SELECT name FROM system.databases", timeout=5.0, retries=False)
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert b"cdp" not in answer.data.splitlines()


def test_redis_is_supported_and_says_when_it_is_almost_full(own: Stack) -> None:
    client = redis.Redis.from_url(loader.platform().redis.url)
    assert redis_service.warnings(own.settings) == ""
    limit = client.config_get("maxmemory")["maxmemory"]
    assert (int(limit), client.config_get("maxmemory-policy")["maxmemory-policy"]) == (
        own.settings.stack.redis.maxmemory_mb << 20,
        "noeviction",
    )
    try:
        client.config_set("maxmemory", int(client.info("memory")["used_memory"] * 1.1))
        assert "full" in redis_service.warnings(own.settings)
        assert "full" in next(line.detail for line in overview.services(own.settings) if line.service == "redis")
    finally:
        client.config_set("maxmemory", limit)


def test_topics_are_created_with_the_live_clock_and_the_clock_can_be_switched(own: Stack) -> None:
    found = {state.name: state for state in topics.describe(folder=own.settings.data / "kafka")}
    assert all(not state.difference for state in found.values())
    assert found["cdp.raw.orders"].clock == "LogAppendTime"
    assert found["cdp.raw.orders"].size_bytes >= 0
    topics.set_clock("replay")
    assert set(topics.clocks(["cdp.raw.orders", "cdp.raw.clickstream", "cdp.raw.service"]).values()) == {"CreateTime"}
    topics.set_clock("live")
    assert set(topics.clocks(["cdp.raw.orders", "cdp.raw.clickstream", "cdp.raw.service"]).values()) == {"LogAppendTime"}


def test_43_a_producers_clock_of_2100_has_no_effect_and_is_refused_where_the_producers_clock_counts(own: Stack) -> None:
    """Public case 43: one record made all later ones late."""
    refused: list[object] = []
    producer = Producer({"bootstrap.servers": own.settings.kafka})

    def send(value: bytes, at_ms: int) -> None:
        producer.produce(
            "cdp.raw.clickstream", value, partition=0, timestamp=at_ms, on_delivery=lambda error, _: refused.append(error and error.code())
        )
        assert producer.flush(30) == 0

    topics.set_clock("live")
    before_ms = time.time() * 1000
    for at_ms in (4_102_444_800_000, 1, 1_795_856_400_000_000):
        send(b"c43 live", at_ms)
    assert refused == [None] * 3
    stamps = [message.timestamp() for message in read_all("cdp.raw.clickstream") if message.value() == b"c43 live"]
    assert [kind for kind, _ in stamps] == [TIMESTAMP_LOG_APPEND_TIME] * 3
    assert all(before_ms - 60_000 < at_ms < time.time() * 1000 + 60_000 for _, at_ms in stamps)
    topics.set_clock("replay")
    send(b"c43 replay", 4_102_444_800_000)
    assert refused[3:] == [KafkaError.INVALID_TIMESTAMP]
    assert not [message for message in read_all("cdp.raw.clickstream") if message.value() == b"c43 replay"]
    topics.set_clock("live")


def test_the_ticker_ticks_on_the_live_clock_and_never_moves_the_replay_clock(own: Stack) -> None:
    def records() -> int:
        return sum(state.records for state in topics.describe() if state.name.startswith("cdp.raw."))

    def log() -> str:
        return (own.settings.logs / "ticker.log").read_text()

    topics.set_clock("live")
    before = records()
    eventually(lambda: records() >= before + 12, "two ticks in each of six partitions")
    topics.set_clock("replay")
    eventually(lambda: "no topic is on the live clock" in log(), "the ticker saw the replay clock")
    during = records()
    topics.set_clock("live")
    eventually(lambda: records() >= during + 12, "ticks again")
    ticks = read_all("cdp.raw.orders")
    assert {message.value() for message in ticks} == {b'{"type":"tick"}'}
    stray = [message.timestamp() for message in ticks if message.timestamp()[0] != TIMESTAMP_LOG_APPEND_TIME]
    assert all(stamp == (TIMESTAMP_CREATE_TIME, 1) for stamp in stray)


def test_a_topic_that_waits_for_the_others_to_catch_up_in_log_time_is_told(own: Stack) -> None:
    with own.without("ticker"):  # it would tick the new topics before their clock is the producers'
        own.empty()
        topics.set_clock("replay")
    producer = Producer({"bootstrap.servers": own.settings.kafka})
    now_ms = int(time.time() * 1000)

    def tick(at_ms: int, *names: str) -> None:
        for name in names:
            for partition in range(loader.topics().partitions(name)):
                producer.produce(name, b'{"type":"tick"}', partition=partition, timestamp=at_ms)
        assert producer.flush(30) == 0

    tick(now_ms - 40 * 86_400_000, *loader.topics().raw())
    tick(now_ms, "cdp.raw.orders")
    held = {state.name: state.difference for state in topics.describe() if state.difference}
    assert list(held) == ["cdp.raw.orders"]
    assert held["cdp.raw.orders"].startswith("held: 40.0 days of log time ahead of cdp.raw.")
    tick(now_ms, *loader.topics().raw())
    assert not [state.difference for state in topics.describe() if state.difference]
    topics.set_clock("live")


@pytest.mark.parametrize("service", SERVICES)
def test_a_killed_service_is_started_again(own: Stack, service: str) -> None:
    before = own.state(service)
    kill_nine(before.pid)
    eventually(lambda: own.state(service).state == "ready" and own.state(service).pid != before.pid, f"{service} is back", 180.0)
    assert own.state(service).restarts == before.restarts + 1


def test_the_servers_outlive_a_killed_supervisor_and_the_next_up_adopts_them(own: Stack) -> None:
    before = {name: own.state(name).pid for name in SERVICES}
    status = board.live_status(own.settings)
    assert status is not None
    kill_nine(status.supervisor.pid)
    eventually(lambda: board.live_status(own.settings) is None, "the supervisor is gone")
    assert all(process.identify(pid) for pid in before.values())
    states = own.up(*SERVICES)
    assert {name: state.pid for name, state in states.items()} == before


def test_what_died_while_nobody_watched_is_replaced(own: Stack) -> None:
    status = board.live_status(own.settings)
    assert status is not None
    kill_nine(status.supervisor.pid)
    before = own.state("redis").pid
    kill_nine(before)
    eventually(lambda: process.identify(before) is None, "redis is gone")
    assert own.up("redis")["redis"].pid != before


def test_after_a_change_of_configuration_up_replaces_what_has_changed_and_nothing_else(tmp_path: Path) -> None:
    config = config_copy(tmp_path / "config")
    other = Stack(tmp_path / "home", config)
    with other.pointed_at():
        try:
            before = other.up("redis", "clickhouse")
            stray_log = tmp_path / "stray.log"
            env = settings.child_environment(other.settings, "submit-profiles")
            _, stray = process.spawn([sys.executable, "-c", "import time; time.sleep(600)"], env, stray_log, tmp_path / "stray.json")
            file = config / "stack.yaml"
            file.write_text(file.read_text().replace("appendfsync: everysec", "appendfsync: always"))
            after = control.up(settings.load(), ["redis"])
            assert after["redis"].pid != before["redis"].pid
            assert other.state("clickhouse").pid == before["clickhouse"].pid
            assert other.state("clickhouse").state == "ready"
            assert stray.wait(10.0) == -signal.SIGTERM, "an orphaned submission would become a second run of its job"
        finally:
            other.down()


def test_a_port_in_use_is_an_error_that_names_it_and_its_holder(tmp_path: Path) -> None:
    other = Stack(tmp_path / "home")
    with other.pointed_at(), socket.socket() as taken:
        taken.bind(("127.0.0.1", other.settings.ports.redis))
        taken.listen()
        with pytest.raises(StackError) as caught:
            other.up("redis")
    assert f"port {other.settings.ports.redis} (redis) is in use by process {os.getpid()}" in str(caught.value)
    assert "CDP_PORT_REDIS" in caught.value.remedy
    assert process.belonging_to(other.settings.home) == {}


def test_down_leaves_no_process_even_when_the_supervisor_and_the_records_are_gone(tmp_path: Path) -> None:
    other = Stack(tmp_path / "home")
    with other.pointed_at():
        other.up("redis", "clickhouse")
        status = board.live_status(other.settings)
        assert status is not None
        kill_nine(status.supervisor.pid)
        for record in other.settings.run.glob("*.json"):
            record.unlink()
        assert set(process.belonging_to(other.settings.home)) >= {"redis", "clickhouse"}
        assert other.down() >= 2
        assert process.belonging_to(other.settings.home) == {}
        assert other.down() == 0


def test_a_test_that_is_killed_leaves_no_server_behind(tmp_path: Path) -> None:
    code = f"""
import os, pathlib, signal
from tests.stacks import Stack
stack = Stack(pathlib.Path({str(tmp_path)!r}) / "home")
with stack.pointed_at():
    stack.up("redis")
    print(stack.state("redis").pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    said = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    server = int(said.stdout)
    eventually(lambda: process.identify(server) is None and not process.belonging_to(tmp_path / "home"), "all of it is gone", 20.0)


def test_data_survives_down_and_up(tmp_path: Path) -> None:
    other = Stack(tmp_path / "home")
    with other.pointed_at():
        try:
            other.up("redis")
            redis.Redis.from_url(loader.platform().redis.url).set("kept", "yes")
            other.down()
            other.up("redis")
            assert redis.Redis.from_url(loader.platform().redis.url).get("kept") == b"yes"
        finally:
            other.down()


def test_two_ups_at_once_end_with_one_supervisor(tmp_path: Path) -> None:
    other = Stack(tmp_path / "home")
    with other.pointed_at():
        try:
            command = [sys.executable, "-m", "cli.main", "up", "--only", "redis"]
            both = [subprocess.Popen(command, cwd=PROJECT, env=dict(os.environ), stdout=subprocess.DEVNULL) for _ in range(2)]
            assert [child.wait(60) for child in both] == [0, 0]
            eventually(lambda: len(process.belonging_to(other.settings.home)["supervisor"]) == 1, "the second supervisor leaves")
            assert len(process.belonging_to(other.settings.home)["redis"]) == 1
        finally:
            other.down()


def test_a_service_that_always_fails_is_given_up_with_its_reason(tmp_path: Path) -> None:
    other = Stack(tmp_path / "home", config_copy(tmp_path / "config", supervision={"restarts": 2}))
    with other.pointed_at():
        try:
            (other.settings.data).mkdir(parents=True)
            (other.settings.data / "redis").write_text("a file where the folder should be")
            with pytest.raises(StackError, match="redis failed"):
                control.up(other.settings, ["redis"], deadline_s=120.0)
            (other.settings.data / "redis").unlink()
            assert other.up("redis")["redis"].state == "ready"
        finally:
            other.down()
