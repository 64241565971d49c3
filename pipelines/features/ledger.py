"""The order ledger of one node: orders, refunds and cancellations in any order and any number of versions (docs/features.md).

Records live in a mapping that outlives the process (Flink MapState in the job, a dict in tests): `o:<order>`, `r:<refund>`, `p:<product>`
(and `b:<business key>`, which is `pipelines.ingest.dedupe`'s).
"""

from collections.abc import Iterable
from typing import Protocol

import msgspec

from pipelines.features.series import Series
from pipelines.wire import CancelFacts, Facts, OrderFacts, RefundFacts

TOP_KEPT = 64


class Store(Protocol):
    """What the ledger needs of its mapping."""

    def get(self, key: str) -> bytes | None:
        """The record or None."""

    def put(self, key: str, value: bytes) -> None:
        """Write a record."""

    def items(self) -> Iterable[tuple[str, bytes]]:
        """All records."""


class Document(msgspec.Struct, array_like=True):
    """An order or a refund as known so far.

    Attributes:
        time: smallest event time of all versions, ms.
        newest: event time of the version that counts, ms; of several of that time, the one with the greatest content.
        total: minor units.
        lines: `(product_id, units)`.
        order_id: the order that a refund names.
        cancelled: the order has been cancelled; nothing brings it back.
    """

    time: int
    newest: int
    total: int
    lines: list[tuple[str, int]]
    order_id: str = ""
    cancelled: bool = False


class Product(msgspec.Struct, array_like=True):
    """Lines and refund lines of one product.

    Attributes:
        bought: `(order time, order id, line number, units)`.
        refunded: `(refund time, refund id, line number, units, order id)`.
        unmatched: refund lines that find no unit.
    """

    bought: list[tuple[int, str, int, int]]
    refunded: list[tuple[int, str, int, int, str]]
    unmatched: int = 0


class Summary(msgspec.Struct, array_like=True):
    """What the node keeps at hand of its ledger.

    Attributes:
        first, last: smallest and greatest time of counted orders (ms), None without.
        unmatched: refund lines without a unit to take.
        products: number of products ever bought.
        top: the products with the most units, at most `TOP_KEPT`.
    """

    first: int | None = None
    last: int | None = None
    unmatched: int = 0
    products: int = 0
    top: dict[str, int] = {}


_document = msgspec.msgpack.Decoder(Document).decode
_product = msgspec.msgpack.Decoder(Product).decode
_encode = msgspec.msgpack.Encoder().encode


