"""The real Debezium on a real PostgreSQL, end to end: database, Debezium, Kafka, the job `cdc`, raw topic, profile."""

import json
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message
from confluent_kafka.admin import AdminClient, NewTopic

from config import loader
from importers.cdc.bridge import CdcSource, load_bridge
from stack.settings import PROJECT
from tests.debezium_engine import Debezium
from tests.in_process import InProcess
from tests.postgres import Postgres
from tests.stacks import Stack, eventually, kill_nine, read_all

TABLES = """
create table orders (order_id bigint primary key, customer_no text, status text, total numeric(12,2), currency char(3), coupon text,
    lines jsonb, placed_at timestamptz, changed_at timestamptz);
alter table orders replica identity full;
create table customers (customer_no text primary key, first_name text, interests text[], notes text, photo bytea, codes bigint[]);
create table stock (sku text, warehouse text, on_hand int, reserved int, primary key (sku, warehouse));
create function long(n int) returns text language sql volatile as
    'select string_agg(md5(random()::text || g), '''') from generate_series(1, n) g';
create function lines_of(total numeric, name text) returns jsonb language sql as
    'select jsonb_build_array(jsonb_build_object(''sku'', ''MUG'', ''qty'', 1, ''price'', total, ''name'', name))';
create function place(id bigint, total numeric, name text default 'mug') returns void language sql as $$
    insert into orders (order_id, customer_no, status, total, currency, lines, placed_at, changed_at)
    values (id, 'c1', 'paid', total, 'GBP', lines_of(total, name), now() - interval '1 hour', now()) $$;
"""
BEFORE = """
select place(1, 12.50);
insert into customers values ('c1', 'Ada', array[long(300)], long(300), decode(long(300), 'hex'),
    array(select (random() * 1e18)::bigint from generate_series(1, 2000)));
insert into stock values ('MUG', 'W-1', 5, 1);
"""
CHANGES = (
    # An order is changed twice in one transaction: both changes have its time, their order is that of the log.
    "begin; select place(2, 10); update orders set total = 40, lines = lines_of(40, 'mug') where order_id = 2; "
    "update orders set total = 36, lines = lines_of(36, 'mug') where order_id = 2; commit",
    "select place(3, 7, long(2000))",
    "update orders set status = 'packed' where order_id = 3",  # its lines lie outside of the row and are not touched
    "update customers set first_name = 'Ada L.'",  # nor are the customer's
    "select place(4, 100)",
    "delete from orders where order_id = 4",
    "select place(5, 1.25)",
    "update orders set order_id = 6 where order_id = 5",
    "insert into orders values (7, 'c1', 'paid', 9, 'GBP', null, lines_of(9, 'mug'), 'infinity', now())",
    "insert into orders values (8, 'c1', 'paid', 'NaN', 'GBP', null, lines_of(9, 'mug'), now(), now())",
    "truncate stock",
    "alter table orders add column weight numeric",
    "select place(9, 0.5)",
    "alter table orders drop column coupon",
    "select place(10, 123456.78)",
)
MAPPING = """
skip: [{when: "op == 'd' || op == 't'", reason: not looked at}]
events:
  - call: identify
    identifiers: {user_id: after.customer_no}
    timestamp: parse_time(source.ts_ms, 'unix_ms')
    traits: {firstName: after.first_name, FIELD: after.FIELD}
"""
LARGE = ("interests", "notes", "photo", "codes")


