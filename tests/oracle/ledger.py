"""Orders and refunds of one node: docs/features.md, "Order ledger". Written as it is said there, and as slowly; bounds are left out."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from tests.oracle.envelope import Event
from tests.oracle.shapes import CancelFact, OrderFact, RefundFact, decimals_of, minor

Place = tuple[int, str, int, int]
"""Log time, topic, partition, offset."""


Number = tuple[str, str]
"""Issuer and id of an order or refund: numbers of two issuers never meet."""


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
    number: Number
    total: int
    lines: list[tuple[str, int]]


class Refund(NamedTuple):
    """A refund that counts; `order` is None when it names none."""

    time_ms: int
    number: Number
    order: Number | None
    total: int
    lines: list[tuple[str, int]]


class Back(NamedTuple):
    """A refund that succeeded, before anything is known of its order."""

    time_ms: int
    number: Number
    order: Number | None
    fact: RefundFact


Known = dict[Number, tuple[int, OrderFact]]
"""Order -> its time, and its version that counts."""


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
    """Build the ledger of a node, from events in any order; late ones must not be among them.

    Args:
        events: of the objects that the node owns (docs/objects.md), each with its place in the raw topics.
        decimals: of the tenant's currency.
    """
    told_orders: dict[Number, list[Version]] = defaultdict(list)
    told_refunds: dict[Number, list[Version]] = defaultdict(list)
    cancelled: set[Number] = set()
    for place, event in events:
        match event.fact:
            case OrderFact() as fact:
                told_orders[event.issuer, fact.order_id].append(Version(event.event_ms, place, event.log, event.order, fact))
            case RefundFact() as fact:
                told_refunds[event.issuer, fact.refund_id].append(Version(event.event_ms, place, event.log, event.order, fact))
            case CancelFact() as fact:
                cancelled.add((event.issuer, fact.order_id))
    known: Known = {}
    for number, versions in told_orders.items():
        content = newest(versions).fact
        assert isinstance(content, OrderFact)
        known[number] = min(version.event_ms for version in versions), content
    back: list[Back] = []
    for number, versions in told_refunds.items():
        refund = newest(versions).fact
        assert isinstance(refund, RefundFact)
        if refund.succeeded:
            named = (number[0], refund.order_id) if refund.order_id else None
            back.append(Back(min(version.event_ms for version in versions), number, named, refund))
    back.sort(key=lambda one: (one.time_ms, one.number[1], one.number[0]))
    amounts = _amounts(back, known, decimals)
    refunds = [
        Refund(time_ms, number, order, amounts[number], fact.lines) for time_ms, number, order, fact in back if order not in cancelled
    ]
    orders = [Order(at, number, fact.total, fact.lines) for number, (at, fact) in known.items() if number not in cancelled]
    over = 0
    for number, (_, order) in known.items():
        gone = sum(amounts[one.number] for one in back if one.order == number)
        over += gone > order.total and not (number in cancelled and order.total == 0)
    return Ledger(orders, refunds, over, sum(one.fact.charge_back for one in back), _unmatched(orders, refunds))


def _amounts(back: Sequence[Back], known: Known, decimals: int) -> dict[Number, int]:
    """Number of a refund -> minor units; `back` is sorted by time and id."""
    amounts = {one.number: one.fact.total for one in back}
    for number, (_, order) in known.items():
        if order.currency is None or order.rate is None:
            continue
        places = decimals_of(order.currency)
        own = [one for one in back if one.order == number and one.fact.currency in (None, order.currency)]
        for count, one in enumerate(own):
            before = sum(minor(other.fact.own, places) for other in own[:count])
            after = before + minor(one.fact.own, places)
            converted = [minor(upto / 10**places * order.rate, decimals) for upto in (before, after)]
            amounts[one.number] = converted[1] - converted[0]
    return amounts


def _unmatched(orders: Sequence[Order], refunds: Sequence[Refund]) -> int:
    """Refund lines that find no unit at all; what names an order goes first."""
    there = {order.number: order for order in orders}
    left: dict[tuple[Number, str], int] = Counter()
    for order in orders:
        for product, quantity in order.lines:
            left[order.number, product] += quantity
    unmatched = 0
    for refund in refunds:
        if refund.order is None:
            continue
        for product, wanted in refund.lines:
            bought = there.get(refund.order)
            found = left[refund.order, product] if bought is not None and bought.time_ms <= refund.time_ms else 0
            unmatched += found == 0
            if found:
                left[refund.order, product] = found - min(found, wanted)
    for refund in refunds:
        if refund.order is not None:
            continue
        for product, wanted in refund.lines:
            found = 0
            for order in orders:
                key = order.number, product
                if order.time_ms <= refund.time_ms and found < wanted and left[key]:
                    taken = min(left[key], wanted - found)
                    left[key] -= taken
                    found += taken
            unmatched += found == 0
    return unmatched
