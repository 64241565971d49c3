"""The views `orders` and `refunds` say what the profiles say: random histories, in currencies of 0, 2 and 3 decimals."""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from config import loader
from pipelines.history.schema import ensure_schema
from pipelines.ingest.records import event_record
from schemas import clean
from sinks.clickhouse import ClickHouse
from tests.ledger_world import DECIMALS, TENANTS, core, events, platform, written
from tests.stacks import Stack

HISTORIES = 60


@pytest.fixture(scope="module")
def server(stack: Stack) -> Iterator[ClickHouse]:
    made = ClickHouse(loader.platform().clickhouse, database="cdp_ledger")
    root = ClickHouse(loader.platform().clickhouse, database="")
    ensure_schema(made, root, loader.definitions(), loader.identity(), platform().tenants)
    yield made
    root.command("DROP DATABASE cdp_ledger")


def histories() -> list[list[dict[str, Any]]]:
    """Random histories, the same each time, of a customer each. Nobody tells of another's numbers: they would be one order."""
    found: list[list[dict[str, Any]]] = []

    @settings(max_examples=HISTORIES, derandomize=True, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(events())
    def collect(one: list[dict[str, Any]]) -> None:
        customer = len(found)
        found.append([event | {"userId": f"u{customer}", "properties": numbered(event["properties"], customer)} for event in one])
        if len(found) % 2:  # by chance alone there would be two or three
            for event in found[-1]:
                if event["event"] == "Order Refunded":
                    event["properties"] = event["properties"] | {"kind": "charge_back"}

    collect()
    return found


def numbered(properties: dict[str, Any], customer: int) -> dict[str, Any]:
    """With numbers of the customer's own."""
    return properties | {name: f"{customer}-{properties[name]}" for name in ("order_id", "refund_id") if name in properties}


def test_orders_and_refunds_are_those_of_the_profiles(server: ClickHouse) -> None:
    made = core()
    told = [event for history in histories() for event in history]
    random.Random(1).shuffle(told)
    for record in written(told):
        made.record(record.value, record.topic, record.partition, record.offset, record.timestamp_ms)
    rows = [clean.decode(event_record(event, "p", 1)[1]) for event in made.applied]
    server.command("INSERT INTO events FORMAT JSONEachRow " + "\n".join(map(json.dumps, rows)))
    query = """
SELECT node, sum(orders) AS orders, sum(gross) AS gross, sum(refunded) AS refunded, sum(over) AS over, sum(charge_backs) AS charge_backs
FROM (
  SELECT node, 1 AS orders, total AS gross, 0. AS refunded, 0 AS over, 0 AS charge_backs FROM orders
  UNION ALL SELECT node, 0, 0., amount, 0, 0 FROM refunds
  UNION ALL SELECT node, 0, 0., 0., 1, 0 FROM refunds WHERE over_refunded GROUP BY node, order_id
  UNION ALL SELECT node, 0, 0., 0., 0, 1 FROM refunds WHERE kind = 'charge_back' AND status IN ('', 'succeeded')
) GROUP BY node"""
    found = {row.pop("node"): row for row in server.rows(query)}
    some = {"refunded": 0, "over_refunds": 0, "charge_backs": 0, "orders_lifetime": 0}
    for profile_id, fields in made.fields():
        (node,) = made.newest[profile_id].record["nodes"]
        row = found.get(node, dict.fromkeys(("orders", "gross", "refunded", "over", "charge_backs"), 0))
        scale = 10 ** DECIMALS[TENANTS[node.split("|")[0]]]
        assert row["orders"] == fields["orders_lifetime"], node
        assert round(row["gross"] * scale) == round(fields["gross_lifetime"] * scale), node
        assert round(row["refunded"] * scale) == round(fields["refunded_lifetime"] * scale), node
        assert (row["over"], row["charge_backs"]) == (fields["over_refunds"], fields["charge_backs"]), node
        for name in some:
            some[name] += bool(fields.get(name, fields["refunded_lifetime"]))
    assert min(some.values()) > 5, "the histories have some of everything"


def test_an_order_shows_what_went_back_and_whether_it_was_too_much(server: ClickHouse) -> None:
    query = "SELECT count() AS n, countIf(over_refunded) AS over, countIf(refunded > 0) AS some, countIf(net < 0) AS below FROM orders"
    (row,) = server.rows(query)
    assert row["n"] > row["some"] > row["over"] > 0
    assert row["over"] == row["below"], "below nothing is exactly what is marked"
