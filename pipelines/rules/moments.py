"""Moments as rules write them: `'2026-01-31'`, `'2026-01-31T10:00:00Z'`."""

import datetime as dt
from typing import Final

from schemas.odd_spellings import iso_text

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


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
        return moment.strftime("%Y-%m-%d")
    return moment.isoformat(timespec="milliseconds" if ms % 1000 else "seconds").replace("+00:00", "Z")
