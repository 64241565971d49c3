"""Numbers and money out of text, and arithmetic that does not make 0.30000000000000004 of 0.1 + 0.2."""

import base64
import binascii
import math
import re
import sys
import unicodedata
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, Final

from importers.mapping.unfit import Unfit

MAX_TEXT: Final = 64
_INT64: Final = 2**63
_SPACES: Final = " \u00a0\u202f\u2009'\u2019_"  # space, no-break, narrow no-break and thin space, two apostrophes, underscore
_MINUS: Final = "\u2212"
_SYMBOLS: Final = "".join(chr(code) for code in range(sys.maxunicode) if unicodedata.category(chr(code)) == "Sc")
_CODES: Final = (
    "AED", "AFN", "ALL", "AMD", "ANG", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM", "BBD", "BDT", "BGN", "BHD", "BIF", "BMD", "BND", "BOB",
    "BRL", "BSD", "BTN", "BWP", "BYN", "BZD", "CAD", "CDF", "CHF", "CLP", "CNY", "COP", "CRC", "CUP", "CVE", "CZK", "DJF", "DKK", "DOP",
    "DZD", "EGP", "ERN", "ETB", "EUR", "FJD", "FKP", "GBP", "GEL", "GHS", "GIP", "GMD", "GNF", "GTQ", "GYD", "HKD", "HNL", "HTG", "HUF",
    "IDR", "ILS", "INR", "IQD", "IRR", "ISK", "JMD", "JOD", "JPY", "KES", "KGS", "KHR", "KMF", "KPW", "KRW", "KWD", "KYD", "KZT", "LAK",
    "LBP", "LKR", "LRD", "LSL", "LYD", "MAD", "MDL", "MGA", "MKD", "MMK", "MNT", "MOP", "MRU", "MUR", "MVR", "MWK", "MXN", "MYR", "MZN",
    "NAD", "NGN", "NIO", "NOK", "NPR", "NZD", "OMR", "PAB", "PEN", "PGK", "PHP", "PKR", "PLN", "PYG", "QAR", "RON", "RSD", "RUB", "RWF",
    "SAR", "SBD", "SCR", "SDG", "SEK", "SGD", "SHP", "SLE", "SOS", "SRD", "SSP", "STN", "SVC", "SYP", "SZL", "THB", "TJS", "TMT", "TND",
    "TOP", "TRY", "TTD", "TWD", "TZS", "UAH", "UGX", "USD", "UYU", "UZS", "VES", "VND", "VUV", "WST", "XAF", "XCD", "XOF", "XPF", "YER",
    "ZAR", "ZMW", "ZWG",
)  # fmt: skip
"""ISO 4217."""
_SHORT: Final = ("kr.", "kr", "Kr.", "Kr", "Rs.", "Rs", "Rp", "RM", "Fr.", "Fr", "Ft", "zł", "Kč", "лв", "din.", "lei", "Lei")
_UNIT: Final = rf"(?:[A-Za-z]{{0,2}}[{re.escape(_SYMBOLS)}]|{'|'.join(map(re.escape, [*_CODES, *_SHORT]))})"
_ONE_MEANING: Final = {
    "£": "GBP", "€": "EUR", "₹": "INR", "₩": "KRW", "₽": "RUB", "₺": "TRY", "₴": "UAH", "₫": "VND", "₱": "PHP", "₪": "ILS", "฿": "THB",
    "₦": "NGN", "₸": "KZT", "₾": "GEL",
}  # fmt: skip


def _number_pattern(decimal: str) -> str:
    """Digits, grouped by one and the same separator or not at all, with or without a fraction."""
    groups = re.escape(("," if decimal == "." else ".") + _SPACES)
    whole = rf"(?:[0-9]{{1,3}}(?:(?P<sep>[{groups}])[0-9]{{2,3}}(?:(?P=sep)[0-9]{{2,3}})*(?<=[0-9]{{3}})|)|[0-9]+)"
    return rf"(?P<whole>{whole})?(?:{re.escape(decimal)}(?P<fraction>[0-9]*))?"


