"""The generated statements measure what docs/quality.md says, on a real ClickHouse, against plain Python over the same rows."""

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from config import loader
from config import quality as settings
from config.quality import Quality
from config.sources import Source
from pipelines.ingest.checks import TOTAL_FLAG
from pipelines.quality import plan as plans
from pipelines.quality.meter import Meter
from pipelines.quality.plan import Plan
from pipelines.quality.sql import during
from schemas import contracts, event_avro
from sinks.clickhouse import ClickHouse
from tests.component.quality_data import TOPIC, database, duplicate, event, insert, measured, rejection, this_minute
from tests.stacks import Stack

CONFIG: dict[str, Any] = {
    "goals": {"completeness": 90},
    "expected": {"Product Viewed": ["price", "context.campaign.source"], "Store Visited": ["dwell_s"]},
    "dimensions": {
        "region": ["context.location.region", "context.location.country", "properties.region"],
        "app_version": ["context.app.version"],
        "platform": ["context.os.name"],
    },
    "freshness": [{"seconds": 5}, {"origin": "erp", "event": "Product Viewed", "seconds": 0}],
    "visible_within_s": 3,
    "values_per_dimension": 6,
    "consistency": {
        "within": [
            {"name": "sum", "event": "Order Completed", "unless": ["coupon"],
             "holds": "abs(total - sum(products.price * products.quantity)) <= 0.01"},
            {"name": "small", "event": "Order Completed", "holds": "count(products) <= 2 or total > 100"},
        ],
        "between": [
            {"name": "known", "event": "Order Completed", "told_by": {"origin": "web-shop"}, "known_to": {"origin": "erp"},
             "key": "order_id", "same": ["total"], "tolerance": 0.01, "within_minutes": 2},
        ],
    },
    "accuracy": [
        {"event": "Order Completed", "field": "total", "of": {"origin": "web-shop"}, "reference": {"origin": "erp"}, "key": "order_id",
         "tolerance": 0.01, "within_minutes": 2},
    ],
}  # fmt: skip
SOURCES = {
    "web-shop": Source(kind="http", tenant="demo", topic=TOPIC),
    "erp": Source(kind="cdc", tenant="demo", topic=TOPIC, freshness_s=2),
}
DIMENSIONS = ("origin", "region", "app_version", "platform", "channel")


@pytest.fixture(scope="module")
def made(stack: Stack) -> Iterator[ClickHouse]:
    made = database("quality_measures")
    yield made
    made.command("DROP DATABASE quality_measures SYNC")


@pytest.fixture
def server(made: ClickHouse) -> ClickHouse:
    """A database with nothing in its tables."""
    names = f"SELECT name FROM system.tables WHERE database = '{made.database}' AND engine LIKE '%MergeTree'"
    for row in made.rows(names):
        made.command(f"TRUNCATE TABLE {row['name']} SYNC")
    return made


def made_plan(**changes: Any) -> Plan:
    quality = msgspec.convert(CONFIG | changes, Quality)
    assert not list(settings.mistakes(quality, contracts.load(), SOURCES, loader.topics()))
    return plans.make(quality, contracts.load(), SOURCES)


def wire_id(event: str) -> bytes:
    return next(number for number, schema in event_avro.known().items() if schema["cdp.event"] == event).to_bytes(4, "big")


def measure_all(server: ClickHouse, plan: Plan, first: int, end: int) -> Meter:
    meter = Meter(server, plan, "demo")
    meter.end = first
    while meter.next(end):
        pass
    return meter