class World:
    """A database, two engines on it (with schemas in their records and without), and the bridge, which takes both for one source."""

    def __init__(self, folder: Path, database: Postgres) -> None:
        self.name, self.database = f"erp{uuid.uuid4().hex[:8]}", database
        self.prefixes = [f"{self.name}plain", f"{self.name}typed"]
        self.database.sql(f"create database {self.name}")
        self.sql(TABLES + BEFORE)
        self.topics = [f"{prefix}.public.{table}" for prefix in self.prefixes for table in ("orders", "customers", "stock")]
        aside = [f"{prefix}.transaction" for prefix in self.prefixes] + [f"__debezium-heartbeat.{prefix}" for prefix in self.prefixes]
        admin = AdminClient({"bootstrap.servers": loader.platform().kafka.bootstrap})
        for future in admin.create_topics([NewTopic(topic, 1) for topic in self.topics + aside]).values():
            future.result(15)
        self.engine = Debezium(
            folder / "engine",
            database,
            [
                {
                    "name": prefix, "topic.prefix": prefix, "slot.name": prefix, "publication.name": prefix, "database.dbname": self.name,
                    "converter.schemas.enable": str(prefix.endswith("typed")).lower(),
                }
                for prefix in self.prefixes
            ],
        )  # fmt: skip
        self._folder = folder
        (folder / "customers.yaml").write_text(MAPPING.replace("FIELD", "notes"))
        for name in ("orders", "stock"):
            (folder / f"{name}.yaml").write_text((PROJECT / "config" / "mappings" / "cdc" / f"{name}.yaml").read_text())

    def sql(self, statements: str) -> str:
        return self.database.sql(statements, self.name)

    def captured(self, table: str) -> list[list[dict[str, Any] | None]]:
        """What the engines wrote about a table, each for itself, without schemas."""
        found = []
        for prefix in self.prefixes:
            values = [message.value() for message in read_all(f"{prefix}.public.{table}")]
            loaded = [None if value is None else json.loads(value) for value in values]
            found.append([one.get("payload", one) if one else None for one in loaded])
        return found

    def has_captured(self, table: str, records: int) -> bool:
        self.engine.check()
        return all(len(found) >= records for found in self.captured(table))

    def bridge(self) -> tuple[list[Message], list[dict[str, Any]], str]:
        """Run the bridge until it has answered for the last records; its events, what it could not map, and its log."""
        tables = [part for topic in self.topics for part in ("--table", f"{topic}={topic.rpartition('.')[2]}.yaml")]
        options = ["--source", self.name, "--mappings", str(self._folder), "--instance", self.name, "--decimals", "precise"]
        log = self._folder / "bridge.log"
        with log.open("wb") as file:
            process = subprocess.Popen([sys.executable, "-m", "jobs.cdc", *tables, *options], cwd=PROJECT, stderr=file)
            try:
                eventually(self._is_answered, f"the bridge has answered; see {log}", 90)
                process.terminate()
                assert process.wait(30) == 0, log.read_text()
            finally:
                if process.poll() is None:
                    kill_nine(process.pid)
                process.wait()
        return *self.results(), log.read_text()

    def _is_answered(self) -> bool:
        """Whether the last record of each topic has come out: the order 10, the stock's only one, and the customer that lacks something."""
        events, unmapped = self.results()
        last = [message for message in events if b'"order_id":"10"' in (message.value() or b"")]
        stock = [message for message in events if b'"Stock Level Changed"' in (message.value() or b"")]
        lacking = [one for one in unmapped if one["error"]["code"] == "unavailable"]
        return len(last) >= 2 and len(stock) >= 2 and len(lacking) >= 2

    def results(self) -> tuple[list[Message], list[dict[str, Any]]]:
        """Events of this source, and what it could not map."""
        mark = f'"source":"{self.name}"'.encode()
        events = [message for message in read_all("cdp.raw.orders") if mark in (message.value() or b"")]
        return events, [one for message in read_all("cdp.unmapped") if (one := json.loads(message.value() or b"{}"))["source"] == self.name]


