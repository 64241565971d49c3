"""Public troubles with the text of events (tests/cases 24, 34, 38 to 41): one reading everywhere, and one odd event costs itself only."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from cli.rejected.views import list_table
from cli.tail_lines import event_line, rejected_line
from cli.terminal import safe_console
from pipelines.ingest.records import event_record, rejected_record
from pipelines.rejected.record import Record
from pipelines.wire import Event, Rejected
from schemas import clean
from tests.posted import NOON_MS, TOPIC, Posted, case

LONG = 202611280000123456789


@pytest.fixture
def world(tmp_path: Path) -> Posted:
    return Posted(tmp_path)


def features(world: Posted, identifier: str) -> dict[str, Any]:
    found = world.profile(identifier)
    assert found is not None
    features: dict[str, Any] = json.loads(found["features"]) if isinstance(found["features"], str) else found["features"]
    return features


def order(message_id: str, properties: str, user: str = "u") -> str:
    head = f'"type":"track","event":"Order Completed","messageId":"{message_id}","userId":"{user}","timestamp":"2026-11-28T09:00:00Z"'
    return f'{{{head},"properties":{properties}}}'


def batch(*events: str) -> bytes:
    return f'{{"batch":[{",".join(events)}]}}'.encode()


def test_24_of_an_identifier_told_twice_the_last_counts_everywhere(world: Posted) -> None:
    assert world.post(case("24-twice-the-same-key.json")) == {"c24-a": "applied", "c24-c": "applied"}
    assert {event.node for event in world.core.applied} == {"demo|user_id|c2402"}
    assert {event.message_id for event in world.core.applied} == {"c24-a", "c24-c"}
    assert world.profile("user_id:c2401") is None


@pytest.mark.parametrize(
    "told",
    [
        '"userId":"a","\\u0075serId":"b"',
        '"userId":"a","userId":null,"userId":"b"',
        '"userId":"a","anonymousId":"x","userId":"b","anonymousId":"y"',
        '"userId":7,"userId":"b"',
        '"userId":"a","context":{"externalIds":[{"type":"email","type":"member_id","id":"m"}]},"context":{},"userId":"b"',
    ],
)
def test_24_other_ways_to_tell_an_identifier_twice(told: str, world: Posted) -> None:
    event = f'{{"type":"track","event":"Signed In","messageId":"m","timestamp":"2026-11-28T09:00:00Z",{told}}}'
    assert world.post(batch(event)) == {"m": "applied"}
    (found,) = world.core.applied
    assert found.node == "demo|user_id|b"


def test_38_an_event_with_a_number_beyond_64_bits_is_refused_by_its_path_and_counts_nowhere(world: Posted) -> None:
    assert world.post(case("38-one-long-number.json")) == {"c38-a": "payload_format", "c38-b": "applied", "c38-c": "payload_format"}
    refused = world.decoded("c38-a")
    assert isinstance(refused, Rejected)
    assert refused.field == "$.properties.trade_no"
    counted = features(world, "user_id:c3801")
    assert (counted["orders_lifetime"], counted["gross_lifetime"]) == (1, 40.0)
    (event,) = world.core.applied
    assert json.loads(event.properties)["trade_no"] == 2**64 - 1


@pytest.mark.parametrize(
    ("where", "path"),
    [
        (f'"order_id":"o","total":1,"a":{{"b":[1,{{"c":{LONG}}}]}}', "$.properties.a.b[1].c"),
        (f'"order_id":"o","total":1,"a":[[-{LONG}]]', "$.properties.a[0][0]"),
        (f'"order_id":{LONG},"total":1', "$.properties.order_id"),
        (f'"order_id":"o","total":{LONG}', "$.properties.total"),
        (f'"order_id":"o","total":1,"products":[{{"product_id":"p","price":1,"quantity":{LONG}}}]', "$.properties.products[0].quantity"),
        ('"order_id":"o","total":1,"a":-9223372036854775809', "$.properties.a"),
    ],
)
def test_38_wherever_the_number_stands(where: str, path: str, world: Posted) -> None:
    line = '"products":[{"product_id":"p","price":1,"quantity":1}]'
    whole = f"{{{line},{where}}}"
    assert world.post(batch(order("a", whole), order("b", f'{{"order_id":"n",{line}}}'))) == {"a": "payload_format", "b": "applied"}
    refused = world.decoded("a")
    assert isinstance(refused, Rejected)
    assert (refused.field, str(LONG) in refused.rule) == (path, False)


def test_39_a_total_told_twice_is_one_total_and_stored_so(world: Posted) -> None:
    assert world.post(case("39-total-told-twice.json")) == {"c39-a": "applied", "c39-b": "applied"}
    assert features(world, "user_id:c3901")["gross_lifetime"] == 20.0
    assert features(world, "user_id:c3902")["gross_lifetime"] == 40.0
    first, second = world.core.applied
    assert first.properties.count('"total"') == first.properties.count('"products"') == 1
    assert json.loads(first.properties)["products"] == [{"product_id": "MUG", "quantity": 1, "price": 20}]
    stored = json.loads(second.properties)
    assert (stored["note"], stored["weight"], stored["tiny"], stored["big"]) == ("café 😀", 0.1, 0, 1.7976931348623157e308)


def test_39_inside_a_line_and_by_an_escaped_name(world: Posted) -> None:
    line = '{"product_id":"MUG","price":99,"quantity":1,"\\u0070rice":20,"quantity":2}'
    assert world.post(batch(order("a", f'{{"order_id":"o","products":[{line}]}}'))) == {"a": "applied"}
    assert features(world, "user_id:u")["gross_lifetime"] == 40.0
    assert json.loads(world.core.applied[0].properties)["products"] == [{"product_id": "MUG", "price": 20, "quantity": 2}]


@pytest.mark.parametrize(
    ("depth", "outcome"), [(62, "applied"), (70, "payload_format"), (900, "payload_format"), (5_000, "payload_format")]
)
@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_40_an_event_that_nests_deeply_costs_only_itself(depth: int, outcome: str, brackets: str, world: Posted) -> None:
    head = '"type":"track","event":"Link Opened","messageId":"c40-%s","userId":"c4001","timestamp":"2026-11-28T09:00:00Z"'
    event = "{" + head + ',"properties":{"x":%s}}'
    deep = "[" * depth + "]" * depth if brackets == "[]" else '{"a":' * depth + "1" + "}" * depth
    outcomes = world.post(f'{{"batch":[{event % ("a", 1)},{event % ("b", deep)},{event % ("c", 2)}]}}'.encode())
    assert outcomes == {"c40-a": "applied", "c40-b": outcome, "c40-c": "applied"}


def test_41_control_characters_reach_no_terminal_in_tail_and_list(world: Posted) -> None:
    outcomes = world.post(case("41-escape.json"))
    assert sorted(outcomes.values()) == ["applied", "quality_rule"]
    console = safe_console(file=io.StringIO(), width=120)
    for number, value in enumerate(world.values):
        found = world.core._decoder.decode(value, TOPIC, 0, number, NOON_MS)
        if isinstance(found, Event):
            console.print(event_line(clean.decode(event_record(found, "p", 1)[1])))
        else:
            assert isinstance(found, Rejected)
            record = clean.decode(rejected_record(found, TOPIC, 0, number, NOON_MS, value)[1])
            console.print(rejected_line(record))
            console.print(list_table([Record.of(record)]))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "c4101" in shown
    assert not [sign for sign in shown if not sign.isprintable() and sign != "\n"]


EVENT = b'{"type":"track","event":"Signed In","messageId":"c34-%s","userId":"c3401","timestamp":"2026-11-28T09:00:00Z"}'


@pytest.mark.parametrize(
    ("value", "code", "says"),
    [
        (None, "payload_format", "empty record"),
        (b"\x00\x00\x00\x00\x07" + EVENT % b"c", "payload_format", "schema id 7 is that of a schema registry"),
        (b'"' + (EVENT % b"e").replace(b'"', b'\\"') + b'"', "schema_violation", "object"),
        (EVENT % b"f" + b"\x00", "payload_format", "JSON"),
        (b"\x1f\x8b\x08" + EVENT, "payload_format", "JSON"),
        (b"<event/>", "payload_format", "JSON"),
        (EVENT % b"g" + EVENT % b"h", "payload_format", "JSON"),
    ],
)
def test_34_a_record_that_is_no_event_of_ours_is_rejected_for_what_it_is(value: bytes | None, code: str, says: str, world: Posted) -> None:
    found = world.core._decoder.decode(value, TOPIC, 0, 0, NOON_MS)
    assert isinstance(found, Rejected)
    assert found.code == code
    assert says in found.rule, found.rule


def test_34_a_byte_order_mark_is_ignored(world: Posted) -> None:
    found = world.core._decoder.decode(b"\xef\xbb\xbf" + EVENT % b"d", TOPIC, 0, 0, NOON_MS)
    assert isinstance(found, Event)
    assert found.node == "demo|user_id|c3401"
