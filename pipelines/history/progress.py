"""The loader's own account of itself: one line every ten seconds."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping

from pipelines.history.loader import Loader
from pipelines.history.plan import Partition

_log = logging.getLogger(__name__)


class Progress:
    """Counts rows and says now and then how far the loader is.

    Args:
        every_s: time between two lines.
        clock: monotonic seconds.
    """

    def __init__(self, every_s: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_s = every_s
        self._clock = clock
        self._since_s = clock()
        self._rows = 0

    def add(self, rows: int) -> None:
        """Rows were inserted."""
        self._rows += rows

    def say(self, loader: Loader, ends: Callable[[Iterable[Partition]], Mapping[Partition, int]]) -> None:
        """Log the line when it is time.

        Args:
            loader: whose positions count.
            ends: asks Kafka for end offsets. Transaction markers are offsets too: a lag of one or two per partition is none.
        """
        now = self._clock()
        passed_s = now - self._since_s
        if passed_s < self._every_s:
            return
        mine = loader.partitions
        found = ends(mine)
        lag: dict[str, int] = {}
        for partition, end in found.items():
            lag[partition.topic] = lag.get(partition.topic, 0) + max(0, end - loader.position(partition))
        behind = (
            ", ".join(f"{topic} {count}" for topic, count in sorted(lag.items()))
            if found or not mine
            else "unknown (Kafka does not answer)"
        )
        _log.info("%d rows, %.0f rows/s; %d partitions; lag: %s", self._rows, self._rows / passed_s, len(mine), behind or "none")
        self._since_s, self._rows = now, 0
