"""Conditions over rejected records in a real ClickHouse: they choose what they choose in Python, page by page."""

from collections.abc import Iterator

import orjson
import pytest
from hypothesis import given, settings

from cli.rejected.history import History
from config import loader
from pipelines.history.tables import TABLES, create_table
from pipelines.rejected import conditions
from pipelines.rejected.conditions import predicate
from pipelines.rejected.record import Record
from pipelines.rules.tree import Node
from sinks.clickhouse import ClickHouse
from tests import rejected_cases as cases
from tests.stacks import Stack

ROWS = cases.records(60)
NAMES = Record.__struct_fields__


@pytest.fixture(scope="module")
def table(stack: Stack) -> Iterator[History]:
    """The rows, in a table of their own that has the column `origin`."""
    address = loader.platform().clickhouse
    root, server = ClickHouse(address, database=""), ClickHouse(address, database="agree")
    root.command("CREATE DATABASE agree")
    server.command(create_table(TABLES["cdp.rejected"]))
    server.command("ALTER TABLE rejected ADD COLUMN IF NOT EXISTS origin LowCardinality(String)")
    columns = dict.fromkeys(NAMES, "String") | {"partition": "Int32", "offset": "Int64", "log_time": "Int64"}
    server.command(f"CREATE TABLE staged ({', '.join(f'`{name}` {kind}' for name, kind in columns.items())}) ENGINE = Memory")
    lines = [orjson.dumps({name: _plain(getattr(record, name)) for name in NAMES}).decode() for record in ROWS]
    server.command("INSERT INTO staged FORMAT JSONEachRow\n" + "\n".join(lines))
    read = {"original": "unhex(original)", "log_time": "fromUnixTimestamp64Milli(log_time, 'UTC')"}
    values = ", ".join(read.get(name, f"`{name}`") for name in NAMES)
    server.command(f"INSERT INTO rejected ({', '.join(f'`{name}`' for name in NAMES)}) SELECT {values} FROM staged")
    yield History(server)
    root.command("DROP DATABASE agree")


def _plain(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else value


def test_both_forms_of_a_condition_hold_of_the_same_records(table: History) -> None:
    assert len(table.newest(conditions.EVERYTHING, 1000)) == len(ROWS)
    hits: list[int] = []

    @given(cases.CONDITIONS)
    @settings(max_examples=400, deadline=None)
    def agree(condition: Node) -> None:
        holds = predicate(conditions.parse(cases.written(condition), lambda: 0))
        found = table.newest(condition, 1000)
        assert sorted(found, key=lambda record: record.offset) == [record for record in ROWS if holds(record)]
        hits.append(len(found))

    agree()
    assert sum(0 < hit < len(ROWS) for hit in hits) > 100, "conditions that tell records apart"


def test_pages_hold_every_record_once_in_the_order_of_the_log(table: History) -> None:
    until = table.moment()
    paged = [record for page in table.oldest_first(conditions.EVERYTHING, until, 7) for record in page]
    assert paged == sorted(ROWS, key=lambda record: (record.log_time, *record.position))
    assert table.count(conditions.EVERYTHING, until) == len(ROWS)


def test_what_comes_in_later_is_not_among_the_pages(table: History) -> None:
    until = table.moment()
    pages = table.oldest_first(conditions.EVERYTHING, until, 7)
    seen = len(next(pages))
    table.server.command("INSERT INTO rejected SELECT * REPLACE (now64(3) + INTERVAL 1 SECOND AS _ingested_at) FROM rejected")
    seen += sum(map(len, pages))
    table.server.command(f"DELETE FROM rejected WHERE _ingested_at > toDateTime64('{until}', 3, 'UTC')")
    assert seen == len(ROWS)
