"""Orders and refunds of one node: docs/features.md, "Order ledger". Written as it is said there, and as slowly; bounds are left out."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from tests.oracle.envelope import Event
from tests.oracle.shapes import CancelFact, OrderFact, RefundFact, decimals_of, minor

Place = tuple[int, str, int, int]
"""Log time, topic, partition, offset."""


class Version(NamedTuple):
    """An event that tells a document."""

    event_ms: int
    place: Place
    log: str
    order: str
    fact: OrderFact | RefundFact


class Order(NamedTuple):
    """An order that counts."""

    time_ms: int
    order_id: str
    total: int
    lines: list[tuple[str, int]]


class Refund(NamedTuple):
    """A refund that counts."""

    time_ms: int
    refund_id: str
    order_id: str
    total: int
    lines: list[tuple[str, int]]


class Ledger(NamedTuple):
    """What a node bought and gave back."""

    orders: list[Order]
    refunds: list[Refund]
    over_refunds: int
    charge_backs: int
    unmatched_refunds: int

    def units(self) -> Counter[str]:
        """Units per product in counted orders."""
        units: Counter[str] = Counter()
        for order in self.orders:
            for product, quantity in order.lines:
                units[product] += quantity
        return units


def newest(versions: Sequence[Version]) -> Version:
    """The version that counts."""
    stay: dict[str, Version] = {}
    for version in versions:
        best = stay.get(version.log)
        if best is None or (version.order, version.event_ms, version.place) > (best.order, best.event_ms, best.place):
            stay[version.log] = version
    return max(stay.values(), key=lambda version: (version.event_ms, version.place))


def ledger(events: Sequence[tuple[Place, Event]], decimals: int) -> Ledger:
    """Build the ledger of a node from its events, in any order; late ones must not be among them.

    Args:
        events: each with its place in the raw topics.
        decimals: of the tenant's currency.
    """
    told_orders: dict[str, list[Version]] = defaultdict(list)
    told_refunds: dict[str, list[Version]] = defaultdict(list)
    cancelled = set()
    for place, event in events:
        match event.fact:
            case OrderFact() as fact:
                told_orders[fact.order_id].append(Version(event.event_ms, place, event.log, event.order, fact))
            case RefundFact() as fact:
                told_refunds[fact.refund_id].append(Version(event.event_ms, place, event.log, event.order, fact))
            case CancelFact() as fact:
                cancelled.add(fact.order_id)
    known: dict[str, tuple[int, OrderFact]] = {}
    for order_id, versions in told_orders.items():
        content = newest(versions).fact
        assert isinstance(content, OrderFact)
        known[order_id] = min(version.event_ms for version in versions), content
    back: list[tuple[int, RefundFact]] = []
    for versions in told_refunds.values():
        refund = newest(versions).fact
        assert isinstance(refund, RefundFact)
        if refund.succeeded:
            back.append((min(version.event_ms for version in versions), refund))
    back.sort(key=lambda one: (one[0], one[1].refund_id))
    amounts = _amounts(back, known, decimals)
    refunds = [
        Refund(at, refund.refund_id, refund.order_id, amounts[refund.refund_id], refund.lines)
        for at, refund in back
        if refund.order_id not in cancelled
    ]
    orders = [Order(at, order_id, fact.total, fact.lines) for order_id, (at, fact) in known.items() if order_id not in cancelled]
    over = 0
    for order_id, (_, fact) in known.items():
        gone = sum(amounts[refund.refund_id] for _, refund in back if refund.order_id == order_id)
        over += gone > fact.total and not (order_id in cancelled and fact.total == 0)
    return Ledger(orders, refunds, over, sum(refund.charge_back for _, refund in back), _unmatched(orders, refunds))


def _amounts(back: Sequence[tuple[int, RefundFact]], known: dict[str, tuple[int, OrderFact]], decimals: int) -> dict[str, int]:
    """Refund id -> minor units; `back` is sorted by time and id."""
    amounts = {refund.refund_id: refund.total for _, refund in back}
    for order_id, (_, order) in known.items():
        if order.currency is None or order.rate is None:
            continue
        places = decimals_of(order.currency)
        own = [refund for _, refund in back if refund.order_id == order_id and refund.currency in (None, order.currency)]
        for number, refund in enumerate(own):
            before = sum(minor(one.own, places) for one in own[:number])
            after = before + minor(refund.own, places)
            converted = [minor(upto / 10**places * order.rate, decimals) for upto in (before, after)]
            amounts[refund.refund_id] = converted[1] - converted[0]
    return amounts


def _unmatched(orders: Sequence[Order], refunds: Sequence[Refund]) -> int:
    """Refund lines that find no unit at all; what names an order goes first."""
    there = {order.order_id: order for order in orders}
    left: dict[tuple[str, str], int] = Counter()
    for order in orders:
        for product, quantity in order.lines:
            left[order.order_id, product] += quantity
    unmatched = 0
    for refund in refunds:
        if not refund.order_id:
            continue
        for product, wanted in refund.lines:
            bought = there.get(refund.order_id)
            found = left[refund.order_id, product] if bought is not None and bought.time_ms <= refund.time_ms else 0
            unmatched += found == 0
            if found:
                left[refund.order_id, product] = found - min(found, wanted)
    for refund in refunds:
        if refund.order_id:
            continue
        for product, wanted in refund.lines:
            found = 0
            for order in orders:
                key = order.order_id, product
                if order.time_ms <= refund.time_ms and found < wanted and left[key]:
                    taken = min(left[key], wanted - found)
                    left[key] -= taken
                    found += taken
            unmatched += found == 0
    return unmatched
