"""Where the commands look: ClickHouse, or the topic when ClickHouse is away or not asked."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from cli.rejected import outcomes, replay_log, topic
from cli.rejected.card import Story
from cli.rejected.history import History
from cli.rejected.selection import Selection, condition
from config import loader
from operations.topics import TopicsAwayError
from pipelines.rejected.conditions import predicate
from pipelines.rejected.record import Position, Record
from pipelines.rules.tree import Node
from sinks.clickhouse import ClickHouse, ClickHouseAwayError, ClickHouseError, ClickHouseRefusedError

ANSWER_S: Final = 60.0
PAGE: Final = 1000
WITHOUT: Final = "--from-topic reads the topic instead"
T = TypeVar("T")


class HistoryAwayError(RuntimeError):
    """ClickHouse does not answer; the message says how to go on without it."""


def asking(question: Callable[[History], T], otherwise: str) -> T:
    """Ask ClickHouse.

    Args:
        question: what to ask.
        otherwise: what somebody can do while it is away.

    Raises:
        HistoryAwayError: ClickHouse does not answer, or has no table of rejected records yet.
    """
    try:
        return question(History(ClickHouse(loader.platform().clickhouse, answer_timeout_s=ANSWER_S)))
    except ClickHouseAwayError as error:
        raise HistoryAwayError(f"{error} {otherwise}") from error
    except ClickHouseRefusedError as error:
        if any(name in str(error) for name in ("UNKNOWN_TABLE", "UNKNOWN_DATABASE")):
            raise HistoryAwayError(f"ClickHouse has no table `rejected` yet: job `history` makes it (`cdp status`). {otherwise}") from error
        raise


def newest(chosen: Selection, limit: int, from_topic: bool) -> list[Record]:
    """The newest records, newest first.

    Raises:
        HistoryAwayError: ClickHouse does not answer, or has no table of rejected records yet.
    """
    wanted = condition(chosen)
    if from_topic:
        return topic.newest(loader.platform().kafka.bootstrap, predicate(wanted), limit)
    return asking(lambda history: history.newest(wanted, limit), WITHOUT)


def at(position: Position, from_topic: bool) -> Record | None:
    """The record of a position, None when there is none.

    Raises:
        HistoryAwayError: ClickHouse does not answer, or has no table of rejected records yet.
    """
    if from_topic:
        return next(iter(topic.newest(loader.platform().kafka.bootstrap, lambda record: record.position == position, 1)), None)
    return asking(lambda history: history.at(position), WITHOUT)


def each(wanted: Node, from_topic: bool, take: Callable[[Record], None]) -> None:
    """Hand over every record that matches, oldest first (of each partition of the topic, where that is read).

    Raises:
        HistoryAwayError: ClickHouse does not answer, or has no table of rejected records yet.
    """
    if from_topic:
        matches = predicate(wanted)
        topic.scan(loader.platform().kafka.bootstrap, lambda record: take(record) if matches(record) else None)
        return

    def ask(history: History) -> None:
        for page in history.oldest_first(wanted, history.moment(), PAGE):
            for record in page:
                take(record)

    asking(ask, WITHOUT)


def story(record: Record) -> Story:
    """What became of a record, as far as the servers that answer know."""
    unknown: list[str] = []
    sent, found = None, []
    try:
        sent = replay_log.read(loader.platform().kafka.bootstrap, wait=False).of(str(record.position))
    except TopicsAwayError as error:
        unknown.append(f"whether it was replayed is not known: {error}")
    try:
        ids = {record.message_id, *([sent.message_id] if sent else [])}
        found = outcomes.outcomes(ClickHouse(loader.platform().clickhouse, answer_timeout_s=ANSWER_S), ids, record.tenant, record.position)
    except ClickHouseError as error:
        unknown.append(f"what became of it is not known: {error}")
    return Story(sent, found, unknown)


def described(record: Record) -> dict[str, Any]:
    """A record for programs, without its bytes."""
    values = {name: getattr(record, name) for name in Record.__struct_fields__ if name != "original"}
    return {"position": str(record.position), **values, "bytes": len(record.original)}
