"""How old changes are when Kafka has their events: from the source's commit to our acknowledgement."""

import math
from collections import Counter
from typing import Any

import msgspec


class Freshness(msgspec.Struct):
    """Counts and lags since the last look.

    Attributes:
        lags_s: by table, seconds from the source's commit to the acknowledgement; snapshots do not count.
        counts: records by what became of them: events sent, records skipped, unmapped, drifts told.
    """

    lags_s: dict[str, list[float]] = {}
    counts: Counter[str] = msgspec.field(default_factory=Counter)

    def add(self, table: str, source_ms: int, now_ms: int) -> None:
        """Note one change; clocks that differ do not make it come from the future."""
        self.lags_s.setdefault(table, []).append(max(0.0, (now_ms - source_ms) / 1000))

    def take(self) -> dict[str, Any]:
        """What was noted since the last call, for a log line: `{records: {...}, freshness_s: {table: {n, p50, p99, max}}}`."""
        told = {
            "records": dict(sorted(self.counts.items())),
            "freshness_s": {table: _summary(sorted(lags)) for table, lags in sorted(self.lags_s.items())},
        }
        self.lags_s, self.counts = {}, Counter()
        return told


def _summary(lags: list[float]) -> dict[str, float]:
    def rank(share: float) -> float:
        return round(lags[max(0, math.ceil(share * len(lags)) - 1)], 3)

    return {"n": len(lags), "p50": rank(0.5), "p99": rank(0.99), "max": round(lags[-1], 3)}
