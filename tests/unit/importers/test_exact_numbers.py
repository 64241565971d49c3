"""Whole numbers stay exact to the digit on every way in, or are refused with their place; what cannot be read costs its own record only."""

import base64
import datetime as dt
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from config.sources import Signature, Source
from importers.cdc import changes
from importers.envelope import Origin
from importers.files.json_rows import JsonRows
from importers.files.opening import open_rows, sha256_of
from importers.files.run import Import, made
from importers.mapping import Failed, Mapped, compile_mapping
from importers.mapping.options import DEFAULT
from importers.signatures import Verifier
from importers.webhooks import Received, Refused, WebhookMapping, WebhookSource, receive

TICKETS = """
events:
  - track: Ticket Opened
    message_id: text(no)
    identifiers: {user_id: text(customer)}
    timestamp: parse_time(at, 'iso')
    properties: {ticket_id: text(no)}
"""
KEPT = "events: [{track: Odd Event, identifiers: {user_id: id}, properties: {total: total, inside: {list: '[total]'}}}]"
LONG = 20261128000012345671
DEEP = (201, 255, 900, 1000, 1100, 5000, 100_000)


def imported(path: Path, mapping: str) -> list[Any]:
    job = Import(path, sha256_of(path), compile_mapping(mapping, "m.yaml"), Origin("src", "demo"), "cdp.raw.service")
    reader = open_rows(path, job.rules.options)
    try:
        return [one.outcome for one in made(job, reader)]
    finally:
        reader.close()


def test_ids_beyond_64_bits_in_json_lines_keep_each_digit(tmp_path: Path) -> None:
    """Public case 06."""
    path = tmp_path / "06-twenty-digits.jsonl"
    path.write_text(
        '{"no": 20261128000012345671, "customer": 20261128000012340001, "at": "2026-11-28T09:00:00Z"}\n'
        '{"no": 20261128000012345672, "customer": 20261128000012340002, "at": "2026-11-28T09:01:00Z"}\n'
        '{"no": 18446744073709551615, "customer": 9223372036854775808, "at": "2026-11-28T09:02:00Z"}\n'
        f'{{"no": {"7" * 4000}, "customer": -9223372036854775809, "at": "2026-11-28T09:02:00Z"}}\n'
    )
    sent = [json.loads(message.value) for outcome in imported(path, TICKETS) for message in outcome]
    users = ["20261128000012340001", "20261128000012340002", "9223372036854775808", "-9223372036854775809"]
    assert [one["userId"] for one in sent] == users
    assert [one["properties"]["ticket_id"] for one in sent[:3]] == ["20261128000012345671", "20261128000012345672", "18446744073709551615"]
    assert len({one["messageId"] for one in sent}) == 4


def test_grouped_rows_keep_each_digit(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f'{{"id": "o{number % 2}", "no": {LONG + number}}}\n' for number in range(4)))
    mapping = (
        "group_by: id\ngroups: scattered\nevents: [{track: Odd Event, identifiers: {user_id: key}, properties: {all: 'rows[].text(no)'}}]"
    )
    (first,), (second,) = imported(path, mapping)
    assert json.loads(first.value)["properties"]["all"] == [str(LONG), str(LONG + 2)]
    assert json.loads(second.value)["properties"]["all"] == [str(LONG + 1), str(LONG + 3)]


