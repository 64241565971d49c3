"""The stack's promises about Flink jobs: they come back from their newest point and never from an older one, unless somebody insists."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import urllib3
from confluent_kafka import Producer

from stack import board, job_control, run_book
from stack.errors import StackError
from stack.flink_rest import Rest
from tests.stacks import Stack, config_copy, eventually, kill_nine, read_all

JOB = "count"
JOBS: dict[str, object] = {
    JOB: {
        "kind": "flink",
        "entry": "tests/component/count_job.py",
        "slots": 1,
        "needs": ["kafka"],
        "group": "cdp-count",
        "reads": ["cdp.raw.service"],
    }
}
KEYS = 7
# Flink gives a failing job up after five tries of its own; then it is the supervisor's turn.
IMPATIENT = {"restart-strategy.exponential-delay.attempts-before-reset-backoff": "5"}


class Counted:
    """Feeds job `count` and reads what it made of it."""

    def __init__(self, stack: Stack, config: Path) -> None:
        self.stack = stack
        self.config = config
        self.sent = 0

    def feed(self, records: int = 70) -> None:
        producer = Producer({"bootstrap.servers": self.stack.settings.kafka})
        for index in range(records):
            producer.produce("cdp.raw.service", b"x", key=f"k{index % KEYS}")
        assert producer.flush(10.0) == 0
        self.sent += records

    def is_exact(self) -> bool:
        counts: dict[bytes, set[int]] = {}
        for message in read_all("cdp.pokes"):
            counts.setdefault(message.key(), set()).add(int(message.value()))
        return len(counts) == KEYS and all(seen == set(range(1, self.sent // KEYS + 1)) for seen in counts.values())

    def await_exact(self) -> None:
        eventually(self.is_exact, f"each of {KEYS} keys counted from 1 to {self.sent // KEYS}", 120.0)

    def book(self) -> run_book.RunBook:
        return run_book.read(self.stack.settings, JOB)

    def newest(self) -> run_book.Point:
        point = run_book.newest(self.stack.settings, self.book())
        assert point is not None
        return point

    def await_checkpoint(self) -> None:
        """Until a checkpoint is complete that began after this call."""
        run = self.book().runs[-1].job_id
        before = self.newest().checkpoint_id if self._has_point() else 0
        eventually(lambda: self.newest().run == run and self.newest().checkpoint_id >= before + 2, "two more checkpoints")

    def _has_point(self) -> bool:
        return run_book.newest(self.stack.settings, self.book()) is not None


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counted]:
    folder = tmp_path_factory.mktemp("jobs")
    made = Stack(folder / "home", config_copy(folder / "config", JOBS, flink={"task_managers": 1, "options": IMPATIENT}))
    with made.pointed_at():
        try:
            made.up(JOB)
            yield Counted(made, folder / "config")
        finally:
            made.down()


def test_it_counts(counted: Counted) -> None:
    counted.feed()
    counted.await_exact()
    counted.await_checkpoint()


def test_flink_answers_only_who_shows_the_certificate(counted: Counted) -> None:
    """What a web page can send without being asked is a form, to whatever listens on loopback."""
    settings = counted.stack.settings
    stranger = urllib3.PoolManager(cert_reqs="CERT_NONE")
    form = {"request": '{"jobGraphFileName": "graph"}', "graph": b"anything"}
    for method, path, fields in (("POST", "/jobs", form), ("GET", "/overview", None)):
        with pytest.raises(urllib3.exceptions.SSLError, match="CERTIFICATE"):
            stranger.request(method, settings.flink + path, fields=fields, retries=False, timeout=5.0)
        plain = settings.flink.replace("https:", "http:")
        assert stranger.request(method, plain + path, fields=fields, retries=False, redirect=False, timeout=5.0).status == 301
    assert Rest(settings).get("/overview")["jobs-running"] == 1


def test_a_killed_task_manager_is_replaced_and_the_job_goes_on(counted: Counted) -> None:
    runs = len(counted.book().runs)
    before = counted.stack.state("taskmanager-1").pid
    counted.feed()
    kill_nine(before)
    counted.feed()
    counted.await_exact()
    assert counted.stack.state("taskmanager-1").pid != before
    assert len(counted.book().runs) == runs, "Flink itself recovers the job"


def test_a_killed_job_manager_is_replaced_and_the_job_comes_back_from_its_newest_checkpoint(counted: Counted) -> None:
    counted.await_checkpoint()
    runs = len(counted.book().runs)
    workers = counted.stack.state("taskmanager-1").pid
    counted.feed()
    kill_nine(counted.stack.state("jobmanager").pid)
    newest = counted.newest()
    eventually(lambda: len(counted.book().runs) == runs + 1, "the job is submitted anew", 180.0)
    counted.feed()
    counted.await_exact()
    book = counted.book()
    assert len(book.runs) == runs + 1
    assert book.runs[-1].start is not None
    assert (book.runs[-1].start.run, book.runs[-1].start.checkpoint_id >= newest.checkpoint_id) == (newest.run, True)
    assert counted.stack.state("taskmanager-1").pid != workers, "what ran under the old JobManager is gone"


def test_down_and_up_goes_on_from_the_newest_checkpoint(counted: Counted) -> None:
    counted.await_checkpoint()
    counted.stack.down()
    newest = counted.newest()
    counted.stack.up(JOB)
    assert counted.book().runs[-1].start == newest
    counted.feed()
    counted.await_exact()


def test_a_job_manager_that_dies_with_its_supervisor_is_replaced_by_the_next_up(counted: Counted) -> None:
    counted.await_checkpoint()
    status = board.live_status(counted.stack.settings)
    assert status is not None
    kill_nine(status.supervisor.pid)
    kill_nine(status.services["jobmanager"].pid)
    counted.stack.up(JOB)
    counted.feed()
    counted.await_exact()


def test_a_job_that_flink_gave_up_is_submitted_anew_from_its_newest_checkpoint(counted: Counted) -> None:
    counted.await_checkpoint()
    runs = len(counted.book().runs)
    fail = counted.stack.settings.home / "fail"
    fail.touch()
    counted.feed()
    eventually(lambda: counted.stack.state(JOB).restarts > 0, "the supervisor saw it fail", 180.0)
    assert "a test wants this job to fail" in (counted.stack.settings.logs / "supervisor.log").read_text()
    fail.unlink()
    counted.await_exact()
    book = counted.book()
    assert len(book.runs) > runs
    assert all(run.start is not None for run in book.runs[runs:])


def test_a_job_that_was_cancelled_through_flink_itself_stays_cancelled(counted: Counted) -> None:
    settings = counted.stack.settings
    counted.await_checkpoint()
    runs = counted.book().runs
    Rest(settings).cancel(runs[-1].job_id, 60.0)
    eventually(lambda: counted.stack.state(JOB).state == "stopped", "the supervisor respects it")
    assert counted.book().runs == runs
    assert job_control.start(settings, JOB)
    counted.feed()
    counted.await_exact()


def test_code_that_has_changed_runs_in_new_task_managers(counted: Counted) -> None:
    settings = counted.stack.settings
    job_control.stop(settings, JOB)
    same = counted.stack.state("taskmanager-1").pid
    job_control.start(settings, JOB)
    assert counted.stack.state("taskmanager-1").pid == same
    job_control.stop(settings, JOB)
    with (counted.config / "tags.yaml").open("a") as file:
        file.write("# a change\n")
    job_control.start(settings, JOB)
    assert counted.stack.state("taskmanager-1").pid != same
    counted.feed()
    counted.await_exact()


def test_a_mistake_in_a_definition_stops_nothing(counted: Counted) -> None:
    settings = counted.stack.settings
    tags = counted.config / "tags.yaml"
    right = tags.read_text()
    before = {JOB: counted.stack.state(JOB)}
    runs = counted.book().runs
    tags.write_text(right.replace("recency_days > 90", "recency_dayz > 90"))
    try:
        for attempt in (lambda: job_control.stop(settings, JOB), lambda: job_control.start(settings, JOB), lambda: counted.stack.up(JOB)):
            with pytest.raises(
                StackError, match=r"tags\.yaml:7:27: \[1\]\.when: unknown field `recency_dayz`; did you mean `recency_days`"
            ):
                attempt()
        # What has to be started again meanwhile comes back by the last good definitions, in the same code.
        kill_nine(counted.stack.state("jobmanager").pid)
        eventually(lambda: len(counted.book().runs) > len(runs), "the job is submitted anew", 180.0)
        counted.feed()
        counted.await_exact()
    finally:
        tags.write_text(right)
    assert before[JOB].state == "ready"
    assert counted.stack.state(JOB).restarts > before[JOB].restarts


def test_a_job_whose_program_fails_tells_its_own_error_at_once(counted: Counted) -> None:
    settings = counted.stack.settings
    refuse = settings.home / "refuse"
    job_control.stop(settings, JOB)
    runs = len(counted.book().runs)
    refuse.touch()
    with pytest.raises(StackError) as caught:
        job_control.start(settings, JOB)
    refuse.unlink()
    assert "ValueError: config/tags.yaml: loyal: a test wants no submission\nand says so in two lines" in caught.value.problem
    assert len(counted.book().runs) == runs + 2, "what was asked for, and one submission: it would fail again"
    job_control.start(settings, JOB)
    counted.feed()
    counted.await_exact()


def test_a_job_that_fails_again_and_again_can_be_stopped_and_goes_on_from_its_newest_checkpoint(counted: Counted) -> None:
    settings = counted.stack.settings
    counted.await_checkpoint()
    fail = settings.home / "fail"
    fail.touch()
    counted.feed()
    rest = Rest(settings)
    eventually(lambda: "a test wants this job to fail" in rest.failure(counted.book().runs[-1].job_id), "it fails")
    said = job_control.stop(settings, JOB)
    assert "stopped without a savepoint: it fails and is restarted" in said
    assert "a test wants this job to fail" in said
    assert f"`cdp job start {JOB}` goes on from checkpoint {counted.newest().path}" in said
    eventually(lambda: counted.stack.state(JOB).state == "stopped", "the board shows it stopped")
    fail.unlink()
    job_control.start(settings, JOB)
    counted.await_exact()


def test_stop_with_savepoint_stays_stopped_and_start_goes_on_from_it(counted: Counted) -> None:
    counted.await_checkpoint()
    folder = Path(job_control.stop(counted.stack.settings, JOB))
    manifest = msgspec.json.decode((folder / "cdp.json").read_bytes(), type=run_book.Manifest)
    assert (manifest.job, manifest.execution_mode, manifest.platform_version) == (JOB, "thread", "0.1.0")
    assert counted.newest().path == str(folder)
    whole = (folder / "_metadata").read_bytes()
    (folder / "_metadata").write_bytes(whole[:-9] + bytes(9))  # as a power cut leaves it
    with pytest.raises(StackError, match="the newest point of count is damaged"):
        job_control.start(counted.stack.settings, JOB)
    (folder / "_metadata").write_bytes(whole)
    counted.feed()
    counted.stack.up()
    assert counted.stack.state(JOB).state == "stopped", "`cdp up` respects the will to stop"
    assert job_control.start(counted.stack.settings, JOB).startswith(f"{JOB}: starting from savepoint {folder}")
    counted.await_exact()


def test_of_two_savepoints_within_the_time_that_flink_caches_its_answers_the_later_one_is_the_newest(counted: Counted) -> None:
    settings = counted.stack.settings
    first, second = job_control.savepoint(settings, JOB), job_control.savepoint(settings, JOB)
    last = job_control.stop(settings, JOB)
    ids = {point.path: point.checkpoint_id for point in counted.book().savepoints}
    assert ids[first] < ids[second] < ids[last]
    assert counted.newest().path == last
    assert job_control.start(settings, JOB).startswith(f"{JOB}: starting from savepoint {last}")


def test_an_older_savepoint_is_refused_unless_somebody_insists(counted: Counted) -> None:
    settings = counted.stack.settings
    older = job_control.savepoint(settings, JOB)
    counted.feed()
    counted.await_exact()
    counted.await_checkpoint()
    newer = job_control.stop(settings, JOB)
    with pytest.raises(StackError, match="would go back") as caught:
        job_control.start(settings, JOB, older)
    assert "--rewind" in caught.value.remedy
    job_control.start(settings, JOB, older, rewind=True)
    run = counted.book().runs[-1]
    assert run.start is not None
    assert (run.start.path, run.rewound) == (older, True)
    counted.await_exact()
    counted.await_checkpoint()
    job_control.stop(settings, JOB, keep_savepoint=False)
    with pytest.raises(StackError, match="would go back"):
        job_control.start(settings, JOB, newer)  # of the line that was left
    job_control.start(settings, JOB)
    counted.feed()
    counted.await_exact()


def test_a_savepoint_of_another_execution_mode_or_of_unknown_origin_is_refused(counted: Counted) -> None:
    settings = counted.stack.settings
    folder = Path(job_control.stop(settings, JOB))
    manifest = (folder / "cdp.json").read_text()
    (folder / "cdp.json").write_text(manifest.replace('"thread"', '"process"'))
    with pytest.raises(StackError, match="execution mode `process`"):
        job_control.start(settings, JOB, str(folder))
    with pytest.raises(StackError, match="execution mode `process`"):
        job_control.start(settings, JOB)
    (folder / "cdp.json").unlink()
    with pytest.raises(StackError, match=r"no cdp\.json"):
        job_control.start(settings, JOB, str(folder), rewind=True)
    (folder / "cdp.json").write_text(manifest)
    job_control.start(settings, JOB, str(folder))
    counted.feed()
    counted.await_exact()
