"""The job's account of itself: offsets and a remark for `cdp jobs`, and a line in the log."""

import logging
from collections.abc import Callable, Mapping
from typing import Final

from pipelines.serving.server import Server

COMMIT_EVERY_S: Final = 1.0
_log = logging.getLogger(__name__)


class Progress:
    """Says now and then how far the job is.

    Args:
        server: whose progress.
        commit: tells the consumer group offsets and a remark.
        warning: what is wrong with the store, empty for nothing.
        every_s: time between two lines in the log.
    """

    def __init__(
        self,
        server: Server,
        commit: Callable[[Mapping[int, int], str], None],
        warning: Callable[[], str] = lambda: "",
        every_s: float = 10.0,
    ) -> None:
        self._server = server
        self._commit = commit
        self._warning, self._warned = warning, ""
        self.every_s = every_s
        self._committed_s = self._logged_s = 0.0
        self._told: tuple[dict[int, int], str] = ({}, "")
        self._written = 0

    @property
    def remark(self) -> str:
        """What is out of the ordinary: a gap that is being closed, a store that is almost full."""
        missing = self._server.missing
        return "; ".join(filter(None, (f"filling Redis: {missing:,} older records to look at" if missing else "", self._warned)))

    def say(self, now_s: float) -> None:
        """Tell what is due.

        Args:
            now_s: monotonic seconds.
        """
        if now_s - self._committed_s >= COMMIT_EVERY_S:
            self._committed_s = now_s
            told = ({partition: covered.done for partition, covered in self._server.covered.items()}, self.remark)
            if told[0] and told != self._told:
                self._commit(*told)
                self._told = told
        if now_s - self._logged_s >= self.every_s:
            self._warned = self._warning()
            if self._warned:
                _log.warning("%s", self._warned)
            new, passed_s = self._server.written - self._written, now_s - self._logged_s
            if new and self._logged_s:
                _log.info("%d changes, %.0f a second%s", new, new / passed_s, f"; {self.remark}" if self.remark else "")
            self._logged_s, self._written = now_s, self._server.written
