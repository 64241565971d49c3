"""docs/analysts.md keeps its word: the tables and views are there, and every query on the page runs."""

import re
from collections.abc import Iterator

import pytest

from config import loader
from pipelines.history import ledger_views, object_views
from pipelines.history.schema import ensure_schema, unmade
from pipelines.history.tables import ROLLUPS, TABLES
from pipelines.history.views import profile_columns, views
from sinks.clickhouse import ClickHouse
from stack.settings import PROJECT
from tests.stacks import Stack

PAGE = (PROJECT / "docs" / "analysts.md").read_text()
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def server(stack: Stack) -> Iterator[ClickHouse]:
    platform = loader.platform()
    made = ClickHouse(platform.clickhouse, database="cdp_page")
    root = ClickHouse(platform.clickhouse, database="")
    for missing in (list(TABLES), [], []):  # the second time there is nothing left to do
        assert unmade(made, root) == missing
        ensure_schema(made, root, loader.definitions(), loader.identity(), platform.tenants)
    yield made
    root.command("DROP DATABASE cdp_page")


@pytest.mark.parametrize("query", QUERIES)
def test_the_query_runs(server: ClickHouse, query: str) -> None:
    server.rows(query)


def test_the_page_names_every_table_and_view(server: ClickHouse) -> None:
    names = {table.name for table in TABLES.values()} | {rollup.name for rollup in ROLLUPS}
    internal = {*ledger_views.INTERNAL, *object_views.INTERNAL}
    names |= {name for name, _ in views(loader.definitions(), loader.identity(), loader.platform().tenants)} - internal
    assert {name for name in names if f"`{name}`" not in PAGE} == set()


def test_every_event_view_that_the_page_names_is_there(server: ClickHouse) -> None:
    """`event_...` stands for all of them: docs/events.md has the list."""
    made = {row["name"] for row in server.rows("SELECT name FROM system.tables WHERE database = currentDatabase()")}
    named = set(re.findall(r"\bevent_[a-z_]+[a-z]\b", PAGE)) - {"event_time"}
    assert len(named) >= 2
    assert named <= made


def test_every_published_feature_is_a_column(server: ClickHouse) -> None:
    columns = {row["name"] for row in server.rows("DESCRIBE profiles")}
    assert set(profile_columns(loader.definitions())) <= columns


def test_a_table_of_an_earlier_version_gets_the_new_columns_and_a_new_roll_up_is_filled(server: ClickHouse) -> None:
    platform = loader.platform()
    server.command("INSERT INTO events (tenant, name, source, log_time) VALUES ('demo', 'A', 's', '2024-01-01 00:00:00')")
    server.command("ALTER TABLE events DROP COLUMN channel")
    server.command("DROP TABLE events_by_minute_mv SYNC")
    server.command("TRUNCATE TABLE events_by_minute")
    root = ClickHouse(platform.clickhouse, database="")
    ensure_schema(server, root, loader.definitions(), loader.identity(), platform.tenants)
    assert server.rows("SELECT channel FROM events") == [{"channel": ""}]
    assert server.rows("SELECT sum(events) AS n FROM events_by_minute") == [{"n": 1}]


def test_orders_follow_the_ledgers_rules(server: ClickHouse) -> None:
    def event(message: str, name: str, at: str, properties: str) -> str:
        return f"('shop', 'n', '{message}', '{name}', '2024-01-01 {at}', '2024-01-01 00:00:00', 'web', false, '{properties}')"

    line = '{"product_id":"p","quantity":2,"price":1.005}'
    penny = '{"product_id":"p","quantity":1,"price":0.005}'
    rows = [
        event("1", "Order Completed", "10:00:00", f'{{"order_id":"a","products":[{line}]}}'),
        event("2", "Order Updated", "12:00:00", f'{{"order_id":"a","total":7,"products":[{line},{line}]}}'),
        event("3", "Order Updated", "11:00:00", '{"order_id":"a","total":99,"products":[]}'),
        event("4", "Order Completed", "10:00:00", f'{{"order_id":"b","total":5,"products":[{line}]}}'),
        event("5", "Order Cancelled", "09:00:00", '{"order_id":"b"}'),
        event("6", "Order Completed", "10:00:00", f'{{"order_id":"c","products":[{line}]}}'),
        event("7", "Order Completed", "10:00:00", f'{{"order_id":"d","total":null,"products":[{penny},{penny}]}}'),
    ]
    columns = "tenant, node, message_id, name, event_time, log_time, channel, late, properties"
    server.command(f"INSERT INTO events ({columns}) VALUES {', '.join(rows)}")
    query = "SELECT order_id, toString(ordered_at) AS ordered_at, total, lines, units FROM orders WHERE tenant = 'shop' ORDER BY order_id"
    first, second, third = server.rows(query)
    assert first == {"order_id": "a", "ordered_at": "2024-01-01 10:00:00.000", "total": 7, "lines": 2, "units": 4}
    assert (second["order_id"], second["total"]) == ("c", 2.01)
    assert (third["order_id"], third["total"]) == ("d", 0.02), "each line is rounded by itself; a total of null is none"
    assert len(server.rows("SELECT * FROM order_lines WHERE tenant = 'shop'")) == 5
