"""Which version of an order or refund counts (docs/features.md, "Order ledger"): in any order of arrival, and at the bound."""

import random
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.features.documents import MAX_GROUPS, OrderContent, OrderVersion, newest, taken
from pipelines.wire import Told

Versions = list[OrderVersion]


def version(time: int, log_time: int, log: str = "", order: str = "", total: int = 0) -> OrderVersion:
    return OrderVersion(Told(time, (log_time, "cdp.raw.orders", 0, log_time), log, order), OrderContent(total, []))


def kept(told: Versions) -> Versions:
    found: Versions = []
    for one in told:
        found, _ = taken(found, one)
    return found


told = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from(["", "erp", "shop"]), st.sampled_from(["011", "012", "0210"])),
    min_size=1,
    max_size=12,
).map(lambda rows: [version(time, at, log, order if log else "", at) for at, (time, log, order) in enumerate(rows)])


@given(told, st.randoms(use_true_random=False))
def test_any_order_of_arrival_leaves_the_same_versions(versions: Versions, dice: random.Random) -> None:
    arrived = versions + dice.choices(versions, k=3)
    dice.shuffle(arrived)

    def by_log(found: Versions) -> dict[str, OrderVersion]:
        return {one.told.log: one for one in found}

    assert by_log(kept(arrived)) == by_log(kept(versions))
    assert newest(kept(arrived)) == newest(kept(versions))


@given(told)
def test_the_one_that_counts_is_the_one_of_the_three_rules(versions: Versions) -> None:
    by_log: dict[str, Versions] = {}
    for one in versions:
        by_log.setdefault(one.told.log, []).append(one)
    stay = [max(group, key=lambda one: (one.told.order, one.told.time, one.told.position)) for group in by_log.values()]
    assert newest(kept(versions)) == max(stay, key=lambda one: (one.told.time, one.told.position))


@pytest.mark.parametrize("arrival", list(permutations(range(3))))
def test_within_a_source_its_order_decides_and_never_the_time_or_the_amount(arrival: tuple[int, ...]) -> None:
    versions = [version(3, 1, "erp", "012", 900), version(1, 2, "erp", "0210", 100), version(2, 3, "erp", "011", 500)]
    assert newest(kept([versions[at] for at in arrival])).content.total == 100


def test_without_an_order_the_time_decides_and_at_one_time_the_log() -> None:
    assert newest(kept([version(5, 9, total=1), version(4, 10, total=2)])).content.total == 1
    assert newest(kept([version(5, 10, total=2), version(5, 9, total=1)])).content.total == 2


def test_an_old_version_or_the_same_one_again_leaves_everything_as_it_was() -> None:
    versions = [version(1, 1, "erp", "015"), version(2, 2, "shop", "015"), version(3, 3)]
    for again in (version(9, 9, "erp", "014"), version(0, 0), *versions):
        assert taken(versions, again) == (versions, False)


def test_the_ninth_source_costs_the_version_with_the_smallest_time_and_says_so() -> None:
    versions: Versions = []
    for number in range(MAX_GROUPS):
        versions, is_forgotten = taken(versions, version(10 + number, number, f"s{number}", "011"))
        assert not is_forgotten
    versions, is_forgotten = taken(versions, version(30, 30, "s8", "011"))
    assert is_forgotten
    assert sorted(one.told.log for one in versions) == [f"s{number}" for number in range(1, 9)]
    assert taken(versions, version(5, 40, "s9", "011")) == (versions, True), "news that is older than all others is itself forgotten"
    assert taken(versions, version(50, 50, "s3", "012"))[1] is False, "a source that is known needs no room"
