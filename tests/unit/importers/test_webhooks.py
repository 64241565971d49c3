"""Webhooks: nothing is looked at before its signature was found genuine, and a delivery that comes again is a duplicate."""

import base64
import datetime as dt
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.import_job import judge
from config.sources import Signature, Source
from importers.mapping import MappingError
from importers.signatures import SecretError, Verifier
from importers.webhooks import Received, Refused, WebhookSource, open_source, receive
from stack.settings import PROJECT

MAPPINGS = PROJECT / "config" / "mappings"
NOW = dt.datetime(2026, 11, 2, 12, tzinfo=dt.UTC)
SECRETS = {"SHOP_SECRET": "shop-secret", "DESK_SECRET": "desk-secret", "OLD_SECRET": "old-secret"}
SHOP = Source(
    kind="webhook",
    tenant="demo",
    topic="cdp.raw.orders",
    mapping="webhooks/shop_orders.yaml",
    signature=Signature(header="X-Shopify-Hmac-Sha256", encoding="base64", secrets=["env:SHOP_SECRET", "env:OLD_SECRET"]),
)
DESK = Source(
    kind="webhook",
    tenant="demo",
    topic="cdp.raw.service",
    mapping="webhooks/tickets.yaml",
    signature=Signature(
        header="X-Zendesk-Webhook-Signature",
        encoding="base64",
        signs="{x-zendesk-webhook-signature-timestamp}{body}",
        time="x-zendesk-webhook-signature-timestamp",
        secrets=["env:DESK_SECRET"],
    ),
)
ORDER: dict[str, Any] = {
    "id": 820982911946154508, "name": "#1001", "email": "Ada.Example@example.org", "phone": None, "created_at": "2026-11-02T11:58:00+00:00",
    "updated_at": "2026-11-02T11:59:00+00:00", "currency": "GBP", "total_price": "7.50", "test": False,
    "customer": {"id": 17850, "email": "ada.example@example.org", "phone": "+44 20 7946 0018"}, "discount_codes": [{"code": "AUTUMN"}],
    "line_items": [
        {"product_id": 788032119674292922, "sku": "85123A", "title": "White hanging heart", "quantity": 3, "price": "2.50"},
    ],
}  # fmt: skip
REFUND = {
    "id": 509562969, "created_at": "2026-11-02T11:59:30+00:00", "transactions": [{"kind": "refund", "amount": "2.50"}],
    "refund_line_items": [{"quantity": 1, "line_item": {"sku": "85123A", "product_id": 1, "price": "2.50"}}],
}  # fmt: skip
TICKET: dict[str, Any] = {
    "id": "evt-1", "type": "zen:event-type:ticket.created", "time": "2026-11-02T11:59:00Z", "event": {},
    "detail": {
        "id": "5", "requester_id": "77", "requester_external_id": "17850", "requester_email": "Ada.Example@example.org", "priority": "HIGH",
        "via": {"channel": "web_form"}, "tags": ["delivery"], "custom_category": "delivery", "order_number": "7",
    },
}  # fmt: skip


def mac(secret: str, signed: bytes) -> str:
    return base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()


def shop(body: Any, topic: str = "orders/create", secret: str = "shop-secret") -> tuple[dict[str, str], bytes]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return {"X-Shopify-Topic": topic, "X-Shopify-Hmac-Sha256": mac(secret, raw), "Authorization": "Bearer x"}, raw


def desk(body: Any, at: str = "2026-11-02T11:59:30Z") -> tuple[dict[str, str], bytes]:
    raw = json.dumps(body).encode()
    return {"x-zendesk-webhook-signature-timestamp": at, "X-ZENDESK-Webhook-Signature": mac("desk-secret", at.encode() + raw)}, raw


@pytest.fixture
def shop_source() -> WebhookSource:
    return open_source("shop", SHOP, MAPPINGS, SECRETS)


@pytest.fixture
def desk_source() -> WebhookSource:
    return open_source("desk", DESK, MAPPINGS, SECRETS)


def taken(source: WebhookSource, delivery: tuple[dict[str, str], bytes]) -> list[Any]:
    received = receive(source, *delivery, NOW)
    assert isinstance(received, Received), received
    judged = judge("cdp.raw.orders", by_event_time=True)
    assert [judged(message) for message in received.messages] == [None] * len(received.messages)
    return [message.envelope for message in received.messages]


