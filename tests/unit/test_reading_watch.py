"""A job is ready while it reads what there is to read, not merely while its checkpoints complete."""

import pytest

from stack.offsets import Position
from stack.reading_watch import ReadingWatch
from tests.unit.test_checkpoint_watch import Clock


class World:
    """A job that stands at `committed` of a partition that ends at `end`; `readable` says whether what is left are records for it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.committed: int | None = 5
        self.end, self.readable, self.asked = 5, True, 0
        self.watch = ReadingWatch(30, 150, self._positions, self._waiting, self.clock)

    def _positions(self) -> list[Position] | None:
        return None if self.committed is None else [Position("cdp.raw.orders", 1, self.committed, 0, self.end)]

    def _waiting(self, behind: list[Position]) -> list[Position]:
        self.asked += 1
        return behind if self.readable else []

    def after(self, seconds: float) -> str:
        """What it is called when so much time has passed and it was looked at twice a second."""
        for _ in range(int(seconds * 2)):
            self.clock.now_s += 0.5
            health = self.watch.look()
        return health


@pytest.fixture
def world() -> World:
    return World()


def test_a_job_that_has_read_everything_stays_healthy(world: World) -> None:
    assert world.after(600) == "healthy"
    assert world.asked == 0


def test_a_job_that_stands_before_records_is_late_then_stalled_and_says_where(world: World) -> None:
    world.end = 9
    assert world.after(30) == "healthy"
    assert world.after(30) == "late"
    assert "records wait in cdp.raw.orders/1 at 5" in world.watch.says
    assert world.after(120) == "stalled"
    world.committed = 6
    assert world.after(10) == "healthy"
    assert world.watch.says == ""


def test_a_job_that_reads_slowly_is_healthy(world: World) -> None:
    world.end = 100
    for _ in range(20):
        world.committed = (world.committed or 0) + 1
        assert world.after(29) == "healthy"


@pytest.mark.parametrize("why", ["nothing it may read", "nothing known"])
def test_a_job_is_not_blamed_for_what_it_cannot_read(world: World, why: str) -> None:
    world.end = 9
    if why == "nothing known":
        world.committed = None
    else:
        world.readable = False
    assert world.after(600) == "healthy"


def test_what_could_be_read_from_a_moment_on_counts_from_then(world: World) -> None:
    world.end, world.readable = 9, False
    world.after(300)
    world.readable = True
    assert world.after(29) == "healthy"
    assert world.after(31) == "late"


def test_a_job_that_did_not_run_gets_its_time(world: World) -> None:
    world.end = 9
    world.after(140)
    world.watch.forget()
    assert world.after(29) == "healthy"
