"""What nobody else looks after: log time that runs ahead of the clock on the wall, transactions that are open for too long, a full Redis.

Log time that is ahead closes windows before their time, and holds the others up until they catch up. The broker refuses raw records that
claim to be further ahead than `limits.clock_ahead_s`; a clock that was set back, or a topic without that bound, still shows here.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec
from confluent_kafka import Producer

from stack.process import write_json
from stack.transactions import Transaction

TOPIC = "cdp.alerts"
OPEN_FOR_S = 300.0
Place = tuple[str, int]


class Alarm(msgspec.Struct, frozen=True):
    """Something is wrong now. `id` stays the same as long as it lasts."""

    id: str
    kind: str
    says: str
    look: str


def ahead(newest: Mapping[Place, int], now_ms: int, allowed_s: float) -> list[Alarm]:
    """Partitions whose newest record is ahead of the clock.

    Args:
        newest: greatest record timestamp of each raw partition, ms.
        now_ms: the clock on the wall.
        allowed_s: by how much it may be ahead.
    """
    return [
        Alarm(
            f"clock:{topic}:{number}",
            "clock",
            f"{topic} partition {number}: its newest record is {words((at_ms - now_ms) / 1000)} ahead of this machine's clock",
            "cdp topics; docs/operations.md, section Clock",
        )
        for (topic, number), at_ms in sorted(newest.items())
        if at_ms - now_ms > allowed_s * 1000
    ]


def stuck(found: Iterable[Transaction], open_for_s: float = OPEN_FOR_S) -> list[Alarm]:
    """Transactions that have been open for so long that their writer is gone or stands still.

    Args:
        found: transactions of ours.
        open_for_s: after how long.
    """
    return [
        Alarm(
            f"transaction:{one.id}",
            "transaction",
            f"{one.id} has been open for {words(one.age_s)}: readers of committed records wait in "
            f"{', '.join(f'{topic}/{number}' for topic, number in one.partitions)}",
            "cdp transactions list; docs/operations.md, section Absence",
        )
        for one in found
        if one.is_open and one.age_s > open_for_s
    ]


def words(seconds: float) -> str:
    """A duration as people say it."""
    for unit, length in (("years", 365.25 * 86_400), ("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:,.0f} seconds"


class Bell:
    """Tells each alarm once when it begins and once when it is over: to a log, and to the topic `cdp.alerts`.

    Args:
        producer: of the broker.
        say: takes a line.
        now_s: wall clock.
        board: file that holds the alarms there are, for `cdp status`.
    """

    def __init__(
        self, producer: Producer, say: Callable[[str], None], now_s: Callable[[], float] = time.time, board: Path | None = None
    ) -> None:
        self._producer, self._say, self._now_s, self._board = producer, say, now_s, board
        self._ringing: dict[str, Alarm] = {}

    def ring(self, kind: str, alarms: Iterable[Alarm]) -> None:
        """These are all alarms of a kind there are now."""
        now = {alarm.id: alarm for alarm in alarms}
        before = {name: alarm for name, alarm in self._ringing.items() if alarm.kind == kind}
        for name in now.keys() - before.keys():
            self._tell("opened", now[name])
        for name in before.keys() - now.keys():
            self._tell("closed", before[name])
        self._ringing = {name: alarm for name, alarm in self._ringing.items() if alarm.kind != kind} | now
        if self._board:
            write_json(self._board, list(self._ringing.values()), durable=False)

    def _tell(self, change: str, alarm: Alarm) -> None:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._now_s()))
        value = {"id": alarm.id, "change": change, "kind": alarm.kind, "at": at, "says": alarm.says, "look": alarm.look}
        self._say(f"{'ALERT' if change == 'opened' else 'over'}: {alarm.says}")
        self._producer.produce(TOPIC, json.dumps(value), alarm.id)


def alarms(board: Path, fresh_s: float = 60.0) -> list[Alarm]:
    """What a ticker has written to its board lately; nothing when none has.

    Args:
        board: see `Bell`.
        fresh_s: a board that is older says nothing about now.
    """
    try:
        if time.time() - board.stat().st_mtime > fresh_s:
            return []
        return msgspec.json.decode(board.read_bytes(), type=list[Alarm])
    except (OSError, msgspec.DecodeError):
        return []
