"""Kept records through a mended mapping: the same events, under the same ids, as if it had been right when they came."""

import datetime as dt
import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from config.sources import Signature, Source
from importers.cdc.bridge import SCHEMA_DRIFT, configured, load_bridge
from importers.cdc.consumer import Record
from importers.cdc.delivery import Delivery
from importers.mapping import Failed, MappingError, Skipped
from importers.mapping.outcome import INTERNAL, MISSING
from importers.mended import CODES, NO_SOURCE, Mended, Ready
from importers.unmapped import TOPIC, Kept, read, unmapped
from importers.webhooks import Refused, open_source, receive
from stack.settings import PROJECT
from tests.in_process import InProcess
from tests.unit.importers import debezium as db
from tests.unit.importers.debezium import order

TABLE = "erp.public.orders"
ERP = Source(kind="cdc", tenant="demo", topic="cdp.raw.orders", tables={TABLE: "cdc/orders.yaml"}, schema_changes="erp")
SHOP = Source(
    kind="webhook",
    tenant="demo",
    topic="cdp.raw.orders",
    mapping="webhooks/shop.yaml",
    signature=Signature(header="x-key", signs="{body}", secrets=["env:NOBODY_HAS_IT"]),
)
HOOK = """
events:
  - track: Parcel Sent
    identifiers: {user_id: text(body.customer)}
    message_id: "join(':', ['order', text(body.id)])"
    timestamp: parse_time(body.at, 'iso')
    properties: {order_id: text(body.id), total: "%s", currency: "'GBP'"}
"""
SOURCES = {"erp": ERP, "shop": SHOP}
BODY = b'{"id": 7, "customer": 1, "at": "2026-11-01T00:00:00Z", "total": "\\u00a35.00", "kind": "new"}'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Mappings; that of the shop cannot read its totals yet."""
    shutil.copytree(PROJECT / "config" / "mappings", tmp_path / "mappings")
    write_hook(tmp_path / "mappings", "parse_number(body.total)")
    return tmp_path / "mappings"


def write_hook(folder: Path, total: str) -> None:
    (folder / "webhooks" / "shop.yaml").write_text(HOOK % total)


class Log:
    """Stands for Kafka: what was sent, by topic."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes, bytes]] = []

    def send(self, topic: str, key: bytes, value: bytes) -> None:
        self.sent.append((topic, key, value))

    def flush(self) -> None:
        pass

    def kept(self) -> list[Kept]:
        values = [value for topic, _, value in self.sent if topic == TOPIC]
        return [read(0, number, 1000, value) for number, value in enumerate(values)]


def bridged(folder: Path, row: dict[str, Any]) -> Log:
    """What the job makes of a row that is inserted."""
    log = Log()
    value = db.value("c", None, row, db.postgres_source("orders", 100))
    Delivery([load_bridge(configured("erp", ERP), folder)], log, lambda: 0).deliver([Record(TABLE, 1, 42, b'{"order_id": 7}', value)])
    return log


def delivered(folder: Path) -> Kept:
    """What the collector keeps of a genuine delivery."""
    source = open_source("shop", SHOP, folder, {"NOBODY_HAS_IT": "s"})
    source.verifier.refusal = lambda *_: ""  # type: ignore[method-assign]
    found = receive(source, {"Authorization": "secret"}, BODY, dt.datetime.now(dt.UTC))
    assert isinstance(found, Refused)
    return read(0, 0, 1000, found.kept)


def test_what_is_kept_is_read_as_it_was_written() -> None:
    value = unmapped("erp", "demo", {"topic": "t", "partition": 1, "offset": 2}, Failed("value", "f", "r", "personal"), None, b"\xff\x00")
    assert b"personal" not in value
    assert json.loads(value) == {
        "source": "erp", "tenant": "demo", "position": {"topic": "t", "partition": 1, "offset": 2},
        "error": {"code": "value", "field": "f", "rule": "r"}, "key": None, "original": "/wA=",
    }  # fmt: skip
    kept = read(3, 4, 5, value)
    assert (kept.place, kept.at, kept.code, kept.field, kept.rule) == ("cdp.unmapped:3:4", 5, "value", "f", "r")
    assert (kept.source, kept.tenant, kept.key, kept.original) == ("erp", "demo", None, b"\xff\x00")


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b'{"source": "erp"}'])
def test_what_is_no_record_of_ours_does_not_hide_the_others(value: bytes) -> None:
    kept = read(0, 1, 2, value)
    assert (kept.code, kept.source, kept.original) == ("unreadable", "", value)
    found = Mended(SOURCES, Path("nowhere")).become(kept)
    assert isinstance(found, Failed)
    assert found.code == NO_SOURCE


def test_a_change_becomes_the_message_that_it_would_have_been_live(folder: Path) -> None:
    row = order(7, lines=None, rows=json.loads(order(7)["lines"]))
    [kept, *drifts] = sorted(bridged(folder, row).kept(), key=lambda one: one.code == SCHEMA_DRIFT)
    assert kept.code == "missing"
    assert {one.code for one in drifts} <= {SCHEMA_DRIFT}
    still = Mended(SOURCES, folder).become(kept)
    assert isinstance(still, Failed)
    assert (still.code, still.field) == (kept.code, kept.field)
    file = folder / "cdc" / "orders.yaml"
    file.write_text(file.read_text().replace("parse_json(after.lines)", "after.rows"))
    mended = Mended(SOURCES, folder).become(kept)
    assert isinstance(mended, Ready)
    live = [(topic, key, value) for topic, key, value in bridged(folder, row).sent if topic != TOPIC]
    assert [(mended.topic, one.key, one.value) for one in mended.messages] == live
    assert mended.messages[0].envelope["context"]["lineage"]["offset"] == 42
    assert mended.label.startswith("orders@")


