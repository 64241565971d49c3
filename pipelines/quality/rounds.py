"""The rounds of job `quality`: what is over is measured, judged and told. Each begins with what ClickHouse says has been done."""

from collections.abc import Callable, Sequence
from typing import Protocol

from pipelines.quality.alert_store import AlertStore
from pipelines.quality.alerts import Alert
from pipelines.quality.judge import Judge
from pipelines.quality.meter import Meter
from pipelines.quality.plan import Plan
from pipelines.quality.progress import Progress
from pipelines.quality.schema import Server


class Closed(Protocol):
    """Who knows which minutes are over."""

    def look(self, after: int) -> int:
        """All minutes before the answer are closed; `after` is known."""


class Outbox(Protocol):
    """Who delivers."""

    def add(self, alert: Alert, channel: str) -> None:
        """A change to deliver."""

    def turn(self) -> None:
        """Try what is due."""


class Rounds:
    """Goes round until something fails; after that, make new ones.

    Args:
        server: ClickHouse.
        plan: what is checked.
        closed: which minutes are over.
        outbox: where changes of alerts go.
        channels: who is to get them.
        default_tenant: of records whose tenant nobody could read.
        progress: tells how far it is.
    """

    def __init__(
        self, server: Server, plan: Plan, closed: Closed, outbox: Outbox, channels: Sequence[str], default_tenant: str, progress: Progress
    ) -> None:
        alert_store = AlertStore(server, channels)
        self._closed = closed
        self._outbox = outbox
        self._channels = channels
        self._progress = progress
        self._meter = Meter(server, plan, default_tenant)
        self._judge = Judge(server, plan.quality, alert_store)
        for alert, channel in alert_store.undelivered():
            outbox.add(alert, channel)

    def turn(self, stopped: Callable[[], bool]) -> None:
        """Do what there is to do by now.

        Args:
            stopped: asked between two spans whether to leave the rest.
        """
        closed = self._closed.look(self._meter.end)
        self._tell(self._meter.end)
        while not stopped() and (span := self._meter.next(closed)) is not None:
            self._progress.measured(span, closed)
            self._tell(span.end)
            if span.end == closed:
                self._meter.late()
        self._outbox.turn()

    def _tell(self, end: int) -> None:
        for alert in self._judge.through(end):
            for channel in self._channels:
                self._outbox.add(alert, channel)
        self._outbox.turn()
