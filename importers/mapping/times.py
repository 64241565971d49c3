"""Moments and days out of text and numbers, with time zones; what a clock change makes ambiguous is decided or refused, never guessed."""

import datetime as dt
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from importers.mapping import amounts
from importers.mapping.unfit import Unfit
from schemas.odd_spellings import iso_text

_SECOND_60: Final = re.compile(r"(?<=:[0-5][0-9]):60(?![0-9:])")
"""Of a leap second: the first moment of the next minute, see `schemas.odd_spellings`."""
EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
UNIX: Final = {"unix_s": 1, "unix_ms": 1000, "unix_us": 1_000_000, "unix_ns": 1_000_000_000}
"""Time since 1970 UTC; units a second."""
WALL: Final = {"wall_s": 1, "wall_ms": 1000, "wall_us": 1_000_000, "wall_ns": 1_000_000_000}
"""What a clock on the wall showed, counted as if that clock were UTC (Debezium's columns without a zone)."""
_DIRECTIVE: Final = re.compile(r"%(.)")
# What Python's strptime reads and then takes no notice of: the moment would be another one than the text says.
_FORGOTTEN: Final[tuple[tuple[Callable[[set[str]], bool], str], ...]] = (
    (lambda used: "Z" in used, "the name of a zone (`%Z`) is read and forgotten: name the zone as an argument, or cut it off by `replace`"),
    (lambda used: "p" in used and "I" not in used, "`%p` (am, pm) counts with `%I` only, the hour from 1 to 12"),
    (lambda used: "I" in used and "p" not in used, "`%I`, the hour from 1 to 12, needs `%p` (am, pm)"),
    (
        lambda used: bool(used & {"U", "W"}) and not used & {"a", "A", "w", "u"},
        "a week (`%U`, `%W`) says no day without a weekday (`%u`, `%a`)",
    ),
    (lambda used: not used & {"Y", "y", "G", "c", "x"}, "it has no year"),
)
CHOICES: Final = ("reject", "earlier", "later")
"""Which of two moments a time means that happens twice, or that no clock showed (the words are those of ECMAScript's Temporal)."""


def check_time(literals: list[Any]) -> None:
    """Refuse what can be seen to be wrong when a mapping is loaded.

    Args:
        literals: arguments of `parse_time` after the first; None for what is not a constant.

    Raises:
        ValueError: what is wrong with them.
    """
    form, zone, choice = (*literals, None, None)[:3]
    if zone is not None:
        _zone(zone)
    if choice is not None and choice not in CHOICES:
        raise ValueError(f"`{choice}` is not one of {', '.join(CHOICES)}")
    if not isinstance(form, str):
        return
    if len(literals) < 2 and form not in UNIX and form != "iso" and "%z" not in form:
        raise ValueError(f"`{form}` says nothing of a time zone: name one, e.g. 'Europe/London' or 'UTC'")
    if form in UNIX and zone is not None:
        raise ValueError(f"`{form}` counts from 1970 UTC and needs no zone; a wall clock's reading is `{form.replace('unix', 'wall')}`")
    _check_form(form)


def check_date(literals: list[Any]) -> None:
    """Refuse a format that is none; see `check_time`."""
    if isinstance(literals[0], str) and literals[0] != "days":
        _check_form(literals[0])


