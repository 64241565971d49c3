"""Job `history` on real servers: killed, frozen, and without ClickHouse, it still makes one row of each record."""

import random
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from confluent_kafka.admin import AdminClient

from cli.audit.history import rollups
from config import loader
from pipelines.history import container
from pipelines.history.group import GROUP
from pipelines.history.schema import ensure_schema
from pipelines.history.tables import TABLES
from schemas import clean
from sinks.clickhouse import ClickHouse, PatientInserts, wait_until_up
from tests.component.pipeline_double import PipelineDouble
from tests.job_process import JobProcess
from tests.stacks import Stack, eventually, kill_nine, read_all

FLOW_S = 30.0
FIRST_MS, SECOND_MS, SECOND_MONTH = 1_262_304_000_000, 1_265_000_000_000, "201002"


@pytest.fixture
def own(emptied: Stack, breakable: Stack) -> Iterator[Stack]:
    yield breakable
    for loader_process in Loader.started:
        loader_process.kill()


class Loader(JobProcess):
    """The job; knows how to be an earlier version that lacks a table."""

    started: ClassVar[list["Loader"]] = []

    def __init__(self, log: Path, instance: str = "0", without: str = "") -> None:
        self.started.append(self)
        earlier = (
            f"from pipelines.history.tables import TABLES; del TABLES['{without}']; from jobs.history import main; raise SystemExit(main())"
        )
        super().__init__("jobs.history", log, ["--instance", instance], program=earlier if without else "")


class Supervised:
    """Starts the job anew when it has given up, as the supervisor of the stack does: ClickHouse may die while a start asks it something."""

    def __init__(self, log: Path) -> None:
        self.log, self.given_up = log, 0
        self.running = Loader(log)

    def look(self) -> None:
        if self.running.process.poll() is not None:
            self.given_up += 1
            assert self.given_up <= 6, self.log.read_text()[-2000:]
            self.running = Loader(self.log)

    def kill(self) -> None:
        self.running.kill()
        self.running = Loader(self.log)


def keys(topic: str) -> Counter[tuple[object, ...]]:
    columns = TABLES[topic].key
    records = [clean.decode(message.value() or b"") for message in read_all(topic)]
    return Counter(tuple(record[column] for column in columns) for record in records)


def rows(server: ClickHouse, topic: str) -> Counter[tuple[object, ...]]:
    columns = ", ".join(TABLES[topic].key)
    found = server.rows(f"SELECT {columns}, count() AS rows FROM {TABLES[topic].name} GROUP BY {columns}")
    return Counter({tuple(value for name, value in row.items() if name != "rows"): int(row["rows"]) for row in found})


def assert_all_there(server: ClickHouse, loaders: "Supervised | None" = None) -> None:
    for topic, table in TABLES.items():
        wanted = keys(topic)
        total = sum(wanted.values())

        def loaded(count: str = f"SELECT count() AS rows FROM {table.name}", total: int = total) -> bool:
            if loaders:
                loaders.look()
            return int(server.rows(count)[0]["rows"]) >= total

        eventually(loaded, f"{total} rows in {table.name}")
        assert rows(server, topic) == wanted
    assert not [check for check in rollups(server) if check.differences]


@pytest.mark.timeout(300)
def test_each_record_becomes_one_row_while_loader_and_clickhouse_are_killed(own: Stack, tmp_path: Path) -> None:
    rng, log = random.Random(11), tmp_path / "loader.log"
    halt = threading.Event()
    double = PipelineDouble(1)

    def flow() -> None:
        while not halt.is_set():
            double.produce(rng.choice([20, 200, 1000]), abort=rng.random() < 0.1)

    producer = threading.Thread(target=flow)
    producer.start()
    loaders = Supervised(log)
    clickhouse_kills = loader_kills = 0
    until = time.monotonic() + FLOW_S
    while time.monotonic() < until:
        time.sleep(rng.uniform(0.2, 2.5))
        # The supervisor starts it again, but not for ever; while it is down it has no process to kill.
        if rng.random() < 0.3 and clickhouse_kills < 6 and (pid := own.state("clickhouse").pid):
            kill_nine(pid)
            clickhouse_kills += 1
        else:
            loaders.kill()
            loader_kills += 1
    halt.set()
    producer.join()
    server = ClickHouse(loader.platform().clickhouse)
    eventually(lambda: server.rows("SELECT 1") or True, "ClickHouse is back")
    assert clickhouse_kills
    assert loader_kills
    assert_all_there(server, loaders)
    assert loaders.running.stop() == 0, log.read_text()[-2000:]


@pytest.mark.timeout(300)
def test_rows_that_a_killed_server_lost_although_it_knows_their_token_are_found_missing(own: Stack) -> None:
    """The moment between noting the token and taking the part in, made long: the part is removed while the server is down."""
    address = loader.platform()
    server, root = ClickHouse(address.clickhouse), ClickHouse(address.clickhouse, database="")
    ensure_schema(server, root, loader.definitions(), loader.identity(), address.tenants)
    inserts = PatientInserts(server)
    first, second = (event_messages(number, 500) for number in (0, 500))
    for name, messages in (("kept", first), ("lost", second)):
        assert inserts.insert("events", container.files_of(messages)[clean.newest("event")], name, lambda: None)
    count = "SELECT count() AS rows FROM events WHERE source = 'mended'"
    assert server.rows(count) == [{"rows": 1000}]
    newest = "SELECT path FROM system.parts WHERE table IN ('events', 'events_by_minute') AND active ORDER BY modification_time, name"
    parts = [Path(row["path"]) for row in server.rows(newest) if f"/{SECOND_MONTH}_" in row["path"]]
    assert parts
    with own.without("clickhouse"):
        for part in parts:
            shutil.rmtree(part)
    wait_until_up(root, 60)
    lost = 1000 - int(server.rows(count)[0]["rows"])
    assert lost
    inserts.insert("events", container.files_of(second)[clean.newest("event")], "lost", lambda: None)
    assert server.rows(count) == [{"rows": 1000 - lost}], "the server takes it for a duplicate"
    assert inserts.mend("events", second, lambda: None) == lost
    assert inserts.mend("events", second, lambda: None) == 0
    assert server.rows(count) == [{"rows": 1000}]
    assert not [check for check in rollups(server) if check.differences]
    server.command("ALTER TABLE events DELETE WHERE source = 'mended'", {"mutations_sync": "2"})
    server.command("ALTER TABLE events_by_minute DELETE WHERE source = 'mended'", {"mutations_sync": "2"})


