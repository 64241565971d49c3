"""What configuration says of properties: plans, rates, totals, business keys."""

import datetime as dt
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import loader
from config.loader import ConfigError
from config.traffic import TrafficRule
from pipelines.ingest.checks import TOTAL_FLAG, Checked, Checks, Rules
from pipelines.ingest.moments import to_ms
from schemas.plans import Plan as TrackingPlan
from schemas.plans import PlannedEvent
from schemas.validators import Violation

AT = to_ms(dt.datetime(2011, 3, 13, tzinfo=dt.UTC))
LINES = [{"product_id": "p", "quantity": 3, "price": 10.0}, {"product_id": "q", "quantity": 1, "price": 4.99}]


def checks(**changes: Any) -> Checks:
    plan = changes.pop("plan", None)
    if plan is not None:
        changes["plans"], changes["plan_of_source"] = {"shop": plan}, {"web": "shop"}
    rates = {"demo": {"USD": {dt.date(2010, 1, 1): 0.5, dt.date(2011, 1, 1): 0.625}}}
    return Checks(loader.platform(), Rules(**({"currencies": rates} | changes)))


def order(**changes: Any) -> dict[str, Any]:
    return {"order_id": "o", "products": LINES, "total": 34.99} | changes


def check(properties: dict[str, Any], name: str = "Order Completed", at: int = AT, source: str = "", **changes: Any) -> Checked:
    return checks(**changes).check("demo", source, name, properties, at)


def plan(**changes: Any) -> TrackingPlan:
    events = {
        "Product Viewed": {"required": ["price"], "properties": {"shelf": {"type": "name", "says": "where it stands"}}},
        "Order Completed": {},
    }
    return msgspec.convert({"says": "test", "events": events} | changes, TrackingPlan)


class TestCurrency:
    def test_amounts_become_the_tenants_by_the_rate_of_the_day(self) -> None:
        found = check(order(currency="USD"))
        assert found.properties["currency"] == "GBP"
        assert (found.properties["original_currency"], found.properties["exchange_rate"]) == ("USD", 0.625)
        assert found.properties["total"] == 21.87  # 21.86875
        assert [line["price"] for line in found.properties["products"]] == [6.25, 3.11875]
        assert found.facts is not None
        assert found.facts.total == 2187  # type: ignore[union-attr]

    def test_what_came_in_is_left_as_it_was(self) -> None:
        given_ = order(currency="USD")
        check(given_)
        assert given_ == order(currency="USD")

    def test_the_newest_rate_not_after_the_day_counts(self) -> None:
        last_ms_of_2010 = to_ms(dt.datetime(2011, 1, 1, tzinfo=dt.UTC)) - 1
        assert check(order(currency="USD"), at=last_ms_of_2010).properties["exchange_rate"] == 0.5

    def test_a_currency_without_a_rate_on_that_day_breaks_a_rule(self) -> None:
        with pytest.raises(Violation) as found:
            check(order(currency="USD"), at=to_ms(dt.datetime(2009, 12, 31, tzinfo=dt.UTC)))
        assert (found.value.code, found.value.path) == ("quality_rule", ".properties.currency")

    def test_the_rejection_of_an_unknown_currency_names_those_that_would_do(self) -> None:
        with pytest.raises(Violation, match="GBP, or one with a rate: USD"):
            check(order(currency="CHF"))

    def test_rates_of_a_tenant_that_is_not_there_are_refused(self) -> None:
        with pytest.raises(ConfigError, match="`nobody` is not a tenant"):
            checks(currencies={"nobody": {}})


class TestTotals:
    @pytest.mark.parametrize(
        ("changes", "flagged"),
        [
            ({}, False),
            ({"total": 40.0}, True),
            ({"total": None}, False),
            ({"total": 39.99, "shipping": 5.0}, False),
            ({"total": 36.99, "shipping": 5.0, "discount": 3.0}, False),
            ({"total": 35.01}, False),  # half a penny for each of four units, and one for the total
            ({"total": 35.03}, True),
        ],
    )
    def test_a_total_is_what_its_lines_make(self, changes: dict[str, Any], flagged: bool) -> None:
        assert (TOTAL_FLAG in check(order(**changes)).flags) == flagged

    def test_a_plan_may_reject_what_does_not_add_up(self) -> None:
        with pytest.raises(Violation) as found:
            check(order(total=99.0), source="web", plan=plan(totals="reject"))
        assert (found.value.code, found.value.path) == ("quality_rule", ".properties.total")


