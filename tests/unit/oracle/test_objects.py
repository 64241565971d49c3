"""Whose an object is, and for whom what is told of it counts."""

import itertools
from typing import Any

from tests.oracle import Position, Profiles
from tests.oracle.objects import owners
from tests.unit.oracle.cases import NODE, RULES, Writer, at

EIGHT, GUEST = "demo|user_id|8", "demo|email|ann@shop.example"
BY_EMAIL = {"userId": None, "context": {"externalIds": [{"type": "email", "id": "Ann@shop.example"}]}}
BY_DEVICE = {"userId": None, "anonymousId": "d"}
NOBODY = {"userId": None}
TWO_SHOPS = RULES._replace(issuers={"shop-a": "a", "shop-b": "b"})


def owner(writer: Writer, tenant: str = "demo", key: str = "order||o") -> str:
    return owners(writer.log().applied(), writer.rules)[tenant, key]


def told(*claims: tuple[float, dict[str, Any]], logged: float = 5) -> Writer:
    writer = Writer()
    for days, who in claims:
        writer.tell(days, "Shipment Updated", order_id="o", shipment_id="s", step="x", logged=logged, **who)
    return writer


def test_the_strongest_namespace_owns_then_the_earliest_time_then_the_first_key() -> None:
    for claims in itertools.permutations(
        ((1, BY_DEVICE), (2, BY_EMAIL), (4, {"userId": "8"}), (3, {"userId": "9"}), (3, {"userId": "90"}))
    ):
        assert owner(told(*claims)) == "demo|user_id|9"
    for claims in itertools.permutations(((1, BY_DEVICE), (4, BY_EMAIL), (0.5, NOBODY))):
        assert owner(told(*claims)) == GUEST


def test_the_strongest_identifier_of_a_record_claims() -> None:
    assert owner(told((1, BY_EMAIL | {"userId": "8"}))) == EIGHT


def test_an_object_that_nobody_claims_has_no_owner_and_counts_for_nobody() -> None:
    writer = told((1, NOBODY))
    assert owner(writer) == ""
    writer.order(2, "o", ("a", 1, 10.0), **NOBODY)
    writer.call(2, "page")
    assert writer.profile(6)["orders_lifetime"] == 0
    writer.tell(1, "Payment Failed", order_id="o", reason="x", logged=6)
    assert writer.profile(7)["gross_lifetime"] == 10.0


def test_a_late_event_claims_nothing_and_tells_nothing() -> None:
    writer = Writer()
    writer.order(20, "o", ("a", 1, 10.0), **BY_EMAIL)
    writer.tell(10, "Payment Completed", order_id="o", amount=10.0, logged=21)
    writer.tell(10, "Order Cancelled", order_id="o", logged=21, **BY_EMAIL)
    assert owner(writer) == GUEST
    assert writer.profile(22, GUEST)["gross_lifetime"] == 10.0
    mine = writer.profile(22)
    assert (mine["orders_lifetime"], mine["late_events"]) == (0, 1)


def test_what_is_rejected_or_told_again_claims_nothing() -> None:
    writer = Writer()
    writer.order(2, "o", ("a", 1, 10.0), messageId="m")
    writer.order(1, "o", ("a", 1, 20.0), messageId="m", logged=3)  # an id_conflict
    writer.order(1, "o", ("a", 0, 20.0), userId="6", logged=3)
    log = writer.log()
    assert [code for _, _, code, _ in log.judged] == ["", "id_conflict", "quality_rule"]
    assert writer.profile(4)["first_order_at"] == at(2)


def test_a_guests_order_that_the_user_tells_too_is_one_order_of_the_user() -> None:
    for first, second in itertools.permutations((BY_EMAIL, {})):
        writer = Writer()
        writer.order(1, "o", ("a", 2, 10.0), **first)
        writer.order(2, "o", ("a", 2, 10.0), **second)
        user, guest, both = writer.profile(3), writer.profile(3, GUEST), writer.profile(3, GUEST, NODE)
        assert (user["orders_lifetime"], user["gross_lifetime"], user["first_order_at"]) == (1, 20.0, at(1))
        assert user["top_products"] == [["a", 2]]
        assert (guest["orders_lifetime"], guest["gross_lifetime"], guest["first_order_at"], guest["top_products"]) == (0, 0, None, [])
        assert (both["orders_lifetime"], both["gross_lifetime"]) == (1, 20.0)


def test_the_record_itself_counts_for_whom_it_names() -> None:
    writer = Writer()
    writer.order(1, "o", ("a", 1, 10.0), userId="8", context={"channel": "store"})
    writer.tell(2, "Order Updated", order_id="o", products=[{"product_id": "a", "quantity": 3, "price": 10.0}])
    writer.tell(3, "Ticket Opened", ticket_id="t", userId="8")
    writer.tell(4, "Ticket Closed", ticket_id="t")
    eight, mine = writer.profile(5, EIGHT), writer.profile(5)
    assert (eight["gross_lifetime"], mine["gross_lifetime"]) == (30.0, 0)
    assert (eight["channels"], mine["channels"]) == ({"store": 1, "web": 1}, {"web": 2})
    assert (eight["sessions"], mine["sessions"]) == (2, 2)
    assert (eight["last_seen_at"], mine["first_seen_at"]) == (at(3), at(2))
    assert (eight["interactions_30d"], mine["interactions_30d"]) == (2, 0)
    assert (eight["tickets_lifetime"], mine["tickets_lifetime"]) == (1, 0)


