"""A story told to the collector, read back as marketing and analysts would: sign-ins, guests, shared devices, aliases, corrections."""

import json
from pathlib import Path
from typing import Any

import urllib3
import yaml

from cli.stores import normaliser
from config import loader
from profile_store.client import Client
from sinks.clickhouse import ClickHouse
from tests.stacks import eventually
from tests.system.outcome import check_profiles
from tests.system.running import Running, say

PREFIX = "person-"
KEY = "demo-web-shop"
WITHIN_S = 60.0
ITEM = {"product_id": "p", "price": 5.0}


class Story:
    """Sends calls by HTTP and looks at profiles."""

    def __init__(self, platform: Running) -> None:
        self._http = urllib3.PoolManager(headers=urllib3.make_headers(basic_auth=f"{KEY}:"))
        self._url = f"http://127.0.0.1:{platform.settings.ports.collector}/v1"
        self._store = Client(loader.platform().redis.url, "demo", normaliser())
        self._number = 0

    def call(self, kind: str, user: str = "", browser: str = "", email: str = "", phone: str = "", **rest: Any) -> None:
        self._number += 1
        who = {"userId": PREFIX + user} if user else {}
        who |= {"anonymousId": PREFIX + browser} if browser else {}
        others = {"email": f"{PREFIX}{email}@shop.example" if email else "", "phone": phone}
        external = [{"type": name, "id": value} for name, value in others.items() if value]
        body = who | {"messageId": f"{PREFIX}{self._number}", "context": {"externalIds": external}} | rest
        answer = self._http.request("POST", f"{self._url}/{kind}", body=json.dumps(body))
        assert answer.status == 200, answer.data

    def view(self, **who: Any) -> None:
        self.call("track", event="Product Viewed", properties=ITEM, **who)

    def order(self, number: str, **who: Any) -> None:
        lines = [{"product_id": "p", "quantity": 2, "price": 5.0}]
        self.call("track", event="Order Completed", properties={"order_id": PREFIX + number, "products": lines}, **who)

    def refund(self, number: str, order: str, total: float, **who: Any) -> None:
        self.call(
            "track",
            event="Order Refunded",
            properties={"refund_id": PREFIX + number, "order_id": PREFIX + order, "total": total},
            **who,
        )

    def of(self, identifier: str) -> dict[str, Any]:
        """Profile id, views, orders and net of whoever has an identifier."""
        namespace, value = identifier.split(":")
        value = f"{value}@shop.example" if namespace == "email" else value
        found = self._store.get(f"{namespace}:{PREFIX}{value}")
        if found is None:
            return {}
        fields = found.fields
        return {"id": found.profile_id} | {
            short: fields[name] for short, name in (("views", "views_lifetime"), ("orders", "orders_lifetime"), ("net", "net_lifetime"))
        }

    def fields(self, identifier: str) -> dict[str, Any]:
        """All fields of whoever has an identifier."""
        namespace, value = identifier.split(":")
        found = self._store.get(f"{namespace}:{PREFIX}{value}")
        assert found is not None
        return found.fields

    def become(self, identifier: str, views: int, orders: int, net: float, same: tuple[str, ...] = (), other: tuple[str, ...] = ()) -> None:
        """Wait until a profile says so, is that of others too, and is not that of still others."""
        last: dict[str, Any] = {}

        def is_so() -> bool:
            mine = self.of(identifier)
            last.clear()
            last.update(mine)
            ids = [self.of(name).get("id") for name in same], [self.of(name).get("id") for name in other]
            wanted = {"views": views, "orders": orders, "net": net}
            return mine | wanted == mine and all(one == mine["id"] for one in ids[0]) and mine["id"] not in ids[1]

        try:
            eventually(is_so, f"{identifier} has {views} views, {orders} orders, {net} net", WITHIN_S)
        except AssertionError as error:
            raise AssertionError(f"{error}; it has {last}") from None


