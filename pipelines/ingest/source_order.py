"""The order of a source: a place in its log, made a text that compares byte by byte as the source means it (docs/contracts.md)."""

import datetime as dt
import re
from typing import Final

from schemas import codes
from schemas.validators import Violation

MAX_CHARS: Final = 96
"""Of the text as told. The canonical one has two more characters a number, so three times as many at the most."""
_MOMENT: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):?(\d\d))?", re.ASCII)
_HEXADECIMAL: Final = re.compile(r"[0-9a-f]{1,8}/[0-9a-f]{1,8}|[0-9a-f]{8}:[0-9a-f]{8}:[0-9a-f]{4}|0x[0-9a-f]+", re.ASCII | re.IGNORECASE)
"""Places in the logs of Postgres (`16/B374D848`) and SQL Server (`00000027:00000ac0:0002`, `0x00000027000000AC0002`)."""
_HEX_DIGITS: Final = re.compile(r"0*([0-9a-f]+)", re.ASCII | re.IGNORECASE)
_DIGITS: Final = re.compile(r"0*(\d+)", re.ASCII)
_PLACES: Final = 18


def canonical(told: int | str) -> str:
    """A text of which the greater one is the newer one.

    A whole number compares as a number. A moment as in RFC 3339 compares as a moment, whatever its zone; one without a zone as if it was
    UTC. A hexadecimal place in a database's log compares by its hexadecimal numbers. In any other text each run of digits compares as a
    number (`binlog.999999` is before `binlog.1000000`), all else by its characters.

    Args:
        told: `context.sourceOrder`.

    Raises:
        Violation: it is negative, empty or too long, or looks like a moment that no calendar has.
    """
    if isinstance(told, int):
        if told < 0:
            raise _unfit()
        return _number(str(told))
    text = told.strip()
    if not 1 <= len(text) <= MAX_CHARS:
        raise _unfit()
    moment = _MOMENT.fullmatch(text)
    if moment is not None:
        return _number(_instant(moment))
    if _HEXADECIMAL.fullmatch(text):
        begin, rest = ("0x", text[2:]) if text[1:2] in ("x", "X") else ("", text)
        return begin + _HEX_DIGITS.sub(lambda run: _number(run[1].upper()), rest)
    return _DIGITS.sub(lambda run: _number(run[1]), text)


def _number(digits: str) -> str:
    """Digits behind their number, so that the longer of two is the greater one."""
    return f"{len(digits):02d}{digits}"


def _instant(moment: re.Match[str]) -> str:
    """Attoseconds since year 1, so that no fraction is lost."""
    year, month, day, hour, minute, second = (int(moment[number]) for number in range(1, 7))
    try:
        days = dt.date(year, month, day).toordinal()
    except ValueError:
        raise _unfit() from None
    fraction = moment[7] or "0"
    if hour > 23 or minute > 59 or second > 60 or len(fraction) > _PLACES:
        raise _unfit()
    seconds = days * 86_400 + hour * 3600 + minute * 60 + second
    if moment[8]:
        if int(moment[9]) > 23 or int(moment[10]) > 59:
            raise _unfit()
        offset = int(moment[9]) * 3600 + int(moment[10]) * 60
        seconds -= offset if moment[8] == "+" else -offset
    return str(seconds * 10**_PLACES + int(fraction.ljust(_PLACES, "0")))


def _unfit() -> Violation:
    rule = f"a whole number from 0 on, a moment as in RFC 3339 (at most {_PLACES} decimals), or a text of 1 to {MAX_CHARS} characters"
    return Violation(codes.SCHEMA_VIOLATION, ".context.sourceOrder", rule)
