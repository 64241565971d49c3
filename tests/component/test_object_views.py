"""Views by object: whose it is, who that is by now, when it came to each stage, and the same money as the fold of `cdp verify`."""

import json
import random
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from cli.audit import money
from cli.audit.evidence import CleanEvidence
from cli.audit.fold import Fold
from cli.audit.money_views import documents_in_views, owners_in_table, reused_ids
from cli.audit.order_events import OrderEvents
from config import loader
from pipelines.history.schema import ensure_schema
from pipelines.ingest.records import event_record
from schemas import clean
from sinks.clickhouse import ClickHouse
from tests.ledger_world import DECIMALS, TENANTS, core, events, platform, written
from tests.stacks import Stack

HISTORIES = 100
WHEN = "2026-01-0{} 00:00:00.000"
DAY_S = 86_400
GUEST, USER = "demo|email|guest", "demo|user_id|user"


@pytest.fixture(scope="module")
def server(stack: Stack) -> Iterator[ClickHouse]:
    made = ClickHouse(loader.platform().clickhouse, database="cdp_objects")
    root = ClickHouse(loader.platform().clickhouse, database="")
    ensure_schema(made, root, loader.definitions(), loader.identity(), platform().tenants)
    yield made
    root.command("DROP DATABASE cdp_objects")


@pytest.fixture(autouse=True)
def _emptied(server: ClickHouse) -> None:
    for table in ("events", "objects", "identity_updates"):
        server.command(f"TRUNCATE TABLE {table}")


def insert(server: ClickHouse, table: str, *rows: Mapping[str, Any]) -> None:
    server.command(f"INSERT INTO {table} FORMAT JSONEachRow " + "\n".join(map(json.dumps, rows)))


def event(name: str, day: int, node: str, about: str, properties: Mapping[str, Any] = {}, **more: Any) -> dict[str, Any]:
    """A row of `events`; a node's first profile is called like it."""
    said = {
        "tenant": "demo",
        "name": name,
        "event_time": WHEN.format(day),
        "log_time": WHEN.format(day),
        "node": node,
        "profile_id": f"of {node}",
    }
    said["message_id"] = f"{name} {day} {node} {about}"
    return said | {"object": about, "properties": json.dumps(properties, separators=(",", ":"))} | more


def owned(key: str, node: str, version: int = 1, **days: int) -> dict[str, Any]:
    """A row of `objects`; stages by the day of January on which they were reached."""
    kind, issuer, number = key.split("|", 2)
    stages = {stage: (1_767_225_600 + (day - 1) * DAY_S) * 1000 for stage, day in days.items()}
    return {
        "tenant": "demo", "kind": kind, "issuer": issuer, "object_id": number, "version": version, "node": node, "stages": stages,
        "log_time": WHEN.format(version),
    }  # fmt: skip


def moved(node: str, before: str, after: str, day: int) -> dict[str, Any]:
    """A row of `identity_updates`."""
    return {
        "tenant": "demo", "epoch": day, "what": "moved", "a": node, "profile_id": after, "other_profile": before,
        "log_time": WHEN.format(day),
    }  # fmt: skip


LINE = {"product_id": "p", "quantity": 2, "price": 10.0}