def random_events(rng: random.Random, minute: int, count: int) -> list[dict[str, Any]]:
    found = []
    for number in range(count):
        name = rng.choice(["Product Viewed", "Product Viewed", "Order Completed", "Store Visited", "Something Else"])
        properties: dict[str, Any] = {
            "product_id": rng.choice(["p", "p", "", None]), "price": rng.choice([0, 1.5, None]), "region": rng.choice(["", "r9"]),
            "order_id": f"o{number}", "total": rng.choice([6, 6.004, 7, 120.0, None]), "coupon": rng.choice([None, "", "c"]),
            "products": rng.choice([[], [{"price": 2, "quantity": 3}], [{"price": 2, "quantity": 3}] * 3, [{"price": 2}]]),
            "store_id": "s", "dwell_s": rng.choice([0, None, [], {}, False]),
        }  # fmt: skip
        for label in rng.sample(sorted(properties), rng.randrange(4)):
            del properties[label]
        context: dict[str, Any] = {
            "location": rng.choice([{"region": "r1"}, {"country": "GB"}, {"region": "", "country": "FR"}, "UK", None]),
            "app": rng.choice([{"version": "1.0"}, {"version": 2}, {}]), "os": {"name": rng.choice(["iOS", ""])},
            "campaign": rng.choice([{"source": "mail"}, {"source": ""}, None]),
        }  # fmt: skip
        if rng.random() < 0.3:
            context["lineage"] = {"source_ts": rng.choice([(minute * 60 - 1) * 1000, "2020-01-01T00:00:00Z", "nonsense"])}
        second = minute * 60 + rng.randrange(179_000) / 1000
        origin, channel = rng.choice(["web-shop", "erp", ""]), rng.choice(["web", "store"])
        took_s, visible_s = rng.choice([0.0, 1.5, 4.0, 30.0]), rng.choice([0.5, 2.9, 4.0, 90_000.0])
        found.append(
            event(number, name, second, properties, origin=origin, channel=channel, context=context, took_s=took_s, visible_s=visible_s)
        )
        found[-1]["flags"] = rng.choice([[], ["unplanned:x"], [TOTAL_FLAG]])
        found[-1]["raw"] = properties, context
    return found


def empty(value: Any) -> bool:
    return value is None or value == "" or value == [] or value == {}


