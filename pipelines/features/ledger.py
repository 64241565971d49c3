"""The order ledger of one node: what its documents come to, kept in step with series and summary (docs/features.md, "Order ledger").

Records live in a mapping that outlives the process (Flink MapState in the job, a dict in tests): `o:<order>`, `r:<refund>`, `p:<product>`,
`t:<order time>` and the pages of two indexes, `times:<page>` and `ranks:<page>` (and `b:...`, which is `pipelines.ingest.dedupe`'s). No
event looks at all of them: the millionth order of a customer costs what the thousandth did.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from pipelines.features.documents import (
    MAX_REFUND_LINES,
    MAX_REFUNDS,
    NOTHING,
    Effect,
    NamedRefund,
    Order,
    OrderContent,
    OrderVersion,
    Refund,
    RefundContent,
    RefundVersion,
    effect,
    taken,
)
from pipelines.features.index import Index
from pipelines.features.movements import PURCHASE, REFUND, Movement, Movements
from pipelines.features.series import Series
from pipelines.wire import CancelFacts, Facts, OrderFacts, RefundFacts, Told

TOP_KEPT = 64
TIMES_IN_SERIES: Final = 64
"""Up to so many different times of orders their series knows them all, one by one: it begins to thin beyond 100."""
OVER_REFUNDED: Final = "over_refunded"
LIMIT: Final = "limit:"
"""Begins the flags of events that met a bound of what is kept."""
LIMIT_SOURCES: Final = LIMIT + "sources"
LIMIT_REFUNDS: Final = LIMIT + "refunds"
LIMIT_MOVEMENTS: Final = LIMIT + "movements"


class Store(Protocol):
    """What the ledger needs of its mapping."""

    def get(self, key: str) -> bytes | None:
        """The record or None."""

    def put(self, key: str, value: bytes) -> None:
        """Write a record."""

    def remove(self, key: str) -> None:
        """Delete a record that is there."""


class Product(msgspec.Struct, array_like=True):
    """One product: units in counted orders, and the movements that refunds without an order are matched with."""

    units: int = 0
    movements: Movements = msgspec.field(default_factory=Movements)


class Summary(msgspec.Struct, array_like=True):
    """What the node keeps at hand of its ledger.

    Attributes:
        first, last: smallest and greatest time of counted orders (ms), None without.
        unmatched: refund lines without a unit to take.
        products: number of products in counted orders.
        top: the products with the most units, at most `TOP_KEPT`.
        over_refunds: orders of which more went back than was paid.
        charge_backs: refunds that a bank took.
        times_indexed, ranks_indexed: whether there are so many times and products that they have an index.
    """

    first: int | None = None
    last: int | None = None
    unmatched: int = 0
    products: int = 0
    top: dict[str, int] = {}
    over_refunds: int = 0
    charge_backs: int = 0
    times_indexed: bool = False
    ranks_indexed: bool = False


class Applied(msgspec.Struct):
    """What a fact did: whether anything changed, and what has to be noted on its event."""

    changed: bool
    flags: list[str] = []


_order = msgspec.msgpack.Decoder(Order).decode
_refund = msgspec.msgpack.Decoder(Refund).decode
_product = msgspec.msgpack.Decoder(Product).decode
_encode = msgspec.msgpack.Encoder().encode


class Ledger:
    """Applies ledger facts and keeps series and summary in step.

    Args:
        store: the node's records.
        summary: kept up to date.
        orders: series of orders.
        refunds: series of refunds.
        units: minor units in a major one of the tenant's currency.
    """

    def __init__(self, store: Store, summary: Summary, orders: Series, refunds: Series, units: int) -> None:
        self._store = store
        self._summary = summary
        self._orders = orders
        self._refunds = refunds
        self._units = units

    def apply(self, facts: Facts, told: Told, concerned: str = "") -> Applied:
        """Apply one fact.

        Args:
            facts: what the event says.
            told: when, and its place in the log and in its source's order.
            concerned: the object in which it is told.
        """
        self._flags: dict[str, None] = {}
        if isinstance(facts, CancelFacts):
            changed = self._cancel(facts.order_id)
        elif isinstance(facts, OrderFacts):
            changed = self._version(facts, told)
        else:
            changed = self._refund(facts, told, concerned)
        return Applied(changed, list(self._flags))

    def forget(self, orders: Sequence[str], refunds: Sequence[str], concerned: str) -> bool:
        """An object is another node's: nothing of what was told in it is left here.

        Args:
            orders: numbers of its orders.
            refunds: numbers of its refunds.
            concerned: the object.

        Returns:
            Whether anything changed.
        """
        self._flags = {}
        changed = False
        for refund_id in refunds:
            blob = self._store.get("r:" + refund_id)
            if blob is not None:
                known = _refund(blob)
                parts = {name: part for name, part in known.parts.items() if name != concerned}
                times = {name: time for name, time in known.times.items() if name != concerned}
                changed |= self._refund_becomes(refund_id, known, Refund(parts, times, known.apart))
        for order_id in orders:
            old = self._read(order_id)
            if old is not None:
                changed |= self._order_becomes(order_id, old, Order())
                self._store.remove("o:" + order_id)
        return changed

    def _version(self, facts: OrderFacts, told: Told) -> bool:
        old = self._read(facts.order_id)
        new = old or Order()
        content = OrderContent(facts.total, facts.lines, facts.currency, facts.rate)
        versions, forgotten = taken(new.versions, OrderVersion(told, content))
        if forgotten:
            self._flags[LIMIT_SOURCES] = None
        time = told.time if new.time is None else min(new.time, told.time)
        return self._order_becomes(facts.order_id, old, msgspec.structs.replace(new, time=time, versions=versions))

    def _cancel(self, order_id: str) -> bool:
        old = self._read(order_id)
        return self._order_becomes(order_id, old, msgspec.structs.replace(old or Order(), cancelled=True))

    def _refund(self, facts: RefundFacts, told: Told, concerned: str) -> bool:
        blob = self._store.get("r:" + facts.refund_id)
        old = Refund() if blob is None else _refund(blob)
        content = RefundContent(facts.total, facts.lines, facts.order_id, facts.currency, facts.amount, facts.counts, facts.charge_back)
        versions, forgotten = taken(old.parts.get(concerned, ()), RefundVersion(told, content))
        if forgotten:
            self._flags[LIMIT_SOURCES] = None
        times = old.times | {concerned: min(told.time, old.times.get(concerned, told.time))}
        return self._refund_becomes(facts.refund_id, old, Refund(old.parts | {concerned: versions}, times, old.apart))

    def _refund_becomes(self, refund_id: str, old: Refund, new: Refund) -> bool:
        """Write a refund, and what follows from the difference; whether anything but the record changed."""
        if new == old:
            return False
        changed = False
        before = (old.time, old.content) if old.parts else None
        after = (new.time, new.content) if new.parts else None
        if before != after:
            changed |= before is not None and self._withdraw(refund_id, old)
            new.apart = False
            changed |= after is not None and self._enter(refund_id, new)
        if new.parts:
            self._store.put("r:" + refund_id, _encode(new))
        else:
            self._store.remove("r:" + refund_id)
        return changed

    def _withdraw(self, refund_id: str, refund: Refund) -> bool:
        """Take a refund out of what it was part of."""
        content = refund.content
        if not content.counts:
            return False
        self._summary.charge_backs -= content.charge_back
        if content.order_id and not refund.apart:
            old = self._read(content.order_id)
            if old is not None:
                rest = [one for one in old.refunds if one.refund_id != refund_id]
                self._order_becomes(content.order_id, old, msgspec.structs.replace(old, refunds=rest))
            return True
        self._refunds.add(refund.time, -1, -content.total)
        if content.order_id:
            self._summary.unmatched -= len(content.lines)
        else:
            self._move(refund_id, refund.time, content, undo=True)
        return True

    def _enter(self, refund_id: str, refund: Refund) -> bool:
        """Make a refund part of its order, or of the node when it names none."""
        content = refund.content
        if not content.counts:
            return False
        self._summary.charge_backs += content.charge_back
        if content.order_id:
            old = self._read(content.order_id)
            there = old.refunds if old is not None else []
            lines = len(content.lines) + sum(len(one.lines) for one in there)
            if len(there) < MAX_REFUNDS and lines <= MAX_REFUND_LINES:
                named = NamedRefund(refund.time, refund_id, content.total, content.currency, content.amount, content.lines)
                all_ = sorted([*there, named], key=lambda one: (one.time, one.refund_id))
                self._order_becomes(content.order_id, old, msgspec.structs.replace(old or Order(), refunds=all_))
                return True
            refund.apart = True
            self._flags[LIMIT_REFUNDS] = None
        self._refunds.add(refund.time, 1, content.total)
        if content.order_id:
            self._summary.unmatched += len(content.lines)
        else:
            self._move(refund_id, refund.time, content, undo=False)
        return True

    def _move(self, refund_id: str, time: int, content: RefundContent, *, undo: bool) -> None:
        """Lines of a refund that names no order come in, or go again."""
        by_product: dict[str, list[int]] = {}
        for name, number in content.lines:
            by_product.setdefault(name, []).append(number)
        for name, numbers in by_product.items():
            movement = Movement(time, REFUND, refund_id, tuple(numbers))
            product = self._read_product(name)
            self._replace(product, movement if undo else None, None if undo else movement)
            self._store.put("p:" + name, _encode(product))

    def _order_becomes(self, order_id: str, old: Order | None, new: Order) -> bool:
        """Write an order, and what follows from the difference; whether anything but the record changed."""
        if new == old:
            return False
        self._store.put("o:" + order_id, _encode(new))
        before, after = NOTHING if old is None else effect(old, self._units), effect(new, self._units)
        if after.over_refunded:
            self._flags[OVER_REFUNDED] = None
        if before == after:
            return False
        summary = self._summary
        summary.unmatched += after.unmatched - before.unmatched
        summary.over_refunds += after.over_refunded - before.over_refunded
        if before.order != after.order:
            if before.order is not None:
                self._orders.add(before.order[0], -1, -before.order[1])
            if after.order is not None:
                self._orders.add(after.order[0], 1, after.order[1])
            self._retime(before.order and before.order[0], after.order and after.order[0])
        if before.refunds != after.refunds:
            gone, come = Counter(before.refunds), Counter(after.refunds)
            for (time, amount), number in (gone - come).items():
                self._refunds.add(time, -number, -number * amount)
            for (time, amount), number in (come - gone).items():
                self._refunds.add(time, number, number * amount)
        self._purchases(order_id, before, after)
        return True

    def _purchases(self, order_id: str, before: Effect, after: Effect) -> None:
        """Bring the products of an order up to date."""

        def purchase(effect: Effect, name: str) -> Movement | None:
            left = effect.left.get(name, 0)
            return Movement(effect.order[0], PURCHASE, order_id, (left,)) if left and effect.order else None

        for name in dict.fromkeys([*before.units, *after.units]):
            old, new = purchase(before, name), purchase(after, name)
            more = after.units.get(name, 0) - before.units.get(name, 0)
            if old == new and not more:
                continue
            product = self._read_product(name)
            if old != new:
                self._replace(product, old, new)
            product.units += more
            self._store.put("p:" + name, _encode(product))
            if more:
                self._rank(name, product.units - more, product.units)

    def _replace(self, product: Product, old: Movement | None, new: Movement | None) -> None:
        before = product.movements.unmatched
        if product.movements.replace(old, new):
            self._flags[LIMIT_MOVEMENTS] = None
        self._summary.unmatched += product.movements.unmatched - before

    def _read(self, order_id: str) -> Order | None:
        blob = self._store.get("o:" + order_id)
        return None if blob is None else _order(blob)

    def _read_product(self, name: str) -> Product:
        blob = self._store.get("p:" + name)
        return Product() if blob is None else _product(blob)

    def _retime(self, old: int | None, new: int | None) -> None:
        """Keep the first and the last time of orders; the series holds both already."""
        if old == new:
            return
        summary, times = self._summary, self._orders.times
        if summary.times_indexed:
            index = Index(self._store, "times")
            if new is not None and self._count(new, 1) == 1:
                index.add((new, ""))
            if old is not None and self._count(old, -1) == 0:
                index.remove((old, ""))
            if old in (summary.first, summary.last) or new is None:
                first, last = index.first(1), index.last()
                summary.first, summary.last = (first[0][0] if first else None), (last[0] if last else None)
            else:
                summary.first = new if summary.first is None else min(summary.first, new)
                summary.last = new if summary.last is None else max(summary.last, new)
            return
        summary.first, summary.last = (times[1], times[-1]) if len(times) > 1 else (None, None)
        if len(times) > TIMES_IN_SERIES:
            summary.times_indexed = True
            index, counts = Index(self._store, "times"), self._orders.counts
            for at in range(1, len(times)):
                self._count(times[at], counts[at] - counts[at - 1])
                index.add((times[at], ""))

    def _count(self, time: int, more: int) -> int:
        """How many counted orders there are at a time, with so many more."""
        key = f"t:{time}"
        number = int(self._store.get(key) or b"0") + more
        if number:
            self._store.put(key, str(number).encode())
        else:
            self._store.remove(key)
        return number

    def _rank(self, name: str, before: int, units: int) -> None:
        """Keep the exact 64 products with the most units."""
        summary, top = self._summary, self._summary.top
        summary.products += (before == 0) - (units == 0)
        if not summary.ranks_indexed and summary.products <= TOP_KEPT:
            if units:
                top[name] = units
            else:
                del top[name]
            return
        index = Index(self._store, "ranks")
        if not summary.ranks_indexed:
            summary.ranks_indexed = True
            for other, number in top.items():
                index.add((-number, other))
        if before and (before != units):
            index.remove((-before, name))
        if units:
            index.add((-units, name))
        if name in top or len(top) < TOP_KEPT or (-units, name) < max((-number, other) for other, number in top.items()):
            summary.top = {other: -number for number, other in index.first(TOP_KEPT)}
