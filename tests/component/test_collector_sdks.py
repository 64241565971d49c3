"""Unmodified official clients against the collector: each call of a scripted session arrives, with its name, time and identity."""

import contextlib
import datetime as dt
import functools
import http.server
import json
import os
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message
from playwright.sync_api import Page, sync_playwright
from segment.analytics.client import Client

from pipelines.wire import Event, OrderFacts, Rejected
from tests.collectors import TOPIC, Running, decoded, ends, records, running, value
from tests.npm import package
from tests.stacks import Stack, eventually, read_all

SDKS = Path(__file__).with_name("sdks")
NODE_SDK = ("@segment/analytics-node", "3.1.0")
BROWSER_SDK = ("@segment/analytics-next", "1.84.3")
PRODUCTS = [
    {"product_id": "85123A", "name": "Heart", "price": 5.25, "quantity": 2},
    {"product_id": "71053", "name": "Lantern", "price": 15, "quantity": 1},
]
CALLS = Counter(["page", "identify", "Product Viewed", "Order Completed", "screen", "group", "alias"])
AROUND_S = 2.0


@pytest.fixture(scope="module")
def collector(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    sources = {"shop": {"write_key": "shop-key", "origins": ["*"], "enrich": {"ip": True, "user_agent": True}}}
    with running(tmp_path_factory.mktemp("sdks") / "one", sources=sources) as found:
        yield found


class Session:
    """The records of one session, found by the client's name in all of its identifiers."""

    def __init__(self, client: str) -> None:
        self.began_ms = time.time() * 1000
        self._client = client
        self._since = ends()

    def messages(self, count: int) -> list[Message]:
        """All of them, once so many are there."""
        eventually(lambda: len(self._new()) >= count, f"{count} calls of {self._client} in the topic", 30.0)
        return self._new()

    def _new(self) -> list[Message]:
        return list(records(since=self._since).values())

    def is_now(self, moment_ms: float) -> bool:
        """Whether a time lies within this session."""
        return self.began_ms - AROUND_S * 1000 <= moment_ms <= time.time() * 1000 + AROUND_S * 1000


def check(session: Session, library: str, user: str, anonymous: str) -> dict[str, tuple[dict[str, Any], Event]]:
    """What holds for every client: all calls, no more, none rejected, names, times and identities right; by name for more checks."""
    found: dict[str, tuple[dict[str, Any], Event]] = {}
    messages = session.messages(sum(CALLS.values()))
    for message in messages:
        raw, event = value(message), decoded(message)
        assert isinstance(event, Event), f"{raw.get('type')}: {event}"
        assert (raw["context"]["source"], raw["tenant"], raw["context"]["library"]["name"]) == ("shop", "demo", library)
        found[event.name] = raw, event
    assert Counter(event.name for _, event in found.values()) == CALLS
    assert len(messages) == sum(CALLS.values())
    for name in ("identify", "Order Completed", "screen", "group", "alias"):
        raw, event = found[name]
        assert (raw["userId"], event.node) == (user, f"demo|user_id|{user}")
        assert session.is_now(event.event_time), f"{name}: {event.event_time}"
    raw, event = found["page"]
    assert (raw["name"], raw["anonymousId"], event.node) == ("Home", anonymous, f"demo|anonymous_id|{anonymous}")
    raw, event = found["identify"]
    assert (raw["traits"]["name"], raw["traits"]["plan"]) == ("Zoë", "gold")
    assert f"demo|anonymous_id|{anonymous}" in event.identifiers
    raw, event = found["Order Completed"]
    assert raw["properties"]["products"] == PRODUCTS
    assert event.facts == OrderFacts(raw["properties"]["order_id"], 2550, [("85123A", 2), ("71053", 1)])
    assert found["Product Viewed"][0]["properties"] | {"product_id": "85123A", "price": 5.25} == found["Product Viewed"][0]["properties"]
    assert found["screen"][0]["name"] == "Basket"
    assert (found["group"][0]["groupId"], found["group"][0]["traits"]) == ("acme", {"size": 12})
    return found


def yesterday() -> dt.datetime:
    return (dt.datetime.now(dt.UTC) - dt.timedelta(days=1)).replace(microsecond=0)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_python(collector: Running, packed: bool) -> None:
    errors: list[object] = []
    client = Client("shop-key", host=collector.url, gzip=packed, on_error=lambda error, _batch: errors.append(error), upload_interval=0.1)
    name = f"python-{packed}"
    user, anonymous, happened = f"{name}-user", f"{name}-anon", yesterday()
    session = Session(name)
    client.page(anonymous_id=anonymous, name="Home", properties={"url": "http://shop.example/"})
    client.identify(user, {"name": "Zoë", "plan": "gold"}, anonymous_id=anonymous)
    client.track(user, "Product Viewed", {"product_id": "85123A", "price": 5.25}, timestamp=happened)
    client.track(user, "Order Completed", {"order_id": name, "currency": "GBP", "total": 25.5, "products": PRODUCTS})
    client.screen(user, name="Basket")
    client.group(user, "acme", {"size": 12})
    client.alias(anonymous, user)
    client.shutdown()
    assert errors == []
    found = check(session, "analytics-python", user, anonymous)
    assert abs(found["Product Viewed"][1].event_time - happened.timestamp() * 1000) < AROUND_S * 1000
    assert found["alias"][0]["previousId"] == anonymous
    assert "ip" in found["page"][0]["context"]


def test_python_with_a_number_that_json_does_not_have_loses_that_event_to_the_rejected_and_no_other(collector: Running) -> None:
    """`json.dumps` writes NaN, so the whole body is no JSON: a collector that answered 400 would cost the SDK's whole batch."""
    client = Client("shop-key", host=collector.url, upload_interval=0.5)
    session = Session("python-nan")
    client.track("nan-user", "Product Viewed", {"product_id": "a", "price": 1.0})
    client.track("nan-user", "Product Viewed", {"product_id": "b", "price": float("nan")})
    client.track("nan-user", "Product Viewed", {"product_id": "c", "price": 3.0})
    client.shutdown()
    outcomes = [decoded(message) for message in session.messages(2)]
    assert sorted(json.loads(found.properties)["product_id"] for found in outcomes if isinstance(found, Event)) == ["a", "c"]
    (bad,) = [message for message in read_all(TOPIC) if b"NaN" in (message.value() or b"") and b"nan-user" in (message.value() or b"")]
    rejected = decoded(bad)
    assert isinstance(rejected, Rejected)
    assert rejected.code == "payload_format"


def test_node(collector: Running, stack: Stack) -> None:
    modules = package(stack.settings, *NODE_SDK)
    happened = yesterday()
    session = Session("node")
    command = ["node", str(SDKS / "session.cjs"), collector.url, "shop-key", happened.isoformat()]
    done = subprocess.run(command, env=os.environ | {"NODE_PATH": str(modules)}, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
    found = check(session, "@segment/analytics-node", "node-user", "node-anon")
    assert abs(found["Product Viewed"][1].event_time - happened.timestamp() * 1000) < AROUND_S * 1000
    assert found["alias"][0]["previousId"] == "node-anon"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_words: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def shop(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A web server of another origin than the collector's, with the page and the SDK as it comes out of its package."""
    folder = tmp_path_factory.mktemp("shop")
    shutil.copy(SDKS / "shop.html", folder / "index.html")
    (folder / "left.html").write_text('<!doctype html><link rel="icon" href="data:,"><title>gone</title>')
    (folder / "sdk").symlink_to(package(stack.settings, *BROWSER_SDK) / BROWSER_SDK[0] / "dist" / "umd")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def chromium() -> str:
    """Debian's Chromium. A machine without it fails the tests that need it: a test that is skipped has shown nothing."""
    found = shutil.which("chromium")
    assert found, "there is no Chromium: apt-get install chromium"
    return found


@contextlib.contextmanager
def browser_page() -> Iterator[tuple[Page, list[str]]]:
    """A page of Debian's Chromium, and what went wrong in it."""
    troubles: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page()
        page.on("console", lambda message: troubles.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("requestfailed", lambda request: troubles.append(f"{request.url}: {request.failure}"))
        page.on("response", lambda answer: troubles.append(f"{answer.url}: {answer.status}") if answer.status >= 400 else None)
        yield page, troubles
        browser.close()


def address(shop: str, collector: Running, more: str = "") -> str:
    return f"{shop}/index.html#key=shop-key&collector={collector.url}{more}"


def test_browser(collector: Running, shop: str) -> None:
    session = Session("browser")
    with browser_page() as (page, troubles):
        page.goto(address(shop, collector))
        assert page.evaluate("loaded")
        anonymous = page.evaluate("visit()")
        found = check(session, "analytics.js", "browser-user", anonymous)
        agent = page.evaluate("navigator.userAgent")
    assert troubles == []
    assert found["Product Viewed"][1].node == f"demo|anonymous_id|{anonymous}"
    assert session.is_now(found["Product Viewed"][1].event_time)
    assert found["alias"][0]["previousId"] == "browser-old"
    context = found["page"][0]["context"]
    assert (context["userAgent"], context["ip"]) == (agent, "127.0.0.1")
    assert context["page"]["url"].startswith(shop)


def test_browser_that_leaves_the_page_sends_what_it_still_holds(collector: Running, shop: str) -> None:
    session = Session("leaving")
    with browser_page() as (page, troubles):
        page.goto(address(shop, collector, "&batching"))
        assert page.evaluate("loaded")
        page.evaluate("leave()")
        assert session._new() == [], "it holds its events back"
        page.click("a")
        page.wait_for_url("**/left.html")
        messages = session.messages(4)
    assert troubles == []
    events = [decoded(message) for message in messages]
    assert not [event for event in events if isinstance(event, Rejected)]
    names = Counter(event.name for event in events if isinstance(event, Event))
    assert names == Counter(["identify", "Product Viewed", "Product Added", "Page Left"])
    assert {event.node for event in events if isinstance(event, Event)} == {"demo|user_id|leaving-user"}
    assert all(session.is_now(event.event_time) for event in events if isinstance(event, Event))
