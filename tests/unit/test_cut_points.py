"""Cut points: quantiles of the tenant's own customers, published only when they moved."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import loader
from config.definitions import CutPoints
from pipelines.audiences.rules import RuleBook
from pipelines.history.cut_points import Customer, definition, effect, moved, parse_definition, quantiles

DEFINITIONS = loader.definitions()
RULES = RuleBook(DEFINITIONS)
AMOUNT = st.floats(0, 1e6, allow_nan=False)


def customer(number: int, days: float, orders: int, net: float) -> Customer:
    return Customer(f"{number:016x}", {"recency_days": days, "orders_365d": orders, "net_365d": net, "orders_lifetime": orders})


CUSTOMERS = st.lists(st.tuples(AMOUNT, st.integers(1, 50), AMOUNT), min_size=1, max_size=60).map(
    lambda rows: [customer(number, *row) for number, row in enumerate(rows)]
)


@given(CUSTOMERS)
def test_cut_points_ascend_and_lie_among_the_values(customers: list[Customer]) -> None:
    cuts = quantiles(customers, DEFINITIONS.rfm, 3)
    assert cuts.version == 3
    for name, found in (("recency_days", cuts.recency), ("orders_365d", cuts.frequency), ("net_365d", cuts.monetary)):
        values = [one.fields[name] for one in customers]
        assert found == sorted(found)
        assert len(found) == 4
        assert min(values) - 0.01 <= found[0] <= found[-1] <= max(values) + 0.01


def test_fifths_of_a_hundred_customers_get_each_score() -> None:
    customers = [customer(number, number, number, number) for number in range(1, 101)]
    cuts = quantiles(customers, DEFINITIONS.rfm, 1)
    assert cuts.monetary == [20.8, 40.6, 60.4, 80.2]
    scores = [RULES.judge(one.fields, cuts, 0).scores for one in customers]
    assert [sum(score[2] == wanted for score in scores) for wanted in range(1, 6)] == [20] * 5
    assert [sum(score[0] == wanted for score in scores) for wanted in range(1, 6)] == [20] * 5


@given(CUSTOMERS, CUSTOMERS)
def test_whom_it_moves_is_who_scores_differently(customers: list[Customer], others: list[Customer]) -> None:
    old, new = (quantiles(side, DEFINITIONS.rfm, version) for version, side in enumerate((customers, others), 1))
    found = effect(customers, RULES, old, new)
    differing = [one.profile_id for one in customers if RULES.judge(one.fields, old, 0).scores != RULES.judge(one.fields, new, 0).scores]
    assert found.moved == differing
    assert sum(found.before.values()) == sum(found.after.values()) == len(customers)
    for segment in found.before | found.after:
        assert found.after[segment] - found.before[segment] == found.entering[segment] - found.leaving[segment]


@pytest.mark.parametrize(
    ("after", "expected"),
    [([10, 20, 30, 40], []), ([10.4, 20, 30, 41.9], []), ([10.6, 20, 30, 40], ["recency 1: 10 -> 10.6"])],
)
def test_only_a_move_beyond_the_tolerance_counts(after: list[float], expected: list[str]) -> None:
    old = CutPoints(1, [10, 20, 30, 40], [1, 1, 2, 3], [0, 1, 2, 3])
    assert moved(old, msgspec.structs.replace(old, recency=after), 0.05) == expected


def test_a_cut_point_of_nothing_moves_as_soon_as_it_is_something() -> None:
    old = CutPoints(1, [0, 1, 2, 3], [1, 1, 2, 3], [0, 1, 2, 3])
    assert moved(old, msgspec.structs.replace(old, monetary=[0.01, 1, 2, 3]), 0.05) == ["monetary 1: 0 -> 0.01"]


def test_what_is_published_reads_back() -> None:
    cuts = CutPoints(7, [1, 2, 3, 4], [1, 1, 1, 2], [5, 6, 7, 8.5])
    key, value = definition("demo", cuts)
    assert key == "demo/cut_points"
    assert parse_definition(value) == ("demo", cuts)
    assert parse_definition(b'{"tenant":"demo","kind":"tags","version":1,"body":{}}') is None
