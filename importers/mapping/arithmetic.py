"""Arithmetic in decimals, so that 0.1 + 0.2 is 0.3."""

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from importers.mapping.amounts import fitting
from importers.mapping.unfit import Unfit


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
