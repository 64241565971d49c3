"""The rules whose cost is compared are the same rules."""

import pytest

from bench.rules import CASES, PROFILE, generated


@pytest.mark.parametrize("text", CASES)
def test_a_generated_rule_says_what_the_one_written_by_hand_says_with_and_without_each_field(text: str) -> None:
    ours, by_hand = generated(text), CASES[text]
    profiles = [
        PROFILE,
        *({**PROFILE, name: None} for name in PROFILE),
        *({k: v for k, v in PROFILE.items() if k != name} for name in PROFILE),
    ]
    assert [ours(one) for one in profiles] == [by_hand(one) for one in profiles]