_NUMBER: Final = {
    decimal: re.compile(rf"(?P<sign>[+\-]?){_number_pattern(decimal)}(?:[eE](?P<exponent>[+-]?[0-9]{{1,3}}))?(?P<after>-?)")
    for decimal in ".,"
}
_MONEY: Final = {
    decimal: re.compile(
        rf"(?P<open>\(?)\s*(?P<sign>[+\-]?)\s*(?P<before>{_UNIT})?\s*(?P<inner>[+\-]?)\s*(?P<number>{_number_pattern(decimal)})(?P<after>-?)"
        rf"\s*(?P<behind>{_UNIT})?\s*(?P<close>\)?)"
    )
    for decimal in ".,"
}


def check_decimal(decimal: Any) -> None:
    """Refuse a decimal mark that is none.

    Raises:
        ValueError: what it must be.
    """
    if decimal not in (".", ","):
        raise ValueError("the decimal mark is '.' or ','")


def parse_number(value: Any, decimal: str = ".") -> int | float:
    """A number out of text: `1,234.50`, with decimal comma `1.234,50`, `12.50-`, `1e5`; a number stays as it is.

    Thousands may be separated by the other mark, a space or an apostrophe, in groups of three (or two, as in India). Without a fraction the
    result is an integer.

    Raises:
        Unfit: it is no number, or one that 64 bits cannot hold.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Unfit("a number", value)
    if not isinstance(value, str):
        return fitting(value, value)
    text = value.strip().replace(_MINUS, "-")
    found = _NUMBER[decimal].fullmatch(text) if len(text) <= MAX_TEXT else None
    if found is None or not (found["whole"] or found["fraction"]) or (found["sign"] and found["after"]):
        raise Unfit(f"a number with the decimal mark `{decimal}`", value)
    return _made(found, value, negative=found["sign"] == "-" or bool(found["after"]), exponent=found["exponent"])


def parse_integer(value: Any, decimal: str = ".") -> int:
    """As `parse_number`, and whole: `17850.0` is 17850.

    Raises:
        Unfit: it is no whole number.
    """
    number = parse_number(value, decimal)
    if number != int(number):
        raise Unfit("a whole number", value)
    return int(fitting(int(number), value))


def parse_money(value: Any, decimal: str = ".") -> int | float:
    """The amount of a money text: `£1,234.50`, `-5 EUR`, `(12.00)`, `1.200,00 kr`; a number stays as it is.

    Raises:
        Unfit: it is no amount.
    """
    if not isinstance(value, str):
        return parse_number(value, decimal)
    found = _money(value, decimal)
    negatives = [found["sign"] == "-", found["inner"] == "-", bool(found["after"]), bool(found["open"])]
    return _made(found, value, negative=any(negatives))


def currency_of(value: Any, decimal: str = ".") -> str | None:
    """The ISO 4217 code of a money text, by its code or by a symbol that has one meaning; null when it names none.

    Raises:
        Unfit: it is no amount, names two currencies, or has a symbol that several currencies share (`$`, `¥`, `kr`).
    """
    if not isinstance(value, str):
        parse_number(value, decimal)
        return None
    found = _money(value, decimal)
    units = [unit for unit in (found["before"], found["behind"]) if unit]
    codes = {_ONE_MEANING.get(unit, unit if unit in _CODES else "") for unit in units}
    if not codes:
        return None
    if "" in codes or len(codes) > 1:
        raise Unfit("one currency, by its ISO code or a symbol that only one has; else give it as a constant", value)
    return codes.pop()


def parse_unscaled(value: Any, scale: int) -> int | float:
    """A decimal as Debezium writes it by default: base64 of a big-endian two's complement integer, to be divided by 10 ** scale.

    A map `{scale, value}` (a column without a scale of its own) brings its scale along.

    Raises:
        Unfit: it is not of that form.
    """
    if isinstance(value, dict):
        scale, value = value.get("scale", scale), value.get("value")
    if isinstance(value, bool) or not isinstance(value, int | float | str) or isinstance(scale, bool) or not isinstance(scale, int):
        raise Unfit("a decimal in base64", value)
    if not isinstance(value, str):
        return fitting(value, value)  # decimal.handling.mode=double
    try:
        unscaled = int.from_bytes(base64.b64decode(value, validate=True), "big", signed=True)
    except (binascii.Error, ValueError) as error:
        raise Unfit("a decimal in base64", value) from error
    return _plain(Decimal(unscaled).scaleb(-scale), value, whole=scale <= 0)


def add(*terms: Any) -> int | float:
    """The sum of numbers."""
    total = sum((_decimal(term) for term in terms), Decimal(0))
    return _plain(total, terms, whole=_whole(terms))


def subtract(left: Any, right: Any) -> int | float:
    """The difference of two numbers."""
    return _plain(_decimal(left) - _decimal(right), [left, right], whole=_whole([left, right]))


def multiply(*factors: Any) -> int | float:
    """The product of numbers."""
    product = Decimal(1)
    for factor in factors:
        product *= _decimal(factor)
    return _plain(product, factors, whole=_whole(factors))


def divide(left: Any, right: Any) -> int | float:
    """The quotient of two numbers.

    Raises:
        Unfit: the divisor is zero.
    """
    divisor = _decimal(right)
    if not divisor:
        raise Unfit("a divisor that is not zero", right)
    return _plain(_decimal(left) / divisor, [left, right], whole=False)


def rounded(value: Any, digits: Any) -> int | float:
    """To so many digits after the point, half away from zero."""
    if isinstance(digits, bool) or not isinstance(digits, int) or not 0 <= digits <= 12:
        raise Unfit("0 to 12 digits", digits)
    try:
        return _plain(_decimal(value).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP), value, whole=digits == 0)
    except InvalidOperation as error:
        raise Unfit("a number that can be rounded so", value) from error


def to_number(value: Any) -> int | float | None:
    """JMESPath's own, but null also for `nan` and `inf`, which are not JSON."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return parse_number(value)
    except Unfit:
        return None