def test_a_refund_that_names_only_its_order_counts_for_the_orders_owner() -> None:
    writer = Writer()
    writer.order(1, "o", ("a", 2, 10.0))
    writer.refund(2, "r", ("a", 1, 10.0), order_id="o", **NOBODY)
    fields = writer.profile(3)
    assert (fields["gross_lifetime"], fields["refunded_lifetime"], fields["unmatched_refunds"]) == (20.0, 10.0, 0)
    assert fields["last_seen_at"] == at(1)
    writer.tell(3, "Order Cancelled", order_id="o", userId="8")
    fields = writer.profile(4)
    assert (fields["orders_lifetime"], fields["refunded_lifetime"]) == (0, 0)


def test_a_refund_that_names_no_order_is_an_object_of_its_own() -> None:
    writer = Writer()
    writer.order(1, "o", ("a", 1, 10.0), userId="8")
    writer.refund(2, "r", ("a", 1, 10.0))
    mine = writer.profile(3)
    assert (mine["refunded_lifetime"], mine["unmatched_refunds"]) == (10.0, 1)
    writer.tell(1, "Order Refunded", refund_id="r", total=10.0, status="succeeded", userId="6", logged=4)
    assert (writer.profile(5)["refunded_lifetime"], writer.profile(5, "demo|user_id|6")["unmatched_refunds"]) == (0, 1)


def test_two_issuers_orders_of_one_number_are_two_orders() -> None:
    writer = Writer(TWO_SHOPS)
    for source, price in (("shop-a", 10.0), ("shop-b", 20.0), ("", 40.0)):
        writer.order(1, "o", ("a", 1, price), context={"source": source})
    assert (writer.profile(2)["orders_lifetime"], writer.profile(2)["gross_lifetime"]) == (3, 70.0)
    writer.tell(2, "Order Cancelled", order_id="o", context={"source": "shop-a"})
    assert (writer.profile(3)["orders_lifetime"], writer.profile(3)["gross_lifetime"]) == (2, 60.0)


def test_two_issuers_orders_of_one_number_have_owners_of_their_own() -> None:
    writer = Writer(TWO_SHOPS)
    writer.order(1, "o", ("a", 1, 10.0), userId="8", context={"source": "shop-a"})
    writer.order(2, "o", ("a", 1, 20.0), context={"source": "shop-b"})
    assert (owner(writer, key="order|a|o"), owner(writer, key="order|b|o")) == (EIGHT, NODE)
    assert (writer.profile(3)["gross_lifetime"], writer.profile(3, EIGHT)["gross_lifetime"]) == (20.0, 10.0)


def test_a_refund_finds_its_order_at_its_own_issuer_only() -> None:
    writer = Writer(TWO_SHOPS)
    writer.order(1, "o", ("a", 1, 10.0), context={"source": "shop-a"})
    writer.refund(2, "r", ("a", 1, 10.0), order_id="o", context={"source": "shop-b"})
    assert writer.profile(3)["unmatched_refunds"] == 1
    writer.refund(2, "r", ("a", 1, 10.0), order_id="o", context={"source": "shop-a"})
    fields = writer.profile(3)
    assert (fields["unmatched_refunds"], fields["refunded_lifetime"]) == (1, 20.0)


def test_a_refund_without_an_order_is_matched_among_all_orders_of_its_owner() -> None:
    writer = Writer(TWO_SHOPS)
    writer.order(1, "o", ("a", 1, 10.0), context={"source": "shop-a"})
    writer.refund(2, "r", ("a", 1, 10.0), context={"source": "shop-b"})
    assert writer.profile(3)["unmatched_refunds"] == 0


def test_two_tenants_orders_of_one_number_are_two_orders() -> None:
    writer = Writer(RULES._replace(money=RULES.money | {"other": RULES.money["demo"]}))
    for tenant, who in (("demo", "7"), ("other", "1")):
        writer.order(1, "o", ("a", 1, 10.0), tenant=tenant, userId=who)
    assert (owner(writer), owner(writer, "other")) == (NODE, "other|user_id|1")
    assert writer.profile(2)["orders_lifetime"] == writer.profile(2, "other|user_id|1")["orders_lifetime"] == 1


def test_included_leaves_out_events_of_the_nodes_asked_for_and_what_others_told_later() -> None:
    writer = Writer()
    writer.order(1, "o", ("a", 1, 10.0), **BY_EMAIL)
    writer.order(2, "o", ("a", 1, 20.0), **NOBODY)
    writer.tell(3, "Order Cancelled", order_id="o", **NOBODY)
    writer.tell(4, "Payment Failed", order_id="o", reason="x")
    profiles = Profiles(writer.log(), RULES)
    mine = {Position("cdp.raw.orders", 0, 0)}
    assert profiles.at([GUEST], at(1), included=mine)["gross_lifetime"] == 10.0
    assert profiles.at([GUEST], at(2), included=mine)["gross_lifetime"] == 20.0
    assert profiles.at([GUEST], at(2), included=set())["gross_lifetime"] == 0
    assert profiles.at([GUEST], at(3), included=mine)["orders_lifetime"] == 0
    assert profiles.at([NODE], at(2), included={Position("cdp.raw.orders", 0, 3)})["gross_lifetime"] == 20.0
    assert profiles.at([NODE], at(2), included=set())["gross_lifetime"] == 0