def parse_time(value: Any, form: Any, zone: Any = None, choice: Any = "reject") -> str:
    """A moment, as ISO 8601 in UTC with milliseconds: `2010-12-01T08:26:00.000Z`.

    Args:
        value: text; a number for `unix_*` and `wall_*`.
        form: `iso` (RFC 3339 and its relatives), `unix_s` `unix_ms` `unix_us` `unix_ns`, `wall_s` `wall_ms` `wall_us` `wall_ns`, or a
            format of strptime such as `%d/%m/%Y %H:%M`.
        zone: IANA name; for times that carry no offset.
        choice: `earlier` or `later` when the clock showed this time twice or never; `reject` makes it an error.

    Raises:
        Unfit: it is no such time.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Unfit("a time", value)
    wrong = [one for one in (form, zone, choice) if one is not None and not isinstance(one, str)]
    if wrong or form is None:
        raise Unfit("a format, a time zone and a choice as text", form if form is None else wrong[0])
    try:
        return _parse_time(value, form, zone, choice)
    except (OverflowError, OSError) as error:
        raise Unfit("a time between the years 1 and 9999", value) from error


@lru_cache(maxsize=8192, typed=True)
def _parse_time(value: str | int | float, form: Any, zone: Any, choice: Any) -> str:
    if form in UNIX:
        return to_text(_since_epoch(value, UNIX[form]))
    if form in WALL:
        local = _since_epoch(value, WALL[form]).replace(tzinfo=None)
    else:
        if not isinstance(value, str):
            raise Unfit("text with a time; numbers are `unix_s`, `unix_ms` and the like", value)
        local = _read(value, form)
    if local.tzinfo is not None:
        return to_text(local)
    if zone is None:
        raise Unfit("a time with an offset (none is in the text, and the mapping names no time zone)", value)
    try:
        named = _zone(zone)
    except ValueError as error:
        raise Unfit(str(error), zone) from error
    return to_text(_placed(local, named, choice, value))


def parse_date(value: Any, form: Any) -> str:
    """A day, as `2010-12-01`.

    Args:
        value: text; for `days` the number of days since 1970 (Debezium's dates).
        form: `days`, `iso`, or a format of strptime.

    Raises:
        Unfit: it is no such day.
    """
    if form == "days":
        if isinstance(value, bool) or not isinstance(value, int):
            raise Unfit("whole days since 1970", value)
        try:
            return (EPOCH.date() + dt.timedelta(days=value)).isoformat()
        except OverflowError as error:
            raise Unfit("a day between the years 1 and 9999", value) from error
    if not isinstance(value, str) or not isinstance(form, str):
        raise Unfit("text with a date", value)
    return _read(value, form).date().isoformat()


def to_text(moment: dt.datetime) -> str:
    """ISO 8601 in UTC with milliseconds, rounded down; such texts sort as the moments do."""
    return moment.astimezone(dt.UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _since_epoch(value: str | int | float, units_a_second: int) -> dt.datetime:
    number = amounts.parse_number(value)
    if isinstance(value, str) and "e" in value.lower():
        raise Unfit("a time with all its digits; a spreadsheet has rounded this one", value)
    whole_us = number * 1_000_000 // units_a_second if isinstance(number, int) else round(number * (1_000_000 / units_a_second))
    return EPOCH + dt.timedelta(microseconds=whole_us)


def _read(text: str, form: Any) -> dt.datetime:
    try:
        if form == "iso":
            return dt.datetime.fromisoformat(iso_text(text.strip()))
        second_60 = _SECOND_60.search(text) if "%S" in form else None
        if second_60 is None:
            return dt.datetime.strptime(text.strip(), form)
        before = f"{text[: second_60.start()]}:59{text[second_60.end() :]}"
        return dt.datetime.strptime(before.strip(), form).replace(microsecond=0) + dt.timedelta(seconds=1)
    except (ValueError, TypeError) as error:
        raise Unfit(f"a time of the form `{form}`", text) from error


def _placed(local: dt.datetime, zone: ZoneInfo, choice: Any, value: Any) -> dt.datetime:
    """The moment a wall clock in a zone showed this."""
    first, second = local.replace(tzinfo=zone, fold=0), local.replace(tzinfo=zone, fold=1)
    before, after = first.utcoffset(), second.utcoffset()
    if before == after or before is None or after is None:
        return first
    happens_twice = before > after
    if choice not in ("earlier", "later"):
        what = "twice" if happens_twice else "never"
        raise Unfit(f"a time that {zone.key} shows once (this one it shows {what}: say 'earlier' or 'later')", value)
    # PEP 495: fold 0 takes the offset before the change, fold 1 the one after it; in a gap the latter gives the earlier moment.
    return first if happens_twice == (choice == "earlier") else second


@lru_cache(maxsize=512)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError) as error:
        raise ValueError(f"there is no time zone `{name}`; IANA names look like 'Europe/London', 'UTC'") from error


def _check_form(form: str) -> None:
    if form == "iso" or form in UNIX or form in WALL:
        return
    if "%" not in form:
        named = ", ".join(["iso", *UNIX, *WALL])
        raise ValueError(f"`{form}` is no format: use {named}, or one of strptime such as '%d/%m/%Y %H:%M'")
    try:
        dt.datetime.strptime(dt.datetime(2001, 2, 3, 4, 5, 6, tzinfo=dt.UTC).strftime(form), form)
    except ValueError as error:
        raise ValueError(f"`{form}`: {error}") from error
    used = set(_DIRECTIVE.findall(form))
    for wrong, advice in _FORGOTTEN:
        if wrong(used):
            raise ValueError(f"`{form}`: {advice}")
