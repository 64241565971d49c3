"""The order of the tests: the longest come first, so that two workers end at about the same time."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.longest_first import reorder

LONGEST = (
    "test_a_clean_week_raises_at_most_one_alert",
    "test_no_replay_ever_applies_what_was_applied_before",
    "test_of_twenty_seeded_drops_at_least_eighteen_are_found_in_two_minutes_with_the_right_first_cause",
    "test_a_restart_at_any_minute_of_a_drop_neither_repeats_nor_forgets",
    "test_any_permutation_with_repetitions_gives_the_same_profile",
    "test_merge_is_the_union_and_unmerge_gives_back_the_parts",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put those tests first; between them others, as each worker is handed two tests to begin with."""
    rank = {name: number for number, name in enumerate(LONGEST)}

    def mixed(mine: Sequence[pytest.Item]) -> list[pytest.Item]:
        long = sorted((item for item in mine if item.name in rank), key=lambda item: rank[item.name])
        short = [item for item in mine if item.name not in rank]
        return [item for pair in zip(long, short, strict=False) for item in pair] + short[len(long) :] + long[len(short) :]

    reorder(items, Path(__file__).parent, mixed)
