"""Requests through the collector's own intake and the pure core, without servers: what HTTP bodies become in profiles."""

import asyncio
import datetime as dt
import json
from pathlib import Path
from typing import Any

from api.collector.access import Door
from api.collector.intake import BATCH, Arrival, Intake
from api.collector.limits import Board
from config import loader
from pipelines.identity.nodes import profile_of
from pipelines.wire import Event, Rejected
from schemas import json_parts
from stack.settings import PROJECT
from tests.in_process import InProcess

CASES = PROJECT / "tests" / "cases"
TOPIC = "cdp.raw.orders"
NOON = dt.datetime(2026, 11, 28, 12, tzinfo=dt.UTC)
NOON_MS = int(NOON.timestamp() * 1000)


def case(name: str) -> bytes:
    """A file of `tests/cases`."""
    return (CASES / name).read_bytes()


def _message_id(value: bytes) -> str:
    """Of a record that may nest too deeply for readers of JSON."""
    found = (json_parts.members(value) or {}).get("messageId")
    return str(None if found is None else json.loads(bytes(found)))


class Written:
    """Where the collector has Kafka: keeps what is written."""

    def __init__(self) -> None:
        self.values: list[bytes] = []

    async def publish(self, topic: str, records: list[tuple[bytes | None, bytes]]) -> None:
        """Keep the records' values."""
        self.values.extend(value for _, value in records)


class Posted:
    """A collector and a pipeline.

    Args:
        folder: for the limits' file.
        now_ms: log time of whatever is posted.
    """

    def __init__(self, folder: Path, now_ms: int = NOON_MS) -> None:
        sources = loader.sources()
        self._written, self._now_ms = Written(), now_ms
        board = Board(folder / "limits", ["", *sources])
        self.intake = Intake(sources, Door(sources), board, self._written, loader.platform().limits)  # type: ignore[arg-type]
        self.core = InProcess()

    def post(self, body: bytes, call: str = BATCH, encoding: str = "") -> dict[str, str]:
        """Post a body with the key of source `server`; gives the outcome of each event by its message id, and keeps them in `core`.

        Raises:
            Refusal: the collector does not take it.
        """
        arrival = Arrival(call=call, body=body, encoding=encoding, write_key="demo-server")
        before = len(self._written.values)
        asyncio.run(self.intake.take(arrival))
        outcomes = {}
        for offset, value in enumerate(self._written.values[before:], before):
            self.core.record(value, TOPIC, 0, offset, self._now_ms)
            outcomes[_message_id(value)] = self.core.outcomes[TOPIC, 0, offset]
        return outcomes

    @property
    def values(self) -> list[bytes]:
        """What was written to the raw topic."""
        return self._written.values

    def decoded(self, message_id: str) -> Event | Rejected:
        """What the pipeline makes of a posted event by itself."""
        (value,) = [value for value in self._written.values if _message_id(value) == message_id]
        found = self.core._decoder.decode(value, TOPIC, 0, 0, self._now_ms)
        assert found is not None
        return found

    def event(self, message_id: str) -> Event:
        """The same of a posted event that has to be one."""
        found = self.decoded(message_id)
        assert isinstance(found, Event), found
        return found

    def profile(self, identifier: str) -> dict[str, Any] | None:
        """The newest record of the profile of `namespace:value`, looked up the way clients do."""
        namespace, _, raw = identifier.partition(":")
        value = self.core.nodes.lookup_value("demo", namespace, raw)
        newest = None if value is None else self.core.newest.get(profile_of(f"demo|{namespace}|{value}"))
        return None if newest is None else newest.record