def test_an_order_is_one_row_of_its_owner_whoever_told_of_it(server: ClickHouse) -> None:
    insert(
        server,
        "events",
        event("Order Completed", 1, GUEST, "order||1", {"order_id": "1", "products": [LINE], "total": 20}),
        event("Payment Completed", 2, USER, "order||1", {"order_id": "1"}),
        event("Order Updated", 3, "", "order||1", {"order_id": "1", "products": [LINE, LINE], "total": 40}),
        event("Order Refunded", 4, "", "order||1", {"order_id": "1", "refund_id": "r", "total": 5, "products": [LINE]}),
        event("Order Refunded", 5, USER, "refund||s", {"refund_id": "s", "total": 7}),
    )
    insert(server, "objects", owned("order||1", GUEST, 1, placed=1), owned("refund||s", USER, 1, refunded=5))
    insert(server, "objects", owned("order||1", USER, 2, placed=1, paid=2), owned("order||1", USER, 3, placed=1, paid=2, refunded=4))
    insert(server, "identity_updates", moved(USER, f"of {USER}", "ann", 6))
    (order,) = server.rows("SELECT * FROM orders")
    assert order | {"node": USER, "profile_id": "ann", "order_id": "1", "issuer": "", "total": 40, "refunded": 5, "net": 35} == order
    assert (order["versions"], order["lines"], order["ordered_at"], order["placed_at"]) == (2, 2, WHEN.format(1), WHEN.format(1))
    times = ("paid_at", "shipped_at", "delivered_at", "returned_at", "refunded_at")
    assert [order[name] for name in times] == [WHEN.format(2), None, None, None, WHEN.format(4)]
    assert [order[name] for name in ("paid_after_s", "shipped_after_s", "delivered_after_s")] == [DAY_S, None, None]
    refunds = server.rows("SELECT refund_id, order_id, node, profile_id, amount FROM refunds ORDER BY refund_id")
    assert refunds == [
        {"refund_id": "r", "order_id": "1", "node": USER, "profile_id": "ann", "amount": 5},
        {"refund_id": "s", "order_id": "", "node": USER, "profile_id": "ann", "amount": 7},
    ]
    for view, lines in (("order_lines", 2), ("refund_lines", 1)):
        rows = server.rows(f"SELECT node, profile_id, issuer FROM {view}")
        assert rows == [{"node": USER, "profile_id": "ann", "issuer": ""}] * lines


def test_two_issuers_orders_of_one_number_are_two_and_a_refund_is_of_its_issuers(server: ClickHouse) -> None:
    order, refund = {"order_id": "1|2", "total": 20}, {"order_id": "1|2", "refund_id": "r", "total": 5}
    insert(
        server,
        "events",
        *(event("Order Completed", 1, USER, key, order) for key in ("order||1|2", "order|shop|1|2")),
        event("Order Refunded", 2, USER, "order|shop|1|2", refund),
    )
    query = "SELECT issuer, order_id, refunded FROM orders ORDER BY issuer"
    assert server.rows(query) == [
        {"issuer": "", "order_id": "1|2", "refunded": 0},
        {"issuer": "shop", "order_id": "1|2", "refunded": 5},
    ]


def test_rows_from_before_there_were_objects_are_told_by_their_properties(server: ClickHouse) -> None:
    """The earliest record that is not late says whose they are."""
    insert(
        server,
        "events",
        event("Order Completed", 1, "demo|user_id|late", "", {"order_id": "1", "total": 1}, late=True),
        event("Order Completed", 2, GUEST, "", {"order_id": "1", "total": 20}),
        event("Order Refunded", 3, USER, "", {"order_id": "1", "refund_id": "r", "total": 5}),
        event("Order Refunded", 3, USER, "", {"refund_id": "s", "total": 6}),
        event("Order Completed", 3, USER, "", {"order_id": "2", "total": 20}),
        event("Order Cancelled", 4, GUEST, "", {"order_id": "2"}),
    )
    (order,) = server.rows("SELECT * FROM orders")
    assert order | {"node": GUEST, "profile_id": f"of {GUEST}", "order_id": "1", "total": 20, "refunded": 5, "paid_at": None} == order
    query = "SELECT refund_id, order_id, node FROM refunds ORDER BY refund_id"
    assert server.rows(query) == [
        {"refund_id": "r", "order_id": "1", "node": GUEST},
        {"refund_id": "s", "order_id": "", "node": USER},
    ]


def test_an_order_that_nobody_owns_is_there_and_of_nobody(server: ClickHouse) -> None:
    insert(server, "events", event("Order Completed", 1, "", "order||1", {"order_id": "1", "total": 20}, profile_id=""))
    insert(server, "objects", owned("order||1", "", placed=1))
    assert server.rows("SELECT node, profile_id, total FROM orders") == [{"node": "", "profile_id": "", "total": 20}]


