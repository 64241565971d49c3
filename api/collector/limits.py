"""Limits that act on data: a token bucket per source, and the word about what was refused, at most once a minute.

The buckets live in a small file mapped by all workers, so a source has one limit however its connections spread. Each entry is a few
doubles, changed under a lock of the operating system.
"""

import fcntl
import mmap
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from config.sources import Rate

ANNOUNCE_EVERY_S = 60.0
CONNECTIONS = "connections"
HEADERS = "headers"
SLOW = "slow"
REST = "rest"
INVALID = "invalid"
HELD = "held"
KINDS = ("rate", "request_bytes", "request_events", CONNECTIONS, HEADERS, SLOW, REST, INVALID, HELD)
"""Of limits. The last six are held before the key is checked: too many connections, headers too large, too slow, a body that goes on behind
its answer, no HTTP, too many bytes in memory."""
_BUCKET = struct.Struct("<2d")  # tokens, moment they were counted
_NOTICE = struct.Struct("<2d")  # refused since the last word, moment of the last word


def take(tokens: float, since: float, now: float, events: int, rate: Rate) -> tuple[float, float]:
    """Take tokens out of a bucket.

    A request larger than the whole bucket passes when it is full, and leaves it in debt: otherwise it could never pass.

    Args:
        tokens: in the bucket at `since`; below 0 for a debt.
        since: when they were counted, seconds; 0 for a new bucket, which is full.
        now: seconds of the same clock.
        events: how many to take.
        rate: how fast it fills, and how much it holds.

    Returns:
        Tokens left, and the seconds to wait; when these are not 0, nothing was taken.
    """
    filled = rate.burst if not since else min(rate.burst, tokens + max(0.0, now - since) * rate.events_per_s)
    needed = min(float(events), rate.burst)
    if filled >= needed:
        return filled - events, 0.0
    return filled, (needed - filled) / rate.events_per_s


class Board:
    """Buckets and notices of all sources, shared between the workers of one collector.

    Args:
        path: the file, made if it is not there.
        sources: names, in the same order in every worker; `""` stands for requests that showed no known key.
    """

    def __init__(self, path: Path, sources: Sequence[str]) -> None:
        names = list(sources)
        self._size = _BUCKET.size + len(KINDS) * _NOTICE.size
        self._at = {name: index * self._size for index, name in enumerate(names)}
        self._lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        with self._locked():
            if os.fstat(self._lock).st_size < self._size * len(names):
                os.ftruncate(self._lock, self._size * len(names))
        self._map = mmap.mmap(self._lock, self._size * len(names))

    def take(self, source: str, events: int, rate: Rate, now: float) -> float:
        """Take from a source's bucket; 0 when there was enough, else the seconds to wait."""
        at = self._at[source]
        with self._locked():
            held, since = _BUCKET.unpack_from(self._map, at)
            tokens, wait_s = take(held, since, now, events, rate)
            _BUCKET.pack_into(self._map, at, tokens, now)
        return wait_s

    def refuse(self, source: str, kind: str, events: int) -> None:
        """Count events that a limit refused."""
        at = self._notice(source, kind)
        with self._locked():
            refused, said_at = _NOTICE.unpack_from(self._map, at)
            _NOTICE.pack_into(self._map, at, refused + events, said_at)

    def due(self, now: float, at_once: bool = False) -> Iterator[tuple[str, str, int]]:
        """Source, kind and count of what was refused since the last word, for those whose last word is a minute old.

        Args:
            now: seconds, as for `take`.
            at_once: do not wait for the minute (the collector ends).
        """
        for source in self._at:
            for kind in KINDS:
                at = self._notice(source, kind)
                with self._locked():
                    refused, said_at = _NOTICE.unpack_from(self._map, at)
                    is_due = refused > 0 and (at_once or not said_at or now - said_at >= ANNOUNCE_EVERY_S)
                    if is_due:
                        _NOTICE.pack_into(self._map, at, 0.0, now)
                if is_due:
                    yield source, kind, int(refused)

    def close(self) -> None:
        """Let go of the file."""
        self._map.close()
        os.close(self._lock)

    def _notice(self, source: str, kind: str) -> int:
        return self._at[source] + _BUCKET.size + KINDS.index(kind) * _NOTICE.size

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.lockf(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)
