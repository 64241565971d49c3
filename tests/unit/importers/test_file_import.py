"""An import accounts for every row once, whatever kills it; a dry run tells beforehand what it will do."""

import datetime as dt
import io
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from cli.import_job import judge, source_name
from cli.import_run import account
from importers.envelope import Message, Origin
from importers.files import run as importing
from importers.files.opening import sha256_of
from importers.files.preview import preview, value_at
from importers.files.progress import Identity, Progress, State
from importers.files.rows import FileError
from importers.files.run import Import, run
from importers.files.time_order import TimeOrder
from importers.mapping import Failed, compile_mapping

MAPPING = """
skip: [{when: "kind == 'skip'", reason: not wanted}]
events:
  - {track: A, identifiers: {user_id: id}, timestamp: "parse_time(at, 'iso')", properties: {n: parse_integer(n)}}
  - {when: "kind == 'two'", call: identify, identifiers: {user_id: id}}
"""
KINDS = ["one", "two", "skip", "wrong"]
NOW = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


class Killed(Exception):
    """Stands for a kill -9 at a certain message."""


class Log:
    """A Kafka of lists: a message is there as soon as it was handed over, which is the hardest case for an account."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes, bytes]] = []
        self.dies_at = -1

    def send(self, topic: str, key: bytes, value: bytes) -> None:
        if len(self.messages) == self.dies_at:
            raise Killed
        self.messages.append((topic, key, value))

    def flush(self) -> None:
        """Everything is there already."""


def file_of(folder: Path, kinds: list[str]) -> Path:
    path = folder / "a.csv"
    lines = [f"u{number},{kind},{'x' if kind == 'wrong' else number},2026-10-01T00:00:00Z" for number, kind in enumerate(kinds, 1)]
    path.write_text("\n".join(["id,kind,n,at", *lines]) + "\n")
    return path


def job_of(path: Path) -> Import:
    return Import(path, sha256_of(path), compile_mapping(MAPPING, "m.yaml"), Origin("src", "demo"), "cdp.raw.orders")


def progress_of(folder: Path, job: Import) -> Progress:
    return Progress(folder / "imports", Identity(job.file_sha256, job.rules.fingerprint, "src", "demo", job.topic, "c"), job.path)


def ids(log: Log) -> list[str]:
    return [json.loads(value)["messageId"] for _, _, value in log.messages]


@settings(deadline=None)  # disks have their moods
@given(st.lists(st.sampled_from(KINDS), max_size=25), st.lists(st.integers(0, 12), max_size=3), st.integers(1, 7))
def test_whatever_kills_it_each_row_ends_once_in_the_account(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[str], kills: list[int], batch: int
) -> None:
    folder = tmp_path_factory.mktemp("import")
    job, log = job_of(file_of(folder, kinds)), Log()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importing, "BATCH_MESSAGES", batch)
        for more in [*kills, -1]:
            log.dies_at = len(log.messages) + more if more >= 0 else -1
            try:
                with progress_of(folder, job) as progress:
                    state = progress.load()
                    failures = run(job, log, progress, state, NOW)
            except Killed:
                continue
    sha = job.file_sha256[:16]
    expected = {f"src:{sha}:{row}" for row, kind in enumerate(kinds, 1) if kind in ("one", "two")}
    expected |= {f"src:{sha}:{row}:1" for row, kind in enumerate(kinds, 1) if kind == "two"}
    assert set(ids(log)) == expected
    counts = Counter(kinds)
    assert state.done
    assert (state.rows, state.units) == (len(kinds), len(kinds))
    assert state.sent == {name: n for name, n in (("A", counts["one"] + counts["two"]), ("identify", counts["two"])) if n}
    assert state.skipped == ({"not wanted": counts["skip"]} if counts["skip"] else {})
    assert state.failed == ({"value": counts["wrong"]} if counts["wrong"] else {})
    assert state.late == counts["one"] + counts["two"]
    told = [json.loads(line)["row"] for line in failures.read_text().splitlines()] if failures.exists() else []
    assert told == [row for row, kind in enumerate(kinds, 1) if kind == "wrong"]


def test_an_import_counts_what_the_platform_will_reject_as_its_dry_run_does(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,n,currency\n" + "".join(f"u{number},{number},{'GBP' if number % 3 else 'gbp'}\n" for number in range(1, 10)))
    mapping = """
events:
  - track: Order Refunded
    identifiers: {user_id: id}
    properties: {refund_id: n, order_id: n, total: parse_number(n), currency: currency}
