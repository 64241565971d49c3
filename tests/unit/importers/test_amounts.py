"""Numbers and money out of text: what people and spreadsheets write, and that nothing ambiguous is guessed."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importers.mapping import amounts, arithmetic
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


DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d"


@pytest.mark.parametrize(
    ("text", "decimal", "expected"),
    [
        ("49,-", ",", 49), ("1.299,-", ",", 1299), ("49,--", ",", 49), ("2,--", ",", 2), ("€ 49,-", ",", 49), ("49,- €", ",", 49),
        ("EUR 1.299,--", ",", 1299), ("CHF 49.-", ".", 49), ("CHF 1'299.\u2013", ".", 1299), ("Fr. 49.\u2014", ".", 49),
        ("49,00-", ",", -49), ("49-", ",", -49), ("-49,-", ",", -49), ("\u221249,00", ",", -49), ("\uff0d49", ",", -49),
        ("(49,-)", ",", -49), ("(49.00)", ".", -49), ("$ (1,234.50)", ".", -1234.5), ("(1,234.50) USD", ".", -1234.5),
        ("(£49.00)", ".", -49), ("-£ 49.00", ".", -49), ("£ -49.00", ".", -49), ("+49,-", ",", 49),
        ("1\u2007299,50", ",", 1299.5), ("1\u3000299,50", ",", 1299.5), ("1\u2006299.50", ".", 1299.5), ("CHF 1\u2018299.50", ".", 1299.5),
        ("\u200e\u200f49.00\u00a0\u20aa", ".", 49), ("\ufeff49\u200b,00", ",", 49), ("49,00\u00a0\u20ac", ",", 49),
    ],
)  # fmt: skip
def test_whole_amounts_signs_and_spaces_as_shops_write_them(text: str, decimal: str, expected: float) -> None:
    assert amounts.parse_money(text, decimal) == expected


@pytest.mark.parametrize(
    ("text", "decimal"),
    [
        ("49,-", "."), ("49.-", ","), ("49,---", ","), ("49,-0", ","), ("49,--5", ","), (",-", ","), ("-,--", ","), ("(-49,00)", ","),
        ("-(49,00)", ","), ("(49,00-)", ","), ("-49,00-", ","), ("--49", ","), ("((49))", ","), ("(49", ","), ("$ (49", "."), ("49)", "."),
        ("\u201349,00", ","), ("49,00\u2013", ","), ("\u00ad49", "."), ("1 299'000", "."), ("10-20", "."), ("49,- -", ","),
        ("1234567890123456.78", "."), ("123456789012345678901", "."),
    ],
)  # fmt: skip
def test_what_has_two_signs_or_a_dash_that_may_be_one_is_refused(text: str, decimal: str) -> None:
    with pytest.raises(Unfit):
        amounts.parse_money(text, decimal)


@settings(deadline=None)
@given(
    st.integers(0, 10**9),
    st.sampled_from([".", ","]),
    st.text(DASHES, min_size=1, max_size=2),
    st.sampled_from(["{}", "€{}", "{} EUR", "CHF {}"]),
)
def test_a_dash_for_empty_cents_never_makes_an_amount_negative(whole: int, decimal: str, dash: str, form: str) -> None:
    grouped = f"{whole:,}".replace(",", "," if decimal == "." else ".")
    assert amounts.parse_money(form.format(f"{grouped}{decimal}{dash}"), decimal) == whole


@settings(deadline=None)
@given(st.text("0123456789.,-+()\u2212\u2013 €'", max_size=12), st.sampled_from(".,"))
def test_whatever_is_read_has_the_digits_that_are_written_and_a_minus_only_where_there_is_one(text: str, decimal: str) -> None:
    try:
        found = amounts.parse_money(text, decimal)
    except Unfit:
        return
    digits = "".join(one for one in text if one in "0123456789" + decimal).replace(",", ".")
    assert abs(Decimal(str(found))) == Decimal(digits.rstrip(".") or "0")
    if found < 0:
        whole, _, behind = text.replace("\u2212", "-").partition(decimal)
        assert "-" in whole or "(" in whole or (behind[:1].isdigit() and "-" in behind)


def test_a_currency_is_told_by_its_code_or_by_a_symbol_of_one_meaning_only() -> None:
    assert [amounts.currency_of(text) for text in ("£1", "1 EUR", "USD 5", "5", 5)] == ["GBP", "EUR", "USD", None, None]
    for shared in ("$5", "¥5", "5 kr", "£5 EUR"):
        with pytest.raises(Unfit):
            amounts.currency_of(shared)


def test_whole_numbers_lose_a_spreadsheets_fraction_and_nothing_else() -> None:
    assert amounts.parse_integer("17850.0") == 17850
    with pytest.raises(Unfit):
        amounts.parse_integer("17850.5")
    for rounded in ("1e40", "4.47900E+11", "4,47900e11", "1.E+5", "5E2"):
        with pytest.raises(Unfit):
            amounts.parse_integer(rounded)


@pytest.mark.parametrize(
    ("text", "decimal"), [("0,001", "."), ("0.001", ","), ("00,123", "."), ("-0,500", "."), ("012.345,00", ","), ("0 999", ".")]
)
def test_a_number_that_begins_with_0_has_no_thousands(text: str, decimal: str) -> None:
    """Read with the wrong decimal mark a thousandth would be 1."""
    for read in (amounts.parse_number, amounts.parse_money):
        with pytest.raises(Unfit):
            read(text, decimal)


@settings(deadline=None)
@given(cents, cents)
def test_arithmetic_is_that_of_decimals(left: int, right: int) -> None:
    a, b = left / 100, right / 100
    assert arithmetic.subtract(arithmetic.add(a, b), b) == a
    assert arithmetic.add(left, right) == left + right
    assert arithmetic.rounded(arithmetic.multiply(a, 100), 0) == left


def test_arithmetic_in_the_wild() -> None:
    assert arithmetic.add(0.1, 0.2) == 0.3
    assert arithmetic.multiply(3, 1.1) == 3.3
    assert arithmetic.divide(1, 4) == 0.25
    assert (arithmetic.rounded(2.675, 2), arithmetic.rounded(-2.5, 0), arithmetic.rounded(2.5, 0)) == (2.68, -3, 3)
    for wrong in (
        lambda: arithmetic.divide(1, 0),
        lambda: arithmetic.add("1", 2),
        lambda: arithmetic.rounded(1, 99),
        lambda: arithmetic.multiply(1e300, 1e300),
    ):
        with pytest.raises(Unfit):
            wrong()
