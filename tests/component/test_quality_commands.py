"""`cdp quality` over measured minutes: what is wrong comes first, with its cause, and every command and query it gives runs."""

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

import click
import msgspec
import pytest
import typer
from typer.testing import CliRunner

from cli.main import app
from cli.quality import queries, report
from config import loader
from config import quality as settings
from config.quality import Quality
from pipelines.ingest.checks import TOTAL_FLAG
from pipelines.quality import plan
from pipelines.quality.alert_store import AlertStore
from pipelines.quality.judge import Judge
from pipelines.quality.meter import Meter
from pipelines.quality.tables import tables
from pipelines.quality.views import VIEWS
from schemas import contracts
from sinks.clickhouse import ClickHouse
from stack.settings import PROJECT
from tests.component.quality_data import database, duplicate, event, insert, rejection, this_minute
from tests.stacks import Stack

PAGE = (PROJECT / "docs" / "quality.md").read_text()
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
MINUTES = 100
BAD = {"location": {"region": "north"}, "app": {"version": "5.1"}, "os": {"name": "ios"}}
GOOD = [{"location": {"region": region}, "app": {"version": version}, "os": {"name": "ios"}} for region in ("north", "south", "[bold]east")
        for version in ("5.0", "5.1")]  # fmt: skip


@pytest.fixture(scope="module")
def server(stack: Stack) -> Iterator[ClickHouse]:
    """A source whose region north in version 5.1 lost its categories twenty minutes ago, and one that is late, repeated and wrong."""
    patched = pytest.MonkeyPatch()
    patched.setenv("CDP_CLICKHOUSE_DATABASE", "quality_commands")
    loader.platform.cache_clear()
    made = database("quality_commands")
    first, number, events = this_minute() - MINUTES - 5, 0, []
    for minute in range(first, first + MINUTES):
        for _ in range(10):
            for context in GOOD:
                number += 1
                broken = minute >= first + MINUTES - 20 and context == BAD
                properties: dict[str, Any] = {"product_id": "p", "price": 1} | ({} if broken else {"category": "c"})
                events.append(event(number, "Product Viewed", minute * 60 + number % 60, properties, context=context))
        for origin, total, took_s in (("web-shop", 10, 1), ("erp", 11, 40)):
            number += 1
            order = {"order_id": f"o{minute}", "total": total, "products": [{"product_id": "p", "quantity": 1, "price": 10}]}
            events.append(
                event(number, "Order Completed", minute * 60.0, order, origin=origin, took_s=took_s)
                | {"flags": [TOTAL_FLAG] * (total - 10)}
            )
    insert(made, "events", events)
    spoilt = {"type": "track", "event": "Product Viewed", "context": GOOD[0]}
    insert(
        made,
        "rejected",
        [rejection(n, "quality_rule", "$.properties.price", "between", (first + n % MINUTES) * 60.0, spoilt) for n in range(900)],
    )
    insert(made, "duplicates", [duplicate(n, (first + n % MINUTES) * 60.0, "erp") for n in range(200)])
    quality = settings.quality()
    meter = Meter(made, plan.make(quality, contracts.load(), loader.sources()), "demo")
    alert_store = AlertStore(made, ["log", "webhook:duty"])
    judge = Judge(made, quality, alert_store)
    while meter.next(first + MINUTES):
        judge.through(meter.end)
    opened = alert_store.known(0)
    values = ", ".join(f"('{one.id}', {one.number}, 'webhook:duty', 'undelivered', 6, 'answered 503')" for one in opened)
    made.command(f"INSERT INTO alert_deliveries (id, number, channel, status, attempts, error) VALUES {values}")
    yield made
    made.command("DROP DATABASE quality_commands SYNC")
    patched.undo()
    loader.platform.cache_clear()


