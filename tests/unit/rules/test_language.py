"""What a rule means is the same however it is said or run; what is no rule is refused with the place and the remedy."""

import contextlib
import random
from typing import Any

import pytest

from pipelines.rules import python, writing
from pipelines.rules.errors import RuleError
from pipelines.rules.functions import ALL
from pipelines.rules.grammar import MAX_DEPTH, SPELLINGS
from pipelines.rules.reading import read
from pipelines.rules.rule import Rule
from pipelines.rules.symbols import Symbol, Symbols
from pipelines.rules.tree import Call, Field
from tests.oracle.rule_language import evaluate
from tests.random_rules import NOW, SYMBOLS, RandomRules


def test_python_gives_what_a_walk_over_the_tree_gives() -> None:
    made = RandomRules(1)
    for _ in range(4_000):
        tree = made.condition()
        holds = python.condition(tree, SYMBOLS)
        for _ in range(3):
            row = made.row()
            assert holds(row, NOW) is (evaluate(tree, row, NOW) is True), (writing.write(tree), row)


def test_every_function_with_every_kind_and_with_missing_values() -> None:
    made = RandomRules(2)
    for function in ALL.values():
        for takes, gives in function.signatures:
            missing = 0
            for _ in range(60):
                tree, row = made.of(function, takes, gives), made.row()
                found = python.value(tree, SYMBOLS)(row, NOW)
                wanted = evaluate(tree, row, NOW)
                missing += wanted is None or wanted is False
                assert found == wanted or (found != found and wanted != wanted), (writing.write(tree), row)
            assert missing or function.name in ("count", "sum", "min", "max", "coalesce"), function.name


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=list(SPELLINGS))
def test_what_is_written_is_read_again_as_the_same_tree(spelling: Any) -> None:
    made = RandomRules(3)
    for _ in range(1_500):
        tree = made.condition()
        text = writing.write(tree, SYMBOLS, spelling)
        if len(text) <= 2_000:
            assert read(text, SYMBOLS, spelling=spelling) == tree, text


def test_sentences_are_plain() -> None:
    rule = Rule("(n4 >= 3 and t4 != 'seed') or not m1 < ago(30d) and n1 / n2 in (1, 2) or t1 is missing", SYMBOLS)
    assert rule.sentence("english") == (
        "(orders in the last 30 days is at least 3 and the segment is not 'seed') or "
        "(it is not so that (m1 is earlier than 30 days ago) and n1 / n2 is one of (1, 2)) or t1 is unknown"
    )
    assert rule.sentence("chinese") == (
        "（最近30天的订单数 不少于 3，并且 客户分层 不是 'seed'），或者 "
        "（并非 （m1 早于 30 天前），并且 n1 / n2 属于 （1，2）），或者 t1 未知"
    )
    rule = Rule("has_any(s1, 'a', 'b') and count(s2) = 3 and coalesce(n1, 9) < abs(n2) and contains(t1, 'x') and d1 > 90m", SYMBOLS)
    assert rule.sentence("english") == (
        "s1 includes any of ('a', 'b') and the count of (s2) is 3 and the first known of (n1, 9) is less than the size of (n2) "
        "and t1 contains 'x' and d1 is more than 90 minutes"
    )
    assert rule.sentence("chinese") == (
        "s1 包含任一 （'a'，'b'），并且 个数（s2） 等于 3，并且 首个已知值（n1，9） 小于 绝对值（n2），"
        "并且 t1 包含文字 'x'，并且 d1 大于 90 分钟"
    )


