"""Unmodified clients, from the call to the profile: Python, Node, and the browser SDK in the demo shop, in a real Chromium."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import urllib3
from playwright.sync_api import Page, sync_playwright
from segment.analytics.client import Client as PythonSdk

from config import loader
from profile_store.client import Client
from sinks.clickhouse import ClickHouse
from stack.settings import PROJECT
from tests.component.test_collector_sdks import NODE_SDK, PRODUCTS, SDKS, chromium, yesterday
from tests.npm import package
from tests.stacks import eventually, free_ports
from tests.system.running import Running, say

WRITE_KEY = "demo-web-shop"
IN_CLICKHOUSE_WITHIN_S = 60.0


def rows(user: str) -> list[dict[str, Any]]:
    """What ClickHouse has of somebody."""
    columns = "name, origin, toUnixTimestamp64Milli(event_time) AS at, toUnixTimestamp64Milli(log_time) AS log_at"
    node = f"{loader.platform().default_tenant}|user_id|{user}"
    return ClickHouse(loader.platform().clickhouse).rows(f"SELECT {columns} FROM events WHERE node = '{node}' ORDER BY event_time")


def await_rows(user: str, names: Counter[str]) -> list[dict[str, Any]]:
    """Wait until ClickHouse has every call, and no other."""
    eventually(
        lambda: len(rows(user)) >= sum(names.values()), f"{sum(names.values())} calls of {user} in ClickHouse", IN_CLICKHOUSE_WITHIN_S
    )
    found = rows(user)
    assert Counter(row["name"] for row in found) == names
    assert {row["origin"] for row in found} == {"web-shop"}
    return found


def check(user: str, names: Counter[str], happened_ms: float) -> None:
    """The calls are in ClickHouse at their times, and on the profile."""
    found = await_rows(user, names)
    viewed = next(row for row in found if row["name"] == "Product Viewed")
    assert abs(int(viewed["at"]) - happened_ms) < 2000, "the time the client gave"
    assert all(abs(int(row["at"]) - int(row["log_at"])) < 5000 for row in found if row is not viewed), "the time of the call"
    profile = Client(loader.platform().redis.url, loader.platform().default_tenant).get(f"user_id:{user}")
    assert profile is not None
    wanted = {"orders_lifetime": 1, "gross_lifetime": 25.5, "views_lifetime": 1, "views_1h": 0, "views_7d": 1}
    assert {name: profile.fields[name] for name in wanted} == wanted
    assert dict(profile.fields["top_products"]) == {"85123A": 2, "71053": 1}


@pytest.mark.timeout(600)
def test_python_and_node(live: Running) -> None:
    url, happened = f"http://127.0.0.1:{live.settings.ports.collector}", yesterday()
    names = Counter(["identify", "Product Viewed", "Order Completed", "screen", "group", "alias"])
    client = PythonSdk(WRITE_KEY, host=url, gzip=True, upload_interval=0.1)
    client.identify("py-user", {"name": "Zoë", "plan": "gold"}, anonymous_id="py-anon")
    client.track("py-user", "Product Viewed", {"product_id": "85123A", "price": 5.25}, timestamp=happened)
    client.track("py-user", "Order Completed", {"order_id": "py-1", "currency": "GBP", "total": 25.5, "products": PRODUCTS})
    client.screen("py-user", name="Basket")
    client.group("py-user", "acme", {"size": 12})
    client.alias("py-anon", "py-user")
    client.shutdown()
    command = ["node", str(SDKS / "session.cjs"), url, WRITE_KEY, happened.isoformat()]
    modules = package(live.settings, *NODE_SDK)
    done = subprocess.run(command, env=os.environ | {"NODE_PATH": str(modules)}, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
    for user in ("py-user", "node-user"):
        check(user, names, happened.timestamp() * 1000)
        say(f"{user}: every call in ClickHouse and on the profile")


@pytest.fixture
def shop(live: Running) -> Iterator[str]:
    """The demo shop, as `cdp shop` opens it."""
    port = free_ports(1)
    command = [sys.executable, "-m", "cli.main", "shop", "--port", str(port)]
    child = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: urllib3.request("GET", url, retries=False, timeout=2.0).status == 200, "the shop is open", 120.0)
        yield url
    finally:
        child.terminate()
        child.wait(20)


def buy(page: Page, user: str) -> None:
    """Look, add, sign in, buy, ask."""
    page.click(".tile a.name >> nth=1")
    page.click("#add")
    page.click("#account")
    page.fill("input[name=user]", user)
    page.click("button[value=ok]")
    page.wait_for_function(f"document.getElementById('account').textContent.includes('{user}')")
    page.fill("#search input", "bag")
    page.press("#search input", "Enter")
    page.click(".tile a.name >> nth=0")
    page.click("#add")
    page.click("#complain")
    page.click("a.cart")
    page.click("#buy")
    page.wait_for_selector("text=Thank you")


@pytest.mark.timeout(600)
def test_the_shop_shows_the_profile_that_its_visitor_makes(shop: str) -> None:
    user, troubles = f"shopper{int(time.time())}", list[str]()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.on("console", lambda message: troubles.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.goto(shop)
        page.wait_for_selector("body[data-ready=yes]")
        buy(page, user)
        # The panel is drawn from Redis by way of the whole pipeline: that it says so is what is tested.
        page.wait_for_function(
            "[...document.querySelectorAll('#card tr')].some(row => /orders/.test(row.textContent) && row.lastChild.textContent === '1')"
        )
        page.wait_for_function("document.querySelectorAll('#sent .wait').length === 0")
        seen = page.inner_text("#sent")
        browser.close()
    assert troubles == []
    say("the shop's panel:\n" + seen)
    names = [
        "identify",
        "Products Searched",
        "Product Viewed",
        "Product Added",
        "Ticket Opened",
        "Cart Viewed",
        "Checkout Started",
        "Order Completed",
    ]
    await_rows(user, Counter(names))
    profile = Client(loader.platform().redis.url, loader.platform().default_tenant).get(f"user_id:{user}")
    assert profile is not None
    # One of the two views was the browser's, before anybody had signed in on it.
    assert (profile.fields["orders_lifetime"], profile.fields["tickets_lifetime"], profile.fields["views_lifetime"]) == (1, 1, 2)
