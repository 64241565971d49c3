"""One record by itself: shape, identifiers, time."""

import json
from typing import Any

import pytest

from tests.oracle.envelope import Event, Rejection, judge_alone
from tests.unit.oracle.cases import RULES, at, iso


def judged(body: dict[str, Any] | bytes | None, log_ms: int = at(10)) -> Event | Rejection | None:
    return judge_alone(json.dumps(body).encode() if isinstance(body, dict) else body, log_ms, RULES)


def event(**fields: Any) -> Event:
    found = judged({"type": "page", "messageId": "m", "userId": "7", **fields})
    assert isinstance(found, Event)
    return found


def code(**fields: Any) -> str:
    found = judged({"type": "page", "messageId": "m", "userId": "7", **fields})
    assert isinstance(found, Rejection)
    return found.code


def test_only_the_exact_bytes_are_a_tick() -> None:
    assert judged(b'{"type":"tick"}') is None
    assert judged(b'{"type": "tick"}') == Rejection("schema_violation")


@pytest.mark.parametrize(
    "value", [None, b"", b"{", b"\xff", b"nonsense", b'{"a":NaN}', b'{"a":1e400}', b'{"a":"\\ud800"}', b"[" * 65 + b"]" * 65]
)
def test_bytes_that_are_no_json(value: bytes | None) -> None:
    assert judged(value) == Rejection("payload_format")


def test_sixty_four_levels_are_allowed() -> None:
    assert judged(b"[" * 64 + b"]" * 64) == Rejection("schema_violation")


def test_brackets_inside_strings_are_not_nesting() -> None:
    assert event(traits={"note": "[" * 500 + '"{'}).type == "page"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"userId": "17850.0"}, "demo|user_id|17850"),
        ({"userId": " 17850 "}, "demo|user_id|17850"),
        ({"userId": "17850.5"}, "demo|user_id|17850.5"),
        ({"userId": "null", "anonymousId": "d.0"}, "demo|anonymous_id|d.0"),
        ({"userId": None, "anonymousId": "d"}, "demo|anonymous_id|d"),
        (
            {"userId": None, "context": {"externalIds": [{"type": "open_id", "id": "o"}, {"type": "member_id", "id": "12.0"}]}},
            "demo|member_id|12",
        ),
    ],
)
def test_the_strongest_usable_identifier_owns_the_event(fields: dict[str, Any], expected: str) -> None:
    assert event(**fields).node == expected


def test_identifiers_that_name_nobody() -> None:
    assert code(userId="0.0") == "identifier_missing"
    assert code(userId="UNDEFINED", anonymousId=" ") == "identifier_missing"
    assert code(userId=None, context={"externalIds": [{"type": "shoe_size", "id": "44"}]}) == "identifier_missing"


def test_an_object_stands_in_for_an_identifier() -> None:
    found = event(type="track", event="Shipment Delivered", userId=None, properties={"shipment_id": "s", "order_id": "17"})
    assert (found.node, found.identifiers, found.tenant, found.object) == ("", [], "demo", "order||17")
    assert event(type="track", event="Order Refunded", userId="null", properties={"refund_id": "r", "total": 1.0}).object == "refund||r"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"event": "Order Refunded", "properties": {"refund_id": "r", "order_id": "o", "total": 1}}, "order||o"),
        ({"event": "Order Refunded", "properties": {"refund_id": "r", "order_id": "", "total": 1}}, "refund||r"),
        ({"event": "Order Refunded", "properties": {"refund_id": "r", "order_id": None, "total": 1}}, "refund||r"),
        ({"event": "Ticket Closed", "properties": {"ticket_id": " a|b "}}, "ticket|| a|b "),
        ({"event": "Survey Answered", "properties": {"survey_id": "s", "ticket_id": "t" * 256}}, "ticket||" + "t" * 256),
        ({"event": "Survey Answered", "properties": {"survey_id": "s", "ticket_id": "t" * 257}}, ""),
        ({"event": "Survey Answered", "properties": {"survey_id": "s"}}, ""),
        ({"event": "Checkout Started", "properties": {"order_id": "o"}}, ""),
        ({"event": "Something Happened", "properties": {"order_id": "o"}}, ""),
        ({"event": "Ticket Closed", "type": "page", "properties": {"ticket_id": "t"}}, ""),
    ],
)
def test_what_an_event_concerns(fields: dict[str, Any], expected: str) -> None:
    assert event(**{"type": "track", **fields}).object == expected