def refused(source: WebhookSource, delivery: tuple[dict[str, str], bytes]) -> tuple[int, str]:
    answer = receive(source, *delivery, NOW)
    assert isinstance(answer, Refused), answer
    return answer.status, answer.code


def test_an_order_becomes_an_event_the_platform_takes(shop_source: WebhookSource) -> None:
    (event,) = taken(shop_source, shop(ORDER))
    assert event["messageId"].startswith("shop:order:820982911946154508:created:")
    assert (event["event"], event["userId"], event["tenant"], event["timestamp"]) == (
        "Order Completed", "17850", "demo", "2026-11-02T11:58:00.000Z",
    )  # fmt: skip
    assert event["context"]["externalIds"] == [
        {"type": "email", "id": "ada.example@example.org"},
        {"type": "phone", "id": "+44 20 7946 0018"},
    ]
    assert event["context"]["source"] == "shop"
    assert event["properties"] == {
        "order_id": "820982911946154508", "total": 7.5, "currency": "GBP", "coupon": "AUTUMN",
        "products": [{"product_id": "85123A", "name": "White hanging heart", "quantity": 3, "price": 2.5}],
    }  # fmt: skip


def test_an_order_that_changes_is_refunded_or_cancelled_corrects_itself(shop_source: WebhookSource) -> None:
    updated = taken(shop_source, shop({**ORDER, "refunds": [REFUND]}, "orders/updated"))
    assert [one["event"] for one in updated] == ["Order Updated", "Order Refunded"]
    assert updated[1]["properties"] == {
        "refund_id": "509562969", "order_id": "820982911946154508", "status": "succeeded", "total": 2.5,
        "currency": "GBP",
        "products": [{"product_id": "85123A", "quantity": 1, "price": 2.5}],
    }  # fmt: skip
    again = taken(shop_source, shop({**ORDER, "updated_at": "2026-11-02T11:59:59+00:00", "refunds": [REFUND]}, "orders/updated"))
    assert again[1] | {"context": 0} == updated[1] | {"context": 0}, "a refund told twice is a duplicate"
    assert again[0]["messageId"] != updated[0]["messageId"]
    (cancelled,) = taken(
        shop_source, shop({**ORDER, "cancelled_at": "2026-11-02T11:59:59Z", "cancel_reason": "customer"}, "orders/cancelled")
    )
    assert cancelled["properties"] == {"order_id": "820982911946154508", "reason": "customer"}


def test_tickets(desk_source: WebhookSource) -> None:
    (opened,) = taken(desk_source, desk(TICKET))
    assert (opened["event"], opened["messageId"], opened["userId"], opened["anonymousId"]) == (
        "Ticket Opened",
        "desk:evt-1",
        "17850",
        "requester-77",
    )
    solved = {**TICKET, "id": "evt-2", "type": "zen:event-type:ticket.status_changed", "event": {"current": "SOLVED", "previous": "OPEN"}}
    assert [one["event"] for one in taken(desk_source, desk(solved))] == ["Ticket Closed"]
    moved = {**TICKET, "id": "evt-3", "type": "zen:event-type:ticket.priority_changed", "event": {"current": "LOW"}}
    assert [one["event"] for one in taken(desk_source, desk(moved))] == ["Ticket Updated"]
    spam = {**TICKET, "detail": {**TICKET["detail"], "tags": ["spam"]}}
    received = receive(desk_source, *desk(spam), NOW)
    assert received == Received([], "spam")


def test_a_delivery_that_comes_again_is_the_same_message(shop_source: WebhookSource) -> None:
    first, again = (receive(shop_source, *shop(ORDER), at) for at in (NOW, NOW + dt.timedelta(days=2)))
    assert isinstance(first, Received)
    assert isinstance(again, Received)
    assert [message.value for message in first.messages] == [message.value for message in again.messages]


