"""The generator: every invoice of the data set arrives, the same way each time, and what is invented says so."""

import hashlib
import itertools
from collections import Counter

import pytest

from demo import dataset, stream
from demo.dataset import DAY_MS, Dataset
from demo.messages import Message, render
from demo.stream import Slice

FIRST_DAY_MS = 1_291_161_600_000  # 2010-12-01

pytestmark = pytest.mark.xdist_group("shop")  # one worker reads the data set for all of them


@pytest.fixture(scope="module")
def data() -> Dataset:
    return dataset.load()


@pytest.fixture(scope="module")
def everything(data: Dataset) -> list[Message]:
    return list(stream.events(data))


def digest(messages: list[Message]) -> str:
    whole = hashlib.sha256()
    for message in messages:
        whole.update(f"{message.log_ms}|{message.topic}|{message.key}|".encode() + render(message.body))
    return whole.hexdigest()


def named(messages: list[Message], name: str) -> list[Message]:
    return [message for message in messages if message.body.get("event") == name]


def test_every_invoice_becomes_one_event(everything: list[Message]) -> None:
    assert len(named(everything, "Order Completed")) == 25_900 - 3_836
    assert len(named(everything, "Order Refunded")) == 3_836
    lines = [len(m.body["properties"]["products"]) for m in everything if m.body.get("event", "").startswith("Order ")]
    assert sum(lines) == 541_909


def test_lines_of_refunds_and_of_unknown_customers_are_all_there(everything: list[Message]) -> None:
    assert sum(len(m.body["properties"]["products"]) for m in named(everything, "Order Refunded")) == 9_288
    guests = [m for m in everything if m.body.get("event", "").startswith("Order ") and "userId" not in m.body]
    assert sum(len(m.body["properties"]["products"]) for m in guests) == 135_080
    assert all(m.body["context"]["syntheticFields"] == ["context.channel", "anonymousId"] for m in guests)


def test_the_whole_data_set_has_the_size_the_progress_bar_says(everything: list[Message]) -> None:
    assert len(everything) == stream.WHOLE_EVENTS
    assert len({m.body["messageId"] for m in everything}) == stream.WHOLE_EVENTS
    views = Counter(m.body["messageId"].split("-")[1] for m in named(everything, "Product Viewed"))
    assert max(views.values()) <= 20
    assert 7 < sum(views.values()) / len(views) < 9


def test_the_largest_invoice_fits_an_order_event(everything: list[Message]) -> None:
    largest = max(everything, key=lambda message: len(render(message.body)))
    assert len(largest.body["properties"]["products"]) == 1_114
    assert 90_000 < len(render(largest.body)) < 110_000


def test_events_come_by_log_time_and_happen_when_they_are_logged(everything: list[Message]) -> None:
    assert all(before.log_ms <= after.log_ms for before, after in itertools.pairwise(everything))
    assert all(m.body["timestamp"] == m.body["sentAt"] for m in everything)


def test_what_is_invented_says_so(everything: list[Message]) -> None:
    for message in everything:
        real = message.body.get("event", "").startswith("Order ")
        assert message.body["context"].get("synthetic", False) is not real


def test_visitors_are_anonymous_until_they_log_in(everything: list[Message]) -> None:
    visits: dict[str, list[Message]] = {}
    for message in everything:
        if message.body["messageId"].startswith("browse-"):
            visits.setdefault(message.body["messageId"].split("-")[1], []).append(message)
    for visit in visits.values():
        logged_in = ["userId" in message.body for message in visit]
        logins = [message.body["type"] for message in visit].count("identify")
        assert logged_in == sorted(logged_in)
        assert logins == (1 if any(logged_in) else 0)
        assert all("anonymousId" in message.body for message in visit)


def test_the_same_seed_gives_the_same_events(data: Dataset) -> None:
    few = Slice(days=3)
    assert digest(list(stream.events(data, few))) == digest(list(stream.events(data, few)))


def test_a_slice_holds_the_same_events_as_the_whole(data: Dataset, everything: list[Message]) -> None:
    known = {message.body["messageId"]: message for message in everything}
    part = list(stream.events(data, Slice(customers=40)))
    assert 1_000 < len(part) < 10_000
    assert all(known[message.body["messageId"]] == message for message in part)


def test_a_shift_moves_the_last_day_to_yesterday_and_nothing_else(data: Dataset) -> None:
    part, now_ms = Slice(days=2), FIRST_DAY_MS + 5_000 * DAY_MS + 12_345
    days = stream.days_until_yesterday(stream.select(data, part), now_ms)
    plain, moved = list(stream.events(data, part)), list(stream.events(data, part, days))
    assert days == 4_998
    assert [m.log_ms + days * DAY_MS for m in plain] == [m.log_ms for m in moved]
    assert [m.body["messageId"] for m in plain] == [m.body["messageId"] for m in moved]
    assert moved[-1].log_ms < FIRST_DAY_MS + 5_000 * DAY_MS


def test_nothing_happens_after_the_last_day(everything: list[Message]) -> None:
    assert everything[-1].log_ms < FIRST_DAY_MS + 374 * DAY_MS
