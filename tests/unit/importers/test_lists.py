"""`where`: the entries of a list that belong to an entry of another, by what JSON holds for equal."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importers.mapping import Failed
from importers.mapping.lists import where
from importers.mapping.unfit import Unfit
from tests.unit.importers.test_mapping_language import properties

LONG = 20261128000012345671


@pytest.mark.parametrize(
    ("entries", "value", "found"),
    [
        ([{"id": 1}, {"id": 2}, {"id": 1, "x": 3}], 1, [{"id": 1}, {"id": 1, "x": 3}]),
        ([{"id": 1}], 2, []),
        ([{"id": 1}, {}], 2, []),
        ([{"id": 5}, {"id": 5.0}, {"id": Decimal(5)}], 5.0, [{"id": 5}, {"id": 5.0}, {"id": Decimal(5)}]),
        ([{"id": 1}, {"id": True}], 1, [{"id": 1}]),
        ([{"id": 1}, {"id": True}], True, [{"id": True}]),
        ([{"id": "5"}, {"id": 5}], "5", [{"id": "5"}]),
        ([{"id": LONG}, {"id": LONG + 1}, {"id": float(LONG)}], LONG, [{"id": LONG}]),
        ([], 1, None),
        ([{"x": 1}, "text", None, [1]], 1, None),
        ([{"id": None}], 1, None),
        ([{"id": 1}], None, None),
    ],
)
def test_what_is_found(entries: Any, value: Any, found: Any) -> None:
    assert where(entries, "id", value) == found


def test_a_field_inside_a_field_is_found_and_what_is_no_object_has_none() -> None:
    entries = [{"a": {"b": 1}}, {"a": 1}, {"a": [{"b": 1}]}, {"a.b": 1}, None]
    assert where(entries, "a.b", 1) == [{"a": {"b": 1}}]


@pytest.mark.parametrize(("entries", "path"), [({"id": 1}, "id"), ("id", "id"), (1, "id"), ([], None), ([], 1), ([], ["id"])])
def test_what_is_no_list_or_no_path_fails(entries: Any, path: Any) -> None:
    with pytest.raises(Unfit):
        where(entries, path, 1)


@given(st.lists(st.fixed_dictionaries({}, optional={"id": st.integers(0, 3) | st.none() | st.text(max_size=1)})), st.integers(0, 3))
def test_it_is_a_filter_that_is_null_only_where_no_entry_has_the_field(entries: list[dict[str, Any]], value: int) -> None:
    found = where(entries, "id", value)
    if found is None:
        assert all(entry.get("id") is None for entry in entries)
    else:
        assert found == [entry for entry in entries if entry.get("id") == value]


def test_in_a_mapping_the_next_way_to_join_is_taken_only_where_the_first_has_nothing_to_go_by() -> None:
    fields = "found: \"sum(not_null(where(back, 'line_item_id', id), where(back, 'line.sku', sku), `[]`)[].n)\""
    by_id = {"id": 7, "sku": "A", "back": [{"line_item_id": 7.0, "n": 1}, {"line_item_id": 8, "line": {"sku": "A"}, "n": 2}]}
    assert properties(fields, by_id) == {"found": 1}
    by_sku = {"id": 7, "sku": "A", "back": [{"line": {"sku": "A"}, "n": 2}, {"line": {"sku": "B"}, "n": 4}]}
    assert properties(fields, by_sku) == {"found": 2}
    assert properties(fields, {"id": 7, "sku": None, "back": [{"line": {"sku": "A"}, "n": 2}]}) == {"found": 0}
    assert isinstance(properties(fields, {"id": 7, "back": {"line_item_id": 7}}), Failed)