def test_late_records_count_where_nothing_else_speaks(server: ClickHouse) -> None:
    """And then the node that they name is all that is known of the owner."""
    insert(
        server,
        "events",
        event("Order Completed", 1, USER, "order||1", {"order_id": "1", "total": 20}, late=True),
        event("Order Completed", 2, USER, "order||2", {"order_id": "2", "total": 20}),
        event("Order Updated", 3, USER, "order||2", {"order_id": "2", "total": 30}, late=True),
        event("Order Refunded", 3, USER, "order||2", {"order_id": "2", "refund_id": "r", "total": 3}, late=True),
        event("Order Cancelled", 4, USER, "order||2", {"order_id": "2"}, late=True),
    )
    insert(server, "objects", owned("order||2", USER, placed=2))
    assert server.rows("SELECT order_id, node, total, refunded, late FROM orders ORDER BY order_id") == [
        {"order_id": "1", "node": USER, "total": 20, "refunded": 0, "late": True},
        {"order_id": "2", "node": USER, "total": 20, "refunded": 0, "late": False},
    ]
    assert server.rows("SELECT counts, order_cancelled, late FROM refunds") == [{"counts": False, "order_cancelled": True, "late": True}]


def test_a_ticket_shows_its_owner_its_times_and_the_newest_of_each_field(server: ClickHouse) -> None:
    ticket = {"ticket_id": "t", "category": "delivery", "priority": "low", "channel": "mail", "order_id": "1"}
    insert(
        server,
        "events",
        event("Ticket Opened", 1, GUEST, "ticket||t", ticket),
        event("Ticket Updated", 3, "", "ticket||t", {"ticket_id": "t", "priority": "high", "category": ""}),
        event("Ticket Updated", 2, USER, "ticket||t", {"ticket_id": "t", "priority": "middle", "csat": 2}),
        event("Ticket Closed", 4, "", "ticket||t", {"ticket_id": "t", "resolution_time_s": 60}),
        event("Ticket Closed", 5, "", "ticket||t", {"ticket_id": "t", "category": "late"}, late=True),
    )
    insert(server, "objects", owned("ticket||t", GUEST, 1, opened=1), owned("ticket||t", USER, 2, opened=1, closed=4))
    assert server.rows("SELECT * FROM tickets") == [
        {
            "tenant": "demo", "issuer": "", "ticket_id": "t", "node": USER, "profile_id": f"of {USER}", "opened_at": WHEN.format(1),
            "closed_at": WHEN.format(4), "rated_at": None, "open_s": 3 * DAY_S, "category": "delivery", "channel": "mail",
            "priority": "high", "csat": 2, "resolution_time_s": 60, "order_id": "1", "product_id": "", "updates": 4,
        }
    ]  # fmt: skip


def test_a_lead_shows_its_times_and_how_many_messages_came(server: ClickHouse) -> None:
    insert(
        server,
        "events",
        event("Lead Submitted", 1, GUEST, "lead|crm|l", {"lead_id": "l", "form": "f", "product_id": "p"}),
        event("Lead Messaged", 2, "", "lead|crm|l", {"lead_id": "l", "platform": "x"}),
        event("Lead Messaged", 3, "", "lead|crm|l", {"lead_id": "l", "platform": "y"}),
    )
    insert(server, "objects", owned("lead|crm|l", GUEST, 1, submitted=1), owned("lead|crm|l", GUEST, 2, submitted=1, messaged=2))
    assert server.rows("SELECT * FROM leads") == [
        {
            "tenant": "demo", "issuer": "crm", "lead_id": "l", "node": GUEST, "profile_id": f"of {GUEST}", "submitted_at": WHEN.format(1),
            "messaged_at": WHEN.format(2), "form": "f", "platform": "y", "product_id": "p", "messages": 2,
        }
    ]  # fmt: skip
    (newest,) = server.rows("SELECT * FROM objects_newest")
    assert newest | {"kind": "lead", "issuer": "crm", "object_id": "l", "node": GUEST, "profile_id": f"of {GUEST}", "version": 2} == newest
    assert newest["stages"] == owned("lead|crm|l", GUEST, submitted=1, messaged=2)["stages"]


