"""Refund lines that find nothing to take back: in any order of arrival as gone through by time, and what is left of that at the bound."""

import random

from hypothesis import given
from hypothesis import strategies as st

from pipelines.features.movements import MAX_KEPT, PURCHASE, REFUND, Movement, Movements


def unmatched(movements: list[Movement]) -> int:
    """Gone through by time: purchases before refunds, then by document and line."""
    stock = found_nothing = 0
    for one in sorted(movements, key=lambda one: (one.time, one.kind, one.document)):
        for number in one.numbers:
            if one.kind == PURCHASE:
                stock += number
            else:
                found_nothing += stock == 0
                stock -= min(stock, number)
    return found_nothing


purchase = st.builds(lambda number: (PURCHASE, (number,)), st.integers(1, 4))
refund = st.builds(lambda numbers: (REFUND, tuple(numbers)), st.lists(st.integers(1, 3), min_size=1, max_size=3))
many = st.lists(st.tuples(st.integers(0, 6), purchase | refund), max_size=14).map(
    lambda rows: [Movement(time, kind, f"d{at}", numbers) for at, (time, (kind, numbers)) in enumerate(rows)]
)


@given(many, st.randoms(use_true_random=False))
def test_any_order_of_arrival_and_any_that_were_taken_back_give_what_all_give_by_time(told: list[Movement], dice: random.Random) -> None:
    product, there = Movements(), list[Movement]()
    arrived = dice.sample(told, len(told))
    for one in arrived:
        if there and dice.random() < 0.4:
            gone = there.pop(dice.randrange(len(there)))
            changed = Movement(gone.time + dice.choice([0, 0, 1]), gone.kind, gone.document, (dice.randint(1, 4),))
            instead = changed if dice.random() < 0.5 else None
            assert product.replace(gone, instead) is False
            there += [instead] if instead else []
        assert product.replace(None, one) is False
        there.append(one)
        assert product.unmatched == unmatched(there)
        assert product.refunds == sum(one.kind == REFUND for one in there)
    assert product.kept == sorted(there)


def full(*, refunds_at: int | None = None) -> Movements:
    """As many purchases of one unit as are kept one by one, one each second; perhaps a refund of one unit at a time."""
    product = Movements()
    if refunds_at is not None:
        product.replace(None, Movement(refunds_at, REFUND, "r", (1,)))
    for number in range(MAX_KEPT - len(product.kept)):
        product.replace(None, Movement(number * 1000, PURCHASE, f"o{number}", (1,)))
    assert len(product.kept) == MAX_KEPT
    return product


def test_beyond_the_bound_what_is_newer_than_the_settled_ones_is_still_exact() -> None:
    product = full()
    for number in range(MAX_KEPT, 3 * MAX_KEPT):
        assert product.replace(None, Movement(number * 1000, PURCHASE, f"o{number}", (1,))) is False
    assert (len(product.kept), product.stock) == (MAX_KEPT, 2 * MAX_KEPT)
    assert product.replace(None, Movement(10**9, REFUND, "r", (3 * MAX_KEPT, 1))) is False
    assert product.unmatched == 1, "each unit was given back with the first line"


def test_without_refunds_a_settled_purchase_that_changes_is_exact_and_needs_no_flag() -> None:
    product = full()
    product.replace(None, Movement(10**6, PURCHASE, "o", (1,)))
    settled = Movement(0, PURCHASE, "o0", (1,))
    assert product.replace(settled, Movement(0, PURCHASE, "o0", (5,))) is False
    assert product.stock == 5
    assert product.replace(Movement(0, PURCHASE, "o0", (5,)), None) is False
    assert product.stock == 0


def test_news_older_than_the_settled_ones_is_taken_as_their_newest_and_flagged() -> None:
    product = full(refunds_at=10**8)
    product.replace(None, Movement(10**6, PURCHASE, "o", (1,)))
    assert product.until == Movement(0, PURCHASE, "o0")
    assert product.replace(None, Movement(-5, REFUND, "early", (1, 1))) is True
    assert (product.stock, product.lost, product.unmatched) == (0, 1, 1), "by time it would have found nothing at all"


def test_a_settled_refund_that_is_told_anew_is_not_counted_again() -> None:
    for first in (REFUND, PURCHASE):  # it found nothing, or took the only unit
        product = Movements()
        product.replace(None, Movement(-2, first, "a", (1,)))
        product.replace(None, Movement(-1, REFUND if first == PURCHASE else PURCHASE, "b", (1,)))
        for number in range(MAX_KEPT):
            product.replace(None, Movement(number, PURCHASE, f"o{number}", (1,)))
        refund = Movement(*((-2, REFUND, "a") if first == REFUND else (-1, REFUND, "b")), (1,))
        before = product.stock, product.unmatched, product.refunds
        for _ in range(50):
            assert product.replace(refund, None) is True
            assert product.replace(None, refund) is True
        assert (product.stock, product.unmatched, product.refunds) == before


def test_a_settled_purchase_of_which_all_was_given_back_gives_no_units_when_it_is_told_anew() -> None:
    product = Movements()
    product.replace(None, Movement(-2, PURCHASE, "a", (2,)))
    product.replace(None, Movement(-1, REFUND, "b", (2,)))
    for number in range(MAX_KEPT):
        product.replace(None, Movement(number, PURCHASE, f"o{number}", (1,)))
    assert product.stock == 0
    product.replace(Movement(-2, PURCHASE, "a", (2,)), Movement(-3, PURCHASE, "a", (2,)))
    assert product.stock == 0
    product.replace(Movement(-3, PURCHASE, "a", (2,)), None)
    assert product.stock == 0, "never below"
