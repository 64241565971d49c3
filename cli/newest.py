"""The newest of many things, without holding more of them than are asked for."""

import heapq
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Newest(Generic[T]):
    """Takes things in any order.

    Args:
        limit: how many are kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: list[tuple[tuple[Any, ...], T]] = []

    def add(self, rank: tuple[Any, ...], thing: T) -> None:
        """Take one.

        Args:
            rank: the greater, the newer; no two are equal.
            thing: what has it.
        """
        if len(self._held) < self._limit:
            heapq.heappush(self._held, (rank, thing))
        elif self._held and self._held[0][0] < rank:
            heapq.heapreplace(self._held, (rank, thing))

    def first(self) -> list[T]:
        """What is kept, newest first."""
        return [thing for _, thing in sorted(self._held, key=lambda entry: entry[0], reverse=True)]
