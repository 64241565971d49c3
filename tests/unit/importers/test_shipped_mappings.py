"""The mappings that ship with the project work on the data that ships with it, and the platform takes what they make."""

import datetime as dt
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from cli.import_job import ALWAYS, judge
from cli.main import app
from demo import dataset, invoices
from importers.envelope import Origin
from importers.files.opening import open_rows, sha256_of
from importers.files.preview import preview
from importers.files.run import Import, made
from importers.mapping import load
from stack.settings import PROJECT

MAPPINGS = PROJECT / "config" / "mappings"
EXAMPLES = {"tickets": "examples/tickets.csv", "leads": "examples/leads.jsonl"}


def job_of(name: str, file: str) -> Import:
    path = PROJECT / "data" / file
    return Import(path, sha256_of(path), load(MAPPINGS / f"{name}.yaml"), Origin(name, "demo"), "cdp.raw.orders")


@pytest.mark.parametrize("path", sorted(MAPPINGS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_mapping_loads_and_nothing_in_it_looks_like_a_mistake(path: Path) -> None:
    assert load(path).notes == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_platform_takes_all_of_an_example(name: str) -> None:
    seen = preview(job_of(name, EXAMPLES[name]), judge("cdp.raw.orders", by_event_time=False), ALWAYS)
    assert seen.events
    assert seen.skipped
    assert (seen.failed, seen.rejected, seen.repeated, seen.timeless) == ({}, {}, 0, 0)


def test_the_invoices_of_the_data_set_are_those_of_the_demo() -> None:
    """Two readings of the same file, one by a mapping and one by the demo's code."""
    wanted = {one.number: invoices.to_event(one).body for one in dataset.load().invoices[:600]}
    job = job_of("online_retail", "online_retail.parquet")
    reader = open_rows(job.path, job.rules.options)
    found = {}
    for one in made(job, reader):
        if isinstance(one.outcome, list):
            (message,) = one.outcome
            found[message.message_id.removeprefix("online_retail:")] = message.envelope
        if wanted.keys() <= found.keys() or len(found) > 700:
            break
    reader.close()
    common = wanted.keys() & found.keys()
    assert len(common) > 500
    for number in common:
        theirs, ours = wanted[number], found[number]
        assert ours["event"] == theirs["event"]
        assert ours.get("userId", "") == theirs.get("userId", "")
        assert dt.datetime.fromisoformat(ours["timestamp"]) == dt.datetime.fromisoformat(theirs["timestamp"])
        lines = [{**line, "price": float(line["price"])} for line in ours["properties"]["products"]]
        assert lines == theirs["properties"]["products"]
    assert {number for number in wanted if number not in found} <= {one.number for one in dataset.load().invoices if not one.is_sale}


def test_a_dry_run_shows_the_outcome_and_no_personal_value() -> None:
    said = CliRunner().invoke(
        app, ["import", str(PROJECT / "data/examples/leads.jsonl"), "-m", "leads", "--dry-run"], env={"COLUMNS": "160"}
    )
    assert said.exit_code == 0, said.output
    assert "would be sent     Lead Submitted" in said.output
    assert "would be skipped  test submission" in said.output
    assert "2 events are more than 7 days old" in said.output
    assert "example@example" not in said.output.lower()
    assert "7946" not in said.output


def test_a_dry_run_fails_loudly_and_shows_rows_that_would_not_get_through(tmp_path: Path) -> None:
    file = tmp_path / "leads.jsonl"
    file.write_bytes(orjson.dumps({"id": "1", "email": "who at example.org", "submitted_at": "yesterday"}) + b'\n{"id":')
    said = CliRunner().invoke(app, ["import", str(file), "-m", "leads", "--dry-run"], env={"COLUMNS": "200"})
    assert said.exit_code == 1
    assert "events[0].timestamp" in said.output
    assert "a time of the form `iso`" in said.output
    assert "unreadable" in said.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-m", "leds"], "did you mean `leads`?"),
        (["-m", "leads", "--tenant", "dem"], "did you mean `demo`?"),
        (["-m", "leads", "--topic", "cdp.raw.order"], "did you mean `cdp.raw.orders`?"),
        (["-m", "tickets"], "has no column"),
    ],
)
def test_what_cannot_be_imported_is_refused_with_the_way_out(arguments: list[str], said: str, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("x\n1\n")
    result = CliRunner().invoke(app, ["import", str(file), *arguments, "--dry-run"])
    assert said in str(result.exception)
