"""Numbers and money out of text: what people and spreadsheets write, and that nothing ambiguous is guessed."""

import base64
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importers.mapping import amounts
from importers.mapping.unfit import Unfit

cents = st.integers(-(10**13), 10**13)


def written(cents: int, decimal: str, thousands: str) -> str:
    """As a spreadsheet shows an amount."""
    whole, fraction = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}{whole:,}".replace(",", thousands) + f"{decimal}{fraction:02d}"


@settings(deadline=None)
@given(cents, st.sampled_from([(".", ","), (",", "."), (".", ""), (",", " "), (".", "\u202f"), (",", "\u00a0"), (".", "'"), (",", "_")]))
def test_an_amount_that_is_written_is_read_back(amount: int, marks: tuple[str, str]) -> None:
    text = written(amount, *marks)
    assert Decimal(str(amounts.parse_number(text, marks[0]))) == Decimal(amount) / 100


@settings(deadline=None)
@given(cents, st.sampled_from(["£{}", "{} EUR", "{} €", "GBP {}", "£ {}", "{}kr", "Rs. {}"]))
def test_money_is_read_back_whatever_stands_around_it(amount: int, form: str) -> None:
    assert Decimal(str(amounts.parse_money(form.format(written(amount, ".", ","))))) == Decimal(amount) / 100


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12.50-", -12.5),
        ("+3", 3),
        (" 7 ", 7),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e5", 1e5),
        ("1.2E-3", 0.0012),
        ("12,34,567", 1_234_567),
        ("\u22123", -3),
        (4, 4),
        (4.5, 4.5),
    ],
)
def test_numbers_in_the_wild(text: str, expected: float) -> None:
    number = amounts.parse_number(text)
    assert (number, type(number)) == (expected, type(expected))


@pytest.mark.parametrize(
    "text",
    ["", " ", ".", ",", "-", "1,23", "1,2345", "1,234,56", "1.2.3", "1,234 567", "--1", "-1-", "0x1", "1e9999", "nan", "inf", "1 2",
     "\u0663", "9" * 65, "9" * 20, True, None, [1], {}],
)  # fmt: skip
def test_what_is_no_number_is_refused_and_not_guessed(text: object) -> None:
    with pytest.raises(Unfit):
        amounts.parse_number(text)


@pytest.mark.parametrize(
    ("text", "expected"), [("(12.00)", -12.0), ("£-5", -5), ("-£5.00", -5.0), ("CHF 1'200.50", 1200.5), ("€ 3", 3), (2, 2)]
)
def test_money_in_the_wild(text: str, expected: float) -> None:
    assert amounts.parse_money(text) == expected


@pytest.mark.parametrize("text", ["five pounds", "£", "(5", "5)", "-(5)", "-£-5", "£1,23", "1 £ 2", "T-1001", "85123A", "v-81", "ABC 5"])
def test_what_is_no_money_is_refused(text: str) -> None:
    with pytest.raises(Unfit):
        amounts.parse_money(text)


def test_a_currency_is_told_by_its_code_or_by_a_symbol_of_one_meaning_only() -> None:
    assert [amounts.currency_of(text) for text in ("£1", "1 EUR", "USD 5", "5", 5)] == ["GBP", "EUR", "USD", None, None]
    for shared in ("$5", "¥5", "5 kr", "£5 EUR"):
        with pytest.raises(Unfit):
            amounts.currency_of(shared)


def test_whole_numbers_lose_a_spreadsheets_fraction_and_nothing_else() -> None:
    assert amounts.parse_integer("17850.0") == 17850
    with pytest.raises(Unfit):
        amounts.parse_integer("17850.5")
    with pytest.raises(Unfit):
        amounts.parse_integer("1e40")


@settings(deadline=None)
@given(st.integers(-(2**62), 2**62), st.integers(0, 6))
def test_a_decimal_of_debezium_is_read_back(unscaled: int, scale: int) -> None:
    raw = unscaled.to_bytes((unscaled.bit_length() + 8) // 8, "big", signed=True)
    expected = Decimal(unscaled).scaleb(-scale)
    assert amounts.parse_unscaled(base64.b64encode(raw).decode(), scale) == (unscaled if scale == 0 else float(expected))
    assert amounts.parse_unscaled({"scale": scale, "value": base64.b64encode(raw).decode()}, 0) == pytest.approx(float(expected))


@pytest.mark.parametrize("text", ["F3A", "not base64!", True, None, {}])
def test_what_is_no_decimal_of_debezium_is_refused(text: object) -> None:
    with pytest.raises(Unfit):
        amounts.parse_unscaled(text, 2)


@settings(deadline=None)
@given(cents, cents)
def test_arithmetic_is_that_of_decimals(left: int, right: int) -> None:
    a, b = left / 100, right / 100
    assert amounts.subtract(amounts.add(a, b), b) == a
    assert amounts.add(left, right) == left + right
    assert amounts.rounded(amounts.multiply(a, 100), 0) == left


def test_arithmetic_in_the_wild() -> None:
    assert amounts.add(0.1, 0.2) == 0.3
    assert amounts.multiply(3, 1.1) == 3.3
    assert amounts.divide(1, 4) == 0.25
    assert (amounts.rounded(2.675, 2), amounts.rounded(-2.5, 0), amounts.rounded(2.5, 0)) == (2.68, -3, 3)
    for wrong in (
        lambda: amounts.divide(1, 0),
        lambda: amounts.add("1", 2),
        lambda: amounts.rounded(1, 99),
        lambda: amounts.multiply(1e300, 1e300),
    ):
        with pytest.raises(Unfit):
            wrong()
