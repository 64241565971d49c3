"""Moments and durations as people write them: `2026-01-31`, `2026-01-31T10:00:00Z`, `15m`."""

import datetime as dt
import re
from typing import Final

from schemas.odd_spellings import iso_text

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_FIRST_MS, _LAST_MS = -2_208_988_800_000, 10_413_791_999_000  # what ClickHouse's DateTime64 can hold: the years 1900 to 2299
UNITS_MS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def duration_ms(text: str) -> int | None:
    """A duration such as `90s 15m 6h 2d 1w` in ms, None when it is none."""
    found = re.fullmatch(r"([0-9]{1,9})([smhdw])", text)
    return int(found[1]) * UNITS_MS[found[2]] if found else None


def bounded(ms: int) -> int:
    """A moment as far as ClickHouse can hold it, ms."""
    return min(max(ms, _FIRST_MS), _LAST_MS)


def moment_ms(text: str) -> int | None:
    """A date, or date and time (RFC 3339; without a zone it is UTC) in ms, None when it is none."""
    try:
        moment = dt.datetime.fromisoformat(iso_text(text))
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return (moment - _EPOCH) // dt.timedelta(milliseconds=1)


def written(ms: float) -> str:
    """A moment as it is read again: a date when it is one, in UTC."""
    moment = _EPOCH + dt.timedelta(milliseconds=ms)
    if not ms % 86_400_000:
        return moment.date().isoformat()
    return moment.isoformat(timespec="milliseconds" if ms % 1000 else "seconds").replace("+00:00", "Z")
