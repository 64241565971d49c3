"""A job is ready while its checkpoints complete, not merely while its tasks run."""

import pytest

from stack.checkpoint_watch import CheckpointWatch


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watch(clock: Clock) -> CheckpointWatch:
    return CheckpointWatch(late_s=30, stalled_s=150, clock=clock)


def test_running_tasks_alone_do_not_make_a_job_ready(watch: CheckpointWatch, clock: Clock) -> None:
    assert watch.look("a", 981) == "starting", "that checkpoint may be an old one"
    clock.now_s += 20
    assert watch.look("a", 981) == "starting"
    assert watch.look("a", 982) == "healthy"


def test_a_job_whose_checkpoints_stop_is_late_and_then_stalled(watch: CheckpointWatch, clock: Clock) -> None:
    watch.look("a", 1)
    assert watch.look("a", 2) == "healthy"
    clock.now_s += 29
    assert watch.look("a", 2) == "healthy"
    clock.now_s += 1
    assert watch.look("a", 2) == "late"
    clock.now_s += 120
    assert watch.look("a", 2) == "stalled"
    assert watch.look("a", 3) == "healthy", "it came to itself"


def test_a_job_that_never_completes_a_checkpoint_stalls_too(watch: CheckpointWatch, clock: Clock) -> None:
    assert watch.look("a", 0) == "starting"
    clock.now_s += 149
    assert watch.look("a", 0) == "starting"
    clock.now_s += 1
    assert watch.look("a", 0) == "stalled"


@pytest.mark.parametrize("another", ["run", "restart"])
def test_a_new_run_and_a_restart_have_to_prove_themselves_and_get_their_time(watch: CheckpointWatch, clock: Clock, another: str) -> None:
    watch.look("a", 1)
    watch.look("a", 2)
    clock.now_s += 149
    if another == "restart":
        watch.forget()
    run = "b" if another == "run" else "a"
    assert watch.look(run, 2) == "starting"
    clock.now_s += 149
    assert watch.look(run, 2) == "starting"
    assert watch.look(run, 3) == "healthy"
