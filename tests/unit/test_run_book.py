"""Which point a job goes on from: the newest of its last run, and nothing older unless somebody insists."""

import os
from pathlib import Path

import pytest

from stack import run_book, settings
from stack.checkpoint_files import MAGIC
from stack.errors import StackError
from stack.run_book import Manifest, Point, Run, RunBook
from stack.settings import Settings


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    chosen = settings.load({"CDP_HOME": str(tmp_path)})
    settings.prepare_home(chosen)
    return chosen


def checkpoint(home: Settings, run: str, number: int, content: bytes = MAGIC + b"rest") -> Path:
    folder = home.checkpoints / run / f"chk-{number}"
    folder.mkdir(parents=True)
    (folder / "_metadata").write_bytes(content)
    return folder


def savepoint(home: Settings, name: str, manifest: Manifest | None) -> Path:
    folder = home.savepoints / "count" / name
    folder.mkdir(parents=True)
    (folder / "_metadata").write_bytes(MAGIC + b"rest")
    if manifest:
        run_book.write_manifest(folder, manifest)
    return folder


def manifest(run: str, number: int, mode: str = "thread", job: str = "count") -> Manifest:
    return Manifest(job, "0.1.0", mode, 5.0, run, number)


def newest_path(home: Settings, book: RunBook) -> str:
    point = run_book.newest(home, book)
    return point.path if point else ""


def test_a_job_that_never_ran_has_no_point(home: Settings) -> None:
    assert run_book.read(home, "count") == RunBook()
    assert run_book.newest(home, RunBook()) is None
    assert run_book.choose(home, "count", RunBook()) is None


def test_the_highest_number_wins_whatever_the_files_times_say(home: Settings) -> None:
    book = RunBook(runs=[Run("a", 1.0)])
    older, newer = checkpoint(home, "a", 9), checkpoint(home, "a", 10)
    os.utime(older / "_metadata", (2e9, 2e9))
    os.utime(newer / "_metadata", (1e9, 1e9))
    assert newest_path(home, book) == str(newer)


def test_an_unfinished_checkpoint_does_not_count(home: Settings) -> None:
    whole = checkpoint(home, "a", 3)
    (home.checkpoints / "a" / "chk-5").mkdir()
    assert newest_path(home, RunBook(runs=[Run("a", 1.0)])) == str(whole)


@pytest.mark.parametrize("content", [b"", b"\0\0\0\0\0\0", b"\x49\x60"])
def test_a_damaged_newest_checkpoint_is_refused_and_nothing_older_taken_in_silence(home: Settings, content: bytes) -> None:
    whole, damaged = checkpoint(home, "a", 3), checkpoint(home, "a", 4, content)
    checkpoint(home, "a", 2)
    book = RunBook(runs=[Run("a", 1.0)])
    with pytest.raises(StackError, match="the newest point of count is damaged") as caught:
        run_book.choose(home, "count", book)
    assert str(damaged) in caught.value.problem
    assert f"cdp job start count --from {whole} --rewind" in caught.value.remedy
    with pytest.raises(StackError, match="would go back"):
        run_book.choose(home, "count", book, str(whole))
    gone_back_to = run_book.choose(home, "count", book, str(whole), rewind=True)
    assert gone_back_to is not None
    assert gone_back_to.path == str(whole)
    with pytest.raises(StackError, match="no whole checkpoint"):
        run_book.choose(home, "count", book, str(damaged), rewind=True)


def test_a_state_file_that_is_missing_is_damage_too(home: Settings) -> None:
    name = "0b8f7f8e-9a5c-4b5e-8c6e-1f2d3c4b5a69"
    folder = checkpoint(home, "a", 4, MAGIC + b"\x06\x00\x24" + name.encode() + (5).to_bytes(8, "big"))
    book = RunBook(runs=[Run("a", 1.0)])
    with pytest.raises(StackError, match=f"state file .*{name} is missing") as caught:
        run_book.choose(home, "count", book)
    assert "new stack" in caught.value.remedy, "there is nothing else to go back to"
    (folder / name).write_bytes(b"12345")
    point = run_book.choose(home, "count", book)
    assert point is not None
    assert point.path == str(folder)


def test_a_savepoint_taken_after_the_last_checkpoint_is_newest(home: Settings) -> None:
    checkpoint(home, "a", 7)
    folder = savepoint(home, "s", manifest("a", 8))
    book = RunBook(runs=[Run("a", 1.0)], savepoints=[Point(str(folder), "savepoint", "a", 8, 5.0)])
    assert newest_path(home, book) == str(folder)


