"""What holds of every mapping and every record."""

import copy
import random
from typing import Any

import orjson
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from importers.envelope import MAX_ID, Origin, complete
from importers.mapping import Event, Failed, Mapped, MappingRules, Skipped, compile_mapping
from importers.mapping.functions import OURS, STANDARD

NAMES = ("a", "b", "c", "rows")
written = st.sampled_from(["1,234.50", "£5", "2024-10-27 01:30", "yes", "[1]", "a,b"])
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text('ab1 ,.-£é中{"', max_size=8), written)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)),
    max_leaves=8,
)
records = st.dictionaries(st.sampled_from(NAMES), values, max_size=4)
paths = st.sampled_from(["a", "b", "c.a", "rows[0]", "rows[].a", "rows[?a].b", "@", "a.*", "rows[-1].c | [0]", "none"])
ALONE = (
    "text", "trim", "lower", "upper", "digest", "parse_boolean", "parse_json", "parse_number", "parse_integer", "parse_money",
    "currency_of", "to_number",
)  # fmt: skip
calls = {name: f"{name}({{}})" for name in ALONE} | {
    "replace": "replace({}, 'a', 'b')",
    "split": "split({}, ',')",
    "parse_unscaled": "parse_unscaled({}, `2`)",
    "parse_time": "parse_time({}, '%Y-%m-%d %H:%M', 'Europe/London')",
    "parse_date": "parse_date({}, 'days')",
    "add": "add({}, `1`)",
    "subtract": "subtract({}, b)",
    "multiply": "multiply({}, `2`)",
    "divide": "divide({}, b)",
    "round": "round({}, `2`)",
    "where": "where([{0}], 'a', {0})",
}
computed = st.recursive(
    paths,
    lambda inner: st.one_of(
        st.builds(lambda call, one: call.format(one), st.sampled_from(sorted(calls.values())), inner),
        st.builds("({} || {})".format, inner, inner),
        st.builds("({} && {})".format, inner, inner),
        st.builds("({} {} {})".format, inner, st.sampled_from(["==", "<", ">="]), inner),
        st.builds("join('-', {})".format, inner),
        st.builds("sort({})".format, inner),
        st.builds("merge({}, {})".format, inner, inner),
        st.builds("length({})".format, inner),
        st.builds("not_null({}, {})".format, inner, inner),
    ),
    max_leaves=4,
)
expressions = st.one_of(paths, paths, paths, computed)  # most computed ones refuse most values: enough have to get through
who = st.one_of(st.just("'u1'"), st.just("'u1'"), expressions)
templates = st.recursive(
    st.one_of(expressions, st.integers(-5, 5), st.booleans(), st.just({"$constant": "x"})),
    lambda inner: st.one_of(
        st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
        st.lists(inner, max_size=3),
        st.fixed_dictionaries({"$each": expressions, "$item": inner}),
        st.fixed_dictionaries({"$each": expressions, "$item": inner, "$let": st.fixed_dictionaries({"outer": expressions})}),
        st.builds(lambda when, then, other: {"$cases": [{"when": when, "then": then}, {"else": other}]}, expressions, inner, inner),
        st.builds(lambda one: {"$required": one}, inner),
        st.builds(lambda source, more: {"$copy": source, **more}, expressions, st.dictionaries(st.sampled_from(NAMES), inner, max_size=2)),
    ),
    max_leaves=6,
)
entries = st.fixed_dictionaries(
    {"track": st.just("Anything"), "identifiers": st.fixed_dictionaries({"user_id": who, "email": who}), "properties": templates},
    optional={"when": expressions, "for_each": paths, "message_id": expressions, "context": templates, "timestamp": expressions},
)
documents = st.fixed_dictionaries(
    {"events": st.lists(entries, min_size=1, max_size=3)},
    optional={"skip": st.lists(st.fixed_dictionaries({"when": expressions, "reason": st.just("why")}), max_size=2)},
)


def compiled(document: Any) -> MappingRules:
    return compile_mapping(yaml.safe_dump(document, sort_keys=False), "m.yaml", contracts={})


def shuffled(value: Any, dice: random.Random) -> Any:
    """The same data with the keys of its objects in another order (lists keep theirs)."""
    if isinstance(value, dict):
        keys = list(value)
        dice.shuffle(keys)
        return {key: shuffled(value[key], dice) for key in keys}
    return [shuffled(one, dice) for one in value] if isinstance(value, list) else value


def plain(outcome: Any) -> str:
    return repr(outcome)


@settings(deadline=None)
@given(documents, records)
def test_every_record_ends_once_is_not_changed_and_ends_the_same_each_time(document: Any, record: Any) -> None:
    rules = compiled(document)
    before = copy.deepcopy(record)
    outcome = rules.apply(record)
    assert repr(record) == repr(before)
    assert isinstance(outcome, Mapped | Skipped | Failed)
    assert plain(rules.apply(record)) == plain(outcome)
    assert plain(compiled(document).apply(before)) == plain(outcome)
    if isinstance(outcome, Mapped):
        assert outcome.events
    if isinstance(outcome, Failed):
        assert outcome.code != "internal"


@settings(deadline=None)
@given(documents, records)
def test_what_is_mapped_can_be_written_as_json_and_read_back_the_same(document: Any, record: Any) -> None:
    outcome = compiled(document).apply(record)
    if isinstance(outcome, Mapped):
        for event in outcome.events:
            message = complete(event, Origin("src", "demo"), "7", {"row": 7})
            assert orjson.loads(message.value) == message.envelope
            assert 1 <= len(message.message_id) <= MAX_ID


def without_exprs_that_show_order(document: Any) -> bool:
    return ".*" not in repr(document)  # JMESPath: the order of an object's values is nobody's promise


@settings(deadline=None)
@given(documents.filter(without_exprs_that_show_order), records, st.randoms(use_true_random=False))
def test_the_order_of_fields_in_the_mapping_and_in_the_record_is_irrelevant(document: Any, record: Any, dice: random.Random) -> None:
    outcome, other = compiled(document).apply(record), compiled(shuffled(document, dice)).apply(shuffled(record, dice))
    assert type(outcome) is type(other)
    if isinstance(outcome, Mapped):
        # Of several failures the first in the order of the mapping is told; events themselves are the same.
        assert [(event.envelope, event.key) for event in outcome.events] == [(event.envelope, event.key) for event in other.events]


def test_every_function_is_met_by_these_tests() -> None:
    assert set(calls) == set(OURS)
    assert set(OURS) & set(STANDARD) == {"to_number"}


@settings(deadline=None)
@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=20), st.integers(0, 3))
def test_message_ids_fit_and_tell_different_keys_apart(key: str, source: str, number: int) -> None:
    one, other = (complete(Event({}, text, number), Origin(source, "t"), "1", {}).message_id for text in (key, key + "x"))
    assert max(len(one), len(other)) <= MAX_ID
    assert one != other
    assert one.startswith(source[:20])
