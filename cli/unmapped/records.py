"""What the topic `cdp.unmapped` holds, with what the log of replays knows of it."""

from collections.abc import Callable
from typing import Any, NamedTuple

from confluent_kafka import Message

from cli.newest import Newest
from cli.rejected import replay_log
from cli.unmapped.selection import Chosen, State, everywhere, position, state
from config import loader
from importers.unmapped import TOPIC, Kept, read
from operations.topics import each
from pipelines.rejected.record import Position
from pipelines.rejected.verdicts import Sent


class Seen(NamedTuple):
    """A record and its newest entry in the log of replays, None for none."""

    kept: Kept
    entry: Sent | None

    @property
    def state(self) -> State:
        """What became of it."""
        return state(self.kept, self.entry)


class Group:
    """Records that could not be mapped for the same reason.

    Attributes:
        source: name of the source.
        code: why.
        field: where, with `[*]` for each index.
        states: how many of each state.
        first: when the oldest was kept, ms.
        last: when the newest was kept, ms.
        example: place of the newest.
    """

    def __init__(self, kept: Kept) -> None:
        self.source, self.code, self.field = kept.source, kept.code, everywhere(kept.field)
        self.states: dict[State, int] = {"open": 0, "brought back": 0, "skipped": 0, "mapped": 0}
        self.first, self.last, self.example = kept.at, kept.at, kept.place

    def add(self, seen: Seen) -> None:
        """Count one."""
        self.states[seen.state] += 1
        self.first = min(self.first, seen.kept.at)
        if seen.kept.at >= self.last:
            self.last, self.example = seen.kept.at, seen.kept.place

    @property
    def records(self) -> int:
        """How many."""
        return sum(self.states.values())


def scan(bootstrap: str, take: Callable[[Kept], None], tell: Callable[[int, int], None] = lambda *_: None) -> None:
    """Hand over every record of the topic, from the oldest to the newest of each partition.

    Args:
        bootstrap: Kafka.
        take: called with each.
        tell: called now and then with the number of records read and about how many there are.

    Raises:
        TopicsAwayError: Kafka does not answer.
    """

    def handle(message: Message) -> None:
        value = message.value()
        take(read(message.partition() or 0, message.offset() or 0, message.timestamp()[1], value or b""))

    each(bootstrap, TOPIC, handle, tell=tell)


def newest(wanted: Callable[[Kept], bool], limit: int, only: State | None = None) -> list[Seen]:
    """The newest records, newest first; no more of them are held than are asked for.

    Args:
        wanted: which.
        limit: how many.
        only: of this state; None for any.
    """
    bootstrap = loader.platform().kafka.bootstrap
    known, held = replay_log.read(bootstrap, wait=False), Newest[Seen](limit)

    def take(kept: Kept) -> None:
        seen = Seen(kept, known.of(kept.place))
        if wanted(kept) and only in (None, seen.state):
            held.add((kept.at, kept.partition, kept.offset), seen)

    scan(bootstrap, take)
    return held.first()


def at(wanted: Position) -> Seen | None:
    """The record of a place, None when there is none."""
    return next(iter(newest(lambda kept: position(kept) == wanted, 1)), None)


def groups(chosen: Chosen) -> list[Group]:
    """Records counted by source, code and field, those with the most open ones first."""
    bootstrap = loader.platform().kafka.bootstrap
    known = replay_log.read(bootstrap, wait=False)
    found: dict[tuple[str, str, str], Group] = {}

    def take(kept: Kept) -> None:
        if chosen.holds(kept):
            key = kept.source, kept.code, everywhere(kept.field)
            found.setdefault(key, Group(kept)).add(Seen(kept, known.of(kept.place)))

    scan(bootstrap, take)
    return sorted(found.values(), key=lambda group: (-group.states["open"], -group.records, group.source, group.code, group.field))


def described(seen: Seen) -> dict[str, Any]:
    """A record for programs, without its bytes, and without headers: what a mapping reads of them may be personal."""
    kept = seen.kept
    told = {name: getattr(kept, name) for name in ("place", "at", "source", "tenant", "code", "field", "rule")}
    came_from = {name: value for name, value in kept.position.items() if name != "headers"}
    return told | {"position": came_from, "state": seen.state, "bytes": len(kept.original or b"")}
