"""The judge: brings the detector to where it was, and has it judge what was measured, each minute once.

The changes of a minute are saved by one insert, before anything else happens. So a minute of which a change is in the table has been
judged, even if its end was not noted; and one that was noted as judged has nothing more to say.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Final

from config.quality import Quality
from pipelines.quality.alert_store import AlertStore
from pipelines.quality.alerts import Alert
from pipelines.quality.counts import Counted, Counts, share_of
from pipelines.quality.detector import Detector
from pipelines.quality.meter import progress, save_progress
from pipelines.quality.schema import Server
from pipelines.quality.series import MEMORY, Series
from pipelines.quality.sql import MINUTE_S
from pipelines.quality.statistics import as_floats

JUDGED: Final = "judged"
_CHUNK: Final = 60
"""Minutes whose counts are read at once."""


class Judge:
    """Judges measured minutes. It holds nothing that is not in ClickHouse: after an error, make a new one.

    Args:
        server: ClickHouse.
        quality: the configuration.
        alert_store: the alerts there are; gets those that change.
        clock: seconds since the epoch: what was measured long after its time raises no alerts.
    """

    def __init__(self, server: Server, quality: Quality, alert_store: AlertStore, clock: Callable[[], float] = time.time) -> None:
        self._server = server
        self._quality = quality
        self._clock = clock
        self._counts = Counts(server, quality)
        self._alert_store = alert_store
        self._detector: Detector | None = None
        self._end = max(progress(server, JUDGED), alert_store.newest_minute() + 1)

    def through(self, measured_end: int) -> list[Alert]:
        """Judge all minutes before `measured_end` that were not judged yet; changes are saved before they are returned."""
        self._end = self._end or self._counts.first_minute()
        if not self._end:
            return []
        oldest = int(self._clock() - self._quality.alerts.judge_within_hours * 3600) // MINUTE_S
        begin = max(self._end, oldest)
        if begin >= measured_end:
            return []
        if self._detector is None or begin > self._end:
            self._detector = self._made(begin)
        changes: list[Alert] = []
        for first in range(begin, measured_end, _CHUNK):
            end = min(first + _CHUNK, measured_end)
            counted = {one.minute: one for one in self._counts.by_minute(first, end)}
            for minute in range(first, end):
                _add(self._detector, minute, counted.get(minute))
                found = self._detector.judge(self._counts)
                self._alert_store.write(found)
                changes += found
        self._end = measured_end
        save_progress(self._server, JUDGED, measured_end, measured_end)
        return changes

    def _made(self, begin: int) -> Detector:
        """A detector that knows all it has to know about the minutes before `begin`."""
        known = self._alert_store.known(begin - 2 * MEMORY)
        detector = Detector(Series(), partial(share_of, self._quality), self._quality.alerts, known)
        for first in range(begin - MEMORY, begin, _CHUNK):
            for counted in self._counts.by_minute(first, min(first + _CHUNK, begin)):
                _add(detector, counted.minute, counted)
        return detector


def _add(detector: Detector, minute: int, counted: Counted | None) -> None:
    keys = counted.keys if counted else []
    passed, total = (counted.passed, counted.total) if counted else (as_floats([]), as_floats([]))
    detector.series.add(minute, detector.series.rows(keys), passed, total, detector.disturbed(minute))