def test_a_story_of_sign_ins_guests_shared_devices_and_corrections(live: Running, tmp_path: Path) -> None:
    story = Story(live)
    # Ann looks around on two devices, buys as a guest, and signs in.
    story.view(browser="laptop")
    story.view(browser="laptop")
    story.view(browser="phone")
    story.call("identify", browser="phone", traits={"city": "York", "name": "Ann Lee"})
    story.order("o1", email="ann")
    story.call("track", event="Shipment Dispatched", properties={"order_id": PREFIX + "o1", "shipment_id": "s"})
    story.become("email:ann", 0, 1, 10.0, other=("anonymous_id:laptop", "anonymous_id:phone"))
    story.call("identify", user="ann", browser="laptop", email="ann", traits={"city": "Leeds", "first_name": "Ann"})
    story.call("group", user="ann", groupId=f"{PREFIX}home", context={"groupType": "household"}, traits={"size": 2})
    story.call("identify", user="ann", browser="phone")
    everything = ("email:ann", "anonymous_id:laptop", "anonymous_id:phone")
    story.become("user_id:ann", 3, 1, 10.0, same=everything)
    assert story.fields("user_id:ann")["trait:city"] == "Leeds"
    assert story.fields("user_id:ann")["groups"] == {"household": [f"{PREFIX}home"]}
    # The order is told again under her number, and goes back in part by a record that names nobody.
    story.order("o1", user="ann")
    story.refund("r1", "o1", 4.0)
    story.become("user_id:ann", 3, 1, 6.0, same=everything)
    # Bob signs in on Ann's phone: it stays hers, his visits are his.
    story.call("identify", user="bob", browser="phone")
    story.view(user="bob", browser="phone")
    story.become("user_id:bob", 1, 0, 0.0, other=everything)
    story.become("user_id:ann", 3, 1, 6.0, same=everything)
    # A late visit of an unknown browser links, and counts in no window.
    story.view(user="ann", browser="old-tablet", timestamp="2020-01-01T00:00:00Z")
    story.become("user_id:ann", 3, 1, 6.0, same=(*everything, "anonymous_id:old-tablet"))
    # Ann gets another number; both are hers.
    story.order("o2", user="ann-2")
    story.call("alias", user="ann-2", previousId=PREFIX + "ann")
    story.become("user_id:ann", 3, 2, 16.0, same=(*everything, "user_id:ann-2"))
    # The phone was her brother's after all, and then it was not.
    live.cdp("identity", "unlink", f"user_id:{PREFIX}ann", f"anonymous_id:{PREFIX}phone", "--reason", "her brother's")
    story.become("user_id:ann", 2, 2, 16.0, same=("email:ann", "user_id:ann-2"), other=("anonymous_id:phone",))
    story.become("anonymous_id:phone", 1, 0, 0.0)
    assert story.fields("anonymous_id:phone")["trait:city"] == "York"
    assert "name" not in story.fields("user_id:ann")["traits"]
    live.cdp("identity", "link", f"user_id:{PREFIX}ann", f"anonymous_id:{PREFIX}phone")
    story.become("user_id:ann", 3, 2, 16.0, same=(*everything, "user_id:ann-2"))
    # For a while two may share a device: limits change while all runs.
    limits = yaml.safe_load((loader.folder() / "identity.yaml").read_text())
    limits["namespaces"][0]["limits"]["most"] = 2
    shared = tmp_path / "two_share.yaml"
    shared.write_text(yaml.safe_dump(limits))
    live.cdp("identity", "apply", "--rules", str(shared), "--reason", "two share a tablet")
    try:
        story.call("identify", user="cleo", browser="tablet")
        story.call("identify", user="dan", browser="tablet")
        story.become("user_id:cleo", 0, 0, 0.0, same=("user_id:dan", "anonymous_id:tablet"))
    finally:
        live.cdp("identity", "apply")
    # What was decided by them stays, until a third user is in conflict with both: then one is left, as the limits say now.
    story.become("user_id:cleo", 0, 0, 0.0, same=("user_id:dan", "anonymous_id:tablet"))
    story.call("identify", user="eve", browser="tablet")
    story.become("user_id:cleo", 0, 0, 0.0, same=("anonymous_id:tablet",), other=("user_id:dan", "user_id:eve"))
    # A kiosk is everybody's: after so many who cannot be one it is nobody's, and nobody is joined by it.
    for number in range(7):
        story.call("identify", user=f"guest-{number}", browser="kiosk")
    live.hold_clock()
    live.await_processed()
    story.become("user_id:guest-0", 0, 0, 0.0, other=("anonymous_id:kiosk", "user_id:guest-1"))
    said = json.loads(live.cdp("identity", "show", f"anonymous_id:{PREFIX}kiosk", "--json").splitlines()[0])
    assert set(said["status"].values()) == {"shared"}

    live.verify()
    check_profiles(live, f"demo|user_id|{PREFIX}", f"demo|anonymous_id|{PREFIX}", f"demo|household|{PREFIX}")
    server = ClickHouse(loader.platform().clickhouse)
    query = "SELECT uniqExact(person) AS people FROM events_of_people WHERE startsWith(message_id, {prefix:String}) AND node != ''"
    # Ann, Bob, Cleo, Dan, Eve and seven guests; nobody was ever seen on the kiosk alone.
    assert server.rows(query, {"prefix": PREFIX}) == [{"people": 12}]
    orders = server.rows(
        "SELECT order_id, total, net, node, profile_id, shipped_at IS NOT NULL AS shipped FROM orders WHERE startsWith(order_id, "
        "{prefix:String}) ORDER BY order_id",
        {"prefix": PREFIX},
    )
    ann = story.of("user_id:ann")["id"]
    assert [(row["order_id"], row["total"], row["net"], row["node"], row["profile_id"]) for row in orders] == [
        (f"{PREFIX}o1", 10.0, 6.0, f"demo|user_id|{PREFIX}ann", ann),
        (f"{PREFIX}o2", 10.0, 10.0, f"demo|user_id|{PREFIX}ann-2", ann),
    ]
    assert [bool(row["shipped"]) for row in orders] == [True, False]
    say("a story of 12 people is told as it was")
