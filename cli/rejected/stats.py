"""Rejected records counted: how many, since when, how it goes on, and one to look at."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from cli.rejected.history import History
from pipelines.rejected.conditions import FIELDS
from pipelines.rules.tree import Node

BY: Final = ("code", "source", "field", "origin", "rule", "tenant")
HOURS: Final = 24
HOUR_MS: Final = 3_600_000
_BARS: Final = "▁▂▃▄▅▆▇█"
_POSITION: Final = "concat(source, ':', toString(partition), ':', toString(offset))"


class StatsError(ValueError):
    """Records cannot be counted by what was asked for."""


class Group(msgspec.Struct, frozen=True):
    """Records that have something in common.

    Attributes:
        key: the values they share; positions in lists are left out of `field`.
        records: how many.
        share: of all that match, 0 to 1.
        first: log time of the oldest, ms.
        last: log time of the newest, ms.
        hours: records in each of the last 24 hours of log time, oldest first, the last one being the hour of the newest record of all.
        example: position of the newest.
    """

    key: dict[str, str]
    records: int
    share: float
    first: int
    last: int
    hours: list[int]
    example: str


def columns(text: str) -> list[str]:
    """The columns named in an option.

    Raises:
        StatsError: there is none of this name.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in BY]
    if unknown or not names:
        raise StatsError(f"--by: cannot count by `{(unknown or [text])[0]}`; there are {', '.join(BY)}")
    return list(dict.fromkeys(names))


def groups(history: History, condition: Node, by: Sequence[str]) -> list[Group]:
    """Count.

    Args:
        history: where.
        condition: which records.
        by: columns, see `BY`.

    Returns:
        The groups, largest first.
    """
    assert set(by) <= set(BY) <= set(FIELDS)
    chosen = history.where(condition)
    keys = {name: _expression(name, history) for name in by}
    selected = ", ".join(f"{expression} AS k{number}" for number, expression in enumerate(keys.values()))
    grouped = ", ".join(f"k{number}" for number in range(len(keys)))
    counted = f"""
        SELECT {selected}, count() AS records, toUnixTimestamp64Milli(min(log_time)) AS first,
          toUnixTimestamp64Milli(max(log_time)) AS last, argMax({_POSITION}, (log_time, offset)) AS example
        FROM rejected WHERE {chosen} GROUP BY {grouped} ORDER BY records DESC, {grouped}"""
    rows = history.server.rows(counted)
    total, newest = sum(int(row["records"]) for row in rows), max((int(row["last"]) for row in rows), default=0)
    start = newest // HOUR_MS - HOURS + 1
    hourly = f"""
        SELECT {selected}, intDiv(toUnixTimestamp64Milli(log_time), {HOUR_MS}) - {{start:Int64}} AS hour, count() AS records
        FROM rejected WHERE {chosen} AND log_time >= fromUnixTimestamp64Milli({{from:Int64}}, 'UTC')
          AND log_time <= fromUnixTimestamp64Milli({{to:Int64}}, 'UTC')
        GROUP BY {grouped}, hour"""
    hours: dict[tuple[str, ...], list[int]] = {}
    for row in history.server.rows(hourly, {"start": start, "from": start * HOUR_MS, "to": newest}):
        hours.setdefault(_key(row, len(keys)), [0] * HOURS)[int(row["hour"])] = int(row["records"])
    return [_group(row, list(keys), total, hours) for row in rows]


def sparkline(counts: Sequence[int]) -> str:
    """One character a number: blank for none, then by its share of the greatest."""
    greatest = max(counts, default=0)
    return "".join(_BARS[(count * len(_BARS) - 1) // greatest] if count else " " for count in counts)


def _group(row: dict[str, Any], names: Sequence[str], total: int, hours: dict[tuple[str, ...], list[int]]) -> Group:
    key = _key(row, len(names))
    records = int(row["records"])
    trend = hours.get(key, [0] * HOURS)
    return Group(dict(zip(names, key, strict=True)), records, records / total, int(row["first"]), int(row["last"]), trend, row["example"])


def _key(row: dict[str, Any], width: int) -> tuple[str, ...]:
    return tuple(row[f"k{number}"] for number in range(width))


def _expression(name: str, history: History) -> str:
    if name == "field":
        return "replaceRegexpAll(field, '\\\\[[0-9]+\\\\]', '[*]')"
    return "''" if name == "origin" and not history.has_origin else f"toString({name})"
