"""Series and windows of one node: docs/features.md, "Series" and "Windows"."""

import hashlib
from collections.abc import Iterable

from tests.oracle.rulebook import Rulebook

PHASE_MS = 7680 * 60_000


class Series:
    """Entries of one series of one node: what happened at the same millisecond is one entry.

    Args:
        node: key, for the phase of its tiles.
        happened: pairs of time in ms and amount in minor units.
        rules: windows and hops.
    """

    def __init__(self, node: str, happened: Iterable[tuple[int, int]], rules: Rulebook) -> None:
        self._phase_ms = int.from_bytes(hashlib.blake2b(node.encode(), digest_size=8).digest()[:4], "big") % PHASE_MS
        self._rules = rules
        self._entries: dict[int, tuple[int, int]] = {}
        for time_ms, amount in happened:
            count, sum_of_amounts = self._entries.get(time_ms, (0, 0))
            self._entries[time_ms] = (count + 1, sum_of_amounts + amount)

    def measure(self, window: str, now_ms: int) -> tuple[int, int]:
        """Count and amount inside a window that ends now; `lifetime` has no older end."""
        return self._sum(self.inside(window, now_ms))

    def inside(self, window: str, now_ms: int) -> list[int]:
        """Times of the entries inside a window that ends now."""
        if window == "lifetime":
            return list(self._entries)
        tail_ms = now_ms - self._rules.windows_ms[window]
        inside = [time_ms for time_ms in self._entries if tail_ms < time_ms <= now_ms]
        if len(inside) >= self._rules.exact_entries:
            tail_ms -= (tail_ms - self._phase_ms) % self._rules.hops_ms[window]
            inside = [time_ms for time_ms in self._entries if tail_ms < time_ms <= now_ms]
        return inside

    def _sum(self, times: Iterable[int]) -> tuple[int, int]:
        counts, amounts = 0, 0
        for time_ms in times:
            counts += self._entries[time_ms][0]
            amounts += self._entries[time_ms][1]
        return counts, amounts
