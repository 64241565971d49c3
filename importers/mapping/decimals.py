"""Decimals as Debezium writes them, in each form of its `decimal.handling.mode`; what could be two of them is refused."""

import base64
import binascii
import re
from decimal import Decimal
from typing import Any, Final, Literal

from importers.mapping.amounts import exactly
from importers.mapping.unfit import Unfit

Form = Literal["", "precise", "string", "double"]
"""Debezium's `decimal.handling.mode`; empty: nobody has said."""
MAX_TEXT: Final = 400
"""Characters of a decimal: 308 digits are the most that a float could hold, and Postgres writes them out."""
_TEXT: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")
_NOT_FINITE: Final = re.compile(r"(?:[+-]|positive_|negative_)?(?:nan|infinity)", re.IGNORECASE)


class DecimalText(str):
    """Text of which the record's own schema says that it is text: its digits are digits, and no base64."""

    __slots__ = ()


def is_decimal_text(value: str) -> bool:
    """Whether text is a decimal written out: `-1250.00`."""
    return len(value) <= MAX_TEXT and _TEXT.fullmatch(value) is not None


def parse_unscaled(value: Any, scale: Any, form: Form = "") -> int | float:
    """A decimal of Debezium as a number.

    Args:
        value: base64 of a big-endian two's complement integer that is to be divided by 10 ** scale (`precise`), text (`string`), a number
            (`double`), or `{scale, value}` (`precise`, of a column without a scale of its own).
        scale: of the column; a map brings its own.
        form: the form that the source is said to have. Without it, text is taken for what only one form can have written.

    Raises:
        Unfit: it is not of that form, may be of either, or 64 bits cannot hold it.
    """
    if isinstance(value, dict):
        scale, value, form = value.get("scale"), value.get("value"), "precise"
    if isinstance(scale, bool) or not isinstance(scale, int) or abs(scale) > MAX_TEXT:
        raise Unfit("a scale that is a whole number", scale)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Unfit("a decimal", value)
    if isinstance(value, str):
        number = _read(value, scale, form)
    elif form in ("", "double"):
        number = Decimal(str(value))
    else:
        raise Unfit(f"a decimal of the form `{form}`, as the source's `decimals` says", value)
    if not number.is_finite():
        raise Unfit("a finite number", value)
    return exactly(number, value, whole=scale <= 0 and number == number.to_integral_value())


def of_base64(text: str, scale: int) -> Decimal:
    """The exact value of a decimal's bytes.

    Args:
        text: base64 of a big-endian two's complement integer.
        scale: digits behind the point.

    Raises:
        Unfit: it is not base64, or of no byte.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unfit("a decimal in base64", text) from error
    if not raw or len(raw) > MAX_TEXT:
        raise Unfit("a decimal in base64", text)
    unscaled = int.from_bytes(raw, "big", signed=True)
    return Decimal((int(unscaled < 0), tuple(map(int, str(abs(unscaled)))), -scale))  # by digits: no context rounds it


def _read(text: str, scale: int, form: Form) -> Decimal:
    if _NOT_FINITE.fullmatch(text):
        raise Unfit("a finite number", text)
    if isinstance(text, DecimalText) or form == "string":
        if not is_decimal_text(text):
            raise Unfit("a decimal as text (`decimals: string`)", text)
        return Decimal(text)
    if form == "double":
        raise Unfit("a decimal as a number (`decimals: double`)", text)
    # Digits alone are a decimal written out as well as base64, which then is of a negative number: neither is taken on trust.
    if text.isdecimal() and len(text) % 4 == 0:
        raise Unfit(
            "a decimal that cannot be read in two ways: send it with its schema, or set `decimal.handling.mode` and `decimals` to string",
            text,
        )
    if form == "" and is_decimal_text(text):
        return Decimal(text)
    return of_base64(text, scale)
