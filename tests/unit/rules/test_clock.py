"""Rules that time alone turns: at the very millisecond; and those of which nobody could tell are refused."""

import msgspec
import pytest

from config import loader
from config.definitions import Rule as Definition
from pipelines.audiences.rules import DAY_MS, RuleBook, clock_fields
from pipelines.rules.errors import RuleError

DEFINITIONS = loader.definitions()
BASE = 1_700_000_000_000
CUTS = DEFINITIONS.rfm.initial
FIELDS = {
    "orders_lifetime": 3,
    "first_order_at": BASE - 20 * DAY_MS,
    "last_order_at": BASE,
    "last_seen_at": BASE + DAY_MS,
    "first_seen_at": BASE - 30 * DAY_MS,
    "mean_interpurchase_days": 10.0,
    "gross_lifetime": 1e9,
}


def book(when: str) -> RuleBook:
    return RuleBook(msgspec.structs.replace(DEFINITIONS, tags=[Definition("asked", when)], segments=[]))


def holds(rules: RuleBook, moment: int) -> bool:
    fields = {**FIELDS, **clock_fields(BASE, 10.0, moment)}
    return "asked" in rules.judge(fields, CUTS, moment).tags


@pytest.mark.parametrize(
    "when",
    [
        "recency_days > 33.3",
        "last_seen_at < ago(7d)",
        "now - last_seen_at > 7d",
        "days(now - last_order_at) >= 2 * mean_interpurchase_days",
        "ago(60d) >= first_seen_at and last_seen_at is known",
        "not last_seen_at > now - 90h",
        "coalesce(recency_days, 1000) > 12",
        "now > '2023-12-24T18:00:00Z'",
        "recency_days * 24 - 3 > hours(last_seen_at - first_seen_at) / 4",
        "recency_ratio >= 1.5",
        "gross_lifetime - recency_days < 1e9 - 30",  # where doubles are far apart
        "recency_days * 0.0001 + gross_lifetime > 1000000000.003",
    ],
)
def test_the_moment_of_the_turn_is_computed(when: str) -> None:
    rules = book(when)
    moment = BASE + 2 * DAY_MS + 7_777
    before = holds(rules, moment)
    turn = rules.next_flip({**FIELDS, **clock_fields(BASE, 10.0, moment)}, CUTS, moment)
    # The scores have turns of their own, at which the rule is looked at too.
    while turn is not None and holds(rules, turn) == before:
        assert all(holds(rules, between) == before for between in range(moment, turn, max(1, (turn - moment) // 50)))
        moment, turn = turn, rules.next_flip({**FIELDS, **clock_fields(BASE, 10.0, turn)}, CUTS, turn)
    assert turn is not None
    assert holds(rules, turn - 1) == before


@pytest.mark.parametrize(
    "when",
    [
        "abs(recency_days - 30) < 5",
        "recency_days in (30, 60)",
        "recency_days = 30",
        "last_order_at != ago(30d)",
        "hour(now) >= 8",
        "recency_days * recency_ratio > 3",
        "100 / recency_days > 3",
        "round(recency_days) = 3",
        "greatest(recency_days, 3) > 4",
        "1 / floor(recency_days / 40) is missing",
        "1 / (recency_days - 2) is known",
    ],
)
def test_a_rule_that_does_not_move_evenly_is_refused(when: str) -> None:
    with pytest.raises(RuleError, match="does not move evenly with the clock"):
        book(when)


def test_recency_may_be_asked_by_its_other_name() -> None:
    rfm = msgspec.structs.replace(DEFINITIONS.rfm, recency="current_interval_days")
    rules = RuleBook(msgspec.structs.replace(DEFINITIONS, rfm=rfm))
    fields = {**FIELDS, **clock_fields(BASE, 10.0, BASE)}
    turn = rules.next_flip(fields, CUTS, BASE)
    assert turn == RuleBook(DEFINITIONS).next_flip(fields, CUTS, BASE)


@pytest.mark.parametrize("name", ["top_products", "first_order_at", "rfm_segment"])
def test_what_is_no_number_is_no_measure_of_value(name: str) -> None:
    rfm = msgspec.structs.replace(DEFINITIONS.rfm, monetary=name)
    with pytest.raises(RuleError, match=r"monetary: .* is no field that is a number"):
        RuleBook(msgspec.structs.replace(DEFINITIONS, rfm=rfm))


def test_a_segment_cannot_ask_for_the_segment() -> None:
    segments = [Definition("a", "rfm_segment = 'b'"), Definition("b", "true")]
    with pytest.raises(RuleError, match="has no field `rfm_segment`"):
        RuleBook(msgspec.structs.replace(DEFINITIONS, segments=segments))


def test_a_segment_that_there_is_not_is_noticed() -> None:
    name = DEFINITIONS.segments[0].name
    with pytest.raises(RuleError, match=f"`rfm_segment` is never `{name}s`; did you mean `{name}`"):
        RuleBook(msgspec.structs.replace(DEFINITIONS, tags=[Definition("asked", f"rfm_segment in ('{name}s')")]))


def test_what_does_not_read_the_clock_may_be_as_it_likes() -> None:
    assert holds(book("abs(orders_lifetime - 5) < 3 and hour(last_order_at) in (22, 23) and weekday(last_order_at) = 2"), BASE)