def test_people_are_counted_as_they_are_known_now_and_as_they_were_known_then(server: ClickHouse) -> None:
    seen = [event("Product Viewed", day, node, "", {}) for day, node in ((1, "a"), (2, "b"), (3, "c"))]
    # The node had heard of its move when this one came, a little before the record by which the graph moved it.
    seen.append(event("Product Viewed", 4, "b", "", {}, log_time="2026-01-03 23:00:00.000", profile_id="of a"))
    insert(server, "events", *seen, event("Shipment Updated", 4, "", "order||1", {}, profile_id=""))
    insert(server, "identity_updates", moved("b", "of b", "of a", 4), moved("c", "of c", "of a", 5), moved("b", "of a", "new", 6))
    people = "SELECT groupUniqArray(person) AS people FROM {} WHERE name = 'Product Viewed'"
    assert set(server.rows(people.format("events_of_people"))[0]["people"]) == {"of a", "new"}
    then = {
        day: set(server.rows(people.format(f"events_of_people_at(at = '2026-01-0{day} 12:00:00')"))[0]["people"]) for day in range(1, 8)
    }
    assert then == {
        1: {"of a"}, 2: {"of a", "of b"}, 3: {"of a", "of b", "of c"}, 4: {"of a", "of c"}, 5: {"of a"}, 6: {"of a", "new"},
        7: {"of a", "new"},
    }  # fmt: skip
    assert server.rows("SELECT person FROM events_of_people WHERE node = ''") == [{"person": ""}]


