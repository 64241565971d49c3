"""Views of golden records and groups on a real ClickHouse, from records as the pure core makes them."""

from collections.abc import Iterator

import orjson
import pytest

from config import loader
from pipelines.history.schema import ensure_schema
from pipelines.ingest.records import event_record
from schemas import clean
from sinks.clickhouse import ClickHouse
from tests.in_process import InProcess
from tests.stacks import Stack

AT_MS = 1_767_225_600_000


@pytest.fixture(scope="module")
def server(stack: Stack) -> Iterator[ClickHouse]:
    platform = loader.platform()
    made, root = ClickHouse(platform.clickhouse, database="cdp_traits"), ClickHouse(platform.clickhouse, database="")
    ensure_schema(made, root, loader.definitions(), loader.identity(), platform.tenants)
    yield made
    root.command("DROP DATABASE cdp_traits")


def told(server: ClickHouse, *calls: dict[str, object]) -> None:
    """Play calls through the core, a second apart, and load what it publishes."""
    core = InProcess()
    for number, call in enumerate(calls):
        said = {"messageId": f"m{number}", "type": "identify"} | call
        core.record(orjson.dumps(said), "cdp.raw.service", 0, number, AT_MS + number * 1000)
    events = [clean.decode(event_record(event, f"of {event.node}", 1)[1]) for event in core.applied]
    for table, rows in (("events", events), ("profile_changes", [change.record for change in core.changes])):
        written = "\n".join(orjson.dumps(row).decode() for row in rows)
        server.command(f"INSERT INTO {table} SETTINGS input_format_skip_unknown_fields = 1 FORMAT JSONEachRow {written}")


def test_traits_and_groups_are_tables(server: ClickHouse) -> None:
    erp, shop = {"context": {"source": "erp"}}, {"context": {"source": "shop"}}
    told(
        server,
        {"userId": "ann", "traits": {"city": "Leeds", "email": "ann@x.org"}} | shop,
        {"userId": "ann", "traits": {"city": "York"}} | erp,
        {"type": "group", "userId": "ann", "groupId": "a|b", "traits": {"seats": 5}} | erp,
        {"type": "group", "userId": "bob", "groupId": "a|b"} | erp,
    )

    traits = server.rows(
        "SELECT kind, trait, value, source, toInt64(at) AS at, personal, length(conflicts) AS others FROM traits ORDER BY kind, trait"
    )
    second = AT_MS // 1000
    assert [tuple(row.values()) for row in traits] == [
        ("", "city", '"York"', "erp", second + 1, False, 1),
        ("", "email", "", "shop", second, True, 0),
        ("account", "seats", "5", "erp", second + 2, False, 0),
    ]
    groups = server.rows("SELECT kind, group_id, members, toInt64(last_seen_at) AS last FROM groups")
    assert groups == [{"kind": "account", "group_id": "a|b", "members": 2, "last": second + 3}]
    members = server.rows("SELECT kind, group_id, profile_id, identifiers FROM group_members ORDER BY profile_id")
    assert [tuple(row.values()) for row in members] == [("account", "a|b", f"of demo|user_id|{name}", 1) for name in ("ann", "bob")]
    assert server.rows("SELECT count() AS people FROM profiles") == [{"people": 2}]
