"""Sessions: event times of one node split wherever the gap exceeds half an hour, whatever order the events come in.

Kept as one row of whole numbers: how many sessions are settled, then the first event times (ms) of the spans that a waiting event may still
touch, ascending, then their last ones.
"""

from array import array
from bisect import bisect_left
from typing import Final

from pipelines.rows import Row

_COMPACT_ABOVE: Final = 16


def begun() -> Row:
    """No session yet."""
    return array("q", (0,))


def count(sessions: Row) -> int:
    """Number of sessions."""
    return sessions[0] + len(sessions) // 2


def add(sessions: Row, time: int, gap: int, settled_before: int) -> None:
    """Take an event into account.

    Args:
        sessions: of the node; changed.
        time: event time, ms.
        gap: longest pause within a session, ms.
        settled_before: no event older than this can come any more; spans that ended earlier are settled.
    """
    if len(sessions) > 1 and sessions[-1] <= time <= sessions[-1] + gap:
        sessions[-1] = time
        return
    spans = len(sessions) // 2
    starts, ends = sessions[1 : spans + 1], sessions[spans + 1 :]
    index = bisect_left(ends, time - gap)  # first span that reaches into [time - gap, ...
    if index == spans or starts[index] > time + gap:
        starts.insert(index, time)
        ends.insert(index, time)
    else:
        starts[index] = min(starts[index], time)
        ends[index] = max(ends[index], time)
        if index + 1 < spans and starts[index + 1] - ends[index] <= gap:
            ends[index] = ends.pop(index + 1)
            starts.pop(index + 1)
    if len(starts) > _COMPACT_ABOVE:
        settled = min(bisect_left(ends, settled_before - gap), len(starts) - 1)
        sessions[0] += settled
        del starts[:settled], ends[:settled]
    sessions[1:] = starts + ends
