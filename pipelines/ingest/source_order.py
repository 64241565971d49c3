"""The order of a source: a place in its log, made a text that compares byte by byte as the source means it (docs/contracts.md)."""

import datetime as dt
import re
from typing import Final

from schemas import codes
from schemas.validators import Violation

MAX_CHARS: Final = 96
"""Of the text as told. The canonical one has two more characters a number, so three times as many at the most."""
_MOMENT: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,18}))?(?:[Zz]|([+-])(\d\d):?(\d\d))", re.ASCII)
_DIGITS: Final = re.compile(r"0*(\d+)", re.ASCII)
_PLACES: Final = 18


def canonical(told: int | str) -> str:
    """A text of which the greater one is the newer one.

    A whole number compares as a number. A moment as in RFC 3339 compares as a moment, to all its digits, whatever its zone. In any other
    text each run of digits compares as a number (`binlog.999999` is before `binlog.1000000`), all else by its characters.

    Args:
        told: `context.sourceOrder`.

    Raises:
        Violation: it is negative, empty or too long.
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
    seconds = days * 86_400 + hour * 3600 + minute * 60 + second
    if moment[8]:
        offset = int(moment[9]) * 3600 + int(moment[10]) * 60
        seconds -= offset if moment[8] == "+" else -offset
    return str(seconds * 10**_PLACES + int((moment[7] or "0").ljust(_PLACES, "0")))


def _unfit() -> Violation:
    rule = f"a whole number from 0 on, a moment as in RFC 3339, or a text of 1 to {MAX_CHARS} characters"
    return Violation(codes.SCHEMA_VIOLATION, ".context.sourceOrder", rule)
