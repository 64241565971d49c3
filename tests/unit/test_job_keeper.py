"""What the keeper of a Flink job does about a job that stands still, a start that would lose data, and a stack that goes down."""

import time
from pathlib import Path

import pytest

from stack import job_keeper, link_log, requests, run_book, settings, start_checks, submission
from stack.checkpoint_files import MAGIC
from stack.errors import RefusedError, StackError
from stack.flink_rest import JobState
from stack.job_keeper import JobKeeper
from stack.jobs import Job
from stack.run_book import Run, RunBook
from stack.settings import Settings

JOB = Job(kind="flink", entry="jobs/profiles.py")


class Flink:
    """The cluster, as far as the keeper asks it."""

    def __init__(self) -> None:
        self.jobs: dict[str, str] = {}
        self.cancelled: list[str] = []
        self.savepoints: list[float] = []

    def job(self, job_id: str) -> JobState | None:
        state = self.jobs.get(job_id)
        return JobState(state, state == "RUNNING", 1.0) if state else None

    def cancel(self, job_id: str, deadline_s: float) -> None:
        self.jobs[job_id] = "CANCELED"
        self.cancelled.append(job_id)

    def failure(self, job_id: str) -> str:
        return "no reason given"

    def free_slots(self) -> int:
        return 9

    def savepoint(self, job_id: str, folder: Path, stop: bool, deadline_s: float) -> Path:
        self.savepoints.append(deadline_s)
        made = folder / "savepoint-1"
        made.mkdir(parents=True)
        (made / "_metadata").write_bytes(MAGIC + bytes(4) + (99).to_bytes(8, "big"))
        if stop:
            self.jobs[job_id] = "FINISHED"
        return made


class World:
    def __init__(self, home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings, self.flink, self.now_s = home, Flink(), 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now_s)
        monkeypatch.setattr(start_checks, "check", self._check)
        self.refuses = ""
        self.log: list[str] = []
        monkeypatch.setattr(job_keeper, "Rest", lambda _address: self.flink)
        self.keeper = JobKeeper("count", JOB, home, {}, self.log.append)
        self.keeper._watch = job_keeper.CheckpointWatch(30, 150, lambda: self.now_s)
        monkeypatch.setattr(submission, "submit", self._submitted)
        self.keeper.want(1)

    def _check(self, *_arguments: object) -> dict[str, str]:
        if self.refuses:
            raise RefusedError(self.refuses, "decide")
        return {"raw": "id"}

    def _submitted(self, _settings: Settings, _name: str, _program: Path, run: Run, _halt: object) -> int:
        self.flink.jobs[run.job_id] = "RUNNING"
        return 0

    def turn(self, seconds: float = 0.0) -> str:
        self.now_s += seconds
        self.keeper._turn()
        return self.keeper.state.state

    def checkpoint(self, number: int) -> Path:
        folder = self.settings.checkpoints / self.run.job_id / f"chk-{number}"
        folder.mkdir(parents=True)
        (folder / "_metadata").write_bytes(MAGIC + b"rest")
        return folder

    def ask(self, action: str, **fields: object) -> requests.Answer:
        request = requests.new(action, **fields)  # type: ignore[arg-type]
        folder = self.settings.run / "requests"
        folder.mkdir(exist_ok=True)
        requests.write_json(folder / "count.request", request, durable=False)
        self.turn()
        (answer,) = folder.glob("*.answer")
        given = requests.msgspec.json.decode(answer.read_bytes(), type=requests.Answer)
        answer.unlink()
        if given.problem:
            raise StackError(given.problem, given.remedy)
        return given

    @property
    def book(self) -> RunBook:
        return run_book.read(self.settings, "count")

    @property
    def run(self) -> Run:
        return self.book.runs[-1]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    home = settings.load({"CDP_HOME": str(tmp_path)})
    settings.prepare_home(home)
    return World(home, monkeypatch)


