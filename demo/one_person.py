"""A walk for the tour: one person with two devices and a guest order, before and after the sign-in, taken apart and put together again."""

import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from confluent_kafka import Producer

from demo.latency import PATIENCE_S, PROBE, NotSeenError
from demo.messages import CLICKSTREAM, ORDERS, SERVICE, message, render
from profile_store.client import Client
from profile_store.profile import Profile

Found = TypeVar("Found")
LOOK_S: Final = 0.002
TOTAL: Final = 5.10
WANTED: Final[dict[str, Any]] = {"views_lifetime": 4, "orders_lifetime": 1, "tickets_lifetime": 1, "trait:city": "York"}
"""What the one person has done in the end, and what is said of her."""


class Walk:
    """Sends what one person does and looks at the profile store as any client would.

    Args:
        bootstrap: Kafka, on the live clock.
        store: the profile store.

    Attributes:
        user, laptop, phone, email: identifiers, `namespace:value`, of a person who was never there before.
    """

    def __init__(self, bootstrap: str, store: Client) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0, "acks": "all", "log_level": 0})
        self._store = store
        self._run = f"{time.time_ns() // 1_000_000:x}"
        self._number = 0
        self.user, self.email = f"user_id:ann-{self._run}", f"email:ann-{self._run}@shop.example"
        self.laptop, self.phone = f"anonymous_id:laptop-{self._run}", f"anonymous_id:phone-{self._run}"

    def arrive(self) -> list[Profile]:
        """Visits on a laptop and on a phone, an order as a guest, a parcel that names only its order; returns the profiles they make."""
        for device, views in ((self.laptop, 3), (self.phone, 1)):
            for _ in range(views):
                self._send(CLICKSTREAM, "Product Viewed", PROBE, device=_value(device))
        line = {"product_id": "85123A", "quantity": 2, "price": 2.55, "name": "WHITE HANGING HEART T-LIGHT HOLDER", "category": "Light"}
        order = {"order_id": f"guest-{self._run}", "total": TOTAL, "currency": "GBP", "products": [line]}
        guest = {"externalIds": [{"type": "email", "id": _value(self.email)}]}
        self._send(ORDERS, "Order Completed", order, context=guest)
        self._send(ORDERS, "Shipment Dispatched", {"order_id": order["order_id"], "shipment_id": f"parcel-{self._run}"})
        names = (self.laptop, self.phone, self.email)
        views = WANTED["views_lifetime"]
        return self._await(lambda: found if len(found := self._known(*names)) == len(names) and _sum(found) == views else None)

    def sign_in(self) -> tuple[Profile, float]:
        """Signs in on both devices with the e-mail address, and asks for help; returns the one profile and the milliseconds it took.

        The shop and the ERP know her by different names and cities.
        """
        asked = {"ticket_id": f"T-{self._run}", "category": "delivery", "channel": "web", "priority": "normal"}
        self._send(SERVICE, "Ticket Opened", asked, user=_value(self.user))
        by_erp = {"firstName": "Anne", "city": "York"}
        by_shop = {"firstName": "Ann", "city": "Leeds", "email": _value(self.email), "emailVerified": True}
        self._send(
            ORDERS, "group", user=_value(self.user), groupId=f"home-{self._run}", context={"source": "erp", "groupType": "household"}
        )
        self._await(lambda: self._store.get(self.user))
        begun = time.perf_counter()
        phone, laptop = _value(self.phone), _value(self.laptop)
        self._send(CLICKSTREAM, "identify", user=_value(self.user), device=phone, traits=by_shop, context={"source": "web-shop"})
        known = {"externalIds": [{"type": "email", "id": _value(self.email)}], "source": "erp"}
        self._send(CLICKSTREAM, "identify", user=_value(self.user), device=laptop, traits=by_erp, context=known)
        return self._await(self._whole), (time.perf_counter() - begun) * 1000

    def apart(self) -> list[Profile]:
        """The phone's profile and the rest, once they are two."""
        return self._await(lambda: found if len(found := self._known(self.user, self.phone)) == 2 and not self._whole() else None)

    def together(self) -> Profile:
        """The one profile, once it is one again."""
        return self._await(self._whole)

    def _whole(self) -> Profile | None:
        found = self._store.get(self.user)
        return found if found is not None and all(found.fields.get(name) == value for name, value in WANTED.items()) else None

    def _known(self, *identifiers: str) -> list[Profile]:
        """The different profiles behind some identifiers."""
        found = {profile.profile_id: profile for name in identifiers if (profile := self._store.get(name)) is not None}
        return list(found.values())

    @staticmethod
    def _await(look: Callable[[], Found | None]) -> Found:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            found = look()
            if found is not None:
                return found
            time.sleep(LOOK_S)
        raise NotSeenError(f"what was sent was not in Redis after {PATIENCE_S:.0f} s: see `cdp jobs` and `cdp logs profiles`")

    def _send(
        self,
        topic: str,
        kind: str,
        properties: dict[str, Any] | None = None,
        *,
        user: str = "",
        device: str = "",
        context: dict[str, Any] | None = None,
        **rest: Any,
    ) -> None:
        self._number += 1
        named = f"walk-{self._run}-{self._number}"
        about = {"channel": "web", "synthetic": True} | (context or {})
        if properties is not None:
            rest["properties"] = properties
        event = message(topic, int(time.time() * 1000), named, kind, user=user, device=device, context=about, **rest)
        self._producer.produce(event.topic, render(event.body), key=event.key or named)
        self._producer.flush(10)


def _value(identifier: str) -> str:
    return identifier.split(":", 1)[1]


def _sum(profiles: list[Profile]) -> int:
    return sum(profile.fields.get("views_lifetime") or 0 for profile in profiles)