class Ledger:
    """Applies ledger facts and keeps series and summary in step.

    Args:
        store: the node's records.
        summary: kept up to date.
        orders: series of orders.
        refunds: series of refunds.
    """

    def __init__(self, store: Store, summary: Summary, orders: Series, refunds: Series) -> None:
        self._store = store
        self._summary = summary
        self._orders = orders
        self._refunds = refunds

    def apply(self, facts: Facts, time: int) -> bool:
        """Apply one fact.

        Args:
            facts: what the event says.
            time: event time, ms.

        Returns:
            Whether anything changed.
        """
        if isinstance(facts, CancelFacts):
            return self._cancel(facts.order_id, time)
        if isinstance(facts, OrderFacts):
            return self._order(facts, time)
        return self._refund(facts, time)

    def _read(self, key: str) -> Document | None:
        blob = self._store.get(key)
        return None if blob is None else _document(blob)

    def _order(self, facts: OrderFacts, time: int) -> bool:
        key = "o:" + facts.order_id
        old = self._read(key)
        if old is not None and old.cancelled:
            return False
        new = _merge(old, Document(time, time, facts.total, facts.lines))
        if new == old:
            return False
        self._store.put(key, _encode(new))
        if old is not None and (old.time, old.total, old.lines) == (new.time, new.total, new.lines):
            return False
        self._replace_order(facts.order_id, old, new)
        return True

    def _cancel(self, order_id: str, time: int) -> bool:
        key = "o:" + order_id
        old = self._read(key)
        if old is not None and old.cancelled:
            return False
        self._store.put(key, _encode(Document(time, time, 0, [], cancelled=True)))
        if old is None:
            return False
        self._replace_order(order_id, old, None)
        return True

    def _replace_order(self, order_id: str, old: Document | None, new: Document | None) -> None:
        summary = self._summary
        if old is not None:
            self._orders.add(old.time, -1, -old.total)
        if new is not None:
            self._orders.add(new.time, 1, new.total)
        if old is not None and (new is None or new.time != old.time) and old.time in (summary.first, summary.last):
            times = [d.time for k, blob in self._store.items() if k.startswith("o:") and not (d := _document(blob)).cancelled]
            summary.first, summary.last = (min(times), max(times)) if times else (None, None)
        elif new is not None:
            summary.first = new.time if summary.first is None else min(summary.first, new.time)
            summary.last = new.time if summary.last is None else max(summary.last, new.time)
        touched: dict[str, list[tuple[int, str, int, int]]] = {}
        if old is not None:
            touched = {product: [] for product, _ in old.lines}
        if new is not None:
            for number, (product, units) in enumerate(new.lines):
                touched.setdefault(product, []).append((new.time, order_id, number, units))
        for name, lines in touched.items():
            record = self._read_product(name)
            before = sum(line[3] for line in record.bought)
            record.bought = [line for line in record.bought if line[1] != order_id] + lines
            self._rematch(record)
            self._store.put("p:" + name, _encode(record))
            self._rank(name, before, sum(line[3] for line in record.bought))

    def _refund(self, facts: RefundFacts, time: int) -> bool:
        key = "r:" + facts.refund_id
        old = self._read(key)
        new = _merge(old, Document(time, time, facts.total, facts.lines, facts.order_id))
        if new == old:
            return False
        self._store.put(key, _encode(new))
        if old is not None:
            self._refunds.add(old.time, -1, -old.total)
        self._refunds.add(new.time, 1, new.total)
        touched: dict[str, list[tuple[int, str, int, int, str]]] = {product: [] for product, _ in old.lines} if old is not None else {}
        for number, (name, units) in enumerate(new.lines):
            touched.setdefault(name, []).append((new.time, facts.refund_id, number, units, new.order_id))
        for name, lines in touched.items():
            product = self._read_product(name)
            product.refunded = [line for line in product.refunded if line[1] != facts.refund_id] + lines
            self._rematch(product)
            self._store.put("p:" + name, _encode(product))
        return True

    def _read_product(self, name: str) -> Product:
        blob = self._store.get("p:" + name)
        return Product([], []) if blob is None else _product(blob)

    def _rematch(self, product: Product) -> None:
        if not product.refunded and not product.unmatched:
            return
        unmatched = unmatched_lines(product)
        self._summary.unmatched += unmatched - product.unmatched
        product.unmatched = unmatched

    def _rank(self, name: str, before: int, units: int) -> None:
        """Keep the exact 64 products with the most units: counts outside the list only change when their product is touched."""
        summary, top = self._summary, self._summary.top
        if units == before:
            return
        summary.products += (before == 0) - (units == 0)
        if units < before and name in top and summary.products > TOP_KEPT:
            totals = {k[2:]: sum(line[3] for line in _product(blob).bought) for k, blob in self._store.items() if k.startswith("p:")}
            ranked = sorted(((n, u) for n, u in totals.items() if u), key=lambda pair: (-pair[1], pair[0]))
            summary.top = dict(ranked[:TOP_KEPT])
            return
        top.pop(name, None)
        if units == 0:
            return
        top[name] = units
        if len(top) > TOP_KEPT:
            fewest = min(top.values())
            del top[max(other for other, count in top.items() if count == fewest)]


def _merge(old: Document | None, new: Document) -> Document:
    """The newest version's content at the earliest version's time."""
    if old is None:
        return new
    time = min(old.time, new.time)
    return msgspec.structs.replace(new if _rank(new) > _rank(old) else old, time=time)


def _rank(document: Document) -> tuple[int, int, list[tuple[str, int]], str]:
    """Decides between versions by nothing but what they say: what is told twice has the same rank, whichever came first."""
    return document.newest, document.total, document.lines, document.order_id


def unmatched_lines(product: Product) -> int:
    """Number of refund lines of a product that find no unit to take back.

    Refund lines go in the order of (time, refund id, line number); each takes units from the newest lines bought until then, or only from
    the order that it names.
    """
    bought = sorted(product.bought, reverse=True)
    left = [line[3] for line in bought]
    unmatched = 0
    for time, _, _, units, order_id in sorted(product.refunded):
        need = units
        for index, (bought_at, bought_in, _, _) in enumerate(bought):
            if bought_at > time or not left[index] or (order_id and bought_in != order_id):
                continue
            taken = min(need, left[index])
            left[index] -= taken
            need -= taken
            if not need:
                break
        unmatched += need == units
    return unmatched
