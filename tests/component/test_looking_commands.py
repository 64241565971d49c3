"""The looking commands on real stores: what they print, and what they write."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from redis import Redis
from typer.testing import CliRunner, Result

from cli.main import app
from cli.verify_commands import run
from config import loader
from pipelines.identity.nodes import profile_of
from sinks.clickhouse import ClickHouse
from stack.settings import PROJECT
from tests.component.pipeline_double import PipelineDouble
from tests.stacks import Stack, eventually, read_all

WHO = "user_id:7"
PROFILE = profile_of("demo|user_id|7")


@pytest.fixture(scope="module")
def double(emptied: Stack) -> Iterator[PipelineDouble]:
    history = subprocess.Popen([sys.executable, "-m", "jobs.history"], cwd=PROJECT, stderr=subprocess.DEVNULL)
    try:
        double = PipelineDouble(1)
        double.produce(1000)
        server = ClickHouse(loader.platform().clickhouse)
        eventually(lambda: server.rows("SELECT count() FROM profile_changes"), "the loader has made its tables")
        report = run(timeout_s=30)
        assert report.exit_code == 0, report.as_json().decode()
        yield double
    finally:
        history.kill()
        history.wait()


def cdp(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "160"})


def test_get_shows_a_card_or_json(double: PipelineDouble) -> None:
    shown = cdp("profile", "get", f"{WHO}.0")
    assert shown.exit_code == 0, shown.output
    assert f"profile {PROFILE}" in shown.output
    assert f"version {double.incarnation}-{double.versions[7]}" in shown.output
    found = orjson.loads(cdp("profile", "get", WHO, "--json").output)
    assert found["fields"]["views_lifetime"] == double.versions[7]


def test_get_shows_personal_traits_to_whoever_holds_the_key(
    double: PipelineDouble, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = double.versions[7] - double.versions[7] % 3
    address = f"7-{told}@example.com"
    sealed = cdp("profile", "get", WHO)
    assert f"city {told}" in sealed.output
    assert "personal: email (sealed; --personal shows them)" in sealed.output
    assert address not in sealed.output
    opened = cdp("profile", "get", WHO, "--personal")
    assert opened.exit_code == 0, opened.output
    assert address in opened.output
    assert "(sealed" not in opened.output
    found = orjson.loads(cdp("profile", "get", WHO, "--personal", "--json").output)
    assert found["personal"] == {"email": {"value": address, "conflicts": []}}
    assert "personal" not in orjson.loads(cdp("profile", "get", WHO, "--json").output)
    other = tmp_path / "pii.key"
    other.write_bytes(bytes(64))
    monkeypatch.setenv("CDP_PII_KEY_FILE", str(other))
    refused = cdp("profile", "get", WHO, "--personal")
    assert "the value of `email` cannot be opened" in str(refused.exception)
    assert str(other) in str(refused.exception)


def test_nobody_is_said_to_be_nobody(double: PipelineDouble) -> None:
    result = cdp("profile", "get", "user_id:nobody-of-that-name")
    assert result.exit_code == 1
    assert "nobody is known as `user_id:nobody-of-that-name`" in str(result.exception)


def test_why_says_which_comparison_decides(double: PipelineDouble) -> None:
    shown = cdp("explain", WHO, "loyal")
    assert f"{WHO} does not have the tag loyal (orders often and lately), because f_score >= 4 does not hold (f_score = 1)." in shown.output
    assert "there is no tag and no segment `loyall`" in str(cdp("explain", WHO, "loyall").exception)


def test_history_lists_the_versions_that_changed_what_is_shown(double: PipelineDouble) -> None:
    shown = cdp("profile", "history", WHO, "--fields", "orders_lifetime", "--last", "1000").output
    assert all(f" {double.incarnation}-{version} " in shown for version in range(1, double.versions[7] + 1))
    unchanged = cdp("profile", "history", WHO, "--fields", "rfm_segment").output
    assert unchanged.count(f" {double.incarnation}-") == 1


def test_tail_shows_events_of_one_customer_and_stops_at_the_limit(double: PipelineDouble) -> None:
    shown = cdp("tail", "--from-start", "--limit", "3", "--user", WHO)
    assert shown.exit_code == 0, shown.output
    lines = shown.stdout.splitlines()
    assert len(lines) == 3
    assert all("Order Completed" in line and "user_id:7" in line and "orders/" in line for line in lines)
    assert "quality_rule" in cdp("tail", "--from-start", "--limit", "1", "--rejected").output
    assert f"v{double.incarnation}-1" in cdp("tail", "--from-start", "--limit", "1", "--changes", "--user", WHO).output


def test_a_question_to_clickhouse_is_answered_and_can_change_nothing(double: PipelineDouble) -> None:
    shown = cdp("sql", "SELECT count() AS events, 'a' AS letter FROM events;")
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.splitlines()[-1] == "1 row"
    [row] = map(orjson.loads, cdp("sql", "--json", "SELECT count() > 0 AS holds FROM profiles").stdout.splitlines())
    assert row == {"holds": 1}
    for statement in ("DROP TABLE events", "INSERT INTO events SELECT * FROM events", "SET readonly = 0"):
        refused = cdp("sql", statement)
        assert refused.exit_code == 1
    assert cdp("sql", "--json", "SELECT count() > 0 AS holds FROM events").stdout == '{"holds":1}\n'


def test_rebuild_fills_an_empty_redis_and_touches_nothing_newer(double: PipelineDouble) -> None:
    redis: Any = Redis.from_url(loader.platform().redis.url)
    redis.flushdb()
    redis.hset(f"cdp:{{{PROFILE}}}:demo", mapping={"_v": "999999-1", "_at": "1", "kept": "1"})
    assert f"{len(double.versions) - 1} profiles written, 1 were newer in Redis already" in cdp("profile", "rebuild").output
    assert redis.hget(f"cdp:{{{PROFILE}}}:demo", "kept") == b"1"
    assert not redis.exists(f"cdp:pii:{{{PROFILE}}}:demo")
    redis.delete(f"cdp:{{{PROFILE}}}:demo")
    assert cdp("profile", "rebuild").exit_code == 0
    report = run(timeout_s=10)
    assert report.exit_code == 0, report.as_json().decode()


def test_refresh_publishes_moved_cut_points_once_and_pokes_whom_they_concern(double: PipelineDouble) -> None:
    dry = cdp("rfm", "refresh", "--dry-run")
    assert "would publish version 1" in dry.output
    assert not read_all("cdp.definitions")
    done = cdp("rfm", "refresh", "--wait", "0")
    assert done.exit_code == 0, done.output
    [published] = read_all("cdp.definitions")
    body = msgspec.json.decode(published.value() or b"")
    assert (published.key(), body["version"], body["body"]["version"]) == (b"demo/cut_points", 1, 1)
    assert all(body["body"][name] == sorted(body["body"][name]) for name in ("recency", "frequency", "monetary"))
    pokes = {message.key(): msgspec.json.decode(message.value() or b"") for message in read_all("cdp.pokes")}
    assert f"version 1 published, {len(pokes)} profiles poked" in done.output
    assert pokes
    assert all(
        poke == {"tenant": "demo", "profile_id": key.decode(), "reason": "cut points version 1"} for key, poke in pokes.items() if key
    )
    assert "version 1 stays" in cdp("rfm", "refresh").output
    assert len(read_all("cdp.definitions")) == 1


def test_refresh_tells_when_profiles_do_not_follow(double: PipelineDouble) -> None:
    double.produce(3000)
    eventually(lambda: run(timeout_s=10).exit_code == 0, "history has caught up")
    result = cdp("rfm", "refresh", "--wait", "1")
    assert result.exit_code == 1
    assert "do not show it after 1 s" in result.output
