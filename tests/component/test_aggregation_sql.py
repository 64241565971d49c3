"""Aggregations in a real ClickHouse give what their slow twins give: history and stream mean the same."""

import math
import random
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from config import loader
from pipelines.aggregations import registry
from pipelines.aggregations.contract import NO_VALUE, Aggregation
from sinks.clickhouse import ClickHouse
from tests.stacks import Stack

CASES = [(one, of) for one in registry.ALL.values() for of in one.takes]
GROUPS = 40


def entries() -> list[dict[str, Any]]:
    """Entries of groups of different sizes, one of them large."""
    dice = random.Random(5)
    made = []
    for group in range(GROUPS):
        for _ in range(3_000 if group == 0 else dice.randrange(1, 30)):
            number, text = dice.randrange(-4_000, 4_000) / 4, f"v{dice.randrange(2_000 if group == 0 else 8)}ü'"
            made.append({"k": group, "at": dice.randrange(50 if group else 10**9), "number": number, "text": text})
    return made


ROWS = entries()


@pytest.fixture(scope="module")
def server(stack: Stack) -> Iterator[ClickHouse]:
    address = loader.platform().clickhouse
    root, server = ClickHouse(address, database=""), ClickHouse(address, database="aggregations")
    root.command("CREATE DATABASE aggregations")
    server.command("CREATE TABLE entries (k UInt32, at Int64, number Float64, text String) ENGINE = Memory")
    server.command("INSERT INTO entries FORMAT JSONEachRow\n" + "\n".join(orjson.dumps(row).decode() for row in ROWS))
    yield server
    root.command("DROP DATABASE aggregations")


@pytest.mark.parametrize(("one", "of"), CASES, ids=[f"{one.name}-{of or 'events'}" for one, of in CASES])
def test_it_gives_what_the_slow_twin_gives(server: ClickHouse, one: Aggregation, of: str) -> None:
    aggregate = one.aggregate("at", of or "0", of)
    found = {row["k"]: row["v"] for row in server.rows(f"SELECT k, {aggregate} AS v FROM entries GROUP BY k")}
    assert len(found) == GROUPS
    for group in range(GROUPS):
        told = [(row["at"], row[of] if of != NO_VALUE else 0) for row in ROWS if row["k"] == group]
        wanted, given = one.naive(told), found[group]
        assert wanted == given or math.isclose(wanted, given, rel_tol=1e-12), (group, wanted, given)
    (nothing,) = server.rows(f"SELECT {aggregate} AS v FROM entries WHERE k = 999")
    assert nothing["v"] == one.naive([])
