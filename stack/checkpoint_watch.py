"""Whether the checkpoints of a running job go on completing. A job whose tasks all run may still be stuck: then nothing of it is seen."""

import time
from collections.abc import Callable
from typing import Literal

Health = Literal["starting", "healthy", "late", "stalled"]
"""`starting`: no checkpoint has completed since all tasks run. `healthy`: they complete. `late`: none for a while. `stalled`: none for so
long that something has to be done."""


class CheckpointWatch:
    """Watches the run of one job.

    Args:
        late_s: a job without a completed checkpoint for that long is not called ready.
        stalled_s: after that long without one it is stuck. Longer than Flink's own time-out of a checkpoint, which cures some causes.
        clock: monotonic seconds.
    """

    def __init__(self, late_s: float, stalled_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._late_s, self._stalled_s, self._clock = late_s, stalled_s, clock
        self._run = ""
        self._newest = 0
        self._completes = False
        self._since_s = clock()

    @property
    def waited_s(self) -> float:
        """Seconds since the newest checkpoint completed, or since the watch began."""
        return self._clock() - self._since_s

    def forget(self) -> None:
        """The job does not run, or what it needs is away: begin anew when it runs."""
        self._run = ""
        self._completes = False
        self._since_s = self._clock()

    def look(self, run: str, newest: int) -> Health:
        """Judge a run all of whose tasks run.

        Args:
            run: its id.
            newest: number of its newest completed checkpoint; 0 when it has none.
        """
        if run != self._run:
            self.forget()
            self._run, self._newest = run, newest
        elif newest != self._newest:
            self._newest, self._completes, self._since_s = newest, True, self._clock()
        if self.waited_s >= self._stalled_s:
            return "stalled"
        if not self._completes:
            return "starting"
        return "healthy" if self.waited_s < self._late_s else "late"