def test_until_a_run_has_a_checkpoint_its_own_start_is_newest_even_after_a_rewind(home: Settings) -> None:
    left = checkpoint(home, "a", 50)
    folder = savepoint(home, "s", manifest("a", 20))
    start = Point(str(folder), "savepoint", "a", 20, 5.0)
    book = RunBook(runs=[Run("a", 1.0), Run("b", 2.0, start, rewound=True)])
    assert newest_path(home, book) == str(folder)
    assert left.exists()
    first = checkpoint(home, "b", 21)
    assert newest_path(home, book) == str(first), "not number 50 of the line that was left"


def test_a_run_that_started_empty_and_died_before_its_first_checkpoint_starts_empty_again(home: Settings) -> None:
    assert run_book.choose(home, "count", RunBook(runs=[Run("a", 1.0)])) is None


def test_going_back_is_refused_unless_somebody_insists(home: Settings) -> None:
    older, newer = checkpoint(home, "a", 3), checkpoint(home, "a", 4)
    book = RunBook(runs=[Run("a", 1.0)])
    with pytest.raises(StackError, match=r"has id 3, the newest point is .*chk-4 \(id 4\)") as caught:
        run_book.choose(home, "count", book, str(older))
    assert "--rewind" in caught.value.remedy
    rewound = run_book.choose(home, "count", book, str(older), rewind=True)
    assert rewound is not None
    assert rewound.path == str(older)
    same = run_book.choose(home, "count", book, f"file://{newer}")
    assert same is not None
    assert same.path == str(newer)


def test_a_savepoint_of_another_stack_is_welcome_where_there_is_nothing_to_lose(home: Settings) -> None:
    folder = savepoint(home, "s", manifest("elsewhere", 8))
    fresh = run_book.choose(home, "count", RunBook(), str(folder))
    assert fresh is not None
    assert (fresh.path, fresh.run) == (str(folder), "")
    checkpoint(home, "a", 3)
    with pytest.raises(StackError, match="not known to this stack"):
        run_book.choose(home, "count", RunBook(runs=[Run("a", 1.0)]), str(folder))


def test_another_execution_mode_another_job_and_an_unknown_origin_are_refused_even_with_rewind(home: Settings) -> None:
    cases = {
        "execution mode `process`": manifest("a", 1, mode="process"),
        "of job `other`": manifest("a", 1, job="other"),
        r"has no cdp\.json": None,
    }
    for index, (message, given) in enumerate(cases.items()):
        folder = savepoint(home, f"s{index}", given)
        with pytest.raises(StackError, match=message):
            run_book.choose(home, "count", RunBook(), str(folder), rewind=True)


def test_a_folder_that_holds_no_point_is_refused(home: Settings, tmp_path: Path) -> None:
    with pytest.raises(StackError, match="no whole checkpoint"):
        run_book.choose(home, "count", RunBook(), str(tmp_path))


def test_a_newest_savepoint_that_is_gone_is_an_error_not_an_empty_start(home: Settings) -> None:
    start = Point(str(home.savepoints / "gone"), "savepoint", "a", 8, 5.0)
    with pytest.raises(StackError, match=r"the newest point of count is damaged: .*_metadata cannot be read"):
        run_book.choose(home, "count", RunBook(runs=[Run("b", 2.0, start)]))


def test_the_book_survives_being_written_and_a_damaged_one_is_never_taken_for_an_empty_one(home: Settings) -> None:
    book = RunBook("stopped", [Run("a", 1.0, Point("/p", "checkpoint", "z", 3, 4.0), 2, True)], [Point("/s", "savepoint", "a", 9, 5.0)])
    run_book.write(home, "count", book)
    assert run_book.read(home, "count") == book
    run_book.path(home, "count").write_text("{")
    with pytest.raises(StackError, match="is damaged"):
        run_book.read(home, "count")


def test_folders_of_earlier_runs_go_only_once_the_last_run_has_a_checkpoint(home: Settings) -> None:
    checkpoint(home, "a", 3)
    book = RunBook(runs=[Run("a", 1.0), Run("b", 2.0)])
    assert run_book.forget_earlier_runs(home, book) == []
    checkpoint(home, "b", 4)
    assert run_book.forget_earlier_runs(home, book) == [home.checkpoints / "a"]
