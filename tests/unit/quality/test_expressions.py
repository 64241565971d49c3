"""The rule language: what it takes, and what it says to what it does not take."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.quality.expressions import Compiled, compile_rule
from pipelines.rules.errors import RuleError
from schemas import contracts

ORDER = contracts.load()["Order Completed"]


def compiled(text: str, unless: list[str] | None = None) -> Compiled:
    return compile_rule(text, ORDER, unless or [], "rule")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("totl > 1", "column 1: Order Completed has no field `totl`; did you mean `total`?"),
        ("total", "`total` is a number, not a condition"),
        ("1 < total < 2", "one comparison at a time"),
        ("total > 'x'", "`total` is a number and `'x'` is a text"),
        ("coupon + 1 > 2", "`coupon` is a text and `1` is a number; `+` takes a number and a number"),
        ("products > 1", "`products` is a list and `1` is a number"),
        ("products.price > 1", "stands for many values; write `sum(products.price)`"),
        ("sum(products.prize) > 1", "has no field `prize`; did you mean `price`?"),
        ("sum(total) > 1", "goes through the entries of one list"),
        ("sum(sum(products.price) * products.price) > 1", "inside of another one over a list"),
        ("count(total) > 1", "`total` is a number; `count` takes a set or a list"),
        ("median(products.price) > 1", "there is no function `median`"),
        ("round(total, total) > 1", "where `round` takes a value that stands in the rule itself"),
        ("total > 1 if total else 2", "`if` is too much"),
        ("__import__('os').system('x') == 1", "`.` is too much"),
        ("total >", "the end where a field, a value or `(` is wanted"),
        ("1 > 2", "reads no field"),
        ("total > " + "1+" * 1200 + "1", "longer than"),
    ],
)
def test_what_is_not_of_the_language_is_refused_with_the_place_and_a_hint(text: str, said: str) -> None:
    with pytest.raises(RuleError, match="rule") as caught:
        compiled(text)
    assert said in str(caught.value)


def test_a_field_cannot_be_read_and_make_the_rule_void() -> None:
    with pytest.raises(RuleError, match="both read and in `unless`"):
        compiled("total > 1", ["total"])
    with pytest.raises(RuleError, match="has no field `cupon`; did you mean `coupon`"):
        compiled("total > 1", ["cupon"])


def test_every_field_that_is_read_has_to_be_there() -> None:
    found = compiled("sum(products.price * products.quantity) <= total and count(products) < 9").on("r")
    assert found.fields == {
        "total": "Nullable(Float64)",
        "products": "Array(Tuple(`price` Nullable(Float64), `quantity` Nullable(Float64)))",
    }
    for part in ("isNotNull(tupleElement(r, 'total'))", "notEmpty(tupleElement(r, 'products'))", "isNull(entry.`quantity`)"):
        assert part in found.applies


@given(st.text(max_size=30))
def test_nothing_of_a_text_can_leave_its_quotes(text: str) -> None:
    try:
        found = compiled("coupon == '" + text.replace("'", "''") + "'").on("r")
    except RuleError:
        return
    outside, inside, position = "", False, 0
    while position < len(found.holds):
        character = found.holds[position]
        if inside and character == "\\":
            position += 1
        elif character == "'":
            inside = not inside
        elif not inside:
            outside += character
        position += 1
    assert not inside
    assert outside == "ifNull((tupleElement(r, )) = (), 0)"