def cdp(*arguments: str) -> str:
    found = CliRunner().invoke(app, ["quality", *arguments], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def test_the_worst_comes_first_with_its_cause_and_where_to_look(server: ClickHouse) -> None:
    lines = json.loads(cdp("--since", "20m", "--json"))
    by_name = {(line["origin"], line["event"], line["measure"], line["field"]): line for line in lines}
    order = ["missed", "below", "ok", "none"]
    ranks = [(not line["alert"], order.index(line["verdict"])) for line in lines]
    assert ranks == sorted(ranks)
    category = by_name["web-shop", "Product Viewed", "completeness", "category"]
    assert (category["verdict"], category["cause"]) == ("ok", {"region": "north", "app_version": "5.1"}), "its goal is 80 %; it has dropped"
    assert category["alert"]
    wrong = {name for name, line in by_name.items() if line["verdict"] == "missed"}
    assert wrong == {
        ("erp", "Order Completed", "timeliness", "arrival"),
        ("erp", "Order Completed", "consistency", "adds_up"),
        ("web-shop", "Order Completed", "consistency", "order_is_in_erp"),
        ("web-shop", "Order Completed", "accuracy", "total"),
        ("web-shop", "Product Viewed", "validity", "price"),
        ("erp", "", "uniqueness", ""),
    }
    price = by_name["web-shop", "Product Viewed", "validity", "price"]
    assert price["cause"] == {"region": "north", "app_version": "5.0"}
    assert price["low"] < price["share"] < price["high"] < price["goal"]
    assert price["look"][0].startswith("cdp rejected list --field '$.properties.price*' --source web-shop --since ")
    shown = cdp("--since", "20m")
    assert re.search(r"web-shop +Product Viewed +validity +price +8\d\.\d% +95\.0% ", shown)
    assert "region=north and app_version=5.0 (100%)" in shown


def test_options_choose_and_mistakes_are_named(server: ClickHouse) -> None:
    only = json.loads(cdp("--source", "erp", "--event", "Order Completed", "--measure", "timeliness", "--json"))
    assert {(line["origin"], line["event"], line["measure"]) for line in only} == {("erp", "Order Completed", "timeliness")}
    assert {line["topic"] for line in json.loads(cdp("--topic", "clickstream", "--json")) if not line["origin"]} == {"cdp.raw.clickstream"}
    for arguments, said in (
        (["--since", "soon"], "write 15m"),
        (["--measure", "validty"], "no measure"),
        (["why", "zz"], "no alert begins with"),
    ):
        with pytest.raises(Exception, match=said):
            CliRunner().invoke(app, ["quality", *arguments], catch_exceptions=False)


def test_alerts_are_listed_and_explained(server: ClickHouse) -> None:
    found = json.loads(cdp("alerts", "--json"))
    drop = next(alert for alert in found if alert["kind"] == "drop")
    assert (drop["measure"], drop["field"], drop["causes"][0]["where"]) == (
        "completeness",
        "category",
        {"region": "north", "app_version": "5.1"},
    )
    assert drop["undelivered"] == ["webhook:duty"]
    listed = cdp("alerts")
    assert drop["id"] in listed
    assert "region=north" in listed
    story = json.loads(cdp("why", drop["id"][:6], "--json"))
    assert story["alert"]["id"] == drop["id"]
    assert story["changes"][0][1] == "opened"
    assert story["shares"][0] == 1.0
    assert story["shares"][-1] == 0.0
    missing = {(value["dimension"], value["value"]): value["missing"] for value in story["values"]}
    assert missing["region", "north"] == pytest.approx(1)
    assert missing["app_version", "5.1"] == pytest.approx(1)
    assert story["reasons"] == [{"field": "$.properties.price", "rule": "between", "records": story["reasons"][0]["records"]}]
    text = cdp("why", drop["id"])
    assert "webhook:duty: 0 delivered" in text
    assert "[bold]east" in text, "a stranger's text is no markup"


def test_every_command_and_query_that_is_given_runs(server: ClickHouse) -> None:
    quality, end = settings.quality(), report.newest_minute(server)
    lines = report.lines(server, quality, end, MINUTES, {})
    rule = {"name": "r", "event": "Order Completed", "holds": "total > 1"}
    more = msgspec.convert(msgspec.to_builtins(quality) | {"consistency": {"within": [rule]}}, Quality)
    questions = {(line.measure, line.event, line.field): line for line in lines}
    where = {"region": "[bold]east", "app_version": "5.0", "platform": "ios", "channel": "web", "source": "cdp.raw.clickstream"}
    asked = [queries.Question(line.measure, line.event, line.field, line.origin, where) for line in questions.values()]
    asked += [
        queries.Question("consistency", "Order Completed", "r", "web-shop", {}),
        queries.Question("completeness", "identify", "traits.email", "", {}),
    ]
    ran = 0
    root = typer.main.get_command(app)
    for question in asked:
        for told in queries.commands(question, more if question.field == "r" else quality, end - 30, end):
            ran += 1
            if told.startswith("SELECT"):
                server.rows(told)
                continue
            name, *arguments = shlex.split(told)
            assert name == "cdp"
            parse(root, arguments)
    assert ran > 30


def parse(command: click.Command, arguments: list[str]) -> None:
    """Whether the command line is one: sub-commands and options exist."""
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), arguments[0])
        assert found is not None, arguments
        command, arguments = found, arguments[1:]
    command.make_context(command.name or "", arguments)


def test_the_views_hold_what_the_page_says(server: ClickHouse) -> None:
    for view in VIEWS:
        assert server.rows(f"SELECT * FROM {view} LIMIT 3"), view
    hour = server.rows(
        "SELECT sum(passed) AS p, sum(total) AS t FROM quality_by_hour WHERE measure = 'completeness' AND field = 'category'"
    )
    minute = server.rows(
        "SELECT sum(passed) AS p, sum(total) AS t FROM quality_by_minute WHERE measure = 'completeness' AND field = 'category'"
    )
    part = server.rows(
        "SELECT sum(passed) AS p, sum(total) AS t FROM quality_by_slice WHERE measure = 'completeness' AND field = 'category'"
    )
    assert hour == minute == part == [{"p": 60 * MINUTES - 200, "t": 60 * MINUTES}]
    shares = server.rows("SELECT share FROM quality_last_hour WHERE measure = 'completeness' AND field = 'category'")
    assert shares == [{"share": pytest.approx(1 - 200 / 3600, abs=1e-5)}]


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_of_the_page_runs_and_finds_something(server: ClickHouse, query: str) -> None:
    assert server.rows(query)


def test_the_page_names_every_table_and_view(server: ClickHouse) -> None:
    assert {name for name in (*tables(30), *VIEWS) if f"`{name}`" not in PAGE} == set()


def test_before_anything_is_measured_it_says_so(stack: Stack, server: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    ClickHouse(loader.platform().clickhouse, database="").command("CREATE DATABASE IF NOT EXISTS quality_nothing")
    monkeypatch.setenv("CDP_CLICKHOUSE_DATABASE", "quality_nothing")
    loader.platform.cache_clear()
    try:
        with pytest.raises(report.NothingMeasuredError, match="is job `quality` running"):
            CliRunner().invoke(app, ["quality"], catch_exceptions=False)
    finally:
        monkeypatch.undo()
        loader.platform.cache_clear()