def test_a_delivery_needs_neither_signature_nor_secret(folder: Path) -> None:
    kept = delivered(folder)
    assert "secret" not in json.dumps(kept.position)
    assert isinstance(Mended(SOURCES, folder).become(kept), Failed)
    write_hook(folder, "parse_money(body.total)")
    found = Mended(SOURCES, folder).become(kept)
    assert isinstance(found, Ready)
    assert [(one.message_id, one.envelope["properties"]["total"]) for one in found.messages] == [("shop:order:7", 5.0)]
    assert found.messages[0].envelope["context"]["lineage"] == {"body_sha256": kept.position["body_sha256"]}


def test_a_skip_rule_is_one_way_to_mend(folder: Path) -> None:
    kept = delivered(folder)
    file = folder / "webhooks" / "shop.yaml"
    file.write_text("skip: [{when: \"body.kind == 'new'\", reason: not ours}]\n" + file.read_text())
    assert Mended(SOURCES, folder).become(kept) == Skipped("not ours")


def test_a_header_that_was_not_kept_is_not_taken_for_one_that_was_not_there(folder: Path) -> None:
    kept = delivered(folder)
    write_hook(folder, "parse_money(headers.total)")
    found = Mended(SOURCES, folder).become(kept)
    assert isinstance(found, Failed)
    assert (found.code, found.field) == (MISSING, "headers.total")
    write_hook(folder, "parse_number(not_null(headers.total, body.total))")
    absent = delivered(folder)
    assert absent.position["headers"] == {"total": None}
    write_hook(folder, "parse_money(not_null(headers.total, body.total))")
    assert isinstance(Mended(SOURCES, folder).become(absent), Ready)


def test_a_source_or_table_that_is_gone_is_named(folder: Path) -> None:
    change, delivery = bridged(folder, order(7, lines="no JSON")).kept()[0], delivered(folder)
    moved = Source(kind="cdc", tenant="demo", topic="cdp.raw.orders", tables={"erp.public.order": "cdc/orders.yaml"})
    cases: list[tuple[Kept, dict[str, Source], str]] = [
        (change, {"erpx": ERP}, "did you mean `erpx`"),
        (change, {"erp": SHOP}, "`erp` is of kind webhook"),
        (change, {"erp": moved}, "did you mean `erp.public.order`"),
        (delivery, {"shop": ERP}, "`shop` is of kind cdc"),
    ]
    for kept, sources, says in cases:
        found = Mended(sources, folder).become(kept)
        assert isinstance(found, Failed)
        assert found.code == NO_SOURCE
        assert says in found.rule


def test_a_mapping_that_cannot_be_used_is_said_at_once(folder: Path) -> None:
    kept = delivered(folder)
    write_hook(folder, "parse_monney(body.total)")
    with pytest.raises(MappingError, match="parse_monney"):
        Mended(SOURCES, folder).become(kept)


def test_every_code_that_is_kept_can_be_asked_for() -> None:
    from importers.mapping import outcome

    codes = {value for name, value in vars(outcome).items() if name.isupper() and isinstance(value, str)}
    assert INTERNAL in codes
    assert set(CODES) == {*codes, "unavailable", SCHEMA_DRIFT}


def test_a_state_of_a_row_that_is_brought_back_after_a_newer_one_does_not_undo_it() -> None:
    bridge = load_bridge(configured("erp", ERP), PROJECT / "config" / "mappings")
    times = [db.TS_MS + 4 * 3_600_000 + number * 1000 for number in range(4)]  # after the order was placed
    states = [("c", None, order(7)), ("u", order(7), order(7, qty=3)), ("u", order(7, qty=3), order(7, qty=5))]
    cancelled = ("u", order(7, qty=5), order(7, qty=5, status="cancelled"))

    def profile(changes: list[Any], arrival: tuple[int, ...]) -> dict[str, Any]:
        core = InProcess()
        for log_number, number in enumerate(arrival):
            op, before, after = changes[number]
            value = db.value(op, before, after, db.postgres_source("orders", 100 + number, ts_ms=times[number]))
            [message] = bridge.handle(TABLE, 0, number, b'{"order_id": 7}', value).messages
            core.record(message.value, "cdp.raw.orders", 0, log_number, times[-1] + 1000 + log_number)
            assert core.outcomes["cdp.raw.orders", 0, log_number] == "applied"
        [(_, found)] = core.fields()
        return {
            name: found[name]
            for name in ("orders_lifetime", "gross_lifetime", "gross_30d", "first_order_at", "last_order_at", "top_products")
        }

    wanted = profile(states, (0, 1, 2))
    assert (wanted["orders_lifetime"], wanted["gross_lifetime"]) == (1, 12.5)
    for arrival in itertools.permutations(range(3)):
        assert profile(states, arrival) == wanted
    for arrival in itertools.permutations(range(4)):
        assert profile([*states, cancelled], arrival)["orders_lifetime"] == 0
