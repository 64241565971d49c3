"""The cache of decoded state holds no more than it may, and what was used lately."""

from hypothesis import given
from hypothesis import strategies as st

from pipelines.features.cache import Cache


@given(st.integers(2, 20), st.lists(st.integers(0, 30), max_size=200))
def test_it_is_bounded_and_keeps_what_was_used_within_half_its_size(size: int, used: list[int]) -> None:
    cache: Cache[int] = Cache(size)
    for at, number in enumerate(used):
        found = cache.get(str(number))
        assert found in (None, number)
        others_since: set[int] = set()
        for before in reversed(used[:at]):
            if before == number:
                break
            others_since.add(before)
        else:
            assert found is None
        if number in used[:at] and len(others_since) < size // 2:
            assert found == number
        if found is None:
            cache.put(str(number), number)
        assert len(cache._young) + len(cache._old) <= size + size % 2
