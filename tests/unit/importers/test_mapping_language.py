"""What a mapping makes of records: one test for each thing the language can say."""

import textwrap
from pathlib import Path
from typing import Any

import pytest

from importers.mapping import Failed, Mapped, Skipped, compile_mapping, group_key


def mapped(text: str, record: Any, folder: Path = Path()) -> Any:
    """The outcome of a record; of a single event its envelope."""
    outcome = compile_mapping(textwrap.dedent(text), "m.yaml", folder).apply(record)
    if isinstance(outcome, Mapped) and len(outcome.events) == 1:
        return outcome.events[0].envelope
    return outcome


def properties(fields: str, record: Any, more: str = "") -> Any:
    """What `properties` becomes; a failure when there is one."""
    fields = textwrap.indent(textwrap.dedent(fields), "    ")
    text = f"{more}\nevents:\n- track: Anything\n  identifiers: {{user_id: id}}\n  properties:\n{fields}"
    outcome = mapped(text, {"id": "u1", **record})
    return outcome if isinstance(outcome, Failed) else outcome.get("properties")


def test_paths_go_into_objects_and_lists() -> None:
    record = {"a": {"b": [{"c": 1}, {"c": 2}], "d e": 3}}
    assert properties('x: a.b[1].c\ny: a."d e"\nz: a.b[-1].c\nw: a.none.at.all', record) == {"x": 2, "y": 3, "z": 2}


def test_constants_are_as_written() -> None:
    assert properties("a: {$constant: GBP}\nb: 5\nc: true\nd: 1.5\ne: {$constant: [1, {x: y}]}\nf: null", {}) == {
        "a": "GBP", "b": 5, "c": True, "d": 1.5, "e": [1, {"x": "y"}],
    }  # fmt: skip


def test_text_is_split_joined_trimmed_and_replaced() -> None:
    record = {"name": " Ada  Lovelace ", "path": "a > b > c", "n": 7}
    fields = """\
    first: split(trim(name), ' ')[0]
    parts: split(path, '>')
    second: split(path, '>')[1]
    id: join('-', [text(n), lower(trim(name))])
    up: upper('x')
    other: replace(path, ' > ', '/')
    """
    assert properties(fields, record) == {
        "first": "Ada", "parts": ["a", "b", "c"], "second": "b", "id": "7-ada  lovelace", "up": "X", "other": "a/b/c",
    }  # fmt: skip


def test_a_table_is_looked_up_with_default_or_error(tmp_path: Path) -> None:
    tables = "tables: {channels: {values: {M: mail, P: phone, 7: seven}}}"
    assert properties("c: lookup('channels', code)\nn: lookup('channels', number)", {"code": "M", "number": 7}, tables) == {
        "c": "mail",
        "n": "seven",
    }
    assert properties("c: lookup('channels', code, 'web')", {"code": "?"}, tables) == {"c": "web"}
    assert properties("c: lookup('channels', code)", {}, tables) is None
    failed = properties("c: lookup('channels', code)", {"code": "?"}, tables)
    assert failed == Failed("value", "events[0].properties.c", "a key of the table `channels`", "?")
    (tmp_path / "c.csv").write_text("code,name\nGB,Britain\n")
    text = """\
    tables: {t: {file: c.csv, key: code, value: name}}
    events: [{track: X, identifiers: {user_id: id}, properties: {country: "lookup('t', c)"}}]
    """
    assert mapped(text, {"id": "u", "c": "GB"}, tmp_path)["properties"] == {"country": "Britain"}


def test_the_first_case_that_holds_counts() -> None:
    fields = """\
    size:
      $cases:
        - {when: "n > `10`", then: "'large'"}
        - {when: "n > `5`", then: {$constant: medium}}
        - else: "'small'"
    only:
      $cases: [{when: "n == `6`", then: n}]
    """
    assert [properties(fields, {"n": n}) for n in (11, 6, 1)] == [{"size": "large"}, {"size": "medium", "only": 6}, {"size": "small"}]


def test_lists_are_mapped_entry_by_entry_with_names_from_outside() -> None:
    record = {"cur": "GBP", "lines": [{"sku": "a", "q": "2"}, {"sku": "b", "q": "1,000"}, {"sku": None}]}
    fields = """\
    products:
      $each: lines[?sku]
      $let: {currency: cur}
      $item: {product_id: sku, quantity: parse_integer(q), currency: currency}
    skus: lines[].sku
    """
    assert properties(fields, record) == {
        "products": [{"product_id": "a", "quantity": 2, "currency": "GBP"}, {"product_id": "b", "quantity": 1000, "currency": "GBP"}],
        "skus": ["a", "b"],
    }


