"""Short ways to write raw records by hand; times are days after 2011-01-01."""

import json
from pathlib import Path
from typing import Any

from tests.oracle import Log, Profiles, RawRecord, Rulebook

DAY_MS = 86_400_000
START_MS = 1_293_840_000_000  # 2011-01-01
RULES = Rulebook.read(Path(__file__).parents[3] / "config", lambda tenant, namespace, value: value)
NODE = "demo|user_id|7"
ENVELOPE = ("logged", "messageId", "userId", "anonymousId", "tenant", "context")


def at(days: float) -> int:
    """A moment, ms."""
    return START_MS + round(days * DAY_MS)


def iso(time_ms: int) -> str:
    """A moment as the envelope spells it."""
    import datetime as dt

    return dt.datetime.fromtimestamp(time_ms / 1000, dt.UTC).isoformat(timespec="milliseconds")


class Writer:
    """Appends records to one partition, the log time of each being its event time unless said otherwise."""

    def __init__(self, rules: Rulebook = RULES) -> None:
        self.rules = rules
        self.records: list[RawRecord] = []

    def raw(self, value: bytes | None, days: float = 0.0) -> None:
        self.records.append(RawRecord("cdp.raw.orders", 0, len(self.records), at(days), value))

    def call(self, days: float, kind: str = "track", *, logged: float | None = None, **fields: Any) -> None:
        body = {"type": kind, "messageId": f"m{len(self.records)}", "userId": "7", "timestamp": iso(at(days)), **fields}
        self.raw(
            json.dumps({name: value for name, value in body.items() if value is not None}).encode(), days if logged is None else logged
        )

    def order(self, days: float, order_id: str, *lines: tuple[str, int, float], event: str = "Order Completed", **more: Any) -> None:
        products = [{"product_id": product, "quantity": quantity, "price": price} for product, quantity, price in lines]
        self.tell(days, event, order_id=order_id, products=products, **more)

    def refund(self, days: float, refund_id: str, *lines: tuple[str, int, float], **more: Any) -> None:
        products = [{"product_id": product, "quantity": quantity, "price": price} for product, quantity, price in lines]
        self.tell(days, "Order Refunded", refund_id=refund_id, products=products, **more)

    def tell(self, days: float, event: str, **more: Any) -> None:
        """A track event; what is no part of the envelope is a property."""
        envelope = {name: more.pop(name) for name in ENVELOPE if name in more}
        self.call(days, event=event, properties=more, **envelope)

    def log(self) -> Log:
        return Log(self.records, self.rules)

    def profile(self, days: float, *nodes: str) -> dict[str, Any]:
        return Profiles(self.log(), self.rules).at(nodes or (NODE,), at(days))