def expected(events: list[dict[str, Any]]) -> Counter[tuple[Any, ...]]:
    """(side, minute, measure, event, field, dimensions) -> count; by the definitions of the page, event by event."""
    found: Counter[tuple[Any, ...]] = Counter()
    required = {"Product Viewed": ["product_id"], "Order Completed": ["order_id", "products"], "Store Visited": ["store_id"]}
    valid = {
        "Product Viewed": ["product_id", "price", "quantity", "currency"],
        "Order Completed": ["order_id", "products", "total", "currency", "shipping", "tax", "duties", "fees", "discount"],
        "Store Visited": ["store_id", "dwell_s"],
    }
    for one in events:
        properties, context = one["raw"]
        name, origin, minute = one["name"], one["origin"], int(one["log_time"] // 60)
        location = context["location"] if isinstance(context["location"], dict) else {}
        region = location.get("region") or location.get("country") or properties.get("region") or ""
        where = (origin, region, str(context["app"].get("version", "")), context["os"]["name"], one["channel"])

        def count(measure: str, field: str, passed: bool, *, of: str = name, at: tuple[str, ...] = where, minute: int = minute) -> None:
            found["total", minute, measure, of, field, at] += 1
            found["passed", minute, measure, of, field, at] += passed

        fields = required.get(name, []) + {"Product Viewed": ["price"], "Store Visited": ["dwell_s"]}.get(name, [])
        for field in fields:
            count("completeness", field, not empty(properties.get(field)))
        if name == "Product Viewed":
            count("completeness", "context.campaign.source", not empty((context["campaign"] or {}).get("source")))
        count("completeness", "(identifier)", True)
        for field in [*valid.get(name, []), "(other)"]:
            count("validity", field, True)
        bar = 5 if origin != "erp" else 0 if name == "Product Viewed" else 2
        if bar:
            told = context.get("lineage", {}).get("source_ts")
            since = told / 1000 if isinstance(told, int) else 0 if told == "2020-01-01T00:00:00Z" else one["event_time"]
            count("timeliness", "arrival", one["log_time"] - since <= bar)
        if one["_ingested_at"] - one["log_time"] < 86_400:
            count("timeliness", "visible", one["_ingested_at"] - one["log_time"] <= 3)
        lines, total = properties.get("products"), properties.get("total")
        if name == "Order Completed" and total is not None:
            count("consistency", "adds_up", TOTAL_FLAG not in one["flags"])
        if name == "Order Completed" and total is not None and lines:
            if all("quantity" in line for line in lines) and empty(properties.get("coupon")):
                count("consistency", "sum", abs(total - sum(line["price"] * line["quantity"] for line in lines)) <= 0.01)
            count("consistency", "small", len(lines) <= 2 or total > 100)
    return found


def test_every_check_of_one_event_counts_what_the_page_says_by_every_dimension(server: ClickHouse) -> None:
    minute = this_minute() - 10
    events = random_events(random.Random(4), minute, 3000)
    insert(server, "events", ({name: value for name, value in one.items() if name != "raw"} for one in events))
    measure_all(server, made_plan(), minute, minute + 3)
    found: Counter[tuple[Any, ...]] = Counter()
    columns = ("toUnixTimestamp(minute)", "measure", "event", "field", *DIMENSIONS)
    here = "measure IN ('completeness', 'validity', 'timeliness', 'consistency') AND field != '(format)' AND field != 'known'"
    rows = server.rows(f"SELECT {', '.join(columns)}, passed, total FROM quality FINAL WHERE {here}")
    for row in rows:
        key = (int(row[columns[0]]) // 60, row["measure"], row["event"], row["field"], tuple(row[name] for name in DIMENSIONS))
        found["total", *key] += row["total"]
        found["passed", *key] += row["passed"]
    wanted = expected(events)
    assert {key: (count, wanted[key]) for key, count in found.items() if count != wanted[key]} == {}
    assert +found == +wanted


def test_rejected_and_repeated_records_count_where_they_belong(server: ClickHouse) -> None:
    minute = this_minute() - 10
    second = minute * 60.0 + 5
    view = {"type": "track", "event": "Product Viewed", "context": {"location": {"region": "r1"}, "channel": "store"}}
    rejected = [
        rejection(1, "schema_violation", "$.properties.product_id", "Object missing required field `product_id`", second, view),
        rejection(2, "schema_violation", "$.properties.product_id", "Expected `str`, got `null`", second, view),
        rejection(3, "schema_violation", "$.properties.product_id", "Expected `str` of length >= 1", second, view),
        rejection(4, "schema_violation", "$.properties.product_id", "Expected `str`, got `int`", second, view),
        rejection(5, "quality_rule", "$.properties.price", "between 0 and 1e+09", second, view),
        rejection(6, "schema_violation", "$.properties.brand", "Expected `str`, got `int`", second, view),
        rejection(7, "timestamp_out_of_range", "$.timestamp", "between", second, view),
        rejection(8, "identifier_missing", "$.userId", "userId ...", second, view),
        rejection(9, "id_conflict", "$.messageId", "another body", second, view),
        rejection(10, "payload_format", "$", "valid JSON", second, b"{nonsense"),
        rejection(11, "schema_violation", "$.properties.products[3].quantity", "Object missing required field `quantity`", second,
                  {"type": "track", "event": "Order Completed"}),
        rejection(12, "quality_rule", "$.properties.order_id", "x", second, {"type": "identify"}),
        rejection(13, "internal", "$", "ours", second, view),
        rejection(14, "quality_rule", "$.properties.total", "the sum of `products` with what is added", second,
                  {"type": "track", "event": "Order Completed"}),
        rejection(15, "quality_rule", "$.properties.dwell_s", "between", second, b"\0" + wire_id("Page Engaged") + b"body"),
        rejection(16, "payload_format", "$", "the Avro record", second, b"\0" + wire_id("Page Engaged") + b"?"),
    ]  # fmt: skip
    insert(server, "events", [event(number, "Product Viewed", second, {"product_id": "p", "price": 1}) for number in range(20)])
    insert(server, "rejected", rejected)
    insert(server, "duplicates", [duplicate(number, second) for number in range(3)])
    measure_all(server, made_plan(), minute, minute + 1)
    found = measured(server, ("measure", "event", "field"))
    assert found["completeness", "Product Viewed", "product_id"] == (20, 23)
    assert found["completeness", "Product Viewed", "(identifier)"] == (20, 21)
    assert found["validity", "Product Viewed", "product_id"] == (20, 21)
    assert found["validity", "Product Viewed", "price"] == (20, 21)
    assert found["validity", "Product Viewed", "(other)"] == (20, 22), "a text field, and the envelope"
    assert found["validity", "Order Completed", "products"] == (0, 1), "a line without its quantity is a bad line, not a missing list"
    assert found["consistency", "Order Completed", "adds_up"] == (0, 1)
    assert found["validity", "Page Engaged", "dwell_s"] == (0, 1), "a record in Avro is known by its schema"
    assert found["validity", "identify", "(other)"] == (0, 1)
    assert found["validity", "", "(format)"] == (20, 22)
    assert found["uniqueness", "", ""] == (20, 24), "three repetitions and a conflict"
    assert found["volume", "Product Viewed", ""] == (30, 0), "what was rejected came as well"
    where = measured(server, ("measure", "field", "region", "channel"), "event = 'Product Viewed' AND region != ''")
    assert where["completeness", "product_id", "r1", "store"] == (0, 3), "dimensions come from the original bytes"


def test_sources_are_compared_once_the_other_side_has_had_its_time(server: ClickHouse) -> None:
    minute = this_minute() - 20
    at = minute * 60.0

    def order(number: int, origin: str, second: float, key: str, total: float) -> dict[str, Any]:
        return event(number, "Order Completed", at + second, {"order_id": key, "total": total}, origin=origin)

    rows = [
        order(1, "web-shop", 10, "agrees", 10), order(2, "erp", 70, "agrees", 10.01),
        order(3, "web-shop", 10, "differs", 10), order(4, "erp", 20, "differs", 12),
        order(5, "web-shop", 10, "unknown", 10),
        order(6, "web-shop", 10, "too late", 10), order(7, "erp", 10 + 125, "too late", 10),
        order(8, "web-shop", 50, "earlier", 10), order(9, "erp", 1, "earlier", 10),
        order(10, "web-shop", 10, "corrected", 10), order(11, "erp", 20, "corrected", 11), order(12, "erp", 40, "corrected", 10),
        order(13, "erp", 10, "only there", 10),
    ]  # fmt: skip
    insert(server, "events", rows)
    meter = measure_all(server, made_plan(), minute, minute + 2)
    here = "measure = 'accuracy' OR field = 'known'"
    assert measured(server, ("measure", "field"), here) == {}, "nothing is judged before its time is over"
    while meter.next(minute + 4):
        pass
    assert measured(server, ("measure", "field", "origin"), here) == {
        ("consistency", "known", "web-shop"): (3, 6),  # agrees, earlier, corrected; of these and differs, unknown, too late
        ("accuracy", "total", "web-shop"): (3, 4),  # of those whose key the reference knew in time
    }
    assert {key[0] for key in measured(server, ("toUnixTimestamp(minute)",), here)} == {at + 120}, "in the minute in which time ran out"


def test_volume_is_compared_with_the_same_minute_a_week_before(server: ClickHouse) -> None:
    minute, week = this_minute() - 10, 10_080
    before = [
        event(number, "Product Viewed", (minute - week) * 60.0 + 1, {}, origin=origin)
        for number, origin in enumerate(["erp"] * 3 + ["web-shop"])
    ]
    insert(server, "events", before)
    insert(server, "events", [event(number, "Product Viewed", minute * 60.0 + 1, {}) for number in range(10, 15)])
    measure_all(server, made_plan(), minute - week, minute - week + 1)
    measure_all(server, made_plan(), minute, minute + 1)
    found = measured(server, ("origin",), f"measure = 'volume' AND minute = toDateTime({minute * 60})")
    assert found == {("web-shop",): (5, 1), ("erp",): (0, 3)}, "also of a source that says nothing this week"


def test_the_number_of_values_of_a_dimension_is_bounded(server: ClickHouse) -> None:
    minute = this_minute() - 10
    versions = ["v1"] * 50 + ["v2"] * 40 + [f"x{number}" for number in range(30)]
    insert(
        server,
        "events",
        [event(n, "Product Viewed", minute * 60.0, {}, context={"app": {"version": version}}) for n, version in enumerate(versions)],
    )
    measure_all(server, made_plan(), minute, minute + 1)
    found = measured(server, ("app_version",), "measure = 'volume'")
    assert len(found) <= 7
    assert found[("v1",)] == (50, 0)
    assert sum(passed for passed, _ in found.values()) == 120
    assert ("(other)",) in found


def rows_of(server: ClickHouse) -> list[dict[str, Any]]:
    return server.rows("SELECT * EXCEPT (version, computed_at) FROM quality FINAL WHERE passed + total > 0 ORDER BY ALL")


def test_late_records_change_their_minute_and_what_was_compared_with_it(server: ClickHouse) -> None:
    minute = this_minute() - 30
    plan, rng = made_plan(), random.Random(8)
    events = [{name: value for name, value in one.items() if name != "raw"} for one in random_events(rng, minute, 400)]
    order = {"order_id": "o1", "total": 6}
    late = [*events[::7], event(900, "Order Completed", minute * 60.0, order, origin="erp")]
    insert(server, "events", [one for one in events if one not in late])
    meter = measure_all(server, plan, minute, minute + 10)
    assert meter.late() == []
    insert(server, "events", late)
    insert(
        server,
        "rejected",
        [rejection(1, "quality_rule", "$.properties.price", "x", minute * 60.0 + 61, {"type": "track", "event": "Product Viewed"})],
    )
    insert(server, "duplicates", [duplicate(1, minute * 60.0 + 130)])
    assert meter.late()
    assert meter.late() == [], "once is enough"
    after = rows_of(server)
    server.command("TRUNCATE TABLE quality")
    server.command("TRUNCATE TABLE quality_facts")
    measure_all(server, plan, minute, minute + 10)
    assert after == rows_of(server), "as if all had been there from the beginning"


def test_a_minute_measured_again_has_no_rows_of_the_first_time_left(server: ClickHouse) -> None:
    minute = this_minute() - 10
    insert(server, "events", [event(n, "Product Viewed", minute * 60.0, {}, context={"app": {"version": str(n % 5)}}) for n in range(50)])
    measure_all(server, made_plan(), minute, minute + 1)
    server.command("ALTER TABLE events DELETE WHERE context LIKE '%\"3\"%'", {"mutations_sync": "2"})
    measure_all(server, made_plan(values_per_dimension=3), minute, minute + 1)
    found = measured(server, ("app_version",), "measure = 'volume'")
    assert ("3",) not in found
    assert sum(passed for passed, _ in found.values()) == 40


def test_only_parts_that_hold_the_minutes_are_read(server: ClickHouse) -> None:
    minute = this_minute() - 600
    server.command("SYSTEM STOP MERGES quality_measures.events")
    for number in range(5):
        insert(server, "events", [event(number, "Product Viewed", (minute + 100 * number) * 60.0, {})])
    asked = f"SELECT count(ignore(properties)) FROM events WHERE {during('log_time', minute + 100, minute + 101)}"
    told = [row["explain"].strip() for row in server.rows(f"SELECT explain FROM (EXPLAIN indexes = 1 {asked})")]
    assert "Parts: 1/5" in told, told


def test_between_a_replay_and_now_nothing_is_measured_but_the_week_that_is_compared_with_it(server: ClickHouse) -> None:
    long_ago, now = 21_600_000, this_minute() - 10
    insert(server, "events", [event(1, "Product Viewed", long_ago * 60.0, {}), event(2, "Product Viewed", now * 60.0, {})])
    meter, spans = Meter(server, made_plan(), "demo"), []
    meter.end = long_ago
    while span := meter.next(now + 1):
        spans.append(span)
    assert spans[0].first == long_ago
    assert spans[-1] == (now, now + 1)
    assert len(spans) <= 4
    seen = server.rows("SELECT toUnixTimestamp(minute) AS at, passed, total FROM quality FINAL WHERE measure = 'volume' ORDER BY minute")
    assert [(row["at"] // 60, row["passed"], row["total"]) for row in seen] == [(long_ago, 1, 0), (long_ago + 10_080, 0, 1), (now, 1, 0)]