@pytest.mark.parametrize(
    ("text", "column", "why"),
    [
        ("", 0, "there is no condition"),
        ("n1", 1, "`n1` is a number, not a condition; compare it with something"),
        ("n1 >", 5, "the end where a field, a value or `(` is wanted"),
        ("n33 > 3", 1, "a row has no field `n33`; did you mean `n3`?"),
        ("n1 > 'x'", 1, "`n1` is a number and `'x'` is a text; `>` takes a number and a number or a time and a time"),
        ("1 < n1 < 3", 8, "one comparison at a time: write `a < b and b < c`"),
        ("n1 > 3 n2", 8, "`n2` is too much; join conditions by `and` or `or`"),
        ("n1 > 3)", 7, "`)` is too much"),
        ("(n1 > 3", 8, "a `(` is not closed"),
        ("t1 = 'x", 6, "`'x` cannot be read; a quote is not closed"),
        ("t1 like 'a\\b'", 9, "a backslash stands before `b`"),
        ("t1 like t2", 9, "`t2` where `like` takes a value that stands in the rule itself"),
        ("m1 > 'yesterday'", 1, "`m1` is a time and `'yesterday'` is a text"),
        ("m1 > 30d", 1, "`m1` is a time and `30d` is a duration; a time is compared with a time"),
        ("lines.price > 3", 1, "`lines.price` stands for many values; write `sum(lines.price)`"),
        ("sum(lines.prize) > 3", 5, "an entry of `lines` has no field `prize`; did you mean `price`?"),
        ("sum(n1) > 3", 1, "`sum` goes through the entries of one list"),
        ("sum(sum(lines.price)) > 3", 5, "inside of another one over a list"),
        ("frobnicate(n1) > 3", 1, "there is no function `frobnicate`; there are coalesce, abs"),
        ("len(t1) > 3", 1, "there is no function `len`; did you mean `length`?"),
        ("n1 > 3 && n2 > 3", 8, "`&& n2 > 3` cannot be read; write `and`"),
        ("n1 between 3 and 4", 4, "`between` is not of the language; write `x >= a and x <= b`"),
        ("t1 = “x”", 6, "`“x”` cannot be read; write a text in plain quotes"),
        ("m1 < ago(1M)", 10, "write days: months and years differ in length"),
        ("m1 < 14d", 1, "a time is compared with a time: `ago(14d)` is the one so long ago"),
        ("n1 > 14d", 1, "a number is compared with a number, and `days(x)` is the one of a duration"),
        ("s1 > 3", 1, "a set is asked by `'a' in x`"),
        ("'a' in t1", 1, "write `contains(x, 'a')`, or several values in parentheses"),
        ("m1 > '30.06.2026'", 1, "a date is written '2026-06-30'"),
        ("s1 is missing", 1, "a set is never missing: ask `count(x) = 0`"),
        ("m1 < ago(" + "9" * 330 + "d)", 10, "a duration of 999"),
        ("m1 > '0001-01-01T00:00:00+10:00'", 1, "a date is written '2026-06-30'"),
        ("m1 > '9999-12-31T23:00:00-10:00'", 1, "a date is written '2026-06-30'"),
        ("t1 i\u017f missing", 4, "`i` is too much"),
        ("n1 > 5\u017f", 7, "cannot be read"),
        ("n1 = null", 6, "a row has no field `null`; write `x is missing`"),
        ("round(n1, 2, 3) > 3", 1, "`round` takes 2 values, not 3"),
        ("round(n1, 2.5) > 3", 11, "`round` takes a whole number of digits"),
        ("n1 > 3 and and n2 > 3", 12, "`and` where a condition is wanted"),
        ("t1 in ()", 8, "`)` where"),
        ("n1 > 1e999", 6, "too large"),
        ("n1 = __import__('os').system('x')", 22, "`.` is too much"),
        ("n1 = __import__('os')", 6, "there is no function `__import__`"),
        ("n1 > (lambda: 3)", 13, "`: 3)` cannot be read"),
        ("n1 > n2.real", 6, "`n2` is no list of entries"),
        ("t1 = '\x07'", 6, "control characters cannot be compared"),
    ],
)
def test_what_is_no_rule_is_refused_with_its_place(text: str, column: int, why: str) -> None:
    with pytest.raises(RuleError) as caught:
        read(text, SYMBOLS, "config/tags.yaml: loyal")
    assert why in caught.value.why
    assert caught.value.column == column
    assert str(caught.value).startswith("config/tags.yaml: loyal: ")


def test_something_missing_never_surprises() -> None:
    nothing: dict[str, Any] = {}
    for text in (
        "n1 > 3",
        "n1 <= 3",
        "n1 = 3",
        "n1 != 3",
        "n1 in (3)",
        "n1 not in (3)",
        "t1 like '%'",
        "t1 not like 'x'",
        "b1",
        "n1 + 1 > 0",
    ):
        assert not Rule(text, SYMBOLS).holds(nothing), text
        assert Rule(f"not ({text})", SYMBOLS).holds(nothing), text
    assert Rule("n1 is missing and not n1 is known and coalesce(n1, 7) = 7 and n1 / 0 is missing", SYMBOLS).holds(nothing)
    assert Rule("n1 is null and n1 is not known", SYMBOLS).holds(nothing)
    assert not Rule("n1 is not null or n1 is not missing", SYMBOLS).holds(nothing)


