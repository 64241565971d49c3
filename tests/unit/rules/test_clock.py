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
    ],
)
def test_a_rule_that_does_not_move_evenly_is_refused(when: str) -> None:
    with pytest.raises(RuleError, match="does not move evenly with the clock"):
        book(when)


def test_what_does_not_read_the_clock_may_be_as_it_likes() -> None:
    assert holds(book("abs(orders_lifetime - 5) < 3 and hour(last_order_at) in (22, 23) and weekday(last_order_at) = 2"), BASE)
