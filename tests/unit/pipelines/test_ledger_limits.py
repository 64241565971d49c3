"""The ledger at its bounds (docs/features.md, "Limits"): the event that meets one says so, and money is still counted."""

import json
from typing import Any

from pipelines.features.documents import MAX_GROUPS, MAX_REFUND_LINES, MAX_REFUNDS
from pipelines.features.ledger import LIMIT_MOVEMENTS, LIMIT_REFUNDS, LIMIT_SOURCES, Ledger, Summary
from pipelines.features.movements import MAX_KEPT
from pipelines.features.series import Series
from pipelines.wire import CancelFacts, OrderFacts, RefundFacts, Told
from tests.counting_store import CountingStore
from tests.in_process import InProcess

NOW = 1_795_867_200_000


class Node:
    """A ledger by itself; events are told one after another."""

    def __init__(self) -> None:
        self.store, self.summary = CountingStore(), Summary()
        self.orders, self.refunds = Series.empty(), Series.empty()
        self.told = 0

    def tell(self, facts: Any, time: int = 10, log: str = "", order: str = "") -> list[str]:
        """Flags of the event."""
        self.told += 1
        told = Told(time, (self.told, "cdp.raw.orders", 0, self.told), log, order)
        return Ledger(self.store, self.summary, self.orders, self.refunds, 100).apply(facts, told).flags

    def money(self) -> tuple[int, int, int, int]:
        """Orders and what they came to, refunds and what went back, in minor units."""
        return (*self.orders.total(), *self.refunds.total())


def test_the_ninth_source_of_an_order_or_a_refund_is_flagged_and_the_newest_still_counts() -> None:
    for facts in (lambda total: OrderFacts("o", total, []), lambda total: RefundFacts("r", total, [], "")):
        node = Node()
        for number in range(MAX_GROUPS):
            assert node.tell(facts(number), 10 + number, f"s{number}", "011") == []
        assert node.tell(facts(77), 50, "s8", "011") == [LIMIT_SOURCES]
        assert node.tell(facts(78), 51, "s8", "012") == [], "it is known now"
        assert sum(node.money()) == 1 + 78
        assert node.tell(facts(1), 5, "s9", "011") == [LIMIT_SOURCES]
        assert sum(node.money()) == 1 + 78


def test_refunds_beyond_the_bound_of_an_order_are_flagged_and_their_money_counts_without_it() -> None:
    node = Node()
    node.tell(OrderFacts("o", 100_000, [("a", MAX_REFUNDS + 10)]))
    for number in range(MAX_REFUNDS):
        assert node.tell(RefundFacts(f"r{number}", 1, [("a", 1)], "o"), 20) == []
    assert node.money() == (1, 100_000, MAX_REFUNDS, MAX_REFUNDS)
    assert node.tell(RefundFacts("late", 7, [("a", 1), ("a", 1)], "o"), 21) == [LIMIT_REFUNDS]
    assert node.money() == (1, 100_000, MAX_REFUNDS + 1, MAX_REFUNDS + 7)
    assert node.summary.unmatched == 2, "its lines find nothing"
    assert node.tell(RefundFacts("late", 9, [("a", 1)], "o"), 22) == [LIMIT_REFUNDS]
    assert (node.money()[3], node.summary.unmatched) == (MAX_REFUNDS + 9, 1), "told anew it counts once"
    assert node.tell(RefundFacts("r0", 2, [("a", 1)], "o"), 23) == [], "one that is there needs no room"
    assert node.money()[3] == MAX_REFUNDS + 10
    node.tell(RefundFacts("r0", 2, [], "o", counts=False), 24)
    assert node.tell(RefundFacts("late", 11, [("a", 1)], "o"), 25) == []
    assert (node.money()[3], node.summary.unmatched) == (MAX_REFUNDS - 1 + 11, 0), "with room it is part of its order"
    node.tell(CancelFacts("o"), 26)
    assert node.money() == (0, 0, 0, 0)


def test_lines_beyond_the_bound_of_an_order_are_flagged() -> None:
    node = Node()
    node.tell(OrderFacts("o", 1000, [("a", 1_000_000)]))
    half = [("a", 1)] * (MAX_REFUND_LINES // 2)
    assert node.tell(RefundFacts("r1", 1, half, "o"), 20) == []
    assert node.tell(RefundFacts("r2", 1, half, "o"), 20) == []
    assert node.tell(RefundFacts("r3", 1, [("a", 1)], "o"), 20) == [LIMIT_REFUNDS]
    assert node.tell(RefundFacts("r4", 5, [], "o"), 20) == [], "without lines there is room"
    assert (node.money(), node.summary.unmatched) == ((1, 1000, 4, 8), 1)


def test_purchases_beyond_the_bound_of_a_product_are_flagged_only_where_refunds_without_an_order_could_be_wrong() -> None:
    node = Node()
    for number in range(MAX_KEPT + 50):
        assert node.tell(OrderFacts(f"o{number}", 5, [("a", 1)]), 1000 + number) == []
    assert node.tell(CancelFacts("o3"), 5000) == []
    assert node.tell(RefundFacts("newest", 5, [("a", 1)]), 6000) == []
    assert node.summary.unmatched == 0
    assert node.tell(RefundFacts("old", 5, [("a", 1)]), 1001) == [LIMIT_MOVEMENTS]
    assert node.tell(OrderFacts("early", 5, [("a", 1)]), 1) == [LIMIT_MOVEMENTS]
    assert node.money() == (MAX_KEPT + 50, 5 * (MAX_KEPT + 50), 2, 10), "money is not touched"


def test_telling_an_old_refund_anew_again_and_again_adds_nothing() -> None:
    node = Node()
    node.tell(RefundFacts("r", 5, [("a", 1)]), 1)
    for number in range(MAX_KEPT + 10):
        node.tell(OrderFacts(f"o{number}", 5, [("a", 1)]), 1000 + number)
    before = node.summary.unmatched
    assert before == 1
    for number in range(20):
        assert node.tell(RefundFacts("r", 6 + number, [("a", 1)]), 2 + number) == [LIMIT_MOVEMENTS]
    assert (node.summary.unmatched, node.refunds.total()) == (before, (1, 25))


def test_an_old_version_is_not_flagged_for_an_order_that_was_over_refunded_already() -> None:
    node = Node()
    node.tell(OrderFacts("o", 10, []), 5, "erp", "015")
    node.tell(OrderFacts("o", 10, []), 6, "shop", "015")
    assert node.tell(RefundFacts("r", 20, [], "o"), 7) == ["over_refunded"]
    written = node.store.bytes_put
    assert node.tell(OrderFacts("o", 99, []), 8, "erp", "014") == [], "it changes nothing of what is known"
    assert node.store.bytes_put == written


def test_the_flag_is_on_the_event_that_leaves_the_pipeline() -> None:
    core = InProcess()
    for number in range(MAX_GROUPS + 1):
        body = {
            "type": "track", "event": "Order Completed", "messageId": f"m{number}", "userId": "u", "timestamp": "2026-11-28T10:00:00Z",
            "properties": {"order_id": "o", "total": number, "products": [{"product_id": "a", "quantity": 1, "price": number}]},
            "context": {"source": f"s{number}", "sourceOrder": 1},
        }  # fmt: skip
        core.record(json.dumps(body).encode(), "cdp.raw.orders", 0, number, NOW + number)
    assert [event.flags for event in core.applied] == [[]] * MAX_GROUPS + [[LIMIT_SOURCES]]
