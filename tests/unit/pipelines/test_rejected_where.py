"""The filter language: what is typed means what was meant, and nothing else can be typed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.rejected import conditions, where
from pipelines.rejected.matching import predicate, sql
from pipelines.rejected.record import Record
from tests import rejected_cases as cases

NOW = 1_700_000_000_000
HOUR = 3_600_000


def parse(text: str) -> conditions.Condition:
    return where.parse(text, lambda: NOW)


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
def test_a_condition_is_read_as_it_was_written(condition: conditions.Condition) -> None:
    assert parse(cases.written(condition)) == condition


@given(st.text(max_size=40) | st.text("abcode=<>'\"()%_ ,0123456789notinlike", max_size=60))
@settings(max_examples=300)
def test_whatever_is_typed_is_read_or_refused_with_a_column(text: str) -> None:
    refused = "--where: "
    try:
        predicate(parse(text))(record())
    except where.WhereError as error:
        refused = str(error)
    assert refused.startswith("--where: ")


@given(cases.CONDITIONS)
def test_no_text_of_the_user_becomes_sql(condition: conditions.Condition) -> None:
    made = sql(condition)
    words = set(made.text.replace("(", " ").replace(")", " ").replace(",", " ").split())
    allowed = {
        *conditions.FIELDS,
        "`offset`",
        "AND",
        "OR",
        "NOT",
        "LIKE",
        "=",
        "!=",
        "<",
        "<=",
        ">",
        ">=",
        "concat",
        "toString",
        "':'",
        "offset",
    }
    allowed |= {"toInt64", "length", "original", "fromUnixTimestamp64Milli", "'UTC'"}
    kinds = {str: "String", int: "Int64"}
    allowed |= {f"{{{name}:{kinds[type(value)]}}}" for name, value in made.parameters.items()}
    assert words <= allowed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cod = 'internal'", "column 1: unknown field `cod`; did you mean `code`?"),
        ("code = 'quality_rules'", "column 8: no code `quality_rules`; did you mean `quality_rule`?"),
        ("code = internal", "`code` is compared with a text in quotes, not with `internal`"),
        ("offset > '7'", "`offset` is compared with a whole number of at most 64 bits, not with `'7'`"),
        ("offset = 9223372036854775808", "whole number of at most 64 bits"),
        ("code > 'a'", "`code` is a text: compare it by =, !=, like or in"),
        ("log_time > ago(1x)", "is no duration"),
        ("log_time > 'yesterday'", "ago(1h) or a time in quotes"),
        ("code = 'internal' code = 'internal'", "column 19: `code` is too much; join conditions by `and` or `or`"),
        ("field like 'a\\b'", "a backslash stands before `b`"),
        ("partition like 'a'", "`partition` is a number"),
        ("code = 'internal", "a quote is not closed"),
        ("(code = 'internal'", "`)` is wanted, not `the end`"),
        ("", "a field is wanted, not `the end`"),
        ("tenant = 'a\tb'", "control characters"),
        ("(" * 60 + "size = 1", "nested deeper than 50"),
        ("code = 'internal'; drop table rejected", "`; drop table` cannot be read"),
        ("size = 1 or " * 200 + "size = 1", "longer than 2000 characters"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_what_was_meant(text: str, said: str) -> None:
    with pytest.raises(where.WhereError) as caught:
        parse(text)
    assert said in str(caught.value)


def test_and_binds_closer_than_or_and_not_closest() -> None:
    holds = predicate(parse("partition = 1 or partition = 0 and not size = 2"))
    assert [holds(record(partition=partition, original=b"." * size)) for partition, size in ((1, 2), (0, 2), (0, 3))] == [True, False, True]


def test_now_is_asked_for_only_when_it_is_needed() -> None:
    def away() -> int:
        raise AssertionError

    where.parse("log_time > '2026-01-31'", away)
    with pytest.raises(AssertionError):
        where.parse("log_time > ago(1h)", away)
