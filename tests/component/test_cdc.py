"""The bridge on a real Kafka: Debezium's records become events once by their ids, whatever kills it."""

import json
import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from config import loader
from importers.cdc.consumer import GROUP
from stack.settings import PROJECT
from tests.stacks import Stack, eventually, kill_nine, read_all
from tests.unit.importers import debezium as db
from tests.unit.importers.debezium import order, ticket

ORDERS = 1000


class Erp:
    """Two databases behind Debezium: topics of their own, records in the order of the log."""

    def __init__(self) -> None:
        name = f"erp{uuid.uuid4().hex[:8]}"
        self.name = name
        self.orders, self.tickets, self.schema_changes = f"{name}.public.orders", f"{name}.desk.tickets", name
        bootstrap = loader.platform().kafka.bootstrap
        admin = AdminClient({"bootstrap.servers": bootstrap})
        topics = [NewTopic(self.orders, 2), NewTopic(self.tickets, 1), NewTopic(self.schema_changes, 1)]
        for future in admin.create_topics(topics).values():
            future.result(15)
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5})
        self._lsn = 1000

    def write(self, topic: str, key: bytes | None, value: bytes | None) -> None:
        self._producer.produce(topic, value, key)
        self._producer.poll(0)

    def change(self, op: str, before: db.Row | None, after: db.Row | None) -> str:
        """Write a change of an order; the id of the message that it must become."""
        self._lsn += 1
        row = after or before
        assert row is not None
        source = db.postgres_source("orders", self._lsn)
        self.write(self.orders, db.key({"order_id": row["order_id"]}), db.value(op, before, after, source))
        return f"{self.name}:orders:{row['order_id']}:{self._lsn}"

    def flush(self) -> None:
        assert self._producer.flush(30) == 0

    def command(self) -> list[str]:
        tables = ["--table", f"{self.orders}=cdc/orders.yaml", "--table", f"{self.tickets}=cdc/tickets.yaml"]
        return [
            sys.executable,
            "-m",
            "jobs.cdc",
            "--source",
            self.name,
            *tables,
            "--schema-changes",
            self.schema_changes,
            "--instance",
            self.name,
        ]

    def messages(self) -> list[bytes]:
        mark = f'"source":"{self.name}"'.encode()
        return [value for message in read_all("cdp.raw.orders") if (value := message.value()) and mark in value]

    def ids(self) -> Counter[str]:
        return Counter(json.loads(value)["messageId"] for value in self.messages())

    def unmapped(self) -> list[dict[str, object]]:
        found = [json.loads(message.value() or b"{}") for message in read_all("cdp.unmapped")]
        return [one for one in found if one["source"] == self.name]


