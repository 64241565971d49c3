"""A bounded cache of decoded state. Entries are written through, so dropping one costs time and nothing else."""

import gc
from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar("T")


class Cache(Generic[T]):
    """Keeps the entries that were used last.

    Args:
        size: number of entries above which the one longest unused is dropped.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[str, T] = OrderedDict()

    def get(self, key: str) -> T | None:
        """The entry of a key, or None."""
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    def put(self, key: str, entry: T) -> T:
        """Add an entry, dropping one if there are too many; returns the entry."""
        entries = self._entries
        if len(entries) >= self._size:
            entries.popitem(last=False)
        entries[key] = entry
        return entry


def collect_seldom() -> None:
    """Let the cycle collector look at young objects seldom and at old ones hardly ever: call it in an operator's `open`.

    The caches hold millions of objects that never die in cycles; with Python's own thresholds, walking over them takes a tenth of the
    core's time (`python -m bench.stages`).
    """
    gc.set_threshold(50_000, 20, 1_000)
