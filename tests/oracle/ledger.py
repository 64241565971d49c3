"""Orders and refunds of one node: docs/features.md, "Order ledger"."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from tests.oracle.envelope import Event
from tests.oracle.shapes import CancelFact, OrderFact, RefundFact


class Order(NamedTuple):
    """An order that counts: the time of its first version, the content of its last."""

    time_ms: int
    order_id: str
    total: int
    lines: list[tuple[str, int]]


class Refund(NamedTuple):
    """A refund document, likewise."""

    time_ms: int
    refund_id: str
    order_id: str
    total: int
    lines: list[tuple[str, int]]


class Ledger(NamedTuple):
    """What a node bought and gave back."""

    orders: list[Order]
    refunds: list[Refund]

    def units(self) -> Counter[str]:
        """Units per product in counted orders."""
        units: Counter[str] = Counter()
        for order in self.orders:
            for product, quantity in order.lines:
                units[product] += quantity
        return units

    def unmatched_refunds(self) -> int:
        """Refund lines that find no unit at all."""
        left = {
            (order.time_ms, order.order_id, number): (product, quantity)
            for order in self.orders
            for number, (product, quantity) in enumerate(order.lines)
        }
        newest_first = sorted(left, reverse=True)
        unmatched = 0
        for refund in sorted(self.refunds, key=lambda refund: (refund.time_ms, refund.refund_id)):
            for product, wanted in refund.lines:
                found = 0
                for line in newest_first:
                    time_ms, order_id, _ = line
                    its_product, available = left[line]
                    if its_product != product or time_ms > refund.time_ms or (refund.order_id and order_id != refund.order_id):
                        continue
                    taken = min(available, wanted - found)
                    left[line] = (its_product, available - taken)
                    found += taken
                unmatched += found == 0
        return unmatched


def ledger(events: Sequence[Event]) -> Ledger:
    """Build the ledger of a node from its events, in any order; late ones must not be among them."""
    order_versions: dict[str, list[tuple[int, OrderFact]]] = {}
    refund_versions: dict[str, list[tuple[int, RefundFact]]] = {}
    cancelled = set()
    for event in events:
        match event.fact:
            case OrderFact() as fact:
                order_versions.setdefault(fact.order_id, []).append((event.event_ms, fact))
            case RefundFact() as fact:
                refund_versions.setdefault(fact.refund_id, []).append((event.event_ms, fact))
            case CancelFact() as fact:
                cancelled.add(fact.order_id)
    orders = []
    for order_id, sales in order_versions.items():
        if order_id not in cancelled:
            sale = max(sales, key=lambda version: (version[0], version[1].total, version[1].lines))[1]
            orders.append(Order(min(at for at, _ in sales), order_id, sale.total, sale.lines))
    refunds = []
    for refund_id, returns in refund_versions.items():
        back = max(returns, key=lambda version: (version[0], version[1].total, version[1].lines, version[1].order_id))[1]
        refunds.append(Refund(min(at for at, _ in returns), refund_id, back.order_id, back.total, back.lines))
    return Ledger(orders, refunds)
