"""Whatever stands on a control topic is taken or rejected with its place, its bytes and a reason: nothing raises."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.definitions import CutPoints
from operations.controls import _poke
from pipelines import control
from pipelines.control import DEFINITIONS, POKES, Definition, Framed, NodePoke
from pipelines.history.cut_points import definition as published
from pipelines.ingest.records import rejected_record
from pipelines.wire import Poke, Rejected
from schemas import clean

TENANTS = ("demo", "other")
TOPICS = (POKES, DEFINITIONS)
NODE = "demo|user_id|u1"
GOOD: dict[str, tuple[str, dict[str, Any]]] = {
    POKES: ("p1", {"tenant": "demo", "profile_id": "p1", "reason": "new cut points"}),
    DEFINITIONS: (
        "demo/cut_points",
        {
            "tenant": "demo",
            "kind": "cut_points",
            "version": 2,
            "body": {"version": 2, "recency": [1.0, 2, 3, 4], "frequency": [1, 1, 2, 3], "monetary": [0.5, 1, 2, 9]},
        },
    ),
}


def take(topic: str, key: str, value: bytes) -> Any:
    framed = control.unframe(control.frame(topic, 1, 42, 1_700_000_000_000, value))
    assert framed == Framed(topic, 1, 42, 1_700_000_000_000, value)
    if topic == DEFINITIONS:
        return control.definition(key, framed, TENANTS)
    told = [control.to_node(key, framed, TENANTS), control.to_profile(key, framed, TENANTS)]
    (found,) = (one for one in told if one is not None)  # whoever else hears of it leaves it alone
    return found


def test_what_is_right_is_taken() -> None:
    found = {topic: take(topic, key, json.dumps(told).encode()) for topic, (key, told) in GOOD.items()}
    assert found[POKES] == Poke("demo", "p1", "new cut points")
    assert found[DEFINITIONS] == Definition("demo", CutPoints(2, [1, 2, 3, 4], [1, 1, 2, 3], [0.5, 1, 2, 9]))


def test_what_the_platform_writes_itself_is_right() -> None:
    cuts = CutPoints(7, [1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4])
    key, value = published("demo", cuts)
    assert take(DEFINITIONS, key, value) == Definition("demo", cuts)
    assert take(POKES, "p9", _poke("demo", {"profile_id": "p9"}, "why")) == Poke("demo", "p9", "why")
    assert take(POKES, NODE, _poke("demo", {"node": NODE}, "why")) == NodePoke(NODE, "demo")


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"", "payload_format"),
        (b"garbage", "payload_format"),
        (b"{", "payload_format"),
        (b"\x95\x01\x02", "payload_format"),
        (b"\xff\xfe", "payload_format"),
        (b"@1|2|3|x|{}", "payload_format"),
        (b"[]", "payload_format"),
        (b"null", "payload_format"),
        (b'{"epoch":NaN}', "payload_format"),
        (b'{"epoch":18446744073709551616}', "payload_format"),
        (b"[" * 100_000, "payload_format"),
        (b"{}", "schema_violation"),
        (b'{"tenant":["demo"]}', "schema_violation"),
        (b'{"tenant":"nobody"}', "schema_violation"),
        (b'{"tenant":"demo"}', "schema_violation"),
        (b'{"tenant":"demo","x":"' + b"x" * 1_500_000 + b'"}', "size_violation"),
    ],
    ids=lambda value: str(value[:12]) if isinstance(value, bytes) else value,
)
def test_what_is_no_message_is_rejected(topic: str, value: bytes, code: str) -> None:
    found = take(topic, "k", value)
    assert isinstance(found, Rejected)
    assert found.code == code


@pytest.mark.parametrize(
    ("topic", "change", "field"),
    [
        (POKES, {"profile_id": "p2"}, "$.profile_id"),
        (POKES, {"reason": "x" * 1001}, "$.reason"),
        (POKES, {"node": "demo|user_id|u2"}, "$.node"),
        (POKES, {"node": 5}, "$.node"),
        (DEFINITIONS, {"kind": "tags"}, "$.kind"),
        (DEFINITIONS, {"kind": 5}, "$.kind"),
        (DEFINITIONS, {"tenant": "other"}, "$.kind"),
        (DEFINITIONS, {"version": 0}, "$.version"),
        (DEFINITIONS, {"version": 3}, "$.body.version"),
        (DEFINITIONS, {"body": None}, "$.body"),
        (DEFINITIONS, {"body": GOOD[DEFINITIONS][1]["body"] | {"recency": [4, 3, 2, 1]}}, "$.body.recency"),
        (DEFINITIONS, {"body": GOOD[DEFINITIONS][1]["body"] | {"monetary": [1, 2]}}, "$.body.monetary"),
        (DEFINITIONS, {"body": GOOD[DEFINITIONS][1]["body"] | {"frequency": ["1", 2, 3, 4]}}, "$.body.frequency[0]"),
    ],
)
def test_what_is_wrong_is_rejected_by_its_field(topic: str, change: dict[str, Any], field: str) -> None:
    key, told = GOOD[topic]
    found = take(topic, key, json.dumps(told | change).encode())
    assert isinstance(found, Rejected)
    assert (found.code, found.field) == ("schema_violation", field)


@pytest.mark.parametrize("topic", TOPICS)
def test_a_record_without_a_key_is_rejected(topic: str) -> None:
    assert isinstance(take(topic, "", json.dumps(GOOD[topic][1]).encode()), Rejected)


@given(st.sampled_from(TOPICS), st.text(max_size=20), st.binary(max_size=200))
def test_nothing_raises_and_the_bytes_are_kept(topic: str, key: str, value: bytes) -> None:
    found = take(topic, key, value)
    assert isinstance(found, Rejected)
    record = clean.decode(rejected_record(found, topic, 1, 42, 1_700_000_000_000, value)[1])
    assert (record["source"], record["partition"], record["offset"], record["original"]) == (topic, 1, 42, value)
