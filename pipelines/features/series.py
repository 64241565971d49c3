"""A series of timed entries with rolling windows: shared cumulative checkpoints, exact where it matters and bounded for ever.

The state is a list of checkpoints `(time, running count, running amount)`. A window's value is the total minus the running value at its
older end. The
newest entries are all kept; older ones are thinned to the last of each tile. The meaning, tile rule included, is written in
docs/features.md ("Windows").
"""

from bisect import bisect_left, bisect_right
from typing import Final

import msgspec

# Removing an entry (a cancelled order) must not uncover thinned ones, hence a margin over the promised number of exact entries.
_MARGIN: Final = 16
_THIN_EVERY: Final = 32
NEVER: Final = 1 << 62


class Window(msgspec.Struct, frozen=True):
    """A rolling window: name, length and tile hop, both in ms."""

    name: str
    length: int
    hop: int


class Series(msgspec.Struct, array_like=True):
    """Checkpoints of one series. Index 0 is a sentinel that stands for everything older than all windows.

    Attributes:
        times: entry times in ms, ascending.
        counts: running count up to and including each entry.
        amounts: running amount in minor units; empty in a series that only counts.
    """

    times: list[int]
    counts: list[int]
    amounts: list[int]

    @classmethod
    def empty(cls, *, counting: bool = False) -> "Series":
        """A series without entries; one that only counts keeps no amounts."""
        return cls([0], [0], [] if counting else [0])

    def add(self, time: int, count: int, amount: int) -> None:
        """Add to the entry at a time, making it if need be; an entry whose count returns to 0 is removed.

        Args:
            time: ms.
            count: added to the entry's count; negative to take back.
            amount: added to the entry's amount, minor units.
        """
        times, counts, amounts = self.times, self.counts, self.amounts
        if time > times[-1]:
            times.append(time)
            counts.append(counts[-1] + count)
            if amounts:
                amounts.append(amounts[-1] + amount)
            return
        index = bisect_left(times, time)
        if index == 0:  # older than everything remembered: only the total knows it
            index = -1
        elif times[index] != time:
            times.insert(index, time)
            counts.insert(index, counts[index - 1])
            if amounts:
                amounts.insert(index, amounts[index - 1])
        start = max(index, 0)
        counts[start:] = [running + count for running in counts[start:]]
        amounts[start:] = [running + amount for running in amounts[start:]]
        if index > 0 and counts[index] == counts[index - 1]:
            del times[index], counts[index], amounts[index : index + 1]

    def total(self) -> tuple[int, int]:
        """Lifetime count and amount."""
        return self.counts[-1], self.amounts[-1] if self.amounts else 0

    def within(self, now: int, window: Window, exact: int, phase: int) -> tuple[int, int]:
        """Count and amount inside a window.

        Args:
            now: clock in ms, not before any earlier one.
            window: which.
            exact: number of entries from which the older end moves to a tile boundary.
            phase: the node's tile phase in ms.
        """
        index = self._tail(now, window, exact, phase) - 1
        amounts = self.amounts
        return self.counts[-1] - self.counts[index], amounts[-1] - amounts[index] if amounts else 0

    def _tail(self, now: int, window: Window, exact: int, phase: int) -> int:
        """Index of the first entry inside the window (1 or more: the sentinel is never inside)."""
        times = self.times
        tail = now - window.length
        index = bisect_right(times, tail)
        if len(times) - index >= exact:
            index = bisect_right(times, (tail - phase) // window.hop * window.hop + phase)
        return index or 1

    def next_change(self, now: int, window: Window, exact: int, phase: int) -> int:
        """The earliest moment after `now` at which the window's value may fall by time alone; `NEVER` when it is empty."""
        times = self.times
        size = len(times)
        tail = now - window.length
        index = bisect_right(times, tail) or 1
        if index >= size:
            return NEVER
        if size - index < exact:
            return times[index] + window.length
        boundary = (tail - phase) // window.hop * window.hop + phase
        first = times[bisect_right(times, boundary) or 1]
        tile_end = -((phase - first) // window.hop) * window.hop + phase
        return min(times[size - exact], tile_end) + window.length

    def thin(self, now: int, windows: list[Window], exact: int, phase: int) -> None:
        """Drop checkpoints that no window can ask for any more.

        Args:
            now: clock in ms.
            windows: all windows, shortest first; each hop divides the next.
            exact: see `within`.
            phase: see `within`.
        """
        keep_from = len(self.times) - exact - _MARGIN
        if keep_from < _THIN_EVERY:
            return
        times, counts, amounts = self.times, self.counts, self.amounts
        kept: list[int] = []
        level = 0
        cell: tuple[int, int] | None = None
        # Newest first: the first entry met in a tile is its last.
        for index in range(keep_from - 1, -1, -1):
            time = times[index]
            age = now - time
            while level < len(windows) and age >= windows[level].length + 2 * windows[level].hop:
                level += 1
            if level == len(windows):
                kept.append(index)
                break
            hop = windows[level].hop
            found = (level, (time - phase - 1) // hop)
            if found != cell or index == 0:
                kept.append(index)
                cell = found
        kept.reverse()
        self.times = [times[i] for i in kept] + times[keep_from:]
        self.counts = [counts[i] for i in kept] + counts[keep_from:]
        self.amounts = [amounts[i] for i in kept] + amounts[keep_from:] if amounts else []
