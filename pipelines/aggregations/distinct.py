"""How many different ones: exact while they are few, estimated beyond.

The estimate is by the k smallest hashes (Bar-Yossef et al., "Counting distinct elements in a data stream", 2002): of n hashes that are
spread evenly over 64 bits the k-th smallest lies at about k / n of their range. Its standard error is 1 / sqrt(k - 2), 6.3 % at k = 256.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

from pipelines.aggregations.contract import Aggregation, Entry, either

KEPT: Final = 256
_RANGE: Final = 1 << 64


def _hash(value: Any) -> int:
    """The first 8 bytes of MD5, which ClickHouse has too, of the value as text; numbers in millionths."""
    return int.from_bytes(hashlib.md5(str(value).encode(), usedforsecurity=False).digest()[:8], "little")


def _smallest(a: list[int], b: list[int]) -> list[int]:
    return sorted({*a, *b})[:KEPT]


def _estimated(hashes: list[int] | None, units: int) -> int:
    hashes = hashes or []
    return len(hashes) if len(hashes) < KEPT else round((KEPT - 1) * _RANGE / hashes[-1])


def _naive(entries: Sequence[Entry]) -> int:
    hashes = sorted({_hash(round(value * 1_000_000) if isinstance(value, int | float) else value) for _, value in entries})
    return len(hashes) if len(hashes) < KEPT else round((KEPT - 1) * _RANGE / hashes[KEPT - 1])


AGGREGATION: Final = Aggregation(
    name="distinct",
    about="how many different values; beyond 255 an estimate with a standard error of 6.3 %",
    takes=("number", "text"),
    gives="number",
    lift=lambda time, value: [_hash(value)],
    combine=either(_smallest),
    present=_estimated,
    column={"*": "Int64"},
    sql=(
        "toInt64(if(uniqExact({hash}) < 256, uniqExact({hash}), "
        "round(255 * 18446744073709551616. / arraySort(groupUniqArray({hash}))[256])))"
    ),
    english="the number of different {what}",
    chinese="不同{what}的数量",
    naive=_naive,
)
