"""The filter language: what is typed means what was meant, and nothing else can be typed."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.rejected import conditions
from pipelines.rejected.conditions import predicate, sql_of
from pipelines.rejected.record import Record
from pipelines.rules.errors import RuleError
from pipelines.rules.tree import Node
from tests import rejected_cases as cases

NOW = 1_700_000_000_000
HOUR = 3_600_000


def parse(text: str) -> Node:
    return conditions.parse(text, lambda: NOW)


def record(**values: object) -> Record:
    plain = {"source": "cdp.raw.orders", "partition": 0, "offset": 7, "log_time": NOW, "code": "quality_rule", "rule": "in pounds"}
    plain |= {"field": "$.properties.products[3].price", "tenant": "demo", "message_id": "m", "original": b"{}"}
    return Record.of(plain | values)


def test_the_example_of_the_docs_chooses_by_code_field_and_time() -> None:
    holds = predicate(parse("code = 'quality_rule' and field like '$.properties.products%' and log_time > ago(1h)"))
    assert holds(record())
    assert not holds(record(code="internal"))
    assert not holds(record(field="$.properties.currency"))
    assert not holds(record(log_time=NOW - HOUR))


@given(cases.CONDITIONS)
def test_a_condition_is_read_as_it_was_written(condition: Node) -> None:
    assert parse(cases.written(condition)) == condition


@given(st.text(max_size=40) | st.text("abcode=<>'\"()%_ ,0123456789notinlike", max_size=60))
@settings(max_examples=300)
def test_whatever_is_typed_is_read_or_refused_with_a_column(text: str) -> None:
    refused = "--where: "
    try:
        predicate(parse(text))(record())
    except RuleError as error:
        refused = str(error)
    assert refused.startswith("--where: ")


@given(cases.CONDITIONS)
def test_no_text_of_the_user_becomes_sql(condition: Node) -> None:
    outside = re.sub(r"'(?:[^'\\]|\\.)*'", "", sql_of(condition), flags=re.DOTALL)
    words = {"concat", "toString", "toInt64", "toFloat64", "length", "original", "toUnixTimestamp64Milli", "fromUnixTimestamp64Milli"}
    words |= {"ifNull", "isNotNull", "arrayExists", "one", "and", "or", "not", "AND", "OR", "NOT", "LIKE", *conditions.FIELDS}
    assert set(re.findall(r"[A-Za-z_]\w*", outside)) <= words
    assert not set(re.sub(r"[\w\s]", "", outside)) - set("(),.=!<>-`[]")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cod = 'internal'", "column 1: a rejected record has no field `cod`; did you mean `code`?"),
        ("code = 'quality_rules'", "column 8: `code` is never `quality_rules`; did you mean `quality_rule`?"),
        ("code in ('internal', 'x')", "column 22: `code` is never `x`; there are payload_format"),
        ("code = internal", "column 8: a rejected record has no field `internal`"),
        ("offset > '7'", "`offset` is a number and `'7'` is a text; `>` takes a number and a number"),
        ("code > 'a'", "`code` is a text and `'a'` is a text; `>` takes a number"),
        ("log_time > ago(1x)", "`1x)` cannot be read"),
        ("log_time > 'yesterday'", "`log_time` is a time and `'yesterday'` is a text"),
        ("code = 'internal' code = 'internal'", "column 19: `code` is too much; join conditions by `and` or `or`"),
        ("field like 'a\\b'", "a backslash stands before `b`"),
        ("partition like 'a'", "`partition` is a number and `'a'` is a text; `like` takes a text and a text"),
        ("code = 'internal", "a quote is not closed"),
        ("(code = 'internal'", "a `(` is not closed"),
        ("", "there is no condition"),
        ("tenant = 'a\tb'", "control characters"),
        ("(" * 60 + "size = 1", "is not closed"),
        ("not " * 60 + "size = 1", "nested deeper than 30"),
        ("code = 'internal'; drop table rejected", "`; drop table` cannot be read"),
        ("size = 1 or " * 200 + "size = 1", "longer than 2000 characters"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_what_was_meant(text: str, said: str) -> None:
    with pytest.raises(RuleError) as caught:
        parse(text)
    assert said in str(caught.value)


def test_and_binds_closer_than_or_and_not_closest() -> None:
    holds = predicate(parse("partition = 1 or partition = 0 and not size = 2"))
    assert [holds(record(partition=partition, original=b"." * size)) for partition, size in ((1, 2), (0, 2), (0, 3))] == [True, False, True]


def test_now_is_asked_for_only_when_it_is_needed() -> None:
    def away() -> int:
        raise AssertionError

    conditions.parse("log_time > '2026-01-31'", away)
    with pytest.raises(AssertionError):
        conditions.parse("log_time > ago(1h)", away)
