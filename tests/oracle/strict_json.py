"""JSON as the contract wants it: UTF-8, no NaN, whole numbers of 64 bits and others a double can hold, a bounded depth."""

import json
import math
import re
from typing import Any, NoReturn

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


class NotJsonError(ValueError):
    """The bytes are not an acceptable JSON document."""


def _constant(text: str) -> NoReturn:
    raise NotJsonError(text)


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise NotJsonError(text)
    return number


def _integer(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= int(text) < 2**64:
        raise NotJsonError(text)
    return int(text)


def parse(value: bytes, nesting: int) -> Any:
    """Parse a record.

    Args:
        value: the record's bytes.
        nesting: arrays and objects may stand in each other this deep (the outermost counts as one).

    Raises:
        NotJsonError: empty, not UTF-8, not JSON, too deep, or with a number that is none.
    """
    try:
        text = value.decode("utf-8").removeprefix("\ufeff")
        if _deeper_than(text, nesting):
            raise NotJsonError("nesting")
        loaded = json.loads(text, parse_constant=_constant, parse_float=_number, parse_int=_integer)
        if "\\ud" in text.lower():
            json.dumps(loaded, ensure_ascii=False).encode("utf-8")  # half of a surrogate pair is no character
        if "\\u0000" in json.dumps(loaded).replace("\\\\", ""):
            raise NotJsonError("U+0000")
    except (ValueError, RecursionError) as error:
        raise NotJsonError(str(error)) from error
    return loaded


def _deeper_than(text: str, nesting: int) -> bool:
    if text.count("[") + text.count("{") <= nesting:
        return False
    depth = 0
    for sign in _STRING.sub("", text):
        if sign in "[{":
            depth += 1
            if depth > nesting:
                return True
        elif sign in "]}":
            depth -= 1
    return False


def canonical(value: Any) -> str:
    """A spelling that two JSON values share exactly when they are equal: keys sorted, no spaces that could differ."""
    return json.dumps(value, sort_keys=True)