@contextmanager
def bridging(erp: Erp, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as file:
        process = subprocess.Popen(erp.command(), cwd=PROJECT, stderr=file)
        try:
            yield process
        finally:
            if process.poll() is None:
                kill_nine(process.pid)
            process.wait()


@pytest.fixture
def erp(stack: Stack) -> Erp:
    return Erp()


def change_often(erp: Erp, number: int) -> list[str]:
    """An order is placed, and some are changed or deleted later."""
    made = [erp.change("c", None, order(number))]
    if number % 3 == 0:
        made.append(erp.change("u", order(number), order(number, qty=3)))
    if number % 5 == 0:
        made.append(erp.change("d", order(number), None))
        erp.write(erp.orders, db.key({"order_id": number}), None)
    return made


def test_a_killed_bridge_goes_on_and_every_change_is_there_by_its_id(erp: Erp, tmp_path: Path) -> None:
    expected: list[str] = []
    log = tmp_path / "cdc.log"
    for turn in range(4):
        for number in range(turn * ORDERS, (turn + 1) * ORDERS):
            expected += change_often(erp, number)
        erp.flush()
        before = len(erp.ids())
        with bridging(erp, log) as process:
            eventually(lambda before=before: len(erp.ids()) > before, "the bridge writes", 60)
            assert process.poll() is None, log.read_text()
    with bridging(erp, log) as process:
        eventually(lambda: erp.ids().keys() >= set(expected), "all changes are there", 120)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, log.read_text()
    found = erp.ids()
    assert found.keys() == set(expected)
    assert sum(found.values()) - len(found) <= 4 * 500, "more than the batches in hand came again"
    assert erp.unmapped() == []
    bodies: dict[str, set[str]] = {}
    for value in erp.messages():
        envelope = json.loads(value)
        bodies.setdefault(envelope["messageId"], set()).add(json.dumps({**envelope, "context": None}, sort_keys=True))
    assert all(len(same) == 1 for same in bodies.values()), "a repetition has the body of the first, so it is a duplicate and no conflict"


def test_what_cannot_be_mapped_and_what_drifts_is_kept_and_the_rest_goes_on(erp: Erp, tmp_path: Path) -> None:
    good = erp.change("c", None, order(1))
    erp.change("c", None, order(2, lines="Ada.Example@example.org"))
    erp.write(erp.orders, b"{}", b"\x00\x00\x00\x00\x01avro")
    erp.change("c", None, {name: value for name, value in order(3).items() if name != "lines"})
    columns = {name: "VARCHAR" for name in ticket(1) if name != "prio"}
    erp.write(erp.schema_changes, b"{}", db.schema_change("tickets", columns, "ALTER TABLE tickets DROP prio"))
    opened = db.value("c", None, ticket(5), db.mysql_source("tickets", 400))
    erp.write(erp.tickets, db.key({"id": 5}), opened)
    erp.flush()
    log = tmp_path / "cdc.log"
    with bridging(erp, log) as process:
        # Another batch after the first, so that what is told once is seen to be told once.
        eventually(lambda: len(erp.ids()) >= 2 and len(erp.unmapped()) >= 5, "events and failures are there", 60)
        late = erp.change("c", None, {name: value for name, value in order(4).items() if name != "lines"})
        last = erp.change("c", None, order(5))
        erp.flush()
        eventually(lambda: last in erp.ids(), "the bridge goes on", 60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    tickets = [one for one in erp.ids() if ":tickets:" in one]
    assert erp.ids().keys() == {good, last, *tickets}
    assert tickets == [f"{erp.name}:tickets:5:binlog.000007-400-0"]
    assert late not in erp.ids()
    codes = Counter((str(one["error"]["code"]), str(one["error"]["field"])) for one in erp.unmapped())  # type: ignore[index]
    assert codes == {
        ("value", "events[0].properties.products"): 1,
        ("unreadable", ""): 1,
        ("missing", "events[0].properties.products"): 2,
        ("schema_drift", "lines"): 1,
        ("schema_drift", ""): 1,
    }
    text = log.read_text()
    assert "ALTER TABLE tickets DROP prio" in text
    assert '"freshness_s": {"orders"' in text
    assert "example.org" not in text


def test_a_group_that_kafka_has_forgotten_sends_nothing_twice(erp: Erp, tmp_path: Path) -> None:
    log = tmp_path / "cdc.log"

    def bridge_to_the_end(expected: set[str]) -> None:
        with bridging(erp, log) as process:
            eventually(lambda: erp.ids().keys() >= expected, "all changes are there", 60)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0, log.read_text()

    expected = {erp.change("c", None, order(number)) for number in range(50)}
    erp.flush()
    bridge_to_the_end(expected)
    admin = AdminClient({"bootstrap.servers": loader.platform().kafka.bootstrap})
    eventually(lambda: admin.delete_consumer_groups([GROUP])[GROUP].result() is None, "the group is deleted, its members gone", 60)
    expected |= {erp.change("c", None, order(number)) for number in range(50, 60)}
    erp.flush()
    bridge_to_the_end(expected)
    assert set(erp.ids().values()) == {1}
    assert "the group remembers -1, going on from" in log.read_text()


def test_a_bridge_without_sources_waits_and_stops_when_asked(stack: Stack) -> None:
    process = subprocess.Popen([sys.executable, "-m", "jobs.cdc"], cwd=PROJECT, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert "nothing to do" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        if process.poll() is None:
            kill_nine(process.pid)
        process.wait()


def test_a_topic_can_be_looked_at_before_there_is_a_mapping(erp: Erp) -> None:
    for number in range(60):
        erp.change("c", None, order(number))
    erp.write(erp.orders, db.key({"order_id": 1}), None)
    erp.write(erp.orders, None, b"no JSON")
    erp.flush()
    command = [sys.executable, "-m", "cli.main", "source", "profile", erp.orders, "--json"]
    said = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=True)
    found = json.loads(said.stdout)
    assert (found["rows"], found["unreadable"], found["whole"]) == (60, 1, True)
    assert found["identifiers"] == {"customer_no": "user_id"}
    assert "order_id" in {key["field"] for key in found["keys"]}
    lines = next(field for field in found["fields"] if field["name"] == "lines")
    assert lines["kind"] == "text:json"
    missing = subprocess.run([*command[:5], "no.such.topic"], cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False)
    assert missing.returncode == 1
    assert "there is neither a file nor a topic `no.such.topic`" in missing.stderr