@pytest.fixture(scope="module")
def world(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with Postgres() as database:
        made = World(tmp_path_factory.mktemp("debezium"), database)
        try:
            made.engine.start()
            eventually(lambda: made.has_captured("orders", 1) and made.has_captured("stock", 1), "the snapshot is there", 90)
            for statement in CHANGES[:8]:
                made.sql(statement)
            eventually(lambda: made.has_captured("orders", 13), "changes are there", 60)
            made.engine.kill()
            for statement in CHANGES[8:]:  # while nobody looks
                made.sql(statement)
            made.engine.start()
            eventually(lambda: all(any(_is_last(one) for one in found) for found in made.captured("orders")), "the engine goes on", 90)
            yield made
        finally:
            made.engine.kill()


def _is_last(record: dict[str, Any] | None) -> bool:
    return record is not None and (record["after"] or {}).get("order_id") == 10


def test_orders_arrive_once_and_right_with_schemas_and_without(world: World) -> None:
    events, unmapped, log = world.bridge()
    envelopes = [json.loads(message.value() or b"") for message in events]
    bodies: dict[str, list[str]] = {}
    for envelope in envelopes:
        if str(envelope.get("event")).startswith("Order"):  # the others tell when their snapshot was made, and each engine made its own
            bodies.setdefault(envelope["messageId"], []).append(json.dumps({**envelope, "context": None}, sort_keys=True))
    for message_id, told in bodies.items():
        assert (len(set(told)), len(told) >= 2) == (1, True), f"both engines tell the same of {message_id}: {told}"
    names = Counter(one.get("event") for one in {one["messageId"]: one for one in envelopes}.values())
    # Orders 1 to 6 and 8 to 10: order 7 has no time. Of order 8 Debezium sends null for NaN, so its total is that of its lines.
    expected = {"Order Completed": 9, "Order Updated": 3, "Order Cancelled": 2}
    assert {name: names[name] for name in expected} == expected
    assert names["Stock Level Changed"] in (1, 2), "one, and another if the log went on before the second engine's snapshot"

    changed = [one for one in envelopes if one.get("event") == "Order Updated" and one["properties"]["order_id"] == "2"]
    orders = {one["properties"]["total"]: one["context"]["sourceOrder"] for one in changed}
    assert len({one["timestamp"] for one in changed}) == 1, "of one transaction"
    assert int(orders[36].partition("-")[0]) > int(orders[40].partition("-")[0])
    packed = [one for one in envelopes if one.get("event") == "Order Updated" and one["properties"]["order_id"] == "3"]
    assert all(len(one["properties"]["products"][0]["name"]) == 64_000 for one in packed), "what the update did not touch is in the old row"

    failures = {(one["error"]["code"], one["error"]["field"]) for one in unmapped if one["error"]["code"] != "schema_drift"}
    assert failures == {("unavailable", "after.notes"), ("value", "events[0].timestamp")}
    drifts = {one["error"]["rule"] for one in unmapped if one["error"]["code"] == "schema_drift"}
    assert drifts == {
        "new: `weight` is new; the mapping does not read it",
        "missing: the mapping expects `coupon`, which the table does not have",
    }
    assert '"skipped"' in log, "tombstones and the truncation are counted"

    platform = InProcess()
    for message in events:
        platform.record(message.value(), "cdp.raw.orders", message.partition() or 0, message.offset() or 0, message.timestamp()[1])
    assert set(platform.outcomes.values()) == {"applied", "duplicate"}, platform.outcomes
    (orders_told,) = [fields for _, fields in platform.fields() if fields.get("orders_lifetime")]
    assert orders_told["orders_lifetime"] == 7
    assert orders_told["gross_lifetime"] == pytest.approx(12.5 + 36 + 7 + 1.25 + 9 + 0.5 + 123456.78)


@pytest.mark.parametrize("field", LARGE)
def test_a_large_column_of_any_type_that_was_not_sent_is_never_data(world: World, field: str, tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(MAPPING.replace("FIELD", field))
    topics = [topic for topic in world.topics if topic.endswith(".customers")]
    bridge = load_bridge(CdcSource(name="x", tenant="demo", topic="cdp.raw.orders", tables=dict.fromkeys(topics, "m.yaml")), tmp_path)
    for topic in topics:
        # The second one may be told twice: the engine was killed, and is at-least-once itself.
        first, *others = [bridge.handle(topic, 0, 0, one.key(), one.value()) for one in read_all(topic)]  # type: ignore[arg-type]
        assert len(first.messages) == 1, first.failed
        assert others
        assert {(one.failed.code, one.failed.field) for one in others if one.failed} == {("unavailable", f"after.{field}")}
        assert not any(one.messages for one in others)
