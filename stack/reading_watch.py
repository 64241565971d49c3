"""Whether a running job goes on reading. One whose checkpoints complete may still stand before records that it never reads."""

import time
from collections.abc import Callable, Sequence
from typing import Final

from stack.checkpoint_watch import Health
from stack.offsets import Position

LOOK_EVERY_S: Final = 10.0
SHOWN: Final = 3
Positions = Sequence[Position]


class ReadingWatch:
    """Watches the offsets that one job commits.

    Args:
        late_s: a job that has read nothing for that long, although records wait, is not called ready.
        stalled_s: after that long it is stuck.
        positions: where the job stands in the topics it reads; None where nothing can be said.
        waiting: those of the positions at which a record waits that the job is free to read. Costs more than `positions`, hence it is only
            asked about a job that has not moved.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        late_s: float,
        stalled_s: float,
        positions: Callable[[], Positions | None],
        waiting: Callable[[Positions], Positions],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._late_s, self._stalled_s, self._clock = late_s, stalled_s, clock
        self._positions, self._waiting = positions, waiting
        self._committed = 0
        self.forget()

    def forget(self) -> None:
        """The job does not run: begin anew when it runs."""
        self._since_s = self._clock()
        self._looked_s = self._since_s
        self._health: Health = "healthy"
        self.says = ""
        """What is wrong, in words."""

    def look(self) -> Health:
        """Judge a job whose checkpoints complete; asks Kafka now and then, and repeats itself in between."""
        if self._clock() - self._looked_s >= LOOK_EVERY_S:
            self._looked_s = self._clock()
            self._judge(self._positions())
        return self._health

    def _judge(self, found: Positions | None) -> None:
        committed = sum(position.committed for position in found or ())
        behind = [position for position in found or () if position.behind]
        if not behind or committed != self._committed:
            self.forget()
            self._committed = committed
            return
        waiting = self._waiting(behind)
        if not waiting:
            self.forget()
            return
        stood_s = self._clock() - self._since_s
        if stood_s < self._late_s:
            return
        places = ", ".join(f"{one.topic}/{one.partition} at {one.committed}" for one in waiting[:SHOWN])
        more = f" and {len(waiting) - SHOWN} more" if len(waiting) > SHOWN else ""
        self.says = f"checkpoints complete, but nothing has been read for {stood_s:.0f} s; records wait in {places}{more}"
        self._health = "stalled" if stood_s >= self._stalled_s else "late"