def test_without_a_business_key_the_signed_body_is_the_identity(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("events: [{track: A, identifiers: {user_id: body.id}}, {track: B, identifiers: {user_id: body.id}}]")
    config = Source(
        kind="webhook", tenant="demo", topic="t", mapping="m.yaml", signature=Signature(header="s", secrets=["env:SHOP_SECRET"])
    )
    source = open_source("plain", config, tmp_path, SECRETS)
    raw = b'{"id": "u"}'
    signature = hmac.new(b"shop-secret", raw, hashlib.sha256).hexdigest()
    received = receive(source, {"S": signature.upper()}, raw, NOW)
    assert isinstance(received, Received)
    digest = hashlib.sha256(raw).hexdigest()[:32]
    assert [message.message_id for message in received.messages] == [f"plain:{digest}", f"plain:{digest}:1"]


def test_a_secret_that_is_being_replaced_still_counts(shop_source: WebhookSource) -> None:
    assert taken(shop_source, shop(ORDER, secret="old-secret"))


@given(st.integers(0, 10_000), st.integers(1, 255))
@settings(deadline=None)
def test_a_body_of_which_one_byte_is_another_is_refused_and_not_looked_at(at: int, change: int) -> None:
    source = open_source("shop", SHOP, MAPPINGS, SECRETS)
    headers, raw = shop(ORDER)
    at %= len(raw)
    assert refused(source, (headers, raw[:at] + bytes([raw[at] ^ change]) + raw[at + 1 :])) == (401, "bad_signature")


@pytest.mark.parametrize(
    "change",
    [
        {"X-Shopify-Hmac-Sha256": ""},
        {"X-Shopify-Hmac-Sha256": "AAAA"},
        {"X-Shopify-Hmac-Sha256": "ünïcode"},
        {"X-Shopify-Hmac-Sha256": mac("other", b"{}")},
    ],
)
def test_a_bad_signature_is_refused(shop_source: WebhookSource, change: dict[str, str]) -> None:
    headers, raw = shop(ORDER)
    assert refused(shop_source, (headers | change, raw)) == (401, "bad_signature")
    del headers["X-Shopify-Hmac-Sha256"]
    assert refused(shop_source, (headers, raw)) == (401, "bad_signature")


@pytest.mark.parametrize("at", ["2026-11-02T11:54:00Z", "2026-11-02T12:06:00Z", "yesterday", "2026-11-02T12:00:00", "1793620800000000000"])
def test_a_delivery_that_is_old_or_of_no_time_is_refused_though_it_is_signed(desk_source: WebhookSource, at: str) -> None:
    assert refused(desk_source, desk(TICKET, at)) == (401, "bad_signature")


def test_a_time_that_was_renewed_by_somebody_else_is_refused(desk_source: WebhookSource) -> None:
    headers, raw = desk(TICKET, "2026-11-01T00:00:00Z")
    headers["x-zendesk-webhook-signature-timestamp"] = "2026-11-02T11:59:59Z"
    assert refused(desk_source, (headers, raw)) == (401, "bad_signature")


def test_a_header_with_time_and_signatures_together() -> None:
    scheme = Signature(header="Signature", field="v1", signs="{t}.{body}", time="t", secrets=["env:SHOP_SECRET"])
    verifier = Verifier("pay", scheme, SECRETS)
    at = int(NOW.timestamp())
    right = hmac.new(b"shop-secret", f"{at}.body".encode(), hashlib.sha256).hexdigest()
    assert verifier.refusal({"signature": f"t={at},v1={right}"}, b"body", NOW) == ""
    assert verifier.refusal({"signature": f"t={at}, v1={'0' * 64}, v1={right}, v0=x"}, b"body", NOW) == ""
    assert verifier.refusal({"signature": f"t={at},v0={right}"}, b"body", NOW) == "no signature in Signature"
    assert verifier.refusal({"signature": f"t={at + 1},v1={right}"}, b"body", NOW) == "the signature does not fit"
    assert verifier.refusal({"signature": f"v1={right}"}, b"body", NOW) == "no signature in Signature"
    assert verifier.refusal({"signature": f"t={at},v1={right}"}, b"body", NOW + dt.timedelta(minutes=6)) == "signed 360 s away from now"


def test_a_prefix_belongs_to_the_signature() -> None:
    verifier = Verifier("hub", Signature(header="X-Hub-Signature-256", prefix="sha256=", secrets=["env:SHOP_SECRET"]), SECRETS)
    right = hmac.new(b"shop-secret", b"body", hashlib.sha256).hexdigest()
    assert verifier.refusal({"x-hub-signature-256": f"sha256={right}"}, b"body", NOW) == ""
    assert verifier.refusal({"x-hub-signature-256": right}, b"body", NOW) == "no signature in X-Hub-Signature-256"


def test_a_signature_that_a_sender_published_as_an_example_is_found_genuine() -> None:
    """Secret, body, time and signature of developer.zendesk.com's page on verifying (an early version of it, which put the body first)."""
    scheme = Signature(header="s", encoding="base64", signs="{body}{at}", time="at", secrets=["env:S"])
    verifier = Verifier("zen", scheme, {"S": "HRkRd4BeOAoUkfZr-mhauJT64rvBASlJRoIyPsd3zeA="})
    headers = {"s": "tRDSF7URY8BLCDlaBcQ7FHu051Zk+aAB0NKMP53teMw=", "at": "2021-07-25T10:00:00Z"}
    assert verifier.refusal(headers, b'{"say": "hello"}', dt.datetime(2021, 7, 25, 10, 1, tzinfo=dt.UTC)) == ""


def test_what_is_genuine_and_no_json_is_the_senders_mistake(shop_source: WebhookSource) -> None:
    assert refused(shop_source, shop(b"{")) == (400, "unreadable")
    assert refused(shop_source, shop(b"")) == (400, "unreadable")
    assert refused(shop_source, shop(b'"\xff"')) == (400, "unreadable")


def test_what_cannot_be_mapped_is_kept_without_headers_that_nobody_reads_and_not_asked_for_again(shop_source: WebhookSource) -> None:
    delivery = shop({**ORDER, "total_price": "Ada.Example@example.org"})
    answer = receive(shop_source, *delivery, NOW)
    assert isinstance(answer, Refused)
    assert (answer.status, answer.code) == (200, "unmapped")
    assert "example.org" not in answer.says.lower()
    kept = json.loads(answer.kept)
    assert kept["error"]["field"] == "events[0].properties.total"
    assert base64.b64decode(kept["original"]) == delivery[1]
    read = {"x-shopify-topic": "orders/create", "x-shopify-event-id": None, "x-shopify-triggered-at": None}
    assert kept["position"]["headers"] == read
    assert refused(shop_source, shop(ORDER, "products/create")) == (200, "unmapped")
    assert refused(shop_source, shop(b"[1]")) == (200, "unmapped")


@pytest.mark.parametrize(
    ("signature", "said"),
    [
        ({"secrets": ["env:NONE"]}, "the environment variable NONE with its secret is not set"),
        ({"secrets": ["file:/nowhere/secret"]}, "/nowhere/secret cannot be read"),
        ({"secrets": ["hunter2"]}, "does not stand in the configuration; say env:NAME or file:/path"),
        ({"secrets": []}, "at least one secret is needed"),
        ({"secrets": ["env:SHOP_SECRET"], "signs": "{t}"}, "`signs` must hold"),
        ({"secrets": ["env:SHOP_SECRET"], "time": "t"}, "must be part of `signs`"),
    ],
)
def test_a_scheme_that_proves_nothing_is_refused_when_it_is_opened(signature: dict[str, Any], said: str) -> None:
    with pytest.raises(SecretError, match=said):
        Verifier("s", Signature(header="h", **signature), SECRETS)


def test_a_secret_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("shop-secret\n")
    verifier = Verifier("s", Signature(header="h", secrets=[f"file:{tmp_path / 'secret'}"]), {})
    assert verifier.refusal({"h": hmac.new(b"shop-secret", b"x", hashlib.sha256).hexdigest()}, b"x", NOW) == ""
    (tmp_path / "secret").write_text("\n")
    with pytest.raises(SecretError, match="is empty"):
        Verifier("s", Signature(header="h", secrets=[f"file:{tmp_path / 'secret'}"]), {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("group_by: a\nevents: [{track: A, identifiers: {user_id: key}}]", "`group_by` is for files"),
        ("events: [{track: A, identifiers: {user_id: boddy.id}}]", "did you mean `body`"),
        ("events: [{track: A, identifiers: {user_id: 'headers.\"X-Id\"'}}]", "in lower case: `x-id`"),
    ],
)
def test_a_mapping_that_is_not_for_webhooks_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "m.yaml").write_text(text)
    config = Source(
        kind="webhook", tenant="demo", topic="t", mapping="m.yaml", signature=Signature(header="s", secrets=["env:SHOP_SECRET"])
    )
    with pytest.raises(MappingError, match=said):
        open_source("s", config, tmp_path, SECRETS)
