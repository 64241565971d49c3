"""Orders and money recomputed from clean events: docs/features.md, "Order ledger", by code that shares nothing with the pipeline's ledger.

Events are folded one by one, in any order; what is kept of a document is the newest version of each source of versions.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

ORDERED: Final = ("Order Completed", "Order Updated")
REFUNDED: Final = "Order Refunded"
CANCELLED: Final = "Order Cancelled"
NAMES: Final = frozenset((*ORDERED, REFUNDED, CANCELLED))
BOUNDED: Final = "limit:"
"""Flags of events at which the ledger met one of its bounds begin with this: from there on it keeps less than this fold does."""
_ADDED: Final = ("shipping", "tax", "duties", "fees")
_DECIMALS: Final = {
    **dict.fromkeys(
        ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"), 0
    ),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}


class Money(NamedTuple):
    """What was bought and given back, in minor units of the tenant's currency."""

    orders: int = 0
    gross: int = 0
    refunded: int = 0

    @property
    def net(self) -> int:
        """What is left."""
        return self.gross - self.refunded

    def plus(self, other: "Money") -> "Money":
        """Both together."""
        return Money(self.orders + other.orders, self.gross + other.gross, self.refunded + other.refunded)


class _Version(NamedTuple):
    """What one version of a document says. Those of one source are ranked by `(order, time, position)`, sources by `(time, position)`."""

    order: str
    time: int
    position: tuple[int, str, int, int]
    minor: int
    currency: str
    rate: float
    own: float | None
    order_id: str
    counts: bool


class _Document:
    """The newest version of each source of versions, and the time of the first."""

    __slots__ = ("first", "newest")

    def __init__(self) -> None:
        self.first: int = 2**62
        self.newest: dict[str, _Version] = {}

    def take(self, log: str, version: _Version) -> None:
        self.first = min(self.first, version.time)
        held = self.newest.get(log)
        if held is None or (held.order, held.time, held.position) < (version.order, version.time, version.position):
            self.newest[log] = version

    def counting(self) -> _Version:
        return max(self.newest.values(), key=lambda version: (version.time, version.position))


class Node:
    """What one identifier ordered and gave back."""

    __slots__ = ("cancelled", "is_bounded", "orders", "profile_id", "refunds", "seq")

    def __init__(self) -> None:
        self.orders: dict[str, _Document] = {}
        self.refunds: dict[str, _Document] = {}
        self.cancelled: set[str] = set()
        self.profile_id, self.seq = "", -1
        self.is_bounded = False

    def totals(self) -> dict[str, int]:
        """Minor units of each order that counts."""
        return {name: document.counting().minor for name, document in self.orders.items() if name not in self.cancelled}

    def given_back(self, units: int) -> dict[str, int]:
        """Minor units of each refund that counts; `units` are the minor units in a major one of the tenant's currency."""
        found: dict[str, int] = {}
        converted: dict[str, list[tuple[int, str, _Version]]] = {}
        for name, document in self.refunds.items():
            refund = document.counting()
            if not refund.counts or refund.order_id in self.cancelled:
                continue
            order = self.orders.get(refund.order_id)
            paid = order.counting() if order else None
            if paid is not None and paid.currency and refund.currency in ("", paid.currency):
                converted.setdefault(refund.order_id, []).append((document.first, name, refund))
            else:
                found[name] = refund.minor
        for order_id, refunds in converted.items():
            paid = self.orders[order_id].counting()
            scale, upto, before = 10 ** _DECIMALS.get(paid.currency, 2), 0, 0
            for _, name, refund in sorted(refunds, key=lambda one: one[:2]):
                upto += math.floor((refund.own if refund.own is not None else refund.minor / units) * scale + 0.5)
                now = math.floor(upto / scale * paid.rate * units + 0.5)
                found[name], before = now - before, now
        return found

    def money(self, units: int) -> Money:
        """All of it."""
        totals = self.totals()
        return Money(len(totals), sum(totals.values()), sum(self.given_back(units).values()))


class Fold:
    """Folds clean events.

    Args:
        minor_units: decimals of each tenant's currency.

    Attributes:
        nodes: (tenant, node key) -> what it ordered.
    """

    def __init__(self, minor_units: Mapping[str, int]) -> None:
        self._units: dict[str, int] = {tenant: 10**decimals for tenant, decimals in minor_units.items()}
        self.nodes: dict[tuple[str, str], Node] = {}

    def units(self, tenant: str) -> int:
        """Minor units in a major one of a tenant's currency."""
        return self._units.get(tenant, 100)

    def take(self, record: Mapping[str, Any], properties: Mapping[str, Any]) -> None:
        """Take an event of one of `NAMES`.

        Args:
            record: the clean record.
            properties: its properties, read.
        """
        node = self.nodes.setdefault((record["tenant"], record["node"]), Node())
        if record["seq"] > node.seq:
            node.profile_id, node.seq = record["profile_id"], record["seq"]
        node.is_bounded |= any(flag.startswith(BOUNDED) for flag in record["flags"])
        if record["late"]:
            return
        order_id = properties.get("order_id") or ""
        if record["name"] == CANCELLED:
            node.cancelled.add(order_id)
            return
        is_refund = record["name"] == REFUNDED
        held, name = (node.refunds, properties["refund_id"]) if is_refund else (node.orders, order_id)
        held.setdefault(name, _Document()).take(record.get("origin_log", ""), self._version(record, properties, order_id))

    def money(self, nodes: Iterable[tuple[str, str]]) -> Money:
        """Of several nodes together."""
        found = Money()
        for key in nodes:
            node = self.nodes.get(key)
            if node is not None:
                found = found.plus(node.money(self.units(key[0])))
        return found

    def _version(self, record: Mapping[str, Any], properties: Mapping[str, Any], order_id: str) -> _Version:
        units = self.units(record["tenant"])
        original = properties.get("original_currency") or ""
        own = properties.get("original_total") if original else properties.get("total")
        return _Version(
            record.get("origin_order", ""),
            record["event_time"],
            (record["log_time"], record["source"], record["partition"], record["offset"]),
            _total(properties, units),
            (original or properties.get("currency") or "") if record["name"] == REFUNDED else original,
            properties.get("exchange_rate") or 0.0,
            own,
            order_id,
            properties.get("status") in (None, "succeeded"),
        )


def _total(properties: Mapping[str, Any], units: int) -> int:
    if properties.get("total") is not None:
        return _minor(properties["total"], units)
    lines = sum(_minor(line["price"] * line["quantity"], units) for line in properties.get("products") or ())
    added = sum(_minor(properties.get(name) or 0, units) for name in _ADDED)
    return max(0, lines + added - _minor(properties.get("discount") or 0, units))


def _minor(amount: float, units: int) -> int:
    return math.floor(amount * units + 0.5)