def test_a_failure_names_the_entry_of_a_list() -> None:
    failed = properties("p: {$each: lines, $item: {q: parse_integer(q)}}", {"lines": [{"q": "1"}, {"q": "one"}]})
    assert failed == Failed("value", "events[0].properties.p[1].q", "a number with the decimal mark `.`", "one")


def test_what_is_missing_is_left_out_and_empty_objects_with_it() -> None:
    assert properties("a: none\nb: {c: none}\nd: [none, 'none']\ne: parse_integer(none)\nf: none", {}) is None
    assert properties("list: [none, id]", {}) == {"list": ["u1"]}


def test_a_required_value_that_is_missing_is_an_error() -> None:
    assert properties("a: {$required: none}", {}) == Failed("missing", "events[0].properties.a", "a value (it is required)")
    assert properties("a: {$required: id}", {}) == {"a": "u1"}


def test_json_inside_text_and_truth_words() -> None:
    record = {"payload": '{"a": [1, 2]}', "flag": "Ja", "bit": 1}
    fields = "x: parse_json(payload).a[1]\ny: parse_boolean(flag, 'ja', 'nein')\nz: parse_boolean(bit)"
    assert properties(fields, record) == {"x": 2, "y": True, "z": True}
    assert isinstance(properties("x: parse_json(payload)", {"payload": "{"}), Failed)
    assert isinstance(properties("x: parse_boolean(flag)", {"flag": "maybe"}), Failed)


def test_identifiers_go_where_the_envelope_has_them() -> None:
    text = "events: [{call: identify, identifiers: {user_id: u, anonymous_id: a, email: e, phone: p, member_id: m}}]"
    assert mapped(text, {"u": 17850.0, "a": " x ", "e": "a@b.c", "p": "", "m": None}) == {
        "type": "identify", "userId": "17850", "anonymousId": "x", "context": {"externalIds": [{"type": "email", "id": "a@b.c"}]},
    }  # fmt: skip
    assert mapped(text, {"u": {"no": "text"}}) == Failed("value", "events[0].identifiers.user_id", "text or a number", {"no": "text"})
    assert isinstance(mapped(text, {"u": True}), Failed)


def test_a_record_can_become_several_events_or_be_skipped_or_fit_nothing() -> None:
    text = """\
    skip:
      - {when: "state == 'draft'", reason: draft}
    events:
      - {when: "state == 'paid'", track: Paid, message_id: "join(':', ['paid', id])", identifiers: {user_id: u}}
      - {when: "contains(['paid', 'new'], state)", call: identify, identifiers: {user_id: u}}
    """
    rules = compile_mapping(textwrap.dedent(text), "m.yaml")
    made = rules.apply({"state": "paid", "id": "7", "u": "u"})
    assert [(event.envelope["type"], event.key, event.number) for event in made.events] == [("track", "paid:7", 0), ("identify", "", 1)]
    assert [event.number for event in rules.apply({"state": "new", "u": "u"}).events] == [0]
    assert rules.apply({"state": "draft"}) == Skipped("draft")
    assert rules.apply({"state": "lost"}).code == "no_event"


def test_a_record_can_become_an_event_for_each_entry_of_a_list() -> None:
    text = """\
    events:
      - for_each: "refunds[?amount]"
        when: "item.amount != '0'"
        track: Refunded
        message_id: "join(':', [order, item.id])"
        identifiers: {user_id: who}
        properties: {refund: item.id, amount: parse_money(item.amount), order: order}
    """
    rules = compile_mapping(textwrap.dedent(text), "m.yaml")
    record = {"order": "o1", "who": "u", "refunds": [{"id": "a", "amount": "£1"}, {"id": "b", "amount": "0"}, {"id": "c", "amount": "2"}]}
    made = rules.apply(record).events
    assert [(one.key, one.number, one.envelope["properties"]) for one in made] == [
        ("o1:a", 0, {"refund": "a", "amount": 1, "order": "o1"}),
        ("o1:c", 1, {"refund": "c", "amount": 2, "order": "o1"}),
    ]
    assert rules.apply({"order": "o1"}).code == "no_event"
    assert rules.apply({**record, "refunds": [{"id": "a", "amount": "x"}]}).field == "events[0].for_each[0].properties.amount"
    assert rules.apply({**record, "refunds": [{"id": "a", "amount": "1"}, {"id": "a", "amount": "1"}]}).field == "events[0].message_id"
    assert rules.reads() == {
        ("refunds",), ("refunds", "[]", "amount"), ("refunds", "[]", "id"), ("order",), ("who",),
    }  # fmt: skip
    other = compile_mapping(textwrap.dedent(text).replace('"refunds[?amount]"', "order"), "m.yaml")
    assert other.apply(record).field == "events[0].for_each"


