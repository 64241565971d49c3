"""Text: cleaning, splitting, truth words, JSON inside text, and digests."""

import hashlib
from typing import Any, Final

import msgspec

from importers.mapping.unfit import Unfit
from schemas import json_text
from schemas.identifiers import is_rounded

TRUE: Final = "true,t,yes,y,on,1"
FALSE: Final = "false,f,no,n,off,0"
EXACT_FLOAT: Final = 2.0**53
"""From here on neighbouring whole numbers share a float, so its digits identify nothing."""
_canonical = msgspec.json.Encoder(order="sorted").encode


def text(value: Any) -> str:
    """A number or truth value as text; an integer in another's clothes (`17850.0`) loses its fraction. Text stays as it is.

    Raises:
        Unfit: it is a list or an object, or a float so large that its last digits are not those that were meant.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not abs(value) < EXACT_FLOAT:
        raise Unfit("a whole number of at most 15 digits, or one that was not made a float on its way: its last digits are lost", value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, int | float):
        return str(value)
    raise Unfit("text or a number", value)


def key(value: Any) -> str:
    """As `text`, of a value that has to tell one thing from all others.

    Raises:
        Unfit: it is no text, or a number that a spreadsheet has rounded.
    """
    found = text(value)
    if is_rounded(found):
        raise Unfit(
            "all digits, not a number that a spreadsheet has rounded: give its column the format text there, and save it again", value
        )
    return found


def trim(value: Any) -> str:
    """Without white space at both ends."""
    return _text(value).strip()


def lower(value: Any) -> str:
    """In lower case."""
    return _text(value).lower()


def upper(value: Any) -> str:
    """In upper case."""
    return _text(value).upper()


def replace(value: Any, old: Any, new: Any) -> str:
    """With each `old` replaced by `new`."""
    if not isinstance(old, str) or not old or not isinstance(new, str):
        raise Unfit("text to look for and text to put there", old)
    return _text(value).replace(old, new)


def split(value: Any, separator: Any) -> list[str]:
    """The parts between separators, trimmed; parts that are empty are kept, so that the second part stays the second."""
    if not isinstance(separator, str) or not separator:
        raise Unfit("a separator of at least one character", separator)
    return [part.strip() for part in _text(value).split(separator)]


def parse_boolean(value: Any, true: Any = TRUE, false: Any = FALSE) -> bool:
    """Truth out of words.

    Args:
        value: text, compared in lower case; `true` and `false`, 1 and 0 mean themselves.
        true: words that mean true, separated by commas.
        false: words that mean false.

    Raises:
        Unfit: it is none of the words.
    """
    if isinstance(value, bool):
        return value
    word = text(value).strip().lower()
    for words, meaning in ((true, True), (false, False)):
        if isinstance(words, str) and word in (one.strip().lower() for one in words.split(",")):
            return meaning
    raise Unfit(f"one of {true},{false}", value)


def parse_json(value: Any) -> Any:
    """What JSON inside text says; what is an object or a list already stays as it is.

    Raises:
        Unfit: it is not JSON.
    """
    if isinstance(value, dict | list):
        return value
    try:
        return json_text.read(_text(value), wide=True)
    except json_text.JsonTextError as error:
        raise Unfit(f"JSON with {error.rule}" if error.is_json else "JSON", value) from error


def digest(value: Any) -> str:
    """16 hex digits that are equal for equal values (blake2b over their JSON): a stable key where the source has none."""
    try:
        return hashlib.blake2b(_canonical(value), digest_size=8).hexdigest()
    except (TypeError, ValueError) as error:
        raise Unfit("something that JSON can hold", None) from error


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Unfit("text; see text()", value)
    return value