class TestPlans:
    VIEW = {"product_id": "p", "price": 1.0, "colour": "red", "shelf": "A"}  # noqa: RUF012

    def test_unplanned_properties_are_kept_and_counted(self) -> None:
        found = check(self.VIEW, "Product Viewed", source="web", plan=plan())
        assert (found.properties, found.flags) == (self.VIEW, ["unplanned:colour"])

    def test_or_stripped(self) -> None:
        found = check(self.VIEW, "Product Viewed", source="web", plan=plan(unplanned_properties="strip"))
        assert found.flags == ["stripped:colour"]
        assert found.properties == {label: value for label, value in self.VIEW.items() if label != "colour"}

    def test_or_the_event_is_rejected(self) -> None:
        with pytest.raises(Violation) as found:
            check(self.VIEW, "Product Viewed", source="web", plan=plan(unplanned_properties="reject"))
        assert (found.value.code, found.value.path) == ("schema_violation", ".properties.colour")

    def test_unplanned_events_are_applied_and_counted_or_rejected(self) -> None:
        assert check({}, "Song Sung", source="web", plan=plan()).flags == ["unplanned_event"]
        with pytest.raises(Violation, match="tracking plan `shop`"):
            check({}, "Song Sung", source="web", plan=plan(unplanned_events="reject"))

    def test_an_unplanned_event_with_a_contract_is_still_checked_by_it(self) -> None:
        with pytest.raises(Violation):
            check({"product_id": 5}, "Product Added", source="web", plan=plan())

    def test_a_plan_may_ask_for_more_than_the_contract(self) -> None:
        with pytest.raises(Violation) as found:
            check({"product_id": "p"}, "Product Viewed", source="web", plan=plan())
        assert found.value.path == ".properties.price"

    def test_other_sources_are_not_its_business(self) -> None:
        assert check(self.VIEW, "Product Viewed", source="app", plan=plan()).flags == []

    def test_a_flood_of_names_makes_a_handful_of_flags(self) -> None:
        many = {"product_id": "p", "price": 1.0} | {f"n{number:03}": 1 for number in range(500)}
        flags = check(many, "Product Viewed", source="web", plan=plan()).flags
        assert len(flags) == 16
        assert flags[-1] == "unplanned:and 485 more"

    def test_a_plan_cannot_ask_for_what_nobody_describes(self) -> None:
        with pytest.raises(ValueError, match="requires `shade`"):
            checks(plan=plan(events={"Product Viewed": msgspec.to_builtins(PlannedEvent(required=["shade"]))}))

    def test_the_example_in_config_compiles(self) -> None:
        assert "shop" in loader.plans()
        Checks(loader.platform(), Rules.configured()._replace(plan_of_source={"web-shop": "shop"}))

    def test_a_plan_that_is_not_there_is_named(self) -> None:
        with pytest.raises(ConfigError, match="no tracking plan `ship`"):
            checks(plan_of_source={"web": "ship"})


class TestBusinessKeys:
    def test_the_same_order_told_in_other_words_is_the_same(self) -> None:
        one, two = check(order()), check(order(coupon="x", total=None, products=[line | {"name": "n"} for line in LINES]))
        assert (one.key, one.content) == (two.key, two.content)

    @pytest.mark.parametrize(
        "changes", [{"order_id": "p"}, {"total": 34.98}, {"products": LINES[:1], "total": 30.0}, {"products": [*reversed(LINES)]}]
    )
    def test_another_order_or_content_is_not(self, changes: dict[str, Any]) -> None:
        one, two = check(order()), check(order(**changes))
        assert (one.key, one.content) != (two.key, two.content)

    def test_nor_the_same_at_another_time(self) -> None:
        assert check(order()).content != check(order(), at=AT + 1).content

    @given(st.permutations([("ticket_id", "t"), ("category", "size"), ("priority", "high")]))
    def test_the_order_of_members_says_nothing(self, members: list[tuple[str, str]]) -> None:
        one, two = (checks().check("demo", "", "Ticket Opened", dict(pairs), AT) for pairs in (members, sorted(members)))
        assert (one.key, one.content) == (two.key, two.content)
        assert one.key


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({"events": ["A"]}, "needs either"),
        ({"events": ["A"], "same": ["x"]}, "needs either"),
        ({"events": ["A"], "same": ["x"], "within_ms": 1, "more_than": 1, "within_s": 1}, "needs either"),
        ({"types": ["page"], "same": ["x"], "within_ms": 1}, "watches `events`"),
        ({"events": ["Order Completed"], "more_than": 1, "within_s": 1}, "feeds the order ledger"),
    ],
)
def test_traffic_rules_that_make_no_sense_are_refused(rule: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        checks(traffic=[msgspec.convert({"name": "r", "says": "s"} | rule, TrafficRule)])