def shared() -> list[dict[str, Any]]:
    """Random histories, the same each time, in which several people, and nobody, tell of the same orders, some of them late."""
    found: list[dict[str, Any]] = []
    dice = random.Random(7)

    @settings(max_examples=HISTORIES, derandomize=True, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(events())
    def collect(one: list[dict[str, Any]]) -> None:
        made, run = core(), len(found)
        for record in written(one):
            made.record(record.value, record.topic, record.partition, record.offset, record.timestamp_ms)
        for number, applied in enumerate(made.applied):
            row = clean.decode(event_record(applied, "p", number)[1])
            said = json.loads(row["properties"])
            spaces = ("user_id|a", "user_id|b", "email|c", "anonymous_id|d")
            node = dice.choice(["", *(f"{row['tenant']}|{space}{run}" for space in spaces)])
            said |= {name: f"{said[name]}-{run}" for name in ("order_id", "refund_id") if said.get(name)}
            kind = "order" if said.get("order_id") else "refund"
            key = f"{kind}|{dice.choice(['', 'shop'])}|{said[f'{kind}_id']}"
            row |= {"node": node, "object": key, "late": dice.random() < 0.1, "offset": run * 100 + number}
            found.append(row | {"properties": json.dumps(said)})

    collect()
    return found


def test_the_views_say_what_the_fold_of_cdp_verify_says(server: ClickHouse) -> None:
    rows = shared()
    fold = Fold({tenant: DECIMALS[currency] for tenant, currency in TENANTS.items()}, [one.name for one in loader.identity().namespaces])
    for row in rows:
        fold.take(row, json.loads(row["properties"]))
    insert(server, "events", *rows)
    changes = []
    for (tenant, key), told in fold.objects.items():
        changes += [owned(key, "somebody", 1) | {"tenant": tenant}, owned(key, told.owner, 2) | {"tenant": tenant}]
    insert(server, "objects", *changes)
    wanted: dict[tuple[str, str, str], int] = {}
    for (tenant, _), node in fold.nodes().items():
        wanted |= {(tenant, key, ""): minor for key, minor in node.totals().items()}
        wanted |= {(tenant, *refund): minor for refund, minor in node.given_back(fold.units(tenant)).items()}
    assert documents_in_views(server, fold) == wanted
    owners = {key: told.owner for key, told in fold.objects.items() if told.owner}
    assert owners_in_table(server) == owners
    query = "SELECT tenant, concat('order|', issuer, '|', order_id) AS key, node FROM orders WHERE NOT late"
    for row in server.rows(query):
        assert row["node"] == owners.get((row["tenant"], row["key"]), "")
    assert sum(bool(refund) for _, _, refund in wanted) > 50
    assert sum(not refund for _, _, refund in wanted) > 50
    assert len({told.owner for told in fold.objects.values()}) > 20


def message(row: Mapping[str, Any], offset: int) -> bytes:
    """An event as it lies in the topic."""
    rest = {"seq": offset, "type": "track", "source": "cdp.raw.orders", "partition": 0, "offset": offset, "channel": "web", "late": False}
    times = {"event_time": offset, "log_time": offset}
    return clean.encode("event", {"traits": "{}", "context": "{}", "identifiers": [], **rest, **row, **times})


def test_an_owner_that_is_not_the_one_by_the_events_is_named(server: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(money, "RECHECK_S", 0.0)
    rows = [
        event("Order Completed", 1, GUEST, "order||1", {"order_id": "1"}, message_id="m"),
        event("Payment Completed", 2, USER, "order||1", message_id="m"),
        event("Order Completed", 2, GUEST, "order||2", {"order_id": "2"}, message_id="m"),
        event("Order Completed", 2, GUEST, "", {"order_id": "before"}, message_id="m"),
        event("Ticket Opened", 2, USER, "ticket||t", message_id="m"),
        event("Ticket Opened", 2, "", "ticket||of nobody", message_id="m"),
    ]
    insert(server, "events", *rows)
    insert(
        server,
        "objects",
        owned("order||1", GUEST, 1),
        owned("order||2", GUEST, 1),
        owned("ticket||x", USER, 1),
        owned("order||before", USER, 1),
    )
    orders = OrderEvents(platform().tenants)
    for number, row in enumerate(rows):
        orders.take(row["name"], message(row, number))
    checks = {
        check.name: check for check in money.money(server, CleanEvidence([], ["demo"]), orders, platform().tenants, lambda: None, dict)
    }
    assert checks["demo: objects"].differences == [
        f"order||1: owned by {GUEST}, by its events by {USER}",
        f"ticket||t: owned by nobody, by its events by {USER}",
        f"ticket||x: owned by {USER}, by its events by nobody",
    ]
    assert (checks["demo: objects"].expected, checks["demo: objects"].found) == (3, 3)
    assert reused_ids(server) == {"demo": 2}, "each of the two nodes used the id for two objects"
    assert "2 message ids" in checks["demo: objects"].note
    assert checks["demo: view orders"].differences == []
    assert checks["yen: objects"].verdict == "ok"


def test_what_the_loader_has_not_inserted_yet_is_late_and_not_lost(server: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(money, "RECHECK_S", 0.1)
    monkeypatch.setattr(money, "LOADER_S", 0.1)
    orders = OrderEvents(platform().tenants)
    orders.take("Order Completed", message(event("Order Completed", 1, USER, "order||late", {"order_id": "late", "total": 5}), 1))
    clean = CleanEvidence([], ["demo"])
    clean.ends["cdp.objects", 1] = 7
    for loaded, known in ((7, True), (6, False)):
        # Of another partition much more is loaded than there was at the first look: that says nothing of this one.
        done = {("cdp.objects", 0): 10**6, ("cdp.objects", 1): loaded}
        checks = {check.name: check for check in money.money(server, clean, orders, platform().tenants, lambda: None, done.copy)}
        assert [checks[f"demo: {what}"].known for what in ("objects", "view orders")] == [known, known]
        assert bool(checks["demo: objects"].differences) == known
    assert "records of the clean topics are not loaded yet: is job `history` running?" in checks["demo: objects"].note
