"""The other published fields, scores, segment and tags."""

import pytest

from tests.oracle import CutPoints, Position, Profiles
from tests.oracle.identity import profile_id
from tests.oracle.rules import holds
from tests.unit.oracle.cases import NODE, RULES, Writer, at


def test_rhythm() -> None:
    writer = Writer()
    for day, order_id in ((1, "a"), (3, "b"), (11, "c")):
        writer.order(day, order_id, ("p", 1, 10.0))
    fields = writer.profile(21)
    assert fields["mean_interpurchase_days"] == 5.0
    assert fields["recency_days"] == fields["current_interval_days"] == 10.0
    assert fields["recency_ratio"] == 2.0
    assert fields["tag:churn_warning"] == 1


def test_rhythm_needs_two_orders_at_two_moments() -> None:
    writer = Writer()
    writer.order(1, "a", ("p", 1, 10.0))
    assert writer.profile(2)["mean_interpurchase_days"] is None
    writer.order(1, "b", ("p", 1, 10.0))
    fields = writer.profile(2)
    assert fields["mean_interpurchase_days"] == 0
    assert fields["recency_ratio"] is None


def test_sessions_split_at_gaps_over_thirty_minutes_and_add_up_over_nodes() -> None:
    writer = Writer()
    half_hour = 1 / 48
    for days in (1, 1 + half_hour, 1 + 2 * half_hour + 1e-8, 2):
        writer.call(days, "page")
    writer.call(2, "page", userId="8")
    assert writer.profile(3)["sessions"] == 3
    assert writer.profile(3, NODE, "demo|user_id|8")["sessions"] == 4


def test_top_products_by_units_then_name() -> None:
    writer = Writer()
    writer.order(1, "a", ("c", 2, 1.0), ("b", 1, 1.0), ("c", 1, 1.0), ("a", 3, 1.0))
    writer.order(2, "b", *((f"x{number}", 2, 1.0) for number in range(6)))
    assert writer.profile(3)["top_products"] == [["a", 3], ["c", 3], ["x0", 2], ["x1", 2], ["x2", 2]]


def test_channels_and_times_count_every_type_of_call() -> None:
    writer = Writer()
    writer.call(5, "identify", context={"channel": "store"})
    writer.call(2, "page", logged=6)
    fields = writer.profile(7)
    assert fields["channels"] == {"store": 1, "web": 1}
    assert (fields["first_seen_at"], fields["last_seen_at"]) == (at(2), at(5))


@pytest.mark.parametrize(
    ("days", "orders", "price", "scores"),
    [
        (14, 1, 100.0, (5, 1, 1)),  # on a cut point is not beyond it
        (14.001, 2, 100.01, (4, 2, 2)),
        (61, 9, 1000.0, (2, 5, 5)),
        (121, 5, 100.0, (1, 4, 3)),
        (366, 5, 100.0, (1, 1, 1)),  # out of the year that F and M look at
    ],
)
def test_scores(days: float, orders: int, price: float, scores: tuple[int, int, int]) -> None:
    writer = Writer()
    for number in range(orders):
        writer.order(0, str(number), ("p", 1, price))
    fields = writer.profile(days)
    assert (fields["r_score"], fields["f_score"], fields["m_score"]) == scores


def test_scores_name_the_version_of_their_cut_points() -> None:
    writer = Writer()
    writer.order(0, "o", ("p", 1, 10.0))
    cuts = CutPoints(7, (1, 2, 3, 4), (0, 0, 0, 0), (5, 9, 10, 11))
    fields = Profiles(writer.log(), RULES).at([NODE], at(2.5), cut_points=cuts)
    assert (fields["r_score"], fields["f_score"], fields["m_score"], fields["rfm_version"]) == (3, 5, 3, 7)
    assert (fields["rfm_segment"], fields["tag:loyal"]) == ("loyal", 1)


def test_two_nodes_add_their_values_up() -> None:
    writer = Writer()
    writer.order(1, "o", ("a", 1, 10.0))
    writer.order(2, "p", ("a", 2, 10.0), userId="8")
    fields = writer.profile(5, NODE, "demo|user_id|8")
    assert (fields["orders_7d"], fields["gross_7d"], fields["average_basket"]) == (2, 30.0, 15.0)
    assert fields["mean_interpurchase_days"] == 1.0
    assert fields["top_products"] == [["a", 3]]


def test_only_the_included_events_count() -> None:
    writer = Writer()
    writer.order(1, "o", ("a", 1, 10.0))
    writer.order(2, "p", ("a", 2, 10.0))
    included = {Position("cdp.raw.orders", 0, 0)}
    assert Profiles(writer.log(), RULES).at([NODE], at(1), included=included)["orders_lifetime"] == 1


def test_a_profile_of_late_events_only() -> None:
    writer = Writer()
    writer.call(1, "page", logged=30)
    fields = writer.profile(31)
    assert (fields["first_seen_at"], fields["sessions"], fields["late_events"], fields["channels"]) == (None, 0, 1, {})


def test_profile_id_is_what_b2sum_says() -> None:
    assert profile_id("demo|user_id|17850") == PROFILE_17850


PROFILE_17850 = "b8290a315a923a0a"
"""`printf 'demo|user_id|17850|0' | b2sum -l 64`"""


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("a > 1 and not b", True),
        ("missing > 0", False),
        ("missing <= 0", False),
        ("missing == missing", False),
        ("not (missing > 0)", True),
        ("missing + 1 > 0", False),
        ("a / zero > 0", False),
        ("a >= 0.5 * 4 or false", True),
        ("-a < -1", True),
        ("true", True),
    ],
)
def test_rules(rule: str, expected: bool) -> None:
    assert holds(rule, {"a": 2, "b": 0, "zero": 0, "missing": None}) is expected


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError):
        holds("orders_31d > 0", {"orders_30d": 1})
