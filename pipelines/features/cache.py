"""A bounded cache of decoded state. Entries are written through, so dropping one costs time and nothing else."""

from typing import Generic, TypeVar

T = TypeVar("T")


class Cache(Generic[T]):
    """Keeps the most lately loaded entries.

    Args:
        size: number of entries above which the oldest are dropped.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: dict[str, T] = {}
        self.get = self._entries.get

    def put(self, key: str, entry: T) -> T:
        """Add an entry, dropping the oldest if there are too many; returns the entry."""
        entries = self._entries
        if len(entries) >= self._size:
            del entries[next(iter(entries))]
        entries[key] = entry
        return entry
