"""The rule language: what is refused, what null means, and that the compiled function agrees with the explanation."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.audiences.expressions import Expression, ExpressionError

FIELDS = ("a", "b", "segment")
numbers = st.one_of(st.integers(-5, 5).map(str), st.sampled_from(["0.5", "2.25", "1e999", "0"]))
operands = st.one_of(numbers, st.sampled_from([*FIELDS, "'x'"]))
terms = st.recursive(
    operands,
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*/"), inner),
        st.builds("(-{})".format, inner),
    ),
    max_leaves=4,
)
comparisons = st.builds("{} {} {}".format, terms, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), terms)
conditions = st.recursive(
    st.one_of(comparisons, st.sampled_from(["true", "false"])),
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner), st.builds("({} or {})".format, inner, inner), st.builds("(not {})".format, inner)
    ),
    max_leaves=5,
)
values = st.dictionaries(st.sampled_from(FIELDS), st.one_of(st.none(), st.integers(-5, 5), st.floats(), st.sampled_from(["x", "y"])))


@given(conditions, values)
def test_the_compiled_function_agrees_with_the_explanation(text: str, fields: dict[str, Any]) -> None:
    rule = Expression(text, FIELDS)
    assert rule.holds(fields) == rule.explain(fields).holds


@pytest.mark.parametrize(
    ("text", "fields", "expected"),
    [
        ("a > 1", {}, False),
        ("not a > 1", {}, True),
        ("a > 1 or b < 1", {"a": None, "b": 0}, True),
        ("a / b > 1", {"a": 4, "b": 0}, False),
        ("a / b > 1 or a == 4", {"a": 4, "b": 0}, True),
        ("segment > 1 or a == 4", {"segment": "x", "a": 4}, True),
        ("segment == 'x'", {"segment": "x"}, True),
        ("a < 1e999", {"a": 4}, True),
    ],
)
def test_null_and_what_cannot_be_compared_do_not_hold(text: str, fields: dict[str, Any], expected: bool) -> None:
    assert Expression(text, FIELDS).holds(fields) is expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("aa > 1", "did you mean `a`"),
        ("a < b < 1", "one comparison at a time"),
        ("a", "is not a condition"),
        ("__import__('os')", "is not a condition"),
        ("a.b > 1", "not part of the rule language"),
        ("[a][0] > 1", "not part of the rule language"),
        ("a > 1 and", "cannot be read"),
        ("a ** 9 > 1", "not part of the rule language"),
    ],
)
def test_what_is_not_of_the_language_is_refused_with_a_reason(text: str, why: str) -> None:
    with pytest.raises(ExpressionError, match=why.replace("`", ".")):
        Expression(text, FIELDS)
