"""`cdp unmapped` on a real Kafka: what could not be mapped is seen, mended and brought back once; what still fails stays."""

import base64
import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka import Message, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from cli.rejected.sender import BATCH
from config import loader
from importers.cdc.consumer import GROUP
from importers.mapping import Failed
from importers.unmapped import TOPIC as UNMAPPED
from importers.unmapped import unmapped
from pipelines.history.tables import TABLES, create_table
from sinks.clickhouse import ClickHouse
from stack.settings import PROJECT
from tests.collectors import decoded, running
from tests.component.test_rejected import PAUSING
from tests.stacks import Stack, eventually, kill_nine, read_all
from tests.unit.importers import debezium as db
from tests.unit.importers.debezium import order

RAW = "cdp.raw.orders"
TABLE = "kept.public.orders"
SECRET = "of the shop"
MANY = 500
MINE = ("--source", "kept-erp,kept-shop")
"""Other tests have records in the topic, too."""
COLUMN = ("cdc/orders.yaml", "$each: parse_json(after.lines)", "$each: after.rows")
"""Mends the mapping of the table."""


class World:
    """A configuration with a table and a webhook, and what could not be mapped of them.

    Attributes:
        config: its folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        sources = yaml.safe_load((loader.folder() / "sources.yaml").read_text())
        table = sources["erp"] | {"tables": {TABLE: "cdc/orders.yaml"}}
        self.sources = {"server": sources["server"], "kept-shop": sources["shop-orders"], "kept-erp": table}
        self.bootstrap = loader.platform().kafka.bootstrap
        admin = AdminClient({"bootstrap.servers": self.bootstrap})  # has to outlive its futures
        for future in admin.create_topics([NewTopic(TABLE, 1)]).values():
            future.result(15)
        os.environ["CDP_SHOP_WEBHOOK_SECRET"] = SECRET
        try:
            with running(folder / "hooks", sources=self.sources) as collector:
                self.config = folder / "hooks" / "config"
                for number in (1, 2):
                    body = json.dumps(delivery(number)).encode()
                    signed = base64.b64encode(hmac.new(SECRET.encode(), body, hashlib.sha256).digest()).decode()
                    named = {"X_Shopify_Hmac_Sha256": signed, "X_Shopify_Topic": "orders/create" if number == 1 else "orders/odd"}
                    said = collector.post("/v1/webhooks/kept-shop", body, key="", **named).json()
                    assert said["became"] == "unmapped"
        finally:
            del os.environ["CDP_SHOP_WEBHOOK_SECRET"]

    def bridge(self, rows: list[db.Row], kept: int) -> None:
        """Insert rows into the table and let the job read them, until so many kept records of it are open."""
        producer = Producer({"bootstrap.servers": self.bootstrap})
        for number, after in enumerate(rows):
            source = db.postgres_source("orders", after.pop("lsn", 100 + number))
            producer.produce(TABLE, db.value("c", None, after, source), db.key({"order_id": after["order_id"]}))
        assert producer.flush(30) == 0
        command = [sys.executable, "-m", "jobs.cdc", "--instance", GROUP + "-kept"]
        with (self.folder / "cdc.log").open("ab") as log:
            process = subprocess.Popen(command, cwd=PROJECT, env=self.env(), stderr=log)
        try:
            eventually(lambda: len(self.still_open("kept-erp")) >= kept, "the failures are kept")
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            if process.poll() is None:
                kill_nine(process.pid)
                process.wait(30)

    def env(self, **more: str) -> dict[str, str]:
        return os.environ | {"CDP_CONFIG_DIR": str(self.config), "COLUMNS": "250"} | more

    def cdp(self, *arguments: str, code: int = 0, **more: str) -> str:
        command = [sys.executable, "-m", "cli.main", "unmapped", *arguments]
        done = subprocess.run(
            command, cwd=PROJECT, env=self.env(**more), capture_output=True, text=True, timeout=120, input="", check=False
        )
        assert done.returncode == code, done.stderr + done.stdout
        return done.stdout + done.stderr

    def replay(self, *arguments: str, **more: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.cdp("replay", "--json", "--yes", *arguments, **more))
        return found

    def listed(self, *arguments: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.cdp("list", "--json", "--limit", "10000", *arguments).splitlines()]

    def still_open(self, source: str) -> list[dict[str, Any]]:
        return [one for one in self.listed("--open", "--source", source) if one["code"] != "schema_drift"]

    def mend(self, name: str, old: str, new: str) -> None:
        path = self.config / "mappings" / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def unmend(self) -> None:
        """The mapping of the table as it was."""
        name, old, new = COLUMN
        self.mend(name, new, old)


def delivery(number: int) -> dict[str, Any]:
    lines = [{"sku": "85123A", "title": "Heart", "quantity": 2, "price": "2.55"}]
    customer = {"id": 90 + number, "email": "ada@example.org"}
    at = "2026-11-01T10:00:00+01:00"
    return {
        "id": 9000 + number,
        "created_at": at,
        "currency": "GBP",
        "total_price": "5.10 points",
        "line_items": lines,
        "customer": customer,
    }


def row(number: int, **more: Any) -> db.Row:
    """A row whose lines are in a column that the mapping does not know."""
    made = order(number, **more)
    return made | {"rows": json.loads(made.pop("lines")), "customer_no": f"kept-{number}"}


@pytest.fixture(scope="module")
def world(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("unmapped"))


def sent() -> list[Message]:
    """Raw records that say they were brought back."""
    return [message for message in read_all(RAW) if b'"replay_of":"cdp.unmapped:' in (message.value() or b"")]


def by_id(messages: list[Message]) -> dict[str, dict[str, Any]]:
    found = [json.loads(message.value() or b"") for message in messages]
    ids = {one["messageId"]: one for one in found}
    assert len(ids) == len(found), "nothing was sent twice"
    return ids


def test_what_could_not_be_mapped_is_looked_at_mended_and_brought_back_once(world: World) -> None:
    world.bridge([row(1), row(2), row(3) | {"rows": None}, order(4)], kept=3)
    assert {one["code"] for one in world.listed("--source", "kept-erp")} == {"missing", "schema_drift"}
    [stats] = [one for one in json.loads(world.cdp("stats", "--json")) if (one["source"], one["code"]) == ("kept-erp", "missing")]
    assert (stats["records"], stats["states"]["open"], stats["field"]) == (3, 3, "events[*].properties.products")
    assert stats["first"] <= stats["last"]

    place = world.listed("--source", "kept-shop", "--code", "value")[0]["place"]
    card = world.cdp("show", place.removeprefix("cdp.unmapped:"))
    assert "5.10 points" in card
    assert "ada@example.org" not in card
    assert "ada@example.org" in world.cdp("show", place, "--plain")
    assert "nothing was kept at cdp.unmapped:0:999999" in world.cdp("show", "0:999999", code=1)

    assert world.replay(*MINE, "--dry-run")["records"] == 0, "nothing was mended yet"
    world.mend(*COLUMN)
    world.mend("webhooks/shop_orders.yaml", "parse_money(body.total_price)", "parse_money(replace(body.total_price, ' points', ''))")
    told = world.replay(*MINE, "--dry-run")
    assert (told["records"], told["becoming"], told["sent"]) == (3, {"Order Completed": 3}, 0)
    assert set(told["failing"]) == {"missing at events[0].properties.products", "no_event at events"}
    assert told["drifts"] >= 1
    assert {one["source"] for one in told["examples"]} == {"kept-erp", "kept-shop"}
    assert sent() == []
    refused = world.cdp("replay", *MINE, code=1)
    assert "Send 3 events of 3 records?" in refused
    assert sent() == [], "nothing is sent without a yes"

    told = world.replay("--source", "kept-erp")
    assert (told["sent"], told["records"], told["failing"]) == (2, 2, {"missing at events[0].properties.products": 1})
    assert world.replay(*MINE)["sent"] == 1
    told = world.replay(*MINE)
    assert (told["sent"], told["records"], told["before"]) == (0, 0, 3)

    messages = sent()
    found = by_id(messages)
    # Behind the webhook's id is a digest of what was sold: a change in the same second is another message.
    (created,) = (name for name in found if name.startswith("kept-shop:order:9001:created:"))
    assert found.keys() == {"kept-erp:orders:1:100", "kept-erp:orders:2:101", created}
    lineage = found["kept-erp:orders:2:101"]["context"]["lineage"]
    assert lineage | {"replay_of": ""} == {"topic": TABLE, "partition": 0, "offset": 1, "source_ts": db.TS_MS, "replay_of": ""}
    assert found[created]["context"]["lineage"]["replay_of"] == place
    assert {getattr(decoded(message), "node", "") for message in messages} == {f"demo|user_id|{who}" for who in ("kept-1", "kept-2", "91")}
    assert len(world.still_open("kept-erp")) == 1, "what still fails stays open"
    assert len(world.still_open("kept-shop")) == 1
    states = {one["place"]: one["state"] for one in world.listed(*MINE)}
    assert states[place] == "brought back"
    assert f"brought back to cdp.raw.orders as `{created}` by mapping shop_orders@" in world.cdp("show", place)

    world.mend(
        "webhooks/shop_orders.yaml", "skip:\n", 'skip:\n  - {when: "headers.\\"x-shopify-topic\\" == \'orders/odd\'", reason: odd}\n'
    )
    told = world.replay("--source", "kept-shop")
    assert (told["sent"], told["skipped"], told["noted"]) == (0, {"odd": 1}, 1)
    assert world.still_open("kept-shop") == []
    told = world.replay("--source", "kept-shop")
    assert (told["skipped"], told["noted"]) == ({"odd": 1}, 0), "a skip is not for ever: another mapping may map it"


def test_what_the_platform_would_reject_stays_and_says_so(world: World) -> None:
    known, unknown = "currency: trim(after.currency)", "currency: {$constant: XXX}"
    world.unmend()
    world.bridge([row(5, lsn=200)], kept=2)
    world.mend(*COLUMN)
    world.mend("cdc/orders.yaml", known, unknown)
    told = world.replay("--source", "kept-erp", "--since", "1h")
    assert told["sent"] == 0
    assert [name for name in told["failing"] if name.startswith("quality_rule")]
    world.mend("cdc/orders.yaml", unknown, known)
    assert world.replay("--source", "kept-erp")["sent"] == 1


def test_a_replay_that_is_killed_goes_on_where_it_was(world: World) -> None:
    world.unmend()
    world.bridge([row(number, lsn=number) for number in range(1000, 1000 + MANY)], kept=MANY + 1)
    world.mend(*COLUMN)
    here, there = world.folder / "here", world.folder / "there"
    code = PAUSING.format(commits=1, after=True, here=str(here), there=str(there))
    process = subprocess.Popen([sys.executable, "-c", code, "unmapped", "replay", "--yes", *MINE], cwd=PROJECT, env=world.env())
    try:
        eventually(here.exists, "the replay is in the middle")
    finally:
        kill_nine(process.pid)
        process.wait(30)
    before = by_id(sent()).keys()
    told = world.replay("--source", "kept-erp")
    assert told["sent"] == MANY - BATCH
    assert len(by_id(sent())) == len(before) + told["sent"]
    assert len(world.still_open("kept-erp")) == 1


def test_what_the_source_sent_again_long_ago_is_not_brought_back(world: World) -> None:
    """Its node may have forgotten the ids: ClickHouse is asked, and without it such records stay."""
    database = "kept_long_ago"
    missing = Failed("missing", "events[0].properties.products", "a list")
    producer = Producer({"bootstrap.servers": world.bootstrap})
    ago_ms = int(time.time() * 1000) - 8 * 86_400_000
    for number in (2000, 2001):
        value = db.value("c", None, row(number), db.postgres_source("orders", number))
        position = {"topic": TABLE, "partition": 0, "offset": number}
        record = unmapped("kept-erp", "demo", position, missing, db.key({"order_id": number}), value)
        producer.produce(UNMAPPED, record, timestamp=ago_ms)
    assert producer.flush(30) == 0
    chosen = ("--source", "kept-erp", "--until", "7d")
    told = world.replay(*chosen, CDP_CLICKHOUSE_DATABASE=database)
    assert (told["sent"], told["failing"]) == (0, {"history_away": 2})
    server, root = (ClickHouse(loader.platform().clickhouse, database=name) for name in (database, ""))
    root.command(f"CREATE DATABASE {database}")
    try:
        server.command(create_table(TABLES["cdp.events"]))
        server.command("INSERT INTO events (tenant, message_id) VALUES ('demo', 'kept-erp:orders:2000:2000')")
        told = world.replay(*chosen, CDP_CLICKHOUSE_DATABASE=database)
    finally:
        root.command(f"DROP DATABASE {database}")
    assert (told["sent"], told["records"], told["applied"]) == (1, 1, 1)
    assert [name for name in by_id(sent()) if name.startswith("kept-erp:orders:200")] == ["kept-erp:orders:2001:2001"]
    assert world.replay(*chosen, CDP_CLICKHOUSE_DATABASE=database)["before"] == 2
