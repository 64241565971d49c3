"""Durations and moments as people write them to commands: `15m`, `2026-01-31T10:00:00Z`."""

import datetime as dt
import re
from typing import Final

from schemas.odd_spellings import iso_text

_FIRST_MS, _LAST_MS = -2_208_988_800_000, 10_413_791_999_000  # what ClickHouse's DateTime64 can hold: the years 1900 to 2299
_UNITS_MS: Final = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def duration_ms(text: str) -> int | None:
    """A duration such as `90s 15m 6h 2d 1w` in ms, None when it is none."""
    found = re.fullmatch(r"([0-9]{1,9})([smhdw])", text)
    return int(found[1]) * _UNITS_MS[found[2]] if found else None


def moment_ms(text: str) -> int | None:
    """A date, or date and time (RFC 3339; without a zone it is UTC) in ms, None when it is none."""
    try:
        moment = dt.datetime.fromisoformat(iso_text(text))
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(milliseconds=1)


def bounded(ms: int) -> int:
    """A moment as far as ClickHouse can hold it, ms."""
    return min(max(ms, _FIRST_MS), _LAST_MS)
