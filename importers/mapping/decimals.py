"""Decimals as Debezium writes them, in each form of its `decimal.handling.mode`; what could be two of them is refused."""

import base64
import binascii
import re
from decimal import Decimal
from typing import Any, Final, Literal

from config.sources import Decimals
from importers.mapping.amounts import exactly
from importers.mapping.unfit import Unfit

MAX_TEXT: Final = 400
"""Characters of a decimal: 308 digits are the most that a float could hold, and Postgres writes them out."""
_EXACT: Final = 2.0**53
_TEXT: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")
"""As Java writes a BigDecimal: `1250.00`, and `0E-8` for nothing of a column with eight decimals."""
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]*")
_NOT_FINITE: Final = re.compile(r"(?:[+-]|positive_|negative_)?(?:nan|infinity)", re.IGNORECASE)


def parse_unscaled(value: Any, scale: Any, form: Decimals = "") -> int | float:
    """A decimal of Debezium as a number.

    Args:
        value: base64 of a big-endian two's complement integer that is to be divided by 10 ** scale (`precise`), text (`string`), a number
            (`double`), or `{scale, value}` (`precise`, of a column without a scale of its own).
        scale: of the column; a map may bring its own.
        form: the form that the source is said to have. Without it, text is taken for what only one form can have written. A number is a
            number whatever the form.

    Raises:
        Unfit: it is not of that form, may be of either, or 64 bits cannot hold it.
    """
    is_map = isinstance(value, dict)
    if is_map:
        scale, value = value.get("scale", scale), value.get("value")
    if isinstance(scale, bool) or not isinstance(scale, int) or abs(scale) > MAX_TEXT:
        raise Unfit("a scale that is a whole number", scale)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Unfit("a decimal", value)
    number = _read(value, scale, "bytes" if is_map else form) if isinstance(value, str) else Decimal(str(value))
    if not number.is_finite():
        raise Unfit("a finite number", value)
    return exactly(number, value, whole=scale <= 0 and number == number.to_integral_value())


def as_json(value: Decimal) -> int | float | str:
    """A decimal as JSON has it: a number where one holds all its digits, else text of them all."""
    if value == value.to_integral_value():
        return int(value)
    number = float(value)
    return number if abs(number) < _EXACT and Decimal(repr(number)) == value else f"{value:f}"


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


def _read(text: str, scale: int, form: Decimals | Literal["bytes"]) -> Decimal:
    if form == "bytes":
        return of_base64(text, scale)
    if _NOT_FINITE.fullmatch(text):
        raise Unfit("a finite number", text)
    if form == "string":
        if not _is_decimal_text(text):
            raise Unfit("a decimal as text (`decimals: string`)", text)
        return Decimal(text)
    if form == "double":
        raise Unfit("a decimal as a number (`decimals: double`)", text)
    # `1250` and `1E+3` are decimals written out as well as base64 of other numbers: neither is taken on trust.
    if _is_decimal_text(text) and _BASE64.fullmatch(text) and len(text) % 4 == 0:
        raise Unfit(
            "a decimal that cannot be read in two ways: send it with its schema, or set `decimal.handling.mode` and `decimals` to string",
            text,
        )
    if form == "" and _is_decimal_text(text):
        return Decimal(text)
    return of_base64(text, scale)


def _is_decimal_text(value: str) -> bool:
    return len(value) <= MAX_TEXT and _TEXT.fullmatch(value) is not None