def bring_up(world: World) -> Path:
    world.turn()
    assert world.turn() == "starting", "its tasks run, but nothing has been saved"
    folder = world.checkpoint(1)
    assert world.turn() == "ready"
    return folder


def test_a_job_without_checkpoints_is_not_ready_and_is_started_anew_from_its_newest(world: World) -> None:
    newest = bring_up(world)
    stuck = world.run
    assert world.turn(31) == "waiting"
    assert "no checkpoint has completed for 31 s" in world.keeper.state.detail
    world.turn(120)
    assert world.flink.cancelled == [stuck.job_id]
    world.turn(1)
    assert world.run.job_id != stuck.job_id
    assert world.run.start is not None
    assert world.run.start.path == str(newest)
    assert world.book.desired == "running", "its end was ours, not somebody's will"


def test_a_job_is_not_submitted_before_the_log_that_it_reads_has_begun(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> list[str]:
        raise StackError("Kafka does not answer", "wait")

    monkeypatch.setattr(link_log, "begin", away)
    with pytest.raises(StackError, match="Kafka does not answer"):
        world.turn()
    assert world.flink.jobs == {}
    monkeypatch.setattr(link_log, "begin", lambda *_: ["demo"])
    bring_up(world)
    assert any("the link log of demo begins" in line for line in world.log)


def test_a_job_that_stalls_again_and_again_is_given_up_visibly(world: World) -> None:
    bring_up(world)
    for _ in range(30):
        world.turn(40)
    assert len(world.flink.cancelled) == 3
    assert world.keeper.state.state == "failed"
    assert "3 restarts did not help" in world.keeper.state.detail
    world.checkpoint(2)
    assert world.turn() == "ready", "it came to itself"


def test_a_job_that_somebody_cancels_stays_cancelled(world: World) -> None:
    bring_up(world)
    world.flink.cancel(world.run.job_id, 1.0)
    world.turn()
    assert world.turn() == "stopped"
    assert world.book.desired == "stopped"


def test_a_start_that_would_lose_data_is_refused_visibly_and_tried_again_when_that_is_mended(world: World) -> None:
    bring_up(world)
    before = world.run
    world.flink.jobs.clear()  # the JobManager is another one
    world.refuses = "the broker has lost the end of its log"
    world.turn(1)
    assert world.turn(1) == "failed"
    assert world.keeper.state.detail == "the broker has lost the end of its log; decide"
    assert world.run == before, "nothing was submitted"
    world.refuses = ""
    world.turn(6)
    assert world.run != before
    assert world.turn() == "starting"


def test_a_hole_that_was_accepted_stays_accepted_until_the_job_has_a_point_of_its_own(world: World) -> None:
    folder = bring_up(world)
    world.ask("stop", keep_savepoint=False)
    world.ask("start", path=str(folder), accept_loss=True)
    world.turn(1)
    assert (world.run.accepts_loss, world.run.start is not None) == (True, True)
    world.flink.jobs[world.run.job_id] = "FAILED"
    world.turn(1)
    world.turn(20)
    assert world.run.accepts_loss
    world.checkpoint(5)
    world.flink.jobs[world.run.job_id] = "FAILED"
    world.turn(1)
    world.turn(20)
    assert not world.run.accepts_loss


def test_going_down_saves_the_state_and_the_job_still_counts_as_wanted(world: World) -> None:
    bring_up(world)
    run = world.run
    given = world.ask("suspend", within_s=7.0)
    assert (given.said, world.flink.savepoints) == ("stopped with a savepoint", [7.0])
    assert world.turn(1) == "stopped"
    assert world.run == run, "nothing is started while the stack goes down"
    assert world.book.desired == "running"
    world.turn(61)  # whoever took the stack down died meanwhile
    assert world.run.start is not None
    assert world.run.start.path == given.path


def test_a_job_that_is_not_ready_is_not_held_up_for_a_savepoint(world: World) -> None:
    world.turn()
    with pytest.raises(StackError, match="count is starting"):
        world.ask("suspend", within_s=7.0)
    assert world.flink.savepoints == []
