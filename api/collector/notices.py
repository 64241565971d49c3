"""Tell when a limit refused something: a log line and an event in `cdp.limits`, at most once a minute for each source and limit."""

import asyncio
import datetime as dt
import logging
import time
from typing import Any

import msgspec

from api.collector import envelope
from api.collector.intake import Intake
from api.collector.limits import Board
from api.collector.metrics import Metrics
from api.collector.publisher import Publisher

LOG = logging.getLogger("collector")
TOPIC = "cdp.limits"
CHECK_EVERY_S = 1.0


class Notice(msgspec.Struct, frozen=True):
    """Value of a record in `cdp.limits`.

    Attributes:
        source: whose limit; empty when the request showed no known write key.
        kind: which limit, one of `limits.KINDS`.
        at: when this was written, RFC 3339.
        refused: events refused since the last notice; for `request_bytes` requests.
        sample: facts of one refused request; nothing of its content.
    """

    source: str
    kind: str
    at: str
    refused: int
    sample: dict[str, Any]


class Notices:
    """Writes the notices that are due."""

    def __init__(self, board: Board, intake: Intake, publisher: Publisher, metrics: Metrics) -> None:
        self._board, self._intake, self._publisher, self._metrics = board, intake, publisher, metrics

    async def run(self) -> None:
        """Look every second, until cancelled."""
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            self._metrics.queued.set(self._publisher.queued)
            self.write()

    def write(self, at_once: bool = False) -> None:
        """Write what is due; what Kafka does not take is counted again and told later."""
        for source, kind, refused in self._board.due(time.monotonic(), at_once):
            sample = self._intake.samples.get((source, kind))
            at = envelope.iso(dt.datetime.now(dt.UTC))
            notice = Notice(source, kind, at, refused, msgspec.to_builtins(sample) if sample else {})
            LOG.warning("limit %s: source %s, %d refused", kind, source or "(unknown)", refused)
            self._publisher.tell(TOPIC, msgspec.json.encode(notice), _again(self._board, source, kind, refused))


def _again(board: Board, source: str, kind: str, refused: int) -> Any:
    return lambda: board.refuse(source, kind, refused)