@pytest.mark.parametrize("value", ["3", True, [3], {"a": 3}, 10**400, float("nan"), float("inf")])
def test_a_value_that_is_not_of_its_kind_is_missing(value: object) -> None:
    assert Rule("n1 is missing and not n1 > 0", SYMBOLS).holds({"n1": value})
    assert Rule("m1 is missing", SYMBOLS).holds({"m1": value})


def test_both_ways_of_writing_an_operator_are_read() -> None:
    assert read('n1 == 3 AND t1 <> "it\'s" Or NOT b1', SYMBOLS) == read("n1 = 3 and t1 != 'it''s' or not b1", SYMBOLS)


@pytest.mark.timeout(60)  # each of them takes milliseconds, or for ever
def test_a_hostile_text_takes_no_time_and_runs_nothing() -> None:
    hostile = [
        "(" * 1000,
        "not " * 499 + "b1",
        "-" * 1900 + "1 > 0",
        "+".join(["1"] * 900) + " > 0",
        "n1 > 0 and " * 180 + "b1",
        "sum(" * 400,
        "t1 like '" + "%a" * 900 + "'",
        "n1 in (" + ",".join(["1"] * 900) + ")",
        "'" * 1999,
        "9" * 1990 + " > 1",
    ]
    for text in hostile:
        with contextlib.suppress(RuleError):
            Rule(text, SYMBOLS).holds({"t1": "a" * 20_000, "n1": 1.0})


def test_the_deepest_rule_that_is_read_can_be_run_and_explained() -> None:
    text = "b1"
    for level in range(MAX_DEPTH - 2):
        text = f"not ({text})" if level % 2 else f"n1 > {level} or ({text})"
    rule = Rule(text, SYMBOLS)
    assert rule.holds({"b1": True, "n1": 0.0}) in (True, False)
    assert rule.explain({"b1": True}).parts


def test_texts_that_are_cut_and_joined_at_random_are_read_or_refused() -> None:
    dice = random.Random(4)
    made = RandomRules(5)
    pieces = [piece for _ in range(200) for piece in writing.write(made.condition(), SYMBOLS).split(" ")]
    read_at_all = 0
    for _ in range(3_000):
        text = " ".join(dice.sample(pieces, dice.randrange(1, 8)))
        try:
            Rule(text, SYMBOLS)
            read_at_all += 1
        except RuleError:
            pass
    assert read_at_all


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=list(SPELLINGS))
def test_words_that_would_make_another_operator_are_not_used(spelling: Any) -> None:
    said = {"a": "returned", "b": "not returned", "c": "at most wanted", "d": "unknown calls", "e": "Sales", "f": "sales"}
    found = [Symbol(name=name, kind="number", english=words, chinese=words) for name, words in said.items()]
    symbols = Symbols([*found, *(Symbol(name=name, kind="number") for name in ("known", "unknown", "missing", "at", "not_a"))], "a row")
    names = [*said, "known", "unknown", "missing", "at", "not_a"]
    for one in names:
        for other in names:
            for operator in ("=", "!=", "<", "<="):
                tree = Call(operator, (Field(one), Field(other)))
                assert read(writing.write(tree, symbols, spelling), symbols, spelling=spelling) == tree


def test_the_parts_of_an_explanation_make_the_whole() -> None:
    made = RandomRules(6)
    for _ in range(500):
        tree, row = made.condition(), made.row()
        text = writing.write(tree)
        if len(text) <= 2_000:
            rule = Rule(text, SYMBOLS)
            part = rule.explain(row, NOW)
            assert part.holds is rule.holds(row, NOW), text
            assert len(rule.comparisons) >= len([one for one in part.parts if not one.parts and one.found]), text


def test_an_explanation_says_what_holds_and_what_was_found() -> None:
    part = Rule("n1 > 3 and (t1 = 'x' or m1 < ago(1d))", SYMBOLS).explain({"n1": 4, "m1": 5.0}, NOW)
    assert (part.holds, [(one.text, one.holds) for one in part.parts]) == (True, [("n1 > 3", True), ("t1 = 'x' or m1 < ago(1d)", True)])
    assert [one.found for one in part.parts[1].parts] == [{"t1": None}, {"m1": 5.0, "now": NOW}]
