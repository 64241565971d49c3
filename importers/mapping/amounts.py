"""Numbers and money out of text: what is written comes out exactly, or is refused; no sign and no digit is ever made up."""

import math
import re
from decimal import Decimal
from typing import Any, Final

from importers.mapping.characters import CURRENCY_SIGNS, FORMATS, SPACES
from importers.mapping.unfit import Unfit

MAX_TEXT: Final = 64
_INT64: Final = 2**63
_EXACT: Final = 1e12
"""Up to here a float holds any amount to a thousandth; beyond it, it is asked whether it holds this one."""
_APOSTROPHES: Final = "'\u2019\u2018\u02bc\u00b4\uff07_"  # Swiss thousands, and the underscore of programmers
_INVISIBLE: Final = {ord(one): None for one in FORMATS if one != "\u00ad"}
"""Marks of direction, zero-width spaces and the like; a soft hyphen may be seen as a sign, so it stays and is refused."""
_MINUS: Final = {ord(one): "-" for one in "\u2212\ufe63\uff0d"}
"""Characters that are nothing but a minus. Other dashes are no sign: they stand for ranges, bullets and empty cents."""
_DASHES: Final = "\\-\u2010\u2011\u2012\u2013\u2014\u2015"
_EXPONENT: Final = re.compile(r"[0-9.,][eE][+-]?[0-9]")
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
_UNIT: Final = rf"(?:[A-Za-z]{{0,2}}[{re.escape(CURRENCY_SIGNS)}]|{'|'.join(map(re.escape, [*_CODES, *_SHORT]))})"
_ONE_MEANING: Final = {
    "£": "GBP", "€": "EUR", "₹": "INR", "₩": "KRW", "₽": "RUB", "₺": "TRY", "₴": "UAH", "₫": "VND", "₱": "PHP", "₪": "ILS", "฿": "THB",
    "₦": "NGN", "₸": "KZT", "₾": "GEL",
}  # fmt: skip


def _number_pattern(decimal: str) -> str:
    """Digits, grouped by one and the same separator or not at all, with or without a fraction; a dash may stand for empty cents.

    Nobody groups a number that begins with 0: `0,001` is a thousandth whose decimal mark is another one than was said.
    """
    groups = re.escape(("," if decimal == "." else ".") + SPACES + _APOSTROPHES)
    whole = rf"(?:(?!0)[0-9]{{1,3}}(?P<sep>[{groups}])[0-9]{{2,3}}(?:(?P=sep)[0-9]{{2,3}})*(?<=[0-9]{{3}})|[0-9]+)"
    return rf"(?P<whole>{whole})?(?:{re.escape(decimal)}(?:(?P<cents>[{_DASHES}]{{1,2}})|(?P<fraction>[0-9]*)))?"


_NUMBER: Final = {
    decimal: re.compile(rf"(?P<sign>[+\-]?){_number_pattern(decimal)}(?:[eE](?P<exponent>[+-]?[0-9]{{1,3}}))?(?P<after>-?)")
    for decimal in ".,"
}
_MONEY: Final = {
    decimal: re.compile(
        rf"(?P<open>\(?)\s*(?P<sign>[+\-]?)\s*(?P<before>{_UNIT})?\s*(?P<inner>[+\-]?)\s*(?P<opened>\(?)\s*{_number_pattern(decimal)}"
        rf"(?P<after>-?)\s*(?P<closed>\)?)\s*(?P<behind>{_UNIT})?\s*(?P<close>\)?)"
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
    """A number out of text: `1,234.50`, with decimal comma `1.234,50`, `12.50-`, `1e5`, `49.-`; a number stays as it is.

    Thousands may be separated by the other mark, a space or an apostrophe, in groups of three (or two, as in India). Without a fraction the
    result is an integer. A dash directly behind the decimal mark stands for empty cents and is no sign: `49.-` is 49, `49.00-` is -49.

    Raises:
        Unfit: it is no number, or one that 64 bits cannot hold.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise Unfit("a number", value)
    if not isinstance(value, str):
        return fitting(value, value)
    text = _cleaned(value)
    found = _NUMBER[decimal].fullmatch(text) if len(text) <= MAX_TEXT else None
    if found is None or not (found["whole"] or found["fraction"]) or _is_contradictory(found, [found["sign"], found["after"]]):
        raise Unfit(f"a number with the decimal mark `{decimal}`", value)
    return _made(found, value, negative=found["sign"] == "-" or bool(found["after"]), exponent=found["exponent"])


def parse_integer(value: Any, decimal: str = ".") -> int:
    """As `parse_number`, and whole: `17850.0` is 17850.

    Raises:
        Unfit: it is no whole number, or one that a spreadsheet has rounded (`4.47900E+11`): its last digits are zeros that nobody wrote.
    """
    if isinstance(value, str) and _EXPONENT.search(value):
        raise Unfit("a whole number with all its digits", value)
    number = parse_number(value, decimal)
    if number != int(number):
        raise Unfit("a whole number", value)
    return int(fitting(int(number), value))


def parse_money(value: Any, decimal: str = ".") -> int | float:
    """The amount of a money text: `£1,234.50`, `-5 EUR`, `(12.00)`, `$ (12.00)`, `CHF 49.-`, `1.200,00 kr`; a number stays as it is.

    Raises:
        Unfit: it is no amount.
    """
    if not isinstance(value, str):
        return parse_number(value, decimal)
    found = _money(value, decimal)
    negatives = [found["sign"] == "-", found["inner"] == "-", bool(found["after"]), bool(found["open"]), bool(found["opened"])]
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


def to_number(value: Any) -> int | float | None:
    """JMESPath's own, but null also for `nan` and `inf`, which are not JSON."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return parse_number(value)
    except Unfit:
        return None


def exactly(number: Decimal, value: Any, *, whole: bool) -> int | float:
    """A decimal as JSON holds it: an integer if `whole`, else the nearest float, which has to say the same in its 15 digits.

    Raises:
        Unfit: 64 bits cannot hold it, or only with other digits.
    """
    if whole:
        return fitting(int(number), value)
    found = float(number)
    if abs(found) >= _EXACT and Decimal(repr(found)) != number:
        raise Unfit("a number whose digits 64 bits can hold", value)
    return fitting(found, value)


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


def _cleaned(text: str) -> str:
    return text.translate(_INVISIBLE).strip().translate(_MINUS)


def _is_contradictory(found: re.Match[str], signs: list[str]) -> bool:
    """Two signs, or a dash for empty cents with another behind it: what is meant cannot be told."""
    return sum(map(bool, signs)) > 1 or bool(found["cents"] and found["after"])


def _money(value: str, decimal: str) -> re.Match[str]:
    text = _cleaned(value)
    found = _MONEY[decimal].fullmatch(text) if len(text) <= MAX_TEXT else None
    if (
        found is None
        or not (found["whole"] or found["fraction"])
        or bool(found["open"]) + bool(found["opened"]) != bool(found["closed"]) + bool(found["close"])
        or _is_contradictory(found, [found["sign"], found["inner"], found["after"], found["open"], found["opened"]])
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
    return exactly(Decimal(f"{sign}{whole}.{fraction or '0'}e{exponent or 0}"), value, whole=False)
