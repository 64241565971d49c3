"""Times of Arrow as text, out of the whole numbers that they are stored as: every unit, any zone, and no calendar beyond 1 to 9999."""

import datetime as dt
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import pyarrow as pa

_UNITS: Final = {"s": 1, "ms": 1000, "us": 1_000_000, "ns": 1_000_000_000}
_EPOCH: Final = dt.datetime(1970, 1, 1)
_DAY_S: Final = 86_400
_DAY_MS: Final = 86_400_000
_NS_END_US: Final = 2**63 // 1000
_NS_WRAP_US: Final = 2**64 // 1000


def converter(kind: Any) -> Callable[[int], Any]:
    """The function that makes a stored time what JSON has for it.

    Args:
        kind: a temporal type of Arrow.

    Returns:
        From the stored whole number to ISO 8601 text, of a duration to seconds. It raises ValueError with what was expected.
    """
    types = pa.types
    if types.is_date32(kind):
        return _day
    if types.is_date64(kind):
        return lambda ms: _day(ms // _DAY_MS)
    units = _UNITS.get(getattr(kind, "unit", ""), 0)
    if types.is_time(kind):
        return lambda value: _clock(value, units)
    if types.is_duration(kind):
        return lambda value: value // units if value % units == 0 else value / units
    if types.is_timestamp(kind):
        zone = pa.lib.string_to_tzinfo(kind.tz) if kind.tz else None
        return lambda value: _moment(value, units, zone)
    raise TypeError(f"{kind} is no time")


def certain(convert: Callable[[int], Any]) -> Callable[[int], Any]:
    """The same for microseconds out of 96 bits, of which some can be read in two ways.

    Arrow writes times of day before 1970 with a negative part, which it then reads as 2 ** 64 ns more: 584 years later. Other writers'
    times of those late years look alike. Midnights are always what they seem.

    Args:
        convert: from `converter`.
    """

    def converted(value: int) -> Any:
        if _NS_END_US < value <= _NS_WRAP_US and value % (_DAY_S * 1_000_000):
            raise ValueError(
                "a time that can be read in one way: of 96 bits it is before 1970 or 584 years later; write the column as timestamp"
            )
        return convert(value)

    return converted


def _day(days: int) -> str:
    try:
        return (_EPOCH.date() + dt.timedelta(days=days)).isoformat()
    except OverflowError:
        raise ValueError("a day between the years 1 and 9999") from None


def _clock(value: int, units: int) -> str:
    if not 0 <= value < _DAY_S * units:
        raise ValueError("a time of day")
    seconds, rest = divmod(value, units)
    return (_EPOCH + dt.timedelta(seconds=seconds)).time().isoformat() + _fraction(rest, units)


def _moment(value: int, units: int, zone: dt.tzinfo | None) -> str:
    seconds, rest = divmod(value, units)
    try:
        local, offset = _EPOCH + dt.timedelta(seconds=seconds), ""
        if zone is not None:
            local, offset = _shown(local, zone)
    except OverflowError:
        raise ValueError("a time between the years 1 and 9999") from None
    return local.isoformat() + _fraction(rest, units) + offset


@lru_cache(maxsize=4096)
def _shown(utc: dt.datetime, zone: dt.tzinfo) -> tuple[dt.datetime, str]:
    """What a clock of the zone showed, and its offset; UTC where that lies outside of the calendar."""
    try:
        there = utc.replace(tzinfo=dt.UTC).astimezone(zone)
    except OverflowError:
        return utc, "+00:00"
    return there.replace(tzinfo=None), there.isoformat()[19:]


def _fraction(rest: int, units: int) -> str:
    """As Python writes it: three, six or nine digits where there is a fraction; six for milliseconds and microseconds."""
    if not rest:
        return ""
    nanoseconds = rest * (_UNITS["ns"] // units)
    return f".{nanoseconds // 1000:06d}" if nanoseconds % 1000 == 0 else f".{nanoseconds:09d}"
