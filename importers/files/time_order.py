"""Messages in the order of their events' times, sorted on disk: what a first load on the log's own clock needs."""

import datetime as dt
import sqlite3
from collections.abc import Iterator
from typing import Final, NamedTuple, Self

from importers.envelope import Message

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MS: Final = dt.timedelta(milliseconds=1)


class Timed(NamedTuple):
    """A message with its event's time, in milliseconds since 1970."""

    at_ms: int
    message_id: str
    key: bytes
    value: bytes


class TimeOrder:
    """Takes messages in any order and gives them back by time; of one time in the order they came. A context manager.

    They lie in SQLite's private temporary database, so memory stays bounded.
    """

    def __init__(self) -> None:
        self._store = sqlite3.connect("", isolation_level=None)
        self._store.execute("CREATE TABLE messages (at INTEGER, id TEXT, key BLOB, value BLOB)")
        self._store.execute("BEGIN")
        self.count = 0

    def add(self, at: dt.datetime, message: Message) -> None:
        """Take a message whose event happened at a moment."""
        values = ((at - _EPOCH) // _MS, message.message_id, message.key, message.value)
        self._store.execute("INSERT INTO messages VALUES (?, ?, ?, ?)", values)
        self.count += 1

    def __iter__(self) -> Iterator[Timed]:
        for at, message_id, key, value in self._store.execute("SELECT at, id, key, value FROM messages ORDER BY at, rowid"):
            yield Timed(at, message_id, key, value)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._store.close()