def test_the_source_says_who_issued_the_number() -> None:
    rules = RULES._replace(issuers={"shop-a": "a"})
    for source, issuer in (("shop-a", "a"), ("shop-b", ""), (5, "")):
        body = {"type": "track", "event": "Lead Submitted", "messageId": "m", "properties": {"lead_id": "1"}, "context": {"source": source}}
        found = judge_alone(json.dumps(body).encode(), at(10), rules)
        assert isinstance(found, Event)
        assert (found.object, found.issuer) == (f"lead|{issuer}|1", issuer)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"type": "page", "properties": {"order_id": "o"}}, "identifier_missing"),
        ({"event": "Something Happened", "properties": {"order_id": "o"}}, "identifier_missing"),
        ({"event": "Product Viewed", "properties": {"product_id": 5}}, "identifier_missing"),
        ({"event": "Survey Answered", "properties": {"survey_id": "s"}}, "identifier_missing"),
        ({"event": "Order Cancelled", "properties": {"order_id": ""}}, "identifier_missing"),
        ({"event": "Order Cancelled", "properties": {"order_id": 7}}, "identifier_missing"),
        ({"event": "Order Cancelled", "properties": {"order_id": "o" * 257}}, "identifier_missing"),
        ({"event": "Order Refunded", "properties": {"refund_id": "r", "order_id": 7, "total": 1}}, "schema_violation"),
        ({"event": "Order Completed", "properties": {"order_id": "o"}}, "schema_violation"),
        ({"event": "Payment Completed", "properties": {"order_id": "o", "amount": -1}}, "quality_rule"),
        ({"event": "Order Cancelled", "properties": {"order_id": "o"}, "context": {"sourceOrder": -1}}, "schema_violation"),
        ({"event": "Order Cancelled", "properties": {"order_id": ""}, "context": {"sourceOrder": -1}}, "identifier_missing"),
        ({"event": "Order Cancelled", "properties": {"order_id": "o"}, "timestamp": "1999-01-01T00:00:00Z"}, "timestamp_out_of_range"),
    ],
)
def test_without_identifiers_every_other_check_keeps_its_place(fields: dict[str, Any], expected: str) -> None:
    assert code(**{"type": "track", "userId": None, **fields}) == expected


def test_event_time_is_the_timestamp_else_corrected_for_the_clients_clock() -> None:
    log_ms = at(10)
    assert event(timestamp="2011-01-10T12:00:00Z").event_ms == at(9.5)
    assert event(timestamp="2011-01-10T13:00:00+01:00").event_ms == at(9.5)
    assert event(timestamp="2011-01-10T12:00:00").event_ms == at(9.5)
    skewed = {"originalTimestamp": "2014-05-01T00:00:00Z", "sentAt": "2014-05-01T00:01:00Z"}
    assert event(**skewed).event_ms == log_ms - 60_000
    assert event(**skewed, receivedAt=iso(at(9))).event_ms == at(9) - 60_000
    assert event(originalTimestamp=iso(at(3))).event_ms == at(3)
    assert event(sentAt=iso(at(3))).event_ms == log_ms


def test_the_bounds_of_event_time() -> None:
    log_ms = at(10)
    assert event(timestamp=iso(log_ms + 300_000)).event_ms == log_ms
    assert code(timestamp=iso(log_ms + 300_001)) == "timestamp_out_of_range"
    assert event(timestamp="2000-01-01T00:00:00Z").late
    assert code(timestamp="1999-12-31T23:59:59.999Z") == "timestamp_out_of_range"
    assert not event(timestamp=iso(log_ms - 604_800_000)).late
    assert event(timestamp=iso(log_ms - 604_800_001)).late


def test_channel() -> None:
    assert event().channel == "web"
    assert event(context={"channel": "store"}).channel == "store"
    assert event(context={"channel": "pigeon"}).channel == "other"


def test_sizes() -> None:
    assert code(traits={"note": "x" * 32_768}) == "size_violation"
    assert event(messageId="m" * 100).message_id == "m" * 100
    assert code(messageId="m" * 101) == "size_violation"
    long_order = {
        "type": "track",
        "event": "Order Cancelled",
        "messageId": "m",
        "userId": "7",
        "properties": {"order_id": "1", "note": "x" * 200_000},
    }
    assert isinstance(judged(long_order), Event)


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"product_id": 5}, "schema_violation"),
        ({"product_id": "a", "price": "2"}, "schema_violation"),
        ({"product_id": "a", "quantity": 1.5}, "schema_violation"),
        ({"product_id": "a", "quantity": True}, "schema_violation"),
        ({"product_id": "a", "price": -1}, "quality_rule"),
        ({"product_id": "a", "quantity": 0}, "quality_rule"),
        ({"product_id": "a", "currency": "CHF"}, "quality_rule"),
        ({"product_id": "a", "price": "-1", "quantity": 0}, "schema_violation"),
    ],
)
def test_properties_of_a_view(properties: dict[str, Any], expected: str) -> None:
    assert code(type="track", event="Product Viewed", properties=properties) == expected


def test_names_that_are_not_typed_are_not_checked() -> None:
    assert event(type="track", event="Something Happened", properties={"product_id": 5}).name == "Something Happened"
    assert event(type="page", event="Product Viewed", properties={"product_id": 5}).name == "page"
