"""Sessions: event times of one node split wherever the gap exceeds half an hour, whatever order the events come in."""

from bisect import bisect_left

import msgspec

_COMPACT_ABOVE = 16


class Sessions(msgspec.Struct, array_like=True):
    """Spans that a waiting event may still touch, and the number of those it cannot.

    Attributes:
        closed: sessions that are settled.
        starts, ends: first and last event time (ms) of the open spans, ascending.
    """

    closed: int = 0
    starts: list[int] = []
    ends: list[int] = []

    def count(self) -> int:
        """Number of sessions."""
        return self.closed + len(self.starts)

    def add(self, time: int, gap: int, settled_before: int) -> None:
        """Take an event into account.

        Args:
            time: event time, ms.
            gap: longest pause within a session, ms.
            settled_before: no event older than this can come any more; spans that ended earlier are settled.
        """
        starts, ends = self.starts, self.ends
        if starts and ends[-1] <= time <= ends[-1] + gap:
            ends[-1] = time
            return
        index = bisect_left(ends, time - gap)  # first span that reaches into [time - gap, ...
        if index == len(starts) or starts[index] > time + gap:
            starts.insert(index, time)
            ends.insert(index, time)
        else:
            starts[index] = min(starts[index], time)
            ends[index] = max(ends[index], time)
            if index + 1 < len(starts) and starts[index + 1] - ends[index] <= gap:
                ends[index] = ends.pop(index + 1)
                starts.pop(index + 1)
        if len(starts) > _COMPACT_ABOVE:
            settled = bisect_left(ends, settled_before - gap)
            settled = min(settled, len(starts) - 1)
            self.closed += settled
            del starts[:settled], ends[:settled]
