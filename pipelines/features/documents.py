"""Orders and refunds as documents: their versions, and what they come to (docs/features.md, "Order ledger"). Pure.

Nothing here knows a node: an order with the refunds that name it is all that its contribution depends on.
"""

import math
from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec

from pipelines.wire import Told
from schemas.currencies import decimals

MAX_GROUPS: Final = 8
"""Versions that are kept of a document: the newest of each source that has an order of its own, and one of all that have none."""
MAX_REFUNDS: Final = 500
MAX_REFUND_LINES: Final = 10_000
Lines = list[tuple[str, int]]
"""`(product_id, units)`."""


class OrderContent(msgspec.Struct, array_like=True):
    """What a version of an order says; see `OrderFacts`."""

    total: int
    lines: Lines
    currency: str = ""
    rate: float = 0.0


class RefundContent(msgspec.Struct, array_like=True):
    """What a version of a refund says; see `RefundFacts`."""

    total: int
    lines: Lines
    order_id: str = ""
    currency: str = ""
    amount: float = 0.0
    counts: bool = True
    charge_back: bool = False


class OrderVersion(msgspec.Struct, array_like=True):
    """A version of an order."""

    told: Told
    content: OrderContent


class RefundVersion(msgspec.Struct, array_like=True):
    """A version of a refund."""

    told: Told
    content: RefundContent


Version = TypeVar("Version", OrderVersion, RefundVersion)


class NamedRefund(msgspec.Struct, array_like=True):
    """A refund that counts, at the order that it names.

    Attributes:
        time: smallest event time of its versions, ms.
        refund_id: its number.
        total: minor units, by the rate of its own day.
        currency: as told, empty when it was not.
        amount: major units of that currency.
        lines: units taken back.
    """

    time: int
    refund_id: str
    total: int
    currency: str
    amount: float
    lines: Lines


class Order(msgspec.Struct, array_like=True):
    """An order as known so far, with the refunds that name it.

    Attributes:
        time: smallest event time of its versions, ms; None while there is none.
        versions: the newest of each group.
        cancelled: for ever.
        refunds: those that count, by (time, refund id).
    """

    time: int | None = None
    versions: list[OrderVersion] = []
    cancelled: bool = False
    refunds: list[NamedRefund] = []


class Refund(msgspec.Struct, array_like=True):
    """A refund as known so far. It may be told of in several objects, once naming its order and once not; each can be taken out again.

    Attributes:
        parts: object -> the newest version of each group that was told in it.
        times: object -> smallest event time of the versions told in it, ms.
        apart: its order had no room for it: it counts as one whose order is not known.
    """

    parts: dict[str, list[RefundVersion]] = {}
    times: dict[str, int] = {}
    apart: bool = False

    @property
    def time(self) -> int:
        """Smallest event time of all its versions, ms."""
        return min(self.times.values())

    @property
    def content(self) -> RefundContent:
        """What counts, of all its versions."""
        parts = list(self.parts.values())
        found = parts[0]
        for version in (version for part in parts[1:] for version in part):
            found, _ = taken(found, version)
        return newest(found).content


class Effect(msgspec.Struct):
    """What an order and the refunds that name it come to.

    Attributes:
        order: time and total of an order that counts.
        refunds: time and amount of each refund that counts.
        unmatched: refund lines that find no unit.
        over_refunded: more went back than was paid.
        units: units bought, by product.
        left: those that no refund which names the order has taken.
    """

    order: tuple[int, int] | None = None
    refunds: list[tuple[int, int]] = []
    unmatched: int = 0
    over_refunded: bool = False
    units: dict[str, int] = {}
    left: dict[str, int] = {}


NOTHING: Final = Effect()


def taken(versions: Sequence[Version], new: Version) -> tuple[list[Version], bool]:
    """The versions to keep when another one is told.

    Returns:
        The newest of each group, and whether one had to be forgotten because there are too many groups.
    """
    kept = list(versions)
    for at, version in enumerate(kept):
        if version.told.log == new.told.log:
            if (new.told.order, new.told.rank) > (version.told.order, version.told.rank):
                kept[at] = new
            return kept, False
    kept.append(new)
    if len(kept) <= MAX_GROUPS:
        return kept, False
    kept.remove(min(kept, key=lambda version: version.told.rank))
    return kept, True


def newest(versions: Sequence[Version]) -> Version:
    """The version that counts, of the newest of each group."""
    return max(versions, key=lambda version: version.told.rank)


def effect(order: Order, units: int) -> Effect:
    """What an order comes to.

    Args:
        order: with its refunds.
        units: minor units in a major one of the tenant's currency.
    """
    if not order.versions or order.time is None:
        if order.cancelled or not order.refunds:
            return NOTHING
        return Effect(
            refunds=[(refund.time, refund.total) for refund in order.refunds],
            unmatched=sum(len(refund.lines) for refund in order.refunds),
        )
    content = newest(order.versions).content
    amounts = _amounts(content, order.refunds, units)
    over_refunded = sum(amounts) > content.total and not (order.cancelled and content.total == 0)
    if order.cancelled:
        return Effect(over_refunded=over_refunded)
    bought: dict[str, int] = {}
    for product, number in content.lines:
        bought[product] = bought.get(product, 0) + number
    left, unmatched = _matched(bought, order.time, order.refunds)
    times = [refund.time for refund in order.refunds]
    return Effect((order.time, content.total), list(zip(times, amounts, strict=True)), unmatched, over_refunded, bought, left)


def _amounts(order: OrderContent, refunds: Sequence[NamedRefund], units: int) -> list[int]:
    """Minor units of each refund; those in the order's own currency are converted together, so that the order balances."""
    if not order.currency:
        return [refund.total for refund in refunds]
    scale = 10 ** decimals(order.currency)
    amounts, own, before = [], 0, 0
    for refund in refunds:
        if refund.currency not in ("", order.currency):
            amounts.append(refund.total)
            continue
        own += math.floor(refund.amount * scale + 0.5)
        upto = math.floor(own / scale * order.rate * units + 0.5)
        amounts.append(upto - before)
        before = upto
    return amounts


def _matched(bought: dict[str, int], time: int, refunds: Sequence[NamedRefund]) -> tuple[dict[str, int], int]:
    """Units that are left of an order, and refund lines that found none."""
    if not refunds:
        return bought, 0
    left, unmatched = dict(bought), 0
    for refund in refunds:
        for product, number in refund.lines:
            there = left.get(product, 0) if refund.time >= time else 0
            if there:
                left[product] = max(0, there - number)
            else:
                unmatched += 1
    return left, unmatched