def event_messages(start: int, count: int) -> list[bytes]:
    """Events of a source of their own; each 500 in a month of their own."""
    at = FIRST_MS if start == 0 else SECOND_MS
    plain = {"tenant": "demo", "node": "n", "profile_id": "p", "type": "track", "name": "A", "channel": "web", "late": False}
    rest = {"properties": "{}", "traits": "{}", "context": "{}", "identifiers": ["n"], "source": "mended", "partition": 0}
    return [
        clean.encode("event", plain | rest | {"seq": n, "message_id": str(n), "event_time": at, "offset": n, "log_time": at + n * 1000})
        for n in range(start, start + count)
    ]


@pytest.mark.timeout(120)
def test_a_frozen_loader_that_wakes_up_beside_its_successor_adds_nothing(own: Stack, tmp_path: Path) -> None:
    double, server = PipelineDouble(2), ClickHouse(loader.platform().clickhouse)
    frozen = Loader(tmp_path / "frozen.log")
    double.produce(300)
    eventually(lambda: "partitions assigned" in (tmp_path / "frozen.log").read_text(), "it owns the partitions")
    double.produce(300)
    frozen.process.send_signal(signal.SIGSTOP)
    double.produce(300)
    successor = Loader(tmp_path / "successor.log")
    assert_all_there(server)
    frozen.process.send_signal(signal.SIGCONT)
    double.produce(300)
    # Which of the two the group prefers depends on whether it had given the frozen one up already: that one then comes back as the newest.
    eventually(lambda: [one.process.poll() for one in (frozen, successor)].count(1) == 1, "one of the two gives way")
    loser, survivor = ("frozen", successor) if frozen.process.poll() == 1 else ("successor", frozen)
    assert "another process runs under this instance's name" in (tmp_path / f"{loser}.log").read_text()
    assert_all_there(server)
    assert survivor.stop() == 0


@pytest.mark.timeout(120)
def test_two_instances_share_the_partitions_and_hand_them_over(own: Stack, tmp_path: Path) -> None:
    double, server = PipelineDouble(3), ClickHouse(loader.platform().clickhouse)
    one, two = Loader(tmp_path / "one.log", "0"), Loader(tmp_path / "two.log", "1")
    for _ in range(10):
        double.produce(200)
    one.kill()
    for _ in range(5):
        double.produce(200)
    assert_all_there(server)
    assert two.stop() == 0


@pytest.mark.timeout(120)
def test_tables_that_were_lost_are_loaded_again_from_the_beginning(own: Stack, tmp_path: Path) -> None:
    platform = loader.platform()
    PipelineDouble(4).produce(300)
    ClickHouse(platform.clickhouse, database="").command(f"DROP DATABASE {platform.clickhouse.database} SYNC")
    running = Loader(tmp_path / "loader.log")
    server = ClickHouse(platform.clickhouse)
    eventually(lambda: server.rows("SELECT count() FROM events"), "the tables are back")
    assert_all_there(server)
    server.command("DROP TABLE events SYNC")  # under a running loader: it ends, and its next start brings the table back
    PipelineDouble(5).produce(300)
    assert running.process.wait(60) == 1
    running = Loader(tmp_path / "loader.log")
    eventually(lambda: server.rows("SELECT count() FROM events"), "the table is back")
    assert_all_there(server)
    assert running.stop() == 0


@pytest.mark.timeout(120)
def test_a_topic_that_an_upgrade_adds_is_read_at_once(own: Stack, tmp_path: Path) -> None:
    double, server = PipelineDouble(6), ClickHouse(loader.platform().clickhouse)
    server.command("DROP TABLE IF EXISTS duplicates SYNC")
    before = Loader(tmp_path / "before.log", without="cdp.duplicates")
    double.produce(300)
    eventually(lambda: rows(server, "cdp.events") == keys("cdp.events"), "the version before loads what it knows")
    assert not server.rows("SELECT 1 AS there FROM system.tables WHERE database = currentDatabase() AND name = 'duplicates'")
    assert before.stop() == 0
    after = Loader(tmp_path / "after.log")
    double.produce(300)
    assert_all_there(server)
    assert after.stop() == 0


@pytest.mark.timeout(120)
def test_a_group_that_kafka_has_forgotten_inserts_nothing_twice(own: Stack, tmp_path: Path) -> None:
    double, server = PipelineDouble(7), ClickHouse(loader.platform().clickhouse)
    running = Loader(tmp_path / "before.log")
    double.produce(300)
    assert_all_there(server)
    running.kill()
    admin = AdminClient({"bootstrap.servers": own.settings.kafka})
    eventually(lambda: admin.delete_consumer_groups([GROUP])[GROUP].result() is None, "the group is deleted, its members gone")
    double.produce(300)
    running = Loader(tmp_path / "after.log")
    assert_all_there(server)
    assert "the consumer group remembers nothing" in (tmp_path / "after.log").read_text()
    assert running.stop() == 0
