"""What some writers spell otherwise, read as it is meant: PHP's `[]` for an empty object, and second 60.

RFC 3339 allows second 60 for leap seconds, which the clocks of computers do not have: as with POSIX, it is the first moment of the next
minute. What is stored is the reading, so that every reader further on sees the same.
"""

import datetime as dt
import re
from typing import Any, Final

_SECOND_60: Final = re.compile(r"(\d{4}-\d\d-\d\d)([Tt ])(\d\d:\d\d):60(?:[.,]\d+)?( ?(?:[Zz]|[+-]\d\d:?\d\d)?)")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}-W[0-9]{2}(?:-[0-9])?|[0-9]{8}|[0-9]{4}W[0-9]{2}[0-9]?")
_OFFSET: Final = re.compile(r"[Zz]|[+-][0-9]{2}:?[0-9]{2}")
STAMPS: Final = ("timestamp", "originalTimestamp", "sentAt", "receivedAt")
OBJECTS: Final = ("properties", "traits", "context")


def without_second_60(text: str) -> str:
    """A time in RFC 3339 (or ISO 8601 without a zone) whose second is 60, as the next minute; any other text as it is."""
    if ":60" not in text:
        return text
    matched = _SECOND_60.fullmatch(text.strip())
    if matched is None:
        return text
    day, sign, minute, zone = matched.groups()
    try:
        following = dt.datetime.fromisoformat(f"{day}T{minute}") + dt.timedelta(minutes=1)
    except (ValueError, OverflowError):
        return text
    return following.isoformat(sep="T" if sign != " " else " ") + zone


def iso_text(text: str) -> str:
    """A time in ISO 8601 as Python reads it right: second 60 as the next minute, the offset of a day (XML's `xs:date`) behind midnight.

    Python takes any sign for the one between day and time, so that `2026-11-28+02:00` would be two o'clock in the morning.

    Args:
        text: without spaces around it.

    Raises:
        ValueError: something else than `T` or a space stands between day and time.
    """
    matched = _DAY.match(text)
    if matched is None or matched.end() == len(text) or text[matched.end()] in "Tt ":
        return without_second_60(text)
    if _OFFSET.fullmatch(text, matched.end()):
        return f"{matched[0]}T00:00:00{text[matched.end() :]}"
    raise ValueError(f"`{text[matched.end()]}` between day and time")


def as_object(value: Any) -> Any:
    """An empty array where an object is wanted is an empty object: PHP's arrays are both."""
    return {} if value == [] and isinstance(value, list) else value


def mend_envelope(whole: Any) -> None:
    """Read the envelope's own times and objects; `context.traits` too.

    Args:
        whole: a parsed record; is changed.
    """
    if not isinstance(whole, dict):
        return
    for name in STAMPS:
        if isinstance(whole.get(name), str):
            whole[name] = without_second_60(whole[name])
    for name in OBJECTS:
        if name in whole:
            whole[name] = as_object(whole[name])
    context = whole.get("context")
    if isinstance(context, dict) and "traits" in context:
        context["traits"] = as_object(context["traits"])