def fitting(number: int | float, value: Any) -> int | float:
    """The number, when JSON and 64 bits can hold it.

    Raises:
        Unfit: they cannot.
    """
    if isinstance(number, float):
        if math.isfinite(number):
            return number
    elif -_INT64 <= number < _INT64:
        return number
    raise Unfit("a number that 64 bits can hold", value)


def _money(value: str, decimal: str) -> re.Match[str]:
    text = value.strip().replace(_MINUS, "-")
    found = _MONEY[decimal].fullmatch(text) if len(text) <= MAX_TEXT else None
    if (
        found is None
        or not (found["whole"] or found["fraction"])
        or bool(found["open"]) != bool(found["close"])
        or sum(map(bool, (found["sign"], found["inner"], found["after"], found["open"]))) > 1
    ):
        raise Unfit(f"an amount of money with the decimal mark `{decimal}`", value)
    return found


def _made(found: re.Match[str], value: Any, *, negative: bool, exponent: str | None = None) -> int | float:
    separator = found["sep"]
    whole = (found["whole"] or "0").replace(separator, "") if separator else found["whole"] or "0"
    fraction = found["fraction"]
    sign = "-" if negative else ""
    if fraction is None and exponent is None:
        return fitting(int(sign + whole), value)
    return fitting(float(f"{sign}{whole}.{fraction or '0'}e{exponent or 0}"), value)


def _decimal(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unfit("a number; see parse_number", value)
    number = Decimal(str(value))
    if not number.is_finite():
        raise Unfit("a number", value)
    return number


def _whole(numbers: Any) -> bool:
    return all(isinstance(number, int) for number in numbers)


def _plain(number: Decimal, value: Any, *, whole: bool) -> int | float:
    return fitting(int(number) if whole else float(number), value)
