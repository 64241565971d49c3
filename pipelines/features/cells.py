"""A series of cells: the partials of an aggregation by time, one by one while they are new, by tile when they are old."""

from bisect import bisect_left
from collections.abc import Callable
from functools import reduce
from typing import Any, Final

import msgspec

from pipelines.features.series import NEVER, Window, inside, kept

Combine = Callable[[Any, Any], Any]


class Cells:
    """Cells in the order of time. The first one stands for everything older than all windows; its partial is None while there is nothing.

    Attributes:
        times: of the newest entry in each cell, ms.
        partials: one a cell.
    """

    __slots__ = ("_added", "_packed", "_seen", "partials", "times")

    def __init__(self, times: list[int] | None = None, partials: list[Any] | None = None) -> None:
        self.times, self.partials = times or [0], partials or [None]
        # What was found last in each window ("": the lifetime), from which time on, and how many entries had been added by then.
        self._seen: dict[str, tuple[int, Any, int]] = {}
        self._added: list[tuple[int, Any]] = []
        self._packed = b""

    @classmethod
    def unpacked(cls, packed: bytes) -> "Cells":
        """What `packed` made."""
        times, partials = _decode(packed)
        return cls(times, partials)

    def packed(self) -> bytes:
        """For the node's state."""
        if not self._packed:
            self._packed = _encode((self.times, self.partials))
        return self._packed

    def add(self, time: int, partial: Any, combine: Combine) -> None:
        """Add an entry's partial to the cell at its time, making that if need be."""
        self._packed = b""
        self._added.append((time, partial))
        if len(self._added) > _REMEMBERED:
            self._seen.clear()
            self._added.clear()
        at = bisect_left(self.times, time)
        if at == 0:  # older than everything remembered: only the lifetime knows it
            self.partials[0] = combine(self.partials[0], partial)
        elif at < len(self.times) and self.times[at] == time:
            self.partials[at] = combine(self.partials[at], partial)
        else:
            self.times.insert(at, time)
            self.partials.insert(at, partial)

    def total(self, combine: Combine) -> Any:
        """The partial of all entries."""
        return self._from("", 0, 0, combine)

    def look(self, now: int, window: Window, exact: int, phase: int, combine: Combine) -> tuple[Any, int]:
        """The partial of what is inside a window (None: nothing is), and the moment after `now` at which that may change by time alone.

        Args:
            now: clock in ms, not before any earlier one.
            window: which.
            exact: as in `Series.look`.
            phase: as in `Series.look`.
            combine: of the aggregation.
        """
        first, due = inside(self.times, len(self.times), now, window, exact, phase)
        return (None, NEVER) if due == NEVER else (self._from(window.name, first, self.times[first], combine), due)

    def _from(self, name: str, first: int, since: int, combine: Combine) -> Any:
        """The partial of the cells from one on: as long as that is the same one, what was added since is all that is new."""
        known = self._seen.get(name)
        if known is not None and known[0] == since:
            _, found, upto = known
            for time, partial in self._added[upto:]:
                if time >= since or not name:
                    found = combine(found, partial)
        else:
            found = reduce(combine, self.partials[first:])
        self._seen[name] = since, found, len(self._added)
        return found

    def thin(self, now: int, windows: list[Window], exact: int, phase: int, combine: Combine) -> None:
        """Join cells that no window can tell apart any more; see `Series.thin`."""
        places, keep_from = kept(self.times, now, windows, exact, phase)
        if not keep_from:
            return
        self._packed = b""
        begins = [0, *(place + 1 for place in places[:-1])]
        joined = [reduce(combine, self.partials[begin : place + 1]) for begin, place in zip(begins, places, strict=True)]
        self.times = [self.times[place] for place in places] + self.times[keep_from:]
        self.partials = joined + self.partials[keep_from:]


_REMEMBERED: Final = 256
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[list[int], list[Any]]).decode
