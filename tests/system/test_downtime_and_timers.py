"""Time is the log's: what was due while the job was down happens in the log's order, so an event that was in time counts as in time.

Four customers have a tag that time alone would turn at a moment T: two who would lose `frequent_small_basket`, two who would gain
`high_value_dormant`. The job stops half an hour before T. While it is down one of each pair orders, five minutes before T, behind a crowd
of other events in the same partition; all other partitions go on to ten minutes after T. The tags of these two must never turn; those of
the other two must turn at T exactly.
"""

import pytest

from demo.dataset import DAY_MS
from demo.messages import ORDERS, Message, message
from demo.records import of
from operations.raw_topics import partition_of
from operations.timed_stream import Record, Tick
from tests.system import shop
from tests.system.outcome import Change, changes, check_profiles
from tests.system.running import JOB, Running, say

MINUTE_MS = 60_000
WINDOW_MS = 90 * DAY_MS
BASKET, DORMANT = "frequent_small_basket", "high_value_dormant"
CROWD = 4000
PREFIX = "downtime-"
NODE = f"demo|user_id|{PREFIX}"
# The first of each pair orders in time.
BASKETS, DORMANTS = ("basket-kept", "basket-lost"), ("rich-awake", "rich-dormant")


def order(customer: str, at_ms: int, price: float) -> Message:
    """An order of one piece."""
    name = f"{PREFIX}{customer}-{at_ms}"
    line = {"product_id": "85123A", "quantity": 1, "price": price}
    return message(
        ORDERS,
        at_ms,
        name,
        "Order Completed",
        user=PREFIX + customer,
        device="",
        context={},
        properties={"order_id": name, "products": [line]},
    )


def page(person: str, at_ms: int, key: str) -> Message:
    """Somebody looks at a page; the event is written under another key, to come to that key's partition."""
    name = f"{PREFIX}{person}-{at_ms}"
    return message(ORDERS, at_ms, name, "page", user=PREFIX + person, device="", context={}, properties={})._replace(key=key)


@pytest.mark.timeout(900)
def test_an_event_that_came_in_time_while_the_job_was_down_keeps_a_tag_from_turning(platform: Running) -> None:
    first_ms = platform.clock_ms() + DAY_MS
    third_ms, due_ms = first_ms + 2 * DAY_MS, first_ms + WINDOW_MS
    orders = [order(customer, first_ms + day * DAY_MS, 20.0) for customer in BASKETS for day in range(3)]
    orders += [order(customer, first_ms, 2000.0) for customer in DORMANTS]
    orders.sort(key=lambda event: event.log_ms)
    shop.write(platform, orders, tick_every_ms=DAY_MS, settle_ms=due_ms - 30 * MINUTE_MS - third_ms)
    platform.await_processed()
    published = changes(NODE)
    assert [story(published, customer, BASKET) for customer in BASKETS] == 2 * [[(first_ms, 0), (third_ms, 1)]]
    assert [story(published, customer, DORMANT) for customer in DORMANTS] == 2 * [[(first_ms, 0)]]
    say(f"half an hour before T two hold {BASKET}, and two are about to become {DORMANT}")

    platform.cdp("job", "stop", JOB, "--savepoint")
    go_on_without_the_job(platform, due_ms)
    platform.cdp("job", "start", JOB)
    platform.await_processed()

    published = changes(NODE)
    kept, lost = (story(published, customer, BASKET) for customer in BASKETS)
    active, dormant = (story(published, customer, DORMANT) for customer in DORMANTS)
    assert lost == [(first_ms, 0), (third_ms, 1), (due_ms, 0)], "who did not order lost the tag at T"
    assert dormant == [(first_ms, 0), (due_ms + 1, 1)], "who did not order became dormant just after T"
    assert kept == [(first_ms, 0), (third_ms, 1)], "the order came in time: the tag never turned"
    assert active == [(first_ms, 0)], "the order came in time: the tag never turned"
    say("the two who had ordered in time never turned, the two who had not turned at T, to the millisecond")
    check_profiles(platform, NODE)
    platform.verify()


def go_on_without_the_job(platform: Running, due_ms: int) -> None:
    """What the log holds when the job comes back: the two orders wait behind a crowd, all other partitions are past T."""
    savers = [order(BASKETS[0], due_ms - 5 * MINUTE_MS, 20.0), order(DORMANTS[0], due_ms - 5 * MINUTE_MS, 2000.0)]
    crowd = [page(f"crowd-{number}", due_ms - 25 * MINUTE_MS + number * 200, savers[number % 2].key) for number in range(CROWD)]
    written: list[Record | Tick] = [of(event) for event in crowd + savers]
    shop.write_exactly(platform, [*written, Tick(due_ms + 10 * MINUTE_MS)])
    places = [partition_of(saver.key.encode(), platform.partitions[ORDERS]) for saver in savers]
    say(f"while the job was down: {CROWD:,} events, then the two orders in partitions {places} of {ORDERS}, ticks beyond T everywhere")


def story(published: list[Change], customer: str, tag: str) -> list[tuple[int, int]]:
    """How a tag went: `(log time, value)` of the first change and of each that shows another value than the one before."""
    told: list[tuple[int, int]] = []
    for change in published:
        value = change["fields"][f"tag:{tag}"]
        if NODE + customer in change["nodes"] and (not told or told[-1][1] != value):
            told.append((change["at"], value))
            assert (tag in change["tags_entered"], tag in change["tags_exited"]) == (value == 1, value == 0 and len(told) > 1)
    return told
