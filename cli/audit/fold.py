"""Orders and money recomputed from clean events by code that shares nothing with the pipeline.

docs/objects.md says whose an object is, docs/features.md ("Order ledger") what its owner's money is. Events are folded one by one, in any
order; what is kept of a document is the newest version of each source of versions.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

ORDERED: Final = ("Order Completed", "Order Updated")
REFUNDED: Final = "Order Refunded"
CANCELLED: Final = "Order Cancelled"
NAMES: Final = frozenset((*ORDERED, REFUNDED, CANCELLED))
LEDGER: Final = ("order|", "refund|")
"""Objects that have to do with money begin with these."""
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


Document = tuple[str, str, str]
"""Tenant, key of the object, and the refund's id; empty for the order itself."""


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
    key: str
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


class Told:
    """What was told of one object.

    Attributes:
        claim: the best one: rank of the namespace, event time, node key.
        order, refunds: versions of the order; by refund id, those of refunds.
        is_cancelled: the order is.
        is_bounded: a ledger met one of its bounds with it.
        is_older: some record of it was written before records said which object they concern.
    """

    __slots__ = ("claim", "is_bounded", "is_cancelled", "is_older", "order", "refunds")

    def __init__(self) -> None:
        self.claim: tuple[int, int, str] | None = None
        self.order: _Document | None = None
        self.refunds: dict[str, _Document] = {}
        self.is_cancelled = False
        self.is_bounded = False
        self.is_older = False

    @property
    def owner(self) -> str:
        """Node key; empty when no record claims it."""
        return self.claim[2] if self.claim is not None else ""


class Node:
    """What one identifier owns: objects by their key, e.g. `order||536365`."""

    __slots__ = ("_cancelled", "_orders", "_refunds", "is_bounded")

    def __init__(self) -> None:
        self._orders: dict[str, _Document] = {}
        self._refunds: dict[tuple[str, str], _Document] = {}
        self._cancelled: set[str] = set()
        self.is_bounded = False

    def own(self, key: str, told: Told) -> None:
        """An object is this node's. The refunds of an issuer have one numbering here, whichever objects they were told of."""
        self.is_bounded |= told.is_bounded
        if told.order is not None:
            self._orders[key] = told.order
        if told.is_cancelled:
            self._cancelled.add(key)
        for refund_id, document in told.refunds.items():
            number = key.split("|", 2)[1], refund_id
            held = self._refunds.get(number)
            self._refunds[number] = document if held is None else _both(held, document)

    def totals(self) -> dict[str, int]:
        """Minor units of each order that counts, by its object."""
        return {key: document.counting().minor for key, document in self._orders.items() if key not in self._cancelled}

    def given_back(self, units: int) -> dict[tuple[str, str], int]:
        """Minor units of each refund that counts, by the object that it is told of and its id.

        Args:
            units: minor units in a major one of the tenant's currency.
        """
        found: dict[tuple[str, str], int] = {}
        converted: dict[str, list[tuple[int, str, _Version]]] = {}
        for (_, refund_id), document in self._refunds.items():
            refund = document.counting()
            if not refund.counts or refund.key in self._cancelled:
                continue
            order = self._orders.get(refund.key)
            paid = order.counting() if order else None
            if paid is not None and paid.currency and refund.currency in ("", paid.currency):
                converted.setdefault(refund.key, []).append((document.first, refund_id, refund))
            else:
                found[refund.key, refund_id] = refund.minor
        for key, refunds in converted.items():
            paid = self._orders[key].counting()
            scale, upto, before = 10 ** _DECIMALS.get(paid.currency, 2), 0, 0
            for _, refund_id, refund in sorted(refunds, key=lambda one: one[:2]):
                upto += math.floor((refund.own if refund.own is not None else refund.minor / units) * scale + 0.5)
                now = math.floor(upto / scale * paid.rate * units + 0.5)
                found[key, refund_id], before = now - before, now
        return found

    def money(self, units: int) -> Money:
        """All of it."""
        totals = self.totals()
        return Money(len(totals), sum(totals.values()), sum(self.given_back(units).values()))


