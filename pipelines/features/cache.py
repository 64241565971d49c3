"""A bounded cache of decoded state. Entries are written through, so dropping one costs time and nothing else."""

import gc
from typing import Generic, TypeVar

T = TypeVar("T")


class Cache(Generic[T]):
    """Keeps the entries that were used last, in two halves: when the younger one is full the older one is dropped as a whole.

    What is used again comes into the younger half. So an entry stays at least until half as many others as there may be have been used; a
    list in the order of use would keep each for longer, and take a third more memory.

    Args:
        size: number of entries that there may be.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._young: dict[str, T] = {}
        self._old: dict[str, T] = {}

    def get(self, key: str) -> T | None:
        """The entry of a key, or None."""
        entry = self._young.get(key)
        if entry is None:
            entry = self._old.pop(key, None)
            if entry is not None:
                self.put(key, entry)
        return entry

    def put(self, key: str, entry: T) -> T:
        """Add an entry; returns it."""
        if 2 * len(self._young) >= self._size:
            self._old, self._young = self._young, {}
        self._young[key] = entry
        return entry


def collect_seldom() -> None:
    """Let the cycle collector look at young objects seldom and at old ones hardly ever: call it in an operator's `open`.

    The caches hold millions of objects that never die in cycles; with Python's own thresholds, walking over them takes a tenth of the
    core's time (`python -m bench.stages`).
    """
    gc.set_threshold(50_000, 20, 1_000)
