"""A series of timed entries with rolling windows: shared cumulative checkpoints, exact where it matters and bounded for ever.

The state is a row of checkpoints `(time, running count, running amount)`. A window's value is the total minus the running value at its
older end. The newest entries are all kept; older ones are thinned to the last of each tile. The meaning, tile rule included, is written
in docs/features.md ("Windows").
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final

import msgspec

from pipelines import rows
from pipelines.rows import Row

# Removing an entry (a cancelled order) must not uncover thinned ones, hence a margin over the promised number of exact entries.
MARGIN: Final = 16
THIN_EVERY: Final = 32
_TWO, _THREE = b"\x02", b"\x03"
NEVER: Final = 1 << 62
MOST: Final = 1 << 62
"""A running amount stays within this, so that the difference of two, which a window is, has 64 bits."""


class Window(msgspec.Struct, frozen=True):
    """A rolling window: name, length and tile hop, both in ms."""

    name: str
    length: int
    hop: int


class Windows:
    """The windows that are asked of a series.

    Args:
        all_: shortest first.
        exact: of each, whether a rule reads a value of it: then it is followed to the millisecond.
        exact_entries: number of entries from which the older end of a window moves to a tile boundary.
        refresh_ms: how long others may wait.

    Attributes:
        lengths: of the windows, ms.
        patience: how long a change of each may wait, ms.
        soonest: if all from one on hold everything: how long after the oldest entry's time the first of their changes has to be acted upon.
    """

    __slots__ = ("all", "exact_entries", "lengths", "patience", "soonest")

    def __init__(self, all_: list[Window], exact: list[bool], exact_entries: int, refresh_ms: int) -> None:
        self.all, self.exact_entries = all_, exact_entries
        self.lengths = [window.length for window in all_]
        self.patience = [0 if one else refresh_ms for one in exact]
        latest = [length + patience for length, patience in zip(self.lengths, self.patience, strict=True)]
        self.soonest = [min(latest[place:]) for place in range(len(latest))]


class Series:
    """Checkpoints of one series. The first one is a sentinel that stands for everything older than all windows.

    All lie in one row of 64-bit integers: first all entry times (ms, ascending), then the running count up to and including each entry,
    then the running amount in minor units, which a series that only counts does not have.

    Attributes:
        due: the earliest moment at which a value of it may change by time alone, ms.
        timer: the moment by which that has to be acted upon (at once for values that rules read, else within the refresh time).
    """

    __slots__ = ("_columns", "_row", "due", "timer")

    def __init__(self, row: Row, columns: int) -> None:
        self._row, self._columns = row, columns
        self.due = self.timer = NEVER

    @classmethod
    def empty(cls, *, counting: bool = False) -> "Series":
        """A series without entries; one that only counts keeps no amounts."""
        columns = 2 if counting else 3
        return cls(array("q", (0,) * columns), columns)

    @classmethod
    def unpacked(cls, packed: bytes) -> "Series":
        """What `packed` made."""
        return cls(rows.unpacked(packed[1:]), packed[0])

    @classmethod
    def of_columns(cls, *columns: bytes) -> "Series":
        """From times, counts and, unless it only counts, amounts, packed each."""
        return cls(rows.unpacked(b"".join(columns)), 3 if columns[-1] else 2)

    def packed(self) -> bytes:
        """The number of columns in a byte, and the row."""
        return (_TWO if self._columns == 2 else _THREE) + self._row.tobytes()

    def __len__(self) -> int:
        return len(self._row) // self._columns

    @property
    def times(self) -> Row:
        """A copy of the entry times; of the sentinel 0."""
        return self._row[: len(self)]

    @property
    def counts(self) -> Row:
        """A copy of the running counts."""
        size = len(self)
        return self._row[size : 2 * size]

    @property
    def _amounts(self) -> Row:
        return self._row[2 * len(self) :]

    def add(self, time: int, count: int, amount: int) -> bool:
        """Add to the entry at a time, making it if need be; an entry whose count returns to 0 is removed.

        Args:
            time: ms.
            count: added to the entry's count; negative to take back.
            amount: added to the entry's amount, minor units.

        Returns:
            Whether there was room (`MOST`). If not, nothing is changed.
        """
        row = self._row
        size = len(row) // self._columns
        if time > row[size - 1]:
            if self._columns == 3:
                running = row[-1] + amount
                if not -MOST <= running <= MOST:
                    return False
                row.append(running)
            row.insert(2 * size, row[2 * size - 1] + count)
            row.insert(size, time)
            return True
        times, counts, amounts = self.times, self.counts, self._amounts
        index = bisect_left(times, time)  # 0: older than everything remembered, so that only the total shows it
        is_new = index > 0 and times[index] != time
        before = amounts[index - 1 : index] if is_new else amounts[:0]
        running_amounts = [running + amount for running in (*before, *amounts[index:])]  # the new entry's first, if it is one
        if running_amounts and not (min(running_amounts) >= -MOST and max(running_amounts) <= MOST):
            return False
        later = array("q", running_amounts)
        if is_new:
            times.insert(index, time)
            counts.insert(index, counts[index - 1])
        counts[index:] = array("q", [running + count for running in counts[index:]])
        if amounts:
            amounts[index:] = later
        if index > 0 and counts[index] == counts[index - 1]:
            del times[index], counts[index], amounts[index : index + 1]
        self._row = times + counts + amounts
        return True

    def total(self) -> tuple[int, int]:
        """Lifetime count and amount."""
        row = self._row
        return row[2 * (len(row) // self._columns) - 1], row[-1] if self._columns == 3 else 0

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
        row, columns = self._row, self._columns
        size = len(row) // columns
        first, due = inside(row, size, now, window, exact, phase)
        if due == NEVER:
            return 0, 0, NEVER
        count = row[2 * size - 1] - row[size + first - 1]
        return count, row[-1] - row[2 * size + first - 1] if columns == 3 else 0, due

    def look_all(self, now: int, windows: "Windows", phase: int) -> tuple[list[int], list[int], int, int]:
        """The same for several windows, of which most are empty or hold everything: then their lengths alone tell what is in them.

        Args:
            now: as in `look`.
            windows: which.
            phase: as in `look`.

        Returns:
            Counts and amounts by window, behind the windows those of the lifetime; the earliest moment at which one of them may change by
            time alone, and the one by which that has to be acted upon.
        """
        row, has_amounts, lengths = self._row, self._columns == 3, windows.lengths
        size, number = len(row) // self._columns, len(lengths)
        count, amount = self.total()
        if size == 1:
            return [0] * number + [count], [0] * number + [amount], NEVER, NEVER
        empty = bisect_right(lengths, now - row[size - 1])
        # A row with as many entries as are exact may have to begin at a tile; and then no length says so.
        full = bisect_right(lengths, now - row[1]) if size <= windows.exact_entries else number
        counts, amounts = [0] * empty, [0] * empty
        due = timer = NEVER
        for place in range(empty, full):
            found, money, change = self.look(now, windows.all[place], windows.exact_entries, phase)
            counts.append(found)
            amounts.append(money)
            due = min(due, change)
            timer = min(timer, change + windows.patience[place])
        if full < number:
            counts += [count - row[size]] * (number - full)
            amounts += [amount - row[2 * size] if has_amounts else 0] * (number - full)
            due, timer = min(due, row[1] + lengths[full]), min(timer, row[1] + windows.soonest[full])
        counts.append(count)
        amounts.append(amount)
        return counts, amounts, due, timer

    def thin(self, now: int, windows: list[Window], exact: int, phase: int) -> None:
        """Drop checkpoints that no window can ask for any more.

        Args:
            now: clock in ms.
            windows: all windows, shortest first; each hop divides the next.
            exact: see `look`.
            phase: see `look`.
        """
        if len(self._row) < self._columns * (exact + MARGIN + THIN_EVERY):
            return
        size = len(self)
        places, keep_from = kept(self.times, now, windows, exact, phase)
        if keep_from:
            row, thinned = self._row, array("q")
            for begin in range(0, len(row), size):
                thinned.extend([row[begin + place] for place in places])
                thinned += row[begin + keep_from : begin + size]
            self._row = thinned


def inside(times: Sequence[int], size: int, now: int, window: Window, exact: int, phase: int) -> tuple[int, int]:
    """The first entry inside a window, and the moment after `now` at which one may leave it; `NEVER` when the window is empty.

    Args:
        times: of entries in ms, ascending; the first stands for everything older than all windows.
        size: how many of them; what stands behind them is not looked at.
        now: clock in ms.
        window: which.
        exact: number of entries from which the older end moves to a tile boundary.
        phase: the node's tile phase in ms.
    """
    length = window.length
    tail = now - length
    if size == 1 or times[size - 1] <= tail:
        return size, NEVER
    # The sentinel is never inside.
    first = 1 if times[1] > tail else bisect_right(times, tail, 1, size)
    if size - first < exact:
        return first, times[first] + length
    hop = window.hop
    first = bisect_right(times, (tail - phase) // hop * hop + phase, 0, size) or 1
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
    keep_from = len(times) - exact - MARGIN
    if keep_from < THIN_EVERY:
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
