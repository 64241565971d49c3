"""A sorted set whose pages are records: it is the set, and a change costs a few pages however many keys there are."""

from hypothesis import given
from hypothesis import strategies as st

from pipelines.features.index import PAGE, Index
from tests.counting_store import CountingStore


@given(st.lists(st.tuples(st.integers(-3, 40), st.sampled_from("abc"), st.booleans()), max_size=400), st.integers(1, 80))
def test_it_is_a_sorted_set(changes: list[tuple[int, str, bool]], asked: int) -> None:
    store, there = CountingStore(), set[tuple[int, str]]()
    index = Index(store, "i")
    for number, text, add in changes:
        key = (number, text)
        if add and key not in there:
            index.add(key)
            there.add(key)
        elif not add and key in there:
            index.remove(key)
            there.remove(key)
    assert index.first(asked) == sorted(there)[:asked]
    assert index.last() == max(there, default=None)


def test_a_set_of_many_pages_filled_and_emptied_from_either_end() -> None:
    store, many = CountingStore(), 3 * PAGE * PAGE
    index = Index(store, "i")
    for number in range(many):
        index.add((number * 7919 % many, ""))
    assert index.first(3) == [(0, ""), (1, ""), (2, "")]
    for number in range(many // 2):
        index.remove((number, ""))
        index.remove((many - 1 - number, ""))
    assert (index.first(1), index.last()) == ([], None)
    assert len(store.records) == 1, "no page is left behind"


def test_a_change_among_fifty_thousand_keys_costs_no_more_than_twice_one_among_a_thousand() -> None:
    store = CountingStore()
    index = Index(store, "i")

    def cost() -> int:
        before = store.bytes_put
        for number in range(200):
            index.add((number * 499_979 % 1_000_003, "extra"))
        for number in range(200):
            index.remove((number * 499_979 % 1_000_003, "extra"))
        return store.bytes_put - before

    for number in range(1000):
        index.add((number * 997, ""))
    few = cost()
    for number in range(1000, 50_000):
        index.add((number * 997, ""))
    assert cost() < 2 * few
