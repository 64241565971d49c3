"""The orders of a customer or of a product cost what they did, however many there have been: in bytes, accesses and calls."""

import sys
from collections.abc import Callable
from typing import Any

from pipelines.features.ledger import Ledger, Summary
from pipelines.features.series import Series, Window
from pipelines.wire import CancelFacts, OrderFacts, RefundFacts, Told
from tests.counting_store import CountingStore

FEW, MANY, MEASURED = 1000, 20_000, 100


class Customer:
    """A node's ledger; orders hold one line of a product that everybody buys, and one of a product of their own."""

    def __init__(self) -> None:
        self.store, self.orders = CountingStore(), 0
        self.series = Series.empty(), Series.empty()
        self.summary = Summary()
        self.told = 0

    def tell(self, facts: Any, time: int) -> None:
        self.told += 1
        Ledger(self.store, self.summary, *self.series, 100).apply(facts, Told(time, (time, "t", 0, self.told)))
        for series in self.series:  # as the node does: what windows do not need is thinned there
            if len(series) > 400:
                series.thin(time, [Window("all", 1000, 1)], 200, 0)

    def order(self) -> None:
        self.orders += 1
        self.tell(OrderFacts(f"o{self.orders}", 100, [("all", 1), (f"p{self.orders}", 1 + self.orders % 5)]), self.orders * 1000)

    def grow(self, orders: int) -> "Customer":
        while self.orders < orders:
            self.order()
        return self


def cost(customer: Customer, step: Callable[[Customer], None]) -> tuple[int, int, int]:
    """Bytes written, accesses and Python calls of so many steps."""
    calls = 0

    def count(*_: Any) -> None:
        nonlocal calls
        calls += 1

    store = customer.store
    before = store.bytes_put, store.calls
    sys.setprofile(count)
    try:
        for _ in range(MEASURED):
            step(customer)
    finally:
        sys.setprofile(None)
    return store.bytes_put - before[0], store.calls - before[1], calls


def cancel_last(customer: Customer) -> None:
    customer.order()
    customer.tell(CancelFacts(f"o{customer.orders}"), customer.orders * 1000)


def give_back(customer: Customer) -> None:
    customer.order()
    at = customer.orders
    customer.tell(RefundFacts(f"r{at}", 50, [("all", 1)]), at * 1000)
    customer.tell(RefundFacts(f"s{at}", 50, [(f"p{at}", 1)], f"o{at}"), at * 1000)


def test_the_twenty_thousandth_order_costs_no_more_than_twice_the_thousandth() -> None:
    customer = Customer()
    for step in (Customer.order, cancel_last, give_back):
        few = cost(Customer().grow(FEW), step)
        many = cost(customer.grow(MANY), step)
        for before, after in zip(few, many, strict=True):
            assert after <= 2 * before, (step, few, many)
