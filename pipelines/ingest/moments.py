"""When an event took place: the stamps of its envelope, corrected for the clock of whoever wrote them."""

import datetime as dt
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from pipelines.ingest.envelope import Envelope
from schemas import codes
from schemas.validators import Violation

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_EARLIEST_MS: Final = int((dt.datetime(2000, 1, 1, tzinfo=dt.UTC) - _EPOCH).total_seconds() * 1000)
_MS: Final = dt.timedelta(milliseconds=1)
ZONES_KEPT: Final = 1024
"""There are some 600; names that strangers make up are forgotten again."""


def to_ms(moment: dt.datetime) -> int:
    """Milliseconds since the epoch, rounded down; without a zone the moment is UTC."""
    return ((moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)) - _EPOCH) // _MS


def to_ms_of_day(day: dt.date) -> int:
    """The beginning of a day in UTC, ms."""
    return to_ms(dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC))


@lru_cache(maxsize=ZONES_KEPT)
def zone(name: str) -> ZoneInfo | None:
    """A time zone of the IANA data base, None when there is none of this name."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def event_time(raw: Envelope, log_time: int, local: str | None, max_future_s: int) -> int:
    """The event's own time, ms.

    `timestamp` if there is one; else `receivedAt - (sentAt - originalTimestamp)`, which takes the sender's clock error out; else what of
    the latter there is; else the record's own time. A little in the future (clocks differ) counts as now.

    Args:
        raw: the envelope.
        log_time: timestamp of the raw record, ms.
        local: zone that stamps without one are in; by default UTC. Where clocks are put back the first of two equal readings is meant,
            where they are put forward the reading that does not exist counts from before the change (PEP 495, fold 0).
        max_future_s: how far ahead of the record it may lie.

    Raises:
        Violation: `timestamp_out_of_range`, or a zone that is needed and unknown.
    """
    if raw.timestamp is not None:
        moment, field = _local_ms(raw.timestamp, local), ".timestamp"
    elif raw.original_timestamp is not None:
        moment, field = _local_ms(raw.original_timestamp, local), ".originalTimestamp"
        if raw.sent_at is not None:
            received = to_ms(raw.received_at) if raw.received_at is not None else log_time
            moment = received - (_local_ms(raw.sent_at, local) - moment)
    else:
        return log_time
    if moment < _EARLIEST_MS or moment > log_time + max_future_s * 1000:
        raise Violation(codes.TIMESTAMP_OUT_OF_RANGE, field, f"between 2000-01-01 and {max_future_s} s after the record's own time")
    return min(moment, log_time)


def _local_ms(moment: dt.datetime, local: str | None) -> int:
    if moment.tzinfo is not None or local is None:
        return to_ms(moment)
    known = zone(local)
    if known is None:
        raise Violation(codes.QUALITY_RULE, ".context.timezone", "a zone of the IANA time zone data base, e.g. Europe/London")
    return to_ms(moment.replace(tzinfo=known))