class Fold:
    """Folds clean events.

    Args:
        minor_units: decimals of each tenant's currency.
        namespaces: from the strongest to the weakest.

    Attributes:
        objects: (tenant, key) -> what was told of it.
    """

    def __init__(self, minor_units: Mapping[str, int], namespaces: Sequence[str]) -> None:
        self._units: dict[str, int] = {tenant: 10**decimals for tenant, decimals in minor_units.items()}
        self._ranks = {name: rank for rank, name in enumerate(namespaces)}
        self._profiles: dict[tuple[str, str], tuple[int, str]] = {}
        self.objects: dict[tuple[str, str], Told] = {}

    def units(self, tenant: str) -> int:
        """Minor units in a major one of a tenant's currency."""
        return self._units.get(tenant, 100)

    def take(self, record: Mapping[str, Any], properties: Mapping[str, Any]) -> None:
        """Take an event that concerns an object.

        Args:
            record: the clean record.
            properties: its properties, read; they are looked at for events of `NAMES` only.
        """
        key = record["object"] or _of_older(record["name"], properties)
        told = self.objects.setdefault((record["tenant"], key), Told())
        told.is_bounded |= any(flag.startswith(BOUNDED) for flag in record["flags"])
        if record["node"] and key.startswith(LEDGER):
            place = record["tenant"], record["node"]
            self._profiles[place] = max(self._profiles.get(place, (-1, "")), (record["seq"], record["profile_id"]))
        if record["late"]:
            return
        told.is_older |= not record["object"]
        if record["node"]:
            claim = self._rank(record["node"]), record["event_time"], record["node"]
            told.claim = claim if told.claim is None else min(told.claim, claim)
        if record["name"] == CANCELLED:
            told.is_cancelled = True
        elif record["name"] == REFUNDED:
            told.refunds.setdefault(properties["refund_id"], _Document()).take(*self._version(record, properties, key))
        elif record["name"] in ORDERED:
            told.order = told.order or _Document()
            told.order.take(*self._version(record, properties, key))

    @property
    def named(self) -> Iterable[tuple[str, str]]:
        """(tenant, node key) of everybody whom a record of an order or refund names, also those who own nothing."""
        return self._profiles.keys()

    def profile_of(self, node: tuple[str, str]) -> str:
        """The profile that the newest of a node's records of orders and refunds bears; empty when there is none."""
        return self._profiles.get(node, (0, ""))[1]

    def nodes(self) -> dict[tuple[str, str], Node]:
        """(tenant, node key) -> what it owns; what nobody owns is of an empty node key."""
        found: dict[tuple[str, str], Node] = {}
        for (tenant, key), told in self.objects.items():
            found.setdefault((tenant, told.owner), Node()).own(key, told)
        return found

    def _rank(self, node: str) -> int:
        return self._ranks.get(node.split("|", 2)[1], len(self._ranks))

    def _version(self, record: Mapping[str, Any], properties: Mapping[str, Any], key: str) -> tuple[str, _Version]:
        units = self.units(record["tenant"])
        original = properties.get("original_currency") or ""
        own = properties.get("original_total") if original else properties.get("total")
        return record["origin_log"], _Version(
            record["origin_order"],
            record["event_time"],
            (record["log_time"], record["source"], record["partition"], record["offset"]),
            _total(properties, units),
            (original or properties.get("currency") or "") if record["name"] == REFUNDED else original,
            properties.get("exchange_rate") or 0.0,
            own,
            key,
            properties.get("status") in (None, "succeeded"),
        )


def _both(one: _Document, other: _Document) -> _Document:
    """A refund that versions told of several objects."""
    both = _Document()
    for document in (one, other):
        for log, version in document.newest.items():
            both.take(log, version)
    both.first = min(one.first, other.first)
    return both


def _of_older(name: str, properties: Mapping[str, Any]) -> str:
    """The object of a record that was written before records said it."""
    if name == REFUNDED and not properties.get("order_id"):
        return f"refund||{properties['refund_id']}"
    return f"order||{properties.get('order_id') or ''}"


def _total(properties: Mapping[str, Any], units: int) -> int:
    if properties.get("total") is not None:
        return _minor(properties["total"], units)
    lines = sum(_minor(line["price"] * line["quantity"], units) for line in properties.get("products") or ())
    added = sum(_minor(properties.get(name) or 0, units) for name in _ADDED)
    return max(0, lines + added - _minor(properties.get("discount") or 0, units))


def _minor(amount: float, units: int) -> int:
    return math.floor(amount * units + 0.5)
