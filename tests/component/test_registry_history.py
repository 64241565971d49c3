"""Clean topics that were begun with ids of the files and went on with a registry's: loaded, and everything adds up."""

import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from cli import registry_commands
from cli.verify_commands import run
from config import loader
from pipelines.history.tables import TABLES
from schemas import clean, registry
from schemas.registry_client import Client
from sinks.clickhouse import ClickHouse
from stack.settings import PROJECT
from tests.component.pipeline_double import PipelineDouble
from tests.registries import using
from tests.registry_server import RegistryServer
from tests.stacks import Stack, eventually, read_all


@pytest.fixture(scope="module")
def server(emptied: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    made = RegistryServer(tmp_path_factory.mktemp("registry") / "home")
    try:
        yield made.start()
    finally:
        made.kill()


@pytest.fixture(scope="module")
def double(emptied: Stack) -> PipelineDouble:
    """One for all tests: what it says of a customer goes on from what it has said, as the log does."""
    return PipelineDouble(1)


def load(log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen([sys.executable, "-m", "jobs.history"], cwd=PROJECT, stderr=output, stdout=output)


def ids(topic: str) -> set[int]:
    return {int.from_bytes((message.value() or b"")[1:5], "big") for message in read_all(topic)}


@pytest.mark.timeout(300)
def test_the_switch_to_a_registry_needs_no_empty_topics(double: PipelineDouble, server: RegistryServer, tmp_path: Path) -> None:
    double.produce(500)
    running: subprocess.Popen[bytes] | None = None
    try:
        with using(server.url) as client:
            assert isinstance(client, Client)
            assert registry_commands._oldest_unmarked(list(TABLES)) == []
            double.produce(500)
            held = next(client.versions("cdp.events-value")).id
            assert ids("cdp.events") == {held, registry.OF_FILES | clean.newest("event").id}
            running = load(tmp_path / "loader.log")
            report = run(timeout_s=60)
            assert report.exit_code == 0, report.as_json().decode() + (tmp_path / "loader.log").read_text()
            names = "SELECT count() AS rows, uniqExact(source, partition, offset) AS places FROM events"
            (counted,) = ClickHouse(loader.platform().clickhouse).rows(names)
            assert counted["rows"] == counted["places"] == len(read_all("cdp.events"))
    finally:
        if running:
            running.kill()
            running.wait()


@pytest.mark.timeout(300)
def test_a_loader_without_the_registry_stops_and_says_why_and_goes_on_with_it(
    double: PipelineDouble, server: RegistryServer, tmp_path: Path
) -> None:
    log = tmp_path / "loader.log"
    with using(server.url):
        double.produce(200)
        server.kill()
        running = load(log)
        assert running.wait(120) == 1
        assert "does not answer" in log.read_text()
        report = run(timeout_s=5)
        assert report.exit_code == 2, report.as_json().decode()
        assert [check.name for check in report.checks if not check.known] == ["schema registry"]
        server.start()
        again = load(log)
        try:
            report = run(timeout_s=60)
            assert report.exit_code == 0, report.as_json().decode() + log.read_text()
        finally:
            again.kill()
            again.wait()
        double.produce(50)
    with using(""):
        assert load(log).wait(60) == 1
    assert "that of a schema registry, and none is configured" in log.read_text()


@pytest.mark.timeout(120)
def test_unmarked_records_of_before_are_found_where_a_registry_would_misread_them(emptied: Stack) -> None:
    marked = clean.encode(
        "link", {"tenant": "t", "a": "a", "b": "b", "message_id": "m", "source": "s", "partition": 0, "log_time": 0, "offset": 1}
    )
    producer = Producer({"bootstrap.servers": loader.platform().kafka.bootstrap})
    before = len(read_all("cdp.pokes"))
    producer.produce("cdp.pokes", struct.pack(">bI", 0, clean.newest("link").id) + marked[5:], partition=0)
    producer.flush(10)
    eventually(lambda: len(read_all("cdp.pokes")) > before, "the record is there")
    assert registry_commands._oldest_unmarked(["cdp.pokes"]) == ["cdp.pokes partition 0 offset 0"]
