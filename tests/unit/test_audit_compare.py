"""The comparison behind `cdp verify`, against counting one by one."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.audit.compare import Array, KeyRangeError, difference
from cli.audit.evidence import profile_id, profile_number

BIG = st.sampled_from([-(2**63), -1, 0, 1, 2**62, 2**63 - 1])
KEYS = st.lists(st.tuples(st.integers(0, 2), BIG, st.integers(0, 5)), max_size=12)


def columns(keys: list[tuple[int, int, int]]) -> list[Array]:
    return [np.array([key[index] for key in keys], np.int64) for index in range(3)]


@given(KEYS, KEYS)
def test_it_finds_what_is_missing_too_much_and_there_twice(expected: list[tuple[int, int, int]], found: list[tuple[int, int, int]]) -> None:
    gap = difference(columns(expected), columns(found))
    counted = Counter(found)
    assert gap.missing == sorted(set(expected) - set(found))
    assert gap.extra == sorted(set(found) - set(expected))
    assert gap.twice == sorted(key for key, count in counted.items() if count > 1)
    assert bool(gap) == (set(expected) != set(found) or len(counted) != len(found))


def test_keys_too_wide_to_compare_are_refused_rather_than_confused() -> None:
    wide = [np.array([(1 << 39) + 1]), np.array([(1 << 39) + 1])]
    with pytest.raises(KeyRangeError):
        difference(wide, wide)


@given(st.integers(0, 2**64 - 1))
def test_profile_ids_survive_as_numbers(number: int) -> None:
    text = f"{number:016x}"
    assert profile_id(profile_number(text)) == text
    assert -(2**63) <= profile_number(text) < 2**63
