"""Webhooks at the HTTP edge: what is signed becomes events once, what is not is never looked at."""

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from config import loader
from importers.unmapped import TOPIC as UNMAPPED
from pipelines.wire import Event, OrderFacts
from tests.collectors import Running, decoded, records, running
from tests.stacks import Stack, read_all

SECRET = "of the shop"
TOPIC = "cdp.raw.orders"


@pytest.fixture(scope="module")
def collector(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A collector with the webhooks of config/sources.yaml; the shop's has a secret, the ticket system's has none."""
    shipped = yaml.safe_load((loader.folder() / "sources.yaml").read_text())
    os.environ["CDP_SHOP_WEBHOOK_SECRET"] = SECRET
    try:
        hooks = {name: source for name, source in shipped.items() if source["kind"] in ("webhook", "http")}
        with running(tmp_path_factory.mktemp("hooks") / "one", sources=hooks) as found:
            yield found
    finally:
        del os.environ["CDP_SHOP_WEBHOOK_SECRET"]


def order(number: int, **changes: Any) -> bytes:
    lines = [{"sku": "85123A", "title": "Heart", "quantity": 2, "price": "2.55"}]
    body = {"id": number, "created_at": "2026-11-01T10:00:00+01:00", "currency": "GBP", "total_price": "5.10", "line_items": lines}
    return json.dumps(body | {"customer": {"id": 77, "email": "a@example.org"}} | changes).encode()


def deliver(collector: Running, body: bytes, secret: str = SECRET, name: str = "shop-orders") -> tuple[int, dict[str, Any]]:
    signature = base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()
    headers = {"X_Shopify_Hmac_Sha256": signature, "X_Shopify_Topic": "orders/create"}
    answer = collector.post(f"/v1/webhooks/{name}", body, key="", **headers)
    return answer.status, answer.json()


def test_a_genuine_order_is_an_event_and_its_repetition_a_duplicate(collector: Running) -> None:
    assert deliver(collector, order(4711)) == (200, {"success": True, "became": "applied"})
    (message,) = records(TOPIC, "shop-orders:order:4711").values()
    event = decoded(message)
    assert isinstance(event, Event)
    assert (event.name, event.origin, event.node) == ("Order Completed", "shop-orders", "demo|user_id|77")
    assert event.facts == OrderFacts("4711", 510, [("85123A", 2)])
    assert deliver(collector, order(4711))[0] == 200
    told = [found.value() for found in read_all(TOPIC) if b"shop-orders:order:4711" in (found.value() or b"")]
    ids = {json.loads(value or b"")["messageId"] for value in told}
    assert (len(told), len(ids)) == (2, 1), "the same id: the node knows it again"


def test_what_is_not_genuine_is_not_processed(collector: Running) -> None:
    before = len(read_all(TOPIC)), len(read_all(UNMAPPED))
    status, said = deliver(collector, order(4712), secret="of somebody else")
    assert (status, said["code"]) == (401, "bad_signature")
    assert (len(read_all(TOPIC)), len(read_all(UNMAPPED))) == before


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [(b"{", 400, "unreadable"), (order(4713, total_price="much"), 200, "unmapped"), (order(4714, test=True), 200, "skipped")],
)
def test_what_is_genuine_and_no_event_says_so(collector: Running, body: bytes, status: int, word: str) -> None:
    found, said = deliver(collector, body)
    assert (found, said.get("code") or said.get("became")) == (status, word)


def test_what_cannot_be_mapped_is_kept_byte_for_byte(collector: Running) -> None:
    body = order(4715, line_items="none")
    assert deliver(collector, body)[1]["became"] == "unmapped"
    kept = [json.loads(message.value() or b"") for message in read_all(UNMAPPED)]
    (mine,) = [record for record in kept if base64.b64decode(record["original"]) == body]
    assert (mine["source"], mine["tenant"]) == ("shop-orders", "demo")
    assert mine["error"]["rule"]


def test_a_webhook_without_a_secret_is_closed_and_asks_to_be_tried_again(collector: Running) -> None:
    answer = collector.post("/v1/webhooks/tickets", b"{}", key="")
    assert (answer.status, answer.json()["code"], answer.headers["Retry-After"]) == (503, "no_secret", "60")
    assert collector.post("/v1/webhooks/nobody", b"{}", key="").status == 404
    assert collector.ask("GET", "/v1/webhooks/tickets").status == 405