def test_a_long_number_of_an_event_is_refused_where_it_would_stand(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{{"id":"a","total":1}}\n{{"id":"b","total":{LONG}}}\n{{"id":"c","total":{2**63 - 1}}}\n')
    first, second, third = imported(path, KEPT)
    assert isinstance(second, Failed)
    assert (second.code, second.field) == ("value", "events[0].properties.total")
    assert json.loads(first[0].value)["properties"]["total"] == 1
    assert json.loads(third[0].value)["properties"]["inside"] == {"list": [2**63 - 1]}


@pytest.mark.parametrize("depth", DEEP)
def test_a_line_that_nests_too_deeply_costs_only_itself(tmp_path: Path, depth: int) -> None:
    path = tmp_path / "deep.jsonl"
    path.write_text(f'{{"id":"a"}}\n{{"id":"b","x":{"[" * depth}{"]" * depth}}}\n{{"id":"c","x":{"[" * 60}{"]" * 60}}}\n')
    rows = list(JsonRows(path, DEFAULT).rows())
    assert [row.failed and row.failed.rule for row in rows] == [None, "nesting of at most 200", None]


@pytest.mark.parametrize("bad", ["1e400", "1" * 5000, "NaN", '"\\ud800"', '"\x01"'])
def test_a_line_with_what_cannot_be_kept_costs_only_itself_and_says_where(tmp_path: Path, bad: str) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_text(f'{{"id":"a"}}\n{{"id":"b","x":[0,{bad}]}}\n{{"id":"c"}}\n')
    rows = list(JsonRows(path, DEFAULT).rows())
    assert [row.failed is not None for row in rows] == [False, True, False]
    assert rows[1].failed.field == ("x[1]" if bad[0] == "1" else "")


@pytest.mark.parametrize("depth", DEEP)
def test_a_change_that_nests_too_deeply_is_refused_and_nothing_breaks(depth: int) -> None:
    deep = "[" * depth + "]" * depth
    value = f'{{"op":"c","before":null,"after":{{"id":1,"x":{deep}}},"source":{{"table":"t","lsn":5}}}}'
    found = changes.parse(b'{"id":1}', value.encode())
    assert isinstance(found, Failed)
    assert (found.code, found.rule) == ("unreadable", "nesting of at most 200")
    assert isinstance(changes.parse(deep.encode(), b'{"op":"c"}'), Failed)


def test_a_change_keeps_each_digit_of_numbers_and_of_its_key() -> None:
    value = f'{{"op":"c","before":null,"after":{{"id":{LONG}}},"source":{{"table":"t","lsn":5}}}}'
    found = changes.parse(f'{{"id":{LONG}}}'.encode(), value.encode())
    assert isinstance(found, changes.Change)
    assert found.after == {"id": LONG}
    assert found.position() == f"t:{LONG}:5"


def hook(mapping: str) -> WebhookSource:
    signature = Signature(header="X-Signature", encoding="base64", secrets=["env:S"])
    source = Source(kind="webhook", tenant="demo", topic="cdp.raw.orders", mapping="m.yaml", signature=signature)
    return WebhookSource(WebhookMapping("shop", source, compile_mapping(mapping, "m.yaml")), Verifier("shop", signature, {"S": "secret"}))


def deliver(source: WebhookSource, body: bytes) -> Received | Refused:
    signed = base64.b64encode(hmac.new(b"secret", body, hashlib.sha256).digest()).decode()
    return receive(source, {"X-Signature": signed}, body, dt.datetime(2026, 11, 28, tzinfo=dt.UTC))


HOOK = "events: [{track: Odd Event, identifiers: {user_id: text(body.id)}, properties: {total: body.total}}]"


def test_a_delivery_keeps_each_digit() -> None:
    found = deliver(hook(HOOK), f'{{"id":{LONG},"total":5}}'.encode())
    assert isinstance(found, Received)
    assert json.loads(found.messages[0].value)["userId"] == str(LONG)


@pytest.mark.parametrize(
    "body",
    [f'{{"id":1,"total":{LONG}}}', '{"id":1,"total":1e400}', *(f'{{"id":1,"x":{"[" * depth}{"]" * depth}}}' for depth in DEEP)],
    ids=lambda body: body[:24] + str(len(body)),
)
def test_a_genuine_delivery_that_cannot_be_kept_as_it_is_is_kept_for_mending_and_taken(body: str) -> None:
    """A shop that gets errors for one of its deliveries closes the webhook: that would cost all others."""
    found = deliver(hook(HOOK), body.encode())
    assert isinstance(found, Refused)
    assert (found.status, found.code) == (200, "unmapped")
    assert base64.b64decode(json.loads(found.kept)["original"]) == body.encode()


def test_a_delivery_that_is_no_json_is_not_taken() -> None:
    found = deliver(hook(HOOK), b'{"id":')
    assert isinstance(found, Refused)
    assert (found.status, found.code) == (400, "unreadable")


@pytest.mark.parametrize(
    ("expression", "record", "value"),
    [
        ("text(no)", {"no": LONG}, str(LONG)),
        ("parse_json(x).no | text(@)", {"x": f'{{"no":{LONG}}}'}, str(LONG)),
        ("max([no, `1`]) | text(@)", {"no": LONG}, str(LONG)),
    ],
)
def test_an_expression_gives_whole_numbers_exactly(expression: str, record: dict[str, Any], value: Any) -> None:
    rules = compile_mapping(f'events: [{{track: Odd, identifiers: {{user_id: "\'u\'"}}, properties: {{x: "{expression}"}}}}]', "m.yaml")
    outcome = rules.apply(record)
    assert isinstance(outcome, Mapped), outcome
    assert outcome.events[0].envelope["properties"]["x"] == value


@pytest.mark.parametrize("expression", ["parse_integer(no)", "parse_number(no)", "add(no, `1`)", "sum([no])", "no", "to_number(text(no))"])
def test_no_expression_makes_a_float_of_a_long_whole_number(expression: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{{"no":{LONG}}}\n')
    mapping = f'events: [{{track: Odd, identifiers: {{user_id: "\'u\'"}}, properties: {{x: "{expression}"}}}}]'
    (outcome,) = imported(path, mapping)
    assert isinstance(outcome, Failed) or json.loads(outcome[0].value).get("properties") is None
