"""Decimals of Debezium in every form it writes, and none of them read as another."""

import base64
import re
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from importers.mapping.decimals import of_base64, parse_unscaled
from importers.mapping.unfit import Unfit


def in_base64(unscaled: int) -> str:
    return base64.b64encode(unscaled.to_bytes((unscaled.bit_length() + 8) // 8, "big", signed=True)).decode()


@settings(deadline=None)
@example(-534595, 0, "")
@given(st.integers(-(10**14), 10**14), st.integers(0, 6), st.sampled_from(["", "precise"]))
def test_bytes_are_read_back_or_refused_where_they_are_digits_alone(unscaled: int, scale: int, form: str) -> None:
    text = in_base64(unscaled)
    if re.fullmatch(r"[+]?[0-9]+([eE][+]?[0-9]+)?", text):  # 1250, 1E+3: there is no point and no minus in base64
        assert unscaled < 0
        with pytest.raises(Unfit, match="two ways"):
            parse_unscaled(text, scale, form)
    else:
        assert Decimal(str(parse_unscaled(text, scale, form))) == Decimal(unscaled).scaleb(-scale)
    assert Decimal(str(parse_unscaled({"scale": scale, "value": text}, 0, form))) == Decimal(unscaled).scaleb(-scale)


@settings(deadline=None)
@given(st.integers(-(10**40), 10**40), st.integers(-3, 45))
def test_bytes_keep_every_digit(unscaled: int, scale: int) -> None:
    found = of_base64(in_base64(unscaled), scale)
    assert found.as_tuple() == Decimal((int(unscaled < 0), tuple(int(digit) for digit in str(abs(unscaled))), -scale)).as_tuple()


@settings(deadline=None)
@given(st.integers(-(10**12), 10**12))
def test_text_means_what_it_says_or_is_refused_whatever_the_form(minor: int) -> None:
    amount = Decimal(minor).scaleb(-2)
    for text in (f"{amount:.2f}", str(minor)):
        for form in ("", "precise", "string", "double"):
            try:
                found = parse_unscaled(text, 2, form)
            except Unfit:
                assert form != "string"
            else:
                assert Decimal(str(found)) == Decimal(text)


def test_the_form_decides_and_what_is_of_another_is_refused() -> None:
    assert [parse_unscaled(text, 2) for text in ("AehI", "1250.00", "125", 1250, 1250.5)] == [1250, 1250, 125, 1250, 1250.5]
    assert [parse_unscaled("1250", 2, "string"), parse_unscaled(1250, 2, "precise"), parse_unscaled(12.5, 2, "double")] == [
        1250,
        1250,
        12.5,
    ]
    for text, form in (
        ("1250", ""), ("1250", "precise"), ("1250.00", "precise"), ("AehI", "string"), ("AehI", "double"), ("1250", "double"),
    ):  # fmt: skip
        with pytest.raises(Unfit):
            parse_unscaled(text, 2, form)


@pytest.mark.parametrize("form", ["", "precise", "string", "double"])
@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "-Infinity", "+Infinity", "POSITIVE_INFINITY", "NEGATIVE_INFINITY", float("nan"), float("inf")]
)
def test_what_is_not_finite_is_no_number(text: object, form: str) -> None:
    with pytest.raises(Unfit):
        parse_unscaled(text, 2, form)


@pytest.mark.parametrize("value", ["F3A", "not base64!", "", True, None, {}, {"scale": 2}, {"scale": "2", "value": "AQ=="}, [1]])
def test_what_is_no_decimal_is_refused(value: object) -> None:
    with pytest.raises(Unfit):
        parse_unscaled(value, 2)


def test_a_decimal_that_64_bits_cannot_hold_is_refused() -> None:
    with pytest.raises(Unfit):
        parse_unscaled(in_base64(10**30 + 1), 2)
    with pytest.raises(Unfit):
        parse_unscaled("1" * 30, 0, "string")