def test_two_events_of_a_record_do_not_share_an_id() -> None:
    text = "events: [{track: A, message_id: id, identifiers: {user_id: id}}, {track: B, message_id: id, identifiers: {user_id: id}}]"
    assert mapped(text, {"id": "7"}) == Failed(
        "value", "events[1].message_id", "another message_id than that of the event before, of events[0]: both become one id", "7"
    )


def test_a_business_key_that_is_missing_is_an_error() -> None:
    text = "events: [{track: A, message_id: no, identifiers: {user_id: id}}]"
    assert mapped(text, {"id": "7"}).code == "missing"


def test_a_copy_changes_only_what_it_names() -> None:
    text = """\
    events:
      - $copy: "@"
        identifiers: {user_id: "trim(userId)"}
        properties: {$copy: properties, total: parse_money(properties.total), wrong: null}
    """
    record = {
        "type": "track", "event": "E", "messageId": "m1", "userId": " u ", "context": {"x": 1},
        "properties": {"total": "£5", "keep": 1, "wrong": 2},
    }  # fmt: skip
    assert mapped(text, record) == {**record, "userId": "u", "properties": {"total": 5, "keep": 1}}
    assert isinstance(mapped(text, {**record, "properties": [1]}), Failed)


def test_an_identifier_replaces_the_one_of_its_name_in_a_copy() -> None:
    there = {"type": "identify", "context": {"externalIds": [{"type": "email", "id": "old"}, {"type": "phone", "id": "1"}]}}
    text = 'events: [{$copy: "@", identifiers: {email: "\'new\'"}}]'
    assert mapped(text, there)["context"]["externalIds"] == [{"type": "phone", "id": "1"}, {"type": "email", "id": "new"}]


def test_rows_of_a_group_have_a_key() -> None:
    rules = compile_mapping("group_by: no\nevents: [{track: A, identifiers: {user_id: key}}]", "m.yaml")
    assert group_key(rules, {"no": 5.0}) == "5"
    assert group_key(rules, {"no": ""}).code == "missing"
    assert group_key(rules, {"no": [1]}).code == "value"


@pytest.mark.parametrize(
    ("expression", "record"),
    [
        ("a < b", {"a": "x", "b": 1}),
        ("join(',', a)", {"a": [1]}),
        ("length(a)", {"a": 1}),
        ("sort(a)", {"a": [1, "x"]}),
        ("max_by(a, &b)", {"a": [{"b": []}]}),
        ("add(a, 'x')", {"a": 1}),
    ],
)
def test_values_of_the_wrong_kind_are_a_typed_failure(expression: str, record: Any) -> None:
    failed = properties(f'x: "{expression}"', record)
    assert (failed.code, failed.field) == ("value", "events[0].properties.x")


def test_numbers_that_no_json_holds_are_refused_wherever_they_come_from() -> None:
    for value in (float("nan"), float("inf"), 2**63, b"bytes"):
        assert properties("x: {y: [a]}", {"a": value}).field == "events[0].properties.x.y[0]"
    assert properties("x: to_number('nan')", {}) is None


def test_the_fields_a_mapping_reads_are_known_beforehand() -> None:
    text = """\
    group_by: no
    skip: [{when: "rows[0].state == 'x'", reason: x}]
    events:
      - track: A
        when: sort_by(rows, &at)[0].kind
        message_id: key
        identifiers: {user_id: "rows[?cust].cust | [0]"}
        properties:
          p: {$each: rows, $let: {o: 'rows[0].total'}, $item: {q: q, o: o, all: "{z: z, l: ['lit', w]}"}}
    """
    rules = compile_mapping(textwrap.dedent(text), "m.yaml")
    found = rules.reads()
    rows = {path[2] for path in found if path[:2] == ("rows", "[]") and len(path) == 3}
    assert rows == {"state", "at", "kind", "cust", "q", "z", "w", "total"}
    assert rules.columns_read() == rows | {"no"}
    assert {path[0] for path in found} == {"key", "rows"}
