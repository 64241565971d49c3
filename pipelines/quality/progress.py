"""The job's own account of itself: one line every ten seconds of work."""

import logging
import time
from collections.abc import Callable

from pipelines.quality.messages import moment_of
from pipelines.quality.meter import Span

_log = logging.getLogger(__name__)


class Progress:
    """Counts minutes and says now and then how far the job is.

    Args:
        every_s: time between two lines.
        clock: monotonic seconds.
    """

    def __init__(self, every_s: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_s = every_s
        self._clock = clock
        self._said_s = clock() - every_s
        self._minutes = 0

    def measured(self, span: Span, closed: int) -> None:
        """A span was measured, of what is closed."""
        self._minutes += span.end - span.first
        if self._clock() - self._said_s < self._every_s:
            return
        behind = closed - span.end
        left = f"{behind} minutes to go" if behind else "up to date"
        _log.info("measured %d minutes, up to %s; %s", self._minutes, moment_of(span.end), left)
        self._said_s, self._minutes = self._clock(), 0