"""
    job = Import(path, sha256_of(path), compile_mapping(mapping, "m.yaml"), Origin("src", "demo"), "cdp.raw.orders")
    judged = judge(job.topic, by_event_time=False)
    dry = preview(job, judged, NOW)
    log, state = Log(), State()
    with progress_of(tmp_path, job) as progress:
        run(job, log, progress, state, NOW, judge=judged)
        assert progress.load().rejected == state.rejected, "a run that goes on knows it too"
    assert state.rejected == dict(dry.rejected) == {"quality_rule": 3}
    assert sum(state.sent.values()) == len(log.messages) == 9
    console = Console(file=io.StringIO(), width=200)
    account(job, state, path, console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "9 rows of a.csv:" in said
    assert "3 are rejected by the platform (quality_rule 3)" in said
    assert "cdp rejected list --source src" in said


def test_a_draft_gives_its_source_the_name_of_what_it_is_for() -> None:
    assert [source_name(Path(name)) for name in ("/tmp/tickets.mapping.yaml", "tickets.yaml", "a.b.yaml")] == ["tickets", "tickets", "a.b"]


def test_the_same_file_has_the_same_messages_again(tmp_path: Path) -> None:
    job, log = job_of(file_of(tmp_path, KINDS)), Log()
    for _ in range(2):
        with progress_of(tmp_path, job) as progress:
            run(job, log, progress, State(), NOW)
    half = len(log.messages) // 2
    assert log.messages[:half] == log.messages[half:]
    topic, key, value = log.messages[0]
    envelope = json.loads(value)
    assert (topic, key, envelope["tenant"]) == ("cdp.raw.orders", b"u1", "demo")
    assert envelope["context"] == {"source": "src", "lineage": {"file_sha256": job.file_sha256, "row": 1}}


def test_a_failure_is_kept_with_its_row_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    job = job_of(file_of(tmp_path, ["one", "wrong"]))
    with progress_of(tmp_path, job) as progress:
        failures = run(job, Log(), progress, State(), NOW)
    assert json.loads(failures.read_text()) == {
        "row": 2, "line": 3, "rows": 1, "original": {"id": "u2", "kind": "wrong", "n": "x", "at": "2026-10-01T00:00:00Z"},
        "error": {"code": "value", "field": "events[0].properties.n", "rule": "a number with the decimal mark `.`"},
    }  # fmt: skip
    assert failures.stat().st_mode & 0o777 == 0o600


def test_failures_of_an_older_run_do_not_stay_when_nothing_fails_any_more(tmp_path: Path) -> None:
    path = file_of(tmp_path, ["wrong"])
    for kinds, there in ((["wrong"], True), (["one"], False)):
        job = job_of(file_of(tmp_path, kinds))
        with progress_of(tmp_path, job) as progress:
            failures = run(job, Log(), progress, State(), NOW)
        assert failures.exists() == there
    assert path.exists()


def test_two_imports_of_one_file_do_not_run_at_once(tmp_path: Path) -> None:
    job = job_of(file_of(tmp_path, KINDS))
    with progress_of(tmp_path, job), pytest.raises(FileError, match="another process is importing this file"), progress_of(tmp_path, job):
        pass


def test_a_damaged_account_is_told_and_not_guessed_over(tmp_path: Path) -> None:
    job = job_of(file_of(tmp_path, KINDS))
    with progress_of(tmp_path, job) as progress:
        progress.save(State(units=3))
        file = next((tmp_path / "imports").glob("*.json"))
        file.write_text("{")
        with pytest.raises(FileError, match="delete it to begin again"):
            progress.load()


def test_an_event_that_kafka_would_refuse_fails_before_it_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"id": "u", "text": "x" * 2_000_001}) + "\n" + json.dumps({"id": "v", "text": "y"}) + "\n")
    rules = compile_mapping("events: [{track: A, identifiers: {user_id: id}, properties: {t: text}}]", "m.yaml")
    job, log = Import(path, sha256_of(path), rules, Origin("src", "demo"), "t"), Log()
    with progress_of(tmp_path, job) as progress:
        state = State()
        run(job, log, progress, state, NOW)
    assert (state.failed, state.sent, len(log.messages)) == ({"too_large": 1}, {"A": 1}, 1)


def test_a_dry_run_foretells_the_run_and_what_the_platform_will_refuse(tmp_path: Path) -> None:
    kinds = ["one", "two", "wrong", "skip", "one"]
    job, log = job_of(file_of(tmp_path, kinds)), Log()

    def judge(message: Message) -> Failed | None:
        return Failed("quality_rule", "$.properties.n", "other than 5") if message.envelope.get("properties") == {"n": 5} else None

    seen = preview(job, judge, NOW, show=1)
    assert (seen.rows, seen.units, seen.repeated, seen.late, seen.timeless) == (5, 5, 0, 2, 1)
    assert (dict(seen.events), dict(seen.skipped), dict(seen.failed)) == ({"A": 2, "identify": 1}, {"not wanted": 1}, {"value": 1})
    assert dict(seen.rejected) == {"quality_rule": 1}
    assert [(one.row, one.line, one.code) for one in seen.troubles] == [(3, 4, "value")]
    with progress_of(tmp_path, job) as progress:
        state = State()
        run(job, log, progress, state, NOW)
    assert state.sent == {"A": 3, "identify": 1}
    assert preview(job, judge, NOW, limit=2).units == 2


def test_a_dry_run_tells_ids_that_repeat(tmp_path: Path) -> None:
    path = file_of(tmp_path, ["one", "one"])
    rules = compile_mapping("events: [{track: A, message_id: kind, identifiers: {user_id: id}}]", "m.yaml")
    assert preview(Import(path, "0" * 64, rules, Origin("src", "demo"), "t"), lambda message: None, NOW).repeated == 1


def test_the_value_of_a_refused_field_is_found() -> None:
    envelope = {"properties": {"products": [{"price": 1}, {"price": -1}]}}
    assert value_at(envelope, "$.properties.products[1].price") == -1
    assert value_at(envelope, "$.properties.products[7].price") is None
    assert value_at(envelope, "$") == envelope


@settings(deadline=None)
@given(st.lists(st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2030, 1, 1)), max_size=30))
def test_messages_come_back_by_time_and_of_one_time_in_their_order(times: list[dt.datetime]) -> None:
    with TimeOrder() as order:
        for number, at in enumerate(times):
            order.add(at.replace(tzinfo=dt.UTC), Message(str(number), b"k", b"v", {}))
        found = [(one.at_ms, int(one.message_id)) for one in order]
    assert found == sorted(found)
    assert len(found) == order.count == len(times)
