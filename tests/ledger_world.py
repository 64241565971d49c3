"""Orders and refunds at random, of tenants whose currencies have 0, 2 and 3 decimals, for the pure core and for the oracle."""

import datetime as dt
import json
from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec
from hypothesis import strategies as st

from config import loader
from config.platform import Platform, Tenant
from pipelines.features.ledger import Store
from pipelines.identity.nodes import Nodes
from pipelines.ingest.checks import Rules
from pipelines.ingest.decode import Decoder
from pipelines.ingest.personal import Masker
from tests.in_process import KEY, InProcess
from tests.oracle import Log, Profiles, RawRecord, Rulebook
from tests.oracle.shapes import Money

START_MS = 1_767_225_600_000  # 2026-01-01
DECIMALS = {"JPY": 0, "GBP": 2, "EUR": 2, "KWD": 3}
TENANTS = {"yen": "JPY", "demo": "GBP", "dinar": "KWD"}
RATES = {
    "yen": {"GBP": 199.37, "EUR": 168.9, "KWD": 511.113},
    "demo": {"JPY": 0.00503, "EUR": 0.857, "KWD": 2.4371},
    "dinar": {"JPY": 0.001957, "GBP": 0.4103, "EUR": 0.34471},
}
LATER_RATES = {tenant: {currency: rate * 1.0371 for currency, rate in rates.items()} for tenant, rates in RATES.items()}
"""From the third day on, so that a refund's own day has another rate than its order's."""
_FROM, _LATER = dt.date(2026, 1, 1), dt.date(2026, 1, 3)
DAY_MS = 86_400_000


_definitions = cache(loader.definitions)


@cache
def platform() -> Platform:
    """Three tenants instead of those of `config/`."""
    tenants = {name: Tenant(currency, DECIMALS[currency]) for name, currency in TENANTS.items()}
    return msgspec.structs.replace(loader.platform(), tenants=tenants)


@cache
def _decoder() -> Decoder:
    """Made once: to read all contracts takes longer than to play a hundred events."""
    rates = {
        name: {currency: {_FROM: rate, _LATER: LATER_RATES[name][currency]} for currency, rate in RATES[name].items()} for name in TENANTS
    }
    nodes = Nodes(loader.identity(), KEY)
    return Decoder(platform(), nodes, Masker(loader.identity(), nodes), Rules(currencies=rates))


@cache
def rules() -> Rulebook:
    """The oracle's configuration, of these tenants."""
    later = START_MS + 2 * DAY_MS
    money = {
        name: Money(
            currency,
            {other: {START_MS: RATES[name][other], later: LATER_RATES[name][other]} for other in RATES[name]},
            DECIMALS[currency],
        )
        for name, currency in TENANTS.items()
    }
    return Rulebook.read(loader.folder(), Nodes(loader.identity(), KEY).mask)._replace(money=money, traffic=[])


def core(forget_every: int = 0, ledger_store: Callable[[], Store] | None = None) -> InProcess:
    """The pure core with these tenants."""
    return InProcess(_definitions(), forget_every, platform=platform(), decoder=_decoder(), ledger_store=ledger_store)


def play(records: list[RawRecord], forget_every: int = 0) -> InProcess:
    """Feed records through the core."""
    made = core(forget_every)
    for record in records:
        made.record(record.value, record.topic, record.partition, record.offset, record.timestamp_ms)
    return made


def judge(records: list[RawRecord]) -> Profiles:
    """The oracle's profiles."""
    found = rules()
    return Profiles(Log(records, found), found)


def written(events: list[dict[str, Any]]) -> list[RawRecord]:
    """Events as records of one partition, in this order, all within a week."""
    base = START_MS + 6 * DAY_MS
    return [RawRecord("cdp.raw.orders", 0, at, base + at, json.dumps(event).encode()) for at, event in enumerate(events)]


@st.composite
def events(draw: st.DrawFn, *, ordered: bool = False) -> list[dict[str, Any]]:
    """Ledger events of one customer, some of them told again.

    Args:
        draw: Hypothesis.
        ordered: versions of one document differ in event time, or carry their source's order: what holds for I2.
    """
    tenant = draw(st.sampled_from(sorted(TENANTS)))
    made = []
    for number in range(draw(st.integers(1, 14))):
        name = draw(
            st.sampled_from(["Order Completed", "Order Updated", "Order Updated", "Order Refunded", "Order Refunded", "Order Cancelled"])
        )
        if name == "Order Cancelled" and draw(st.integers(0, 2)):
            name = "Order Completed"
        properties = draw(_properties(name, tenant))
        day = draw(st.integers(0, 5))
        at = START_MS + day * DAY_MS + (number if ordered else draw(st.integers(0, 1)))
        context: dict[str, Any] = {}
        if draw(st.booleans()):
            context = {"source": draw(st.sampled_from(["erp", "shop"])), "sourceOrder": number if ordered else draw(st.integers(0, 4))}
        when = dt.datetime.fromtimestamp(at / 1000, dt.UTC).isoformat(timespec="milliseconds")
        made.append(
            {
                "type": "track", "event": name, "messageId": f"m{number}", "userId": "u", "tenant": tenant, "timestamp": when,
                "properties": properties, "context": context,
            }
        )  # fmt: skip
    again = draw(st.lists(st.sampled_from(made), max_size=3))
    return draw(st.permutations(made + again))


@st.composite
def _properties(draw: st.DrawFn, name: str, tenant: str) -> dict[str, Any]:
    order_id = draw(st.sampled_from(["o1", "o2"]))
    if name == "Order Cancelled":
        return {"order_id": order_id}
    currency = draw(st.sampled_from([None, TENANTS[tenant], *RATES[tenant]]))
    decimals = DECIMALS[currency or TENANTS[tenant]]

    def amount(least: int = 0) -> float:
        return draw(st.integers(least, 3000)) / 10**decimals

    lines = draw(st.lists(st.sampled_from("abc"), min_size=1 if name == "Order Completed" else 0, max_size=3))
    found: dict[str, Any] = {"products": [{"product_id": one, "quantity": draw(st.integers(1, 3)), "price": amount()} for one in lines]}
    if currency:
        found["currency"] = currency
    found |= {label: amount() for label in draw(st.sets(st.sampled_from(["shipping", "tax", "duties", "fees", "discount"]), max_size=2))}
    if not lines or draw(st.booleans()):
        found["total"] = amount()
    if name != "Order Refunded":
        return found | {"order_id": order_id}
    found |= {"refund_id": draw(st.sampled_from(["r1", "r2", "r3"]))}
    if draw(st.integers(0, 3)):
        found["order_id"] = order_id
    return found | draw(st.sampled_from([{}, {}, {"status": "succeeded"}, {"status": "failed"}, {"kind": "charge_back"}]))
