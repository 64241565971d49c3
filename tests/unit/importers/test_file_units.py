"""Rows that belong together: whole, in a fixed order, and never passed off as whole when a row beside them is lost."""

import random
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importers.files.rows import FileError, Row
from importers.files.seen import SeenKeys
from importers.files.units import Unit, check_adjacent, units
from importers.mapping import Failed, MappingRules, compile_mapping
from importers.mapping.outcome import UNREADABLE

EVENTS = "\nevents: [{track: A, identifiers: {user_id: key}, properties: {n: 'rows[].n'}}]"


def rules(groups: str) -> MappingRules:
    return compile_mapping(f"group_by: key\ngroups: {groups}{EVENTS}", "m.yaml")


def rows(keys: str) -> list[Row]:
    """A row for each letter; `!` is one that cannot be read."""
    return [
        Row(number, number + 1, {} if key == "!" else {"key": key, "n": number}, Failed(UNREADABLE, "", "x") if key == "!" else None)
        for number, key in enumerate(keys, 1)
    ]


def shown(found: list[Unit]) -> list[str]:
    """`a12` is the group a of rows 1 and 2; `!3` the unreadable row 3; a question mark: failed."""
    return [
        f"!{one.row}"
        if one.failed and one.failed.code == UNREADABLE
        else f"{'?' if one.failed else ''}{one.record['key']}{''.join(str(row['n']) for row in one.record['rows'])}"
        for one in found
    ]


@pytest.mark.parametrize(
    ("keys", "adjacent"),
    [
        ("aabc", ["a12", "b3", "c4"]),
        ("", []),
        ("aa!ab", ["!3", "?a124", "b5"]),
        ("aa!bc", ["!3", "?a12", "?b4", "c5"]),
        ("!a", ["!1", "?a2"]),
        ("a!", ["!2", "?a1"]),
        ("ab!cd", ["a1", "!3", "?b2", "?c4", "d5"]),
    ],
)
def test_adjacent_groups(keys: str, adjacent: list[str]) -> None:
    assert shown(list(units(rows(keys), rules("adjacent")))) == adjacent
    check_adjacent(rows(keys), rules("adjacent"))
    assert sorted(shown(list(units(rows(keys), rules("scattered"))))) == sorted(adjacent)


def test_a_group_that_comes_back_is_refused_beforehand_or_brought_together() -> None:
    with pytest.raises(FileError, match="line 4: the group `a` was there before, with others in between; say `groups: scattered`"):
        check_adjacent(rows("aba"), rules("adjacent"))
    assert shown(list(units(rows("abab!c"), rules("scattered")))) == ["!5", "a13", "?b24", "?c6"]


def test_a_row_without_a_key_fails_and_taints_its_neighbours() -> None:
    without = [Row(1, 2, {"key": "a", "n": 1}), Row(2, 3, {"key": None, "n": 2}), Row(3, 4, {"key": "b", "n": 3})]
    found = list(units(without, rules("adjacent")))
    assert [(one.row, one.failed.code if one.failed else "") for one in found] == [(2, "missing"), (1, "group"), (3, "group")]


@settings(deadline=None)
@given(st.lists(st.sampled_from("abcdefg")), st.randoms(use_true_random=False))
def test_scattering_rows_changes_no_group(keys: list[str], dice: random.Random) -> None:
    ordered = rows("".join(sorted(keys)))
    mixed = list(ordered)
    dice.shuffle(mixed)
    together = {one.record["key"]: {row["n"] for row in one.record["rows"]} for one in units(mixed, rules("scattered"))}
    assert together == {key: {row.number for row in group} for key, group in groupby(ordered, lambda row: row.record["key"])}


def test_a_group_without_end_is_refused() -> None:
    many = (Row(number, number, {"key": "a", "n": number}) for number in range(100_002))
    with pytest.raises(FileError, match="is `group_by` right"):
        list(units(many, rules("adjacent")))
    many = (Row(number, number, {"key": "a", "n": number}) for number in range(100_002))
    with pytest.raises(FileError, match="is `group_by` right"):
        list(units(many, rules("scattered")))


@settings(deadline=None)
@given(st.lists(st.text(max_size=3)))
def test_keys_seen_are_a_set(keys: list[str]) -> None:
    with SeenKeys() as seen:
        news = [seen.add(key) for key in keys]
    assert news == [key not in keys[:number] for number, key in enumerate(keys)]
