"""A series of timed entries with rolling windows: shared cumulative checkpoints, exact where it matters and bounded for ever.

The state is a row of checkpoints `(time, running count, running amount)`. A window's value is the total minus the running value at its
older end. The newest entries are all kept; older ones are thinned to the last of each tile. The meaning, tile rule included, is written
in docs/features.md ("Windows").
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
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


Packed = tuple[bytes, bytes, bytes]


class Series:
    """Checkpoints of one series. Index 0 is a sentinel that stands for everything older than all windows.

    Arrays of 64-bit integers: packed and unpacked by a copy of memory, and a quarter of the size of lists of ints.

    Attributes:
        times: entry times in ms, ascending.
        counts: running count up to and including each entry.
        amounts: running amount in minor units; empty in a series that only counts.
    """

    __slots__ = ("amounts", "counts", "times")

    def __init__(self, times: Iterable[int], counts: Iterable[int], amounts: Iterable[int]) -> None:
        self.times, self.counts, self.amounts = array("q", times), array("q", counts), array("q", amounts)

    @classmethod
    def empty(cls, *, counting: bool = False) -> "Series":
        """A series without entries; one that only counts keeps no amounts."""
        return cls([0], [0], [] if counting else [0])

    @classmethod
    def unpacked(cls, packed: Packed) -> "Series":
        """What `packed` made."""
        series = cls((), (), ())
        for column, data in zip((series.times, series.counts, series.amounts), packed, strict=True):
            column.frombytes(data)
        return series

    def packed(self) -> Packed:
        """Times, counts and amounts as 8 bytes each, in the machine's order (all that we run on are little-endian)."""
        return self.times.tobytes(), self.counts.tobytes(), self.amounts.tobytes()

    def add(self, time: int, count: int, amount: int) -> bool:
        """Add to the entry at a time, making it if need be; an entry whose count returns to 0 is removed.

        Args:
            time: ms.
            count: added to the entry's count; negative to take back.
            amount: added to the entry's amount, minor units.

        Returns:
            Whether there was room: sums have 64 bits. If not, nothing is changed.
        """
        times, counts, amounts = self.times, self.counts, self.amounts
        if time > times[-1]:
            if amounts:
                try:
                    amounts.append(amounts[-1] + amount)
                except OverflowError:
                    return False
            times.append(time)
            counts.append(counts[-1] + count)
            return True
        index = bisect_left(times, time)  # 0: older than everything remembered, so that only the total shows it
        is_new = index > 0 and times[index] != time
        before = amounts[index - 1 : index] if is_new else amounts[:0]
        try:  # the new entry's first, if it is one
            later = array("q", [running + amount for running in (*before, *amounts[index:])])
        except OverflowError:
            return False
        if is_new:
            times.insert(index, time)
            counts.insert(index, counts[index - 1])
        counts[index:] = array("q", [running + count for running in counts[index:]])
        if amounts:
            amounts[index:] = later
        if index > 0 and counts[index] == counts[index - 1]:
            del times[index], counts[index], amounts[index : index + 1]
        return True

    def total(self) -> tuple[int, int]:
        """Lifetime count and amount."""
        return self.counts[-1], self.amounts[-1] if self.amounts else 0

    def look(self, now: int, window: Window, exact: int, phase: int) -> tuple[int, int, int]:
        """What is inside a window, and until when.

        Args:
            now: clock in ms, not before any earlier one.
            window: which.
            exact: number of entries from which the older end moves to a tile boundary.
            phase: the node's tile phase in ms.

        Returns:
            Count, amount, and the earliest moment after `now` at which they may fall by time alone (`NEVER` when the window is empty).
        """
        first, due = inside(self.times, now, window, exact, phase)
        if due == NEVER:
            return 0, 0, NEVER
        counts, amounts = self.counts, self.amounts
        return counts[-1] - counts[first - 1], amounts[-1] - amounts[first - 1] if amounts else 0, due

    def thin(self, now: int, windows: list[Window], exact: int, phase: int) -> None:
        """Drop checkpoints that no window can ask for any more.

        Args:
            now: clock in ms.
            windows: all windows, shortest first; each hop divides the next.
            exact: see `look`.
            phase: see `look`.
        """
        places, keep_from = kept(self.times, now, windows, exact, phase)
        if not keep_from:
            return
        times, counts, amounts = self.times, self.counts, self.amounts
        self.times = array("q", [times[i] for i in places]) + times[keep_from:]
        self.counts = array("q", [counts[i] for i in places]) + counts[keep_from:]
        self.amounts = array("q", [amounts[i] for i in places]) + amounts[keep_from:] if amounts else amounts


def inside(times: Sequence[int], now: int, window: Window, exact: int, phase: int) -> tuple[int, int]:
    """The first entry inside a window, and the moment after `now` at which one may leave it; `NEVER` when the window is empty.

    Args:
        times: of entries in ms, ascending; the first stands for everything older than all windows.
        now: clock in ms.
        window: which.
        exact: number of entries from which the older end moves to a tile boundary.
        phase: the node's tile phase in ms.
    """
    size, length = len(times), window.length
    tail = now - length
    if times[-1] <= tail or size == 1:
        return size, NEVER
    first = bisect_right(times, tail) or 1  # the sentinel is never inside
    if size - first < exact:
        return first, times[first] + length
    hop = window.hop
    first = bisect_right(times, (tail - phase) // hop * hop + phase) or 1
    tile_end = -((phase - times[first]) // hop) * hop + phase
    return first, min(times[size - exact], tile_end) + length


def kept(times: Sequence[int], now: int, windows: list[Window], exact: int, phase: int) -> tuple[list[int], int]:
    """Which of the older entries some window can still ask for: the last of each tile.

    Args:
        times: as in `inside`.
        now: clock in ms.
        windows: all windows, shortest first; each hop divides the next.
        exact: as in `inside`.
        phase: as in `inside`.

    Returns:
        Places of those that stay, ascending, and the place from which all stay; 0 when there are too few to be worth it.
    """
    keep_from = len(times) - exact - _MARGIN
    if keep_from < _THIN_EVERY:
        return [], 0
    places: list[int] = []
    level = 0
    cell: tuple[int, int] | None = None
    # Newest first: the first entry met in a tile is its last.
    for index in range(keep_from - 1, -1, -1):
        time = times[index]
        age = now - time
        while level < len(windows) and age >= windows[level].length + 2 * windows[level].hop:
            level += 1
        if level == len(windows):
            places.append(index)
            break
        hop = windows[level].hop
        found = (level, (time - phase - 1) // hop)
        if found != cell or index == 0:
            places.append(index)
            cell = found
    places.reverse()
    return places, keep_from
