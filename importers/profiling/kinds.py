"""What a value is: of text, also what it would be if it were parsed; times by the formats that fit all of a field's values."""

import datetime as dt
import re
from collections.abc import Collection
from functools import lru_cache
from typing import Any, Final

from importers.mapping import amounts
from importers.mapping.unfit import Unfit
from importers.personal import is_email, is_phone
from schemas.odd_spellings import iso_text

MISSING: Final = "missing"
TIME_FORMS: Final = (
    "iso", "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y", "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M", "%d.%m.%Y", "%d-%m-%Y %H:%M:%S", "%d-%m-%Y %H:%M", "%d-%m-%Y", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d",
    "%d %b %Y %H:%M:%S", "%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%a, %d %b %Y %H:%M:%S %z",
)  # fmt: skip
_TRUTH: Final = frozenset({"true", "false", "yes", "no"})
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_URL: Final = re.compile(r"https?://\S+")
_DIGIT: Final = re.compile(r"[0-9]")
_TIME_LIKE: Final = re.compile(r"[0-9]{1,4}[-/. ][0-9A-Za-z]{1,3}[-/., ]|[A-Za-z]{3},? [0-9]")
_WIDER: Final = (
    ("number", ("integer",)),
    ("text:number", ("text:integer",)),
    ("text:number,", ("text:integer",)),
    ("text:money", ("text:integer", "text:number")),
)
_EARLIEST: Final = dt.datetime(1900, 1, 1)
_LONGEST: Final = 64


def kind_of(value: Any) -> str:
    """What a value of JSON is.

    Returns:
        `missing` (null, empty text), `boolean`, `integer`, `number`, `object`, `list`, `text`, or for text that is something else:
        `text:integer`, `text:number`, `text:number,` (decimal comma), `text:money`, `text:boolean`, `text:time`, `text:email`,
        `text:phone`, `text:url`, `text:uuid`, `text:json`.
    """
    if value is None:
        return MISSING
    if isinstance(value, str):
        return _text_kind(value) if len(value) <= _LONGEST else _long_kind(value)
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    return "object" if isinstance(value, dict) else "list"


def joint(kinds: Collection[str]) -> str:
    """What a field is whose values are of several kinds: what they all can be read as."""
    there = set(kinds) - {MISSING}
    if len(there) == 1:
        return there.pop()
    for wider, narrower in _WIDER:
        if wider in there and there <= {wider, *narrower}:
            return wider
    return "text" if there and all(kind.startswith("text") for kind in there) else "mixed" if there else MISSING


def time_forms(value: str, among: tuple[str, ...] = TIME_FORMS) -> tuple[str, ...]:
    """Formats of `parse_time` that fit a text."""
    return tuple(form for form in among if form in _forms_of(value.strip()))


@lru_cache(maxsize=65_536)
def _text_kind(value: str) -> str:
    text = value.strip()
    if not text:
        return MISSING
    if text.lower() in _TRUTH:
        return "text:boolean"
    if _DIGIT.search(text):
        with_digits = _with_digits(text)
        if with_digits:
            return with_digits
    if is_email(text):
        return "text:email"
    if _URL.fullmatch(text):
        return "text:url"
    return "text:json" if text[0] in "{[" and text[-1] in "}]" else "text"


def _with_digits(text: str) -> str:
    if _INTEGER.fullmatch(text):
        return "text:integer"
    if _UUID.fullmatch(text):
        return "text:uuid"
    if _forms_of(text):
        return "text:time"
    if text[0] != "0" or text[1:2] in (".", ","):  # 007 is a code, 0.5 is a number
        for decimal, kind in ((".", "text:number"), (",", "text:number,")):
            if _parses(amounts.parse_number, text, decimal):
                return kind
    if is_phone(text):
        return "text:phone"
    for decimal in ".,":
        if _parses(amounts.parse_money, text, decimal) and not _parses(amounts.parse_number, text, decimal):
            return "text:money"
    return ""


def _long_kind(value: str) -> str:
    text = value.strip()
    if is_email(text):
        return "text:email"
    if _URL.fullmatch(text):
        return "text:url"
    return "text:json" if text[:1] in ("{", "[") and text[-1:] in ("}", "]") else "text"


@lru_cache(maxsize=65_536)
def _forms_of(text: str) -> tuple[str, ...]:
    if not _TIME_LIKE.match(text) or len(text) > _LONGEST:
        return ()
    return tuple(form for form in TIME_FORMS if _is_time(text, form))


def _is_time(text: str, form: str) -> bool:
    try:
        moment = dt.datetime.fromisoformat(iso_text(text)) if form == "iso" else dt.datetime.strptime(text, form)
    except ValueError:
        return False
    return moment.replace(tzinfo=None) >= _EARLIEST


def _parses(parse: Any, text: str, decimal: str) -> bool:
    try:
        parse(text, decimal)
    except Unfit:
        return False
    return True
