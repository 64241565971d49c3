"""Any orders and refunds, in any order of arrival, in currencies of 0, 2 and 3 decimals: the core's money is the oracle's."""

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.features.documents import NamedRefund, Order, OrderContent, OrderVersion, effect
from pipelines.wire import Told
from tests.ledger_world import DECIMALS, RATES, TENANTS, events, judge, play, written
from tests.oracle.compare import differences

MONEY = ("gross_lifetime", "refunded_lifetime", "net_lifetime", "orders_lifetime", "unmatched_refunds", "over_refunds", "charge_backs")
Events = list[dict[str, Any]]


def published(found: Events, forget_every: int = 0) -> dict[str, Any]:
    (fields,) = (fields for _, fields in play(written(found), forget_every).fields())
    return fields


@settings(max_examples=50, deadline=None)
@given(events(), st.integers(0, 2))
def test_every_field_is_the_oracles(found: Events, forget_every: int) -> None:
    records = written(found)
    core = play(records, forget_every)
    for profile_id, fields in core.fields():
        change = core.newest[profile_id]
        expected = judge(records).at(list(change.record["nodes"]), change.patch.at)
        expected["rfm_version"] = fields["rfm_version"]
        assert differences(expected, fields) == {}


@settings(max_examples=25, deadline=None)
@given(events(ordered=True), st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_nothing(found: Events, dice: random.Random) -> None:
    other = list(found)
    dice.shuffle(other)
    before, after = published(found), published(other)
    assert {name: before[name] for name in (*MONEY, "first_order_at", "last_order_at", "top_products")} == {
        name: after[name] for name in (*MONEY, "first_order_at", "last_order_at", "top_products")
    }


PAIRS = [(tenant, currency) for tenant in TENANTS for currency in RATES[tenant]]


@given(st.sampled_from(PAIRS), st.lists(st.integers(0, 10**7), min_size=1, max_size=6))
def test_an_order_that_went_back_in_parts_is_nothing_to_the_minor_unit(money: tuple[str, str], parts: list[int]) -> None:
    tenant, currency = money
    own, units, rate = 10 ** DECIMALS[currency], 10 ** DECIMALS[TENANTS[tenant]], RATES[tenant][currency]
    total = int(sum(parts) / own * rate * units + 0.5)
    told = OrderVersion(Told(0, (0, "", 0, 0)), OrderContent(total, [], currency, rate))
    refunds = [NamedRefund(at, f"r{at}", -1, currency, part / own, []) for at, part in enumerate(parts)]
    found = effect(Order(0, [told], False, refunds), units)
    assert sum(amount for _, amount in found.refunds) == total
    assert all(amount >= 0 for _, amount in found.refunds)
    assert not found.over_refunded
