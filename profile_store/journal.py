"""How much of the log of changes the store holds, noted in the store itself.

Redis may lose its last second (`appendfsync everysec` and a power cut), its last minutes (a replica takes over, a copy is restored) or
everything. Whatever it loses, it loses from the end: what was written before something that is still there is there too. So each round
trip that writes profiles ends with a new entry of this journal, which names the entry it follows. A store that does not hold that one has
lost writes, or is another store; the entry it does hold says from where the log has to be read again.
"""

import hashlib
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from profile_store import layout
from profile_store.errors import StoreChangedError

JOURNAL_SCRIPT: Final = (Path(__file__).parent / "journal.lua").read_bytes()
_SHA: Final = hashlib.sha1(JOURNAL_SCRIPT).hexdigest()
Command = tuple[str | bytes | int, ...]


class Covered(msgspec.Struct, frozen=True):
    """Offsets of one partition whose records the store holds: those below `done`, and from `begin` up to (not including) `end`.

    Without a gap the three are the same. A gap arises where the newest records go first; it is closed from its upper end downwards, so
    that a profile gets its newest values first and older ones never.
    """

    done: int
    begin: int
    end: int

    @classmethod
    def upto(cls, offset: int) -> "Covered":
        """Everything below an offset."""
        return cls(offset, offset, offset)

    @property
    def missing(self) -> int:
        """Length of the gap, in offsets."""
        return self.begin - self.done

    def reaching(self, end: int) -> "Covered":
        """The newest records up to `end` have come in."""
        return Covered(self.done, self.begin, max(self.end, end)) if self.missing else Covered.upto(max(self.end, end))

    def leaping(self, end: int) -> "Covered":
        """Go on at `end` and leave what lies before it for later; a gap that is open already grows by it."""
        return Covered(self.done, end, end) if end > self.end else self

    def filled(self, begin: int) -> "Covered":
        """The gap has been closed from above down to `begin`."""
        return Covered.upto(self.end) if begin <= self.done else Covered(self.done, min(self.begin, begin), self.end)


def read(redis: Any, log: str) -> dict[int, Covered]:
    """What a store holds of a log, by partition, for whoever wants to know.

    Args:
        redis: client.
        log: id of the log.
    """
    return {int(partition): _covered(entry.decode()) for partition, entry in redis.hgetall(layout.journal_key(log)).items()}


class Journal:
    """The journal of one log.

    Args:
        log: id of the log.

    Attributes:
        covered: what the store holds, by partition; the owner keeps it, `ProfileWriter` writes it.
    """

    def __init__(self, log: str) -> None:
        self._key = layout.journal_key(log)
        self._writer = secrets.token_hex(4)  # two writers never make the same entry
        self._number = 0
        self.covered: dict[int, Covered] = {}
        self._held: dict[int, str] = {}

    def question(self, partitions: Sequence[int]) -> Command:
        """The command that asks the store for its entries."""
        return ("HMGET", self._key, *partitions)

    def answer(self, partitions: Sequence[int], found: Sequence[bytes | None]) -> None:
        """Take the store's entries; partitions it knows nothing of are missing in `covered`."""
        self._held = {partition: (entry or b"").decode() for partition, entry in zip(partitions, found, strict=True)}
        self.covered = {partition: _covered(entry) for partition, entry in self._held.items() if entry}

    def entry(self) -> "Entry | None":
        """The next entry, None while there is no partition."""
        if not self.covered:
            return None
        self._number += 1
        mark = f"{self._writer}-{self._number}"
        new = {part: f"{mark} {covered.done} {covered.begin} {covered.end}" for part, covered in self.covered.items()}
        words = [word for part, text in new.items() for word in (part, self._held.get(part, ""), text)]
        return Entry(self, ("EVALSHA", _SHA, 1, self._key, *words), new)

    def confirmed(self, entries: dict[int, str]) -> None:
        """The store holds these entries now."""
        self._held |= entries


class Entry:
    """One entry on its way to the store; a round trip that is repeated repeats the same entry."""

    def __init__(self, journal: Journal, command: Command, entries: dict[int, str]) -> None:
        self.command = command
        self._journal = journal
        self._entries = entries

    def confirm(self, reply: Any) -> None:
        """Take the store's answer.

        Raises:
            StoreChangedError: the store does not hold the entry before this one.
        """
        if reply != 1:
            raise StoreChangedError("the profile store does not hold what was written to it before: it lost data, or is another one")
        self._journal.confirmed(self._entries)


def _covered(entry: str) -> Covered:
    _, done, begin, end = entry.split(" ")
    return Covered(int(done), int(begin), int(end))
