"""Rows of numbers: whatever layouts there have been, each customer's numbers are those that were written, under the same names."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.features import layout
from pipelines.features.layout import BASE, FIRST_SEEN, UNKNOWN, LayoutError, Layouts, layout_of
from pipelines.identity.nodes import split
from tests.in_process import InProcess
from tests.unit.pipelines.test_new_definitions import look, with_another_window
from tests.unit.pipelines.test_profiles import BASE as NOW
from tests.unit.pipelines.test_profiles import event, feed

NAMES = [f"{series}.{measure}.{window}" for series in "abc" for measure in ("count", "amount") for window in ("1h", "1d", "lifetime")]
SILENT = "silent"


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sets(st.sampled_from(NAMES)), min_size=1, max_size=6), st.integers(0, 2**32))
def test_any_plans_touches_and_restarts_equal_dicts(plans: list[set[str]], seed: int) -> None:
    """A customer is touched under some plans and silent under others; a value that no plan asked for in between is not known any more."""
    dice = random.Random(seed)
    customers = ["often", "seldom", SILENT]
    expected: dict[str, dict[str, int]] = {}
    written: dict[str, tuple[bytes, int]] = {}
    known: dict[int, tuple[str, ...]] = {}
    for number, names in enumerate(plans):
        present = layout_of(tuple(sorted(names)))
        layouts = Layouts(present, known)
        known[present.id] = present.names
        for customer in customers:
            if number and (customer == SILENT or (customer == "seldom" and dice.random() < 0.5)):
                continue
            row = layouts.read(*written[customer]) if customer in written else present.row()
            values = {name: expected[customer].get(name, UNKNOWN) for name in present.names} if customer in written else None
            if values is not None:
                assert dict(zip(present.names, row, strict=True)) == values
            for place in range(len(BASE), len(present.names)):
                if dice.random() < 0.7:
                    row[place] = dice.randint(-(2**62), 2**62)
            expected[customer] = dict(zip(present.names, row, strict=True))
            written[customer] = row.tobytes(), present.id
    last = Layouts(present, known)
    row = last.read(*written[SILENT])
    assert dict(zip(present.names, row, strict=True)) == {name: expected[SILENT].get(name, UNKNOWN) for name in present.names}


def test_a_new_row_has_counted_nothing_and_seen_nobody() -> None:
    row = layout_of(("views.count.1d",)).row()
    assert row[FIRST_SEEN] == UNKNOWN
    assert row[-1] == 0


def test_an_unknown_layout_is_refused_with_the_remedy() -> None:
    with pytest.raises(LayoutError, match=r"layout 7, which is not in layouts\.json: copy that file"):
        Layouts(layout_of(()), {}).read(b"", 7)


def test_the_file_keeps_every_layout_once_and_a_damaged_one_is_not_overwritten(tmp_path: Path) -> None:
    file, first, second = tmp_path / "layouts.json", layout_of(("a.count.1h",)), layout_of(("b.count.1h",))
    for one in (first, second, first):
        layout.add_to_file(file, one)
    assert layout.read_file(file) == {first.id: first.names, second.id: second.names}
    file.write_text("[[")
    with pytest.raises(LayoutError, match="put back a copy of it"):
        layout.add_to_file(file, first)
    assert file.read_text() == "[["


def test_a_field_that_was_not_counted_yet_is_null_until_its_node_is_touched() -> None:
    core = InProcess()
    feed(core, [(event("1", "u", NOW), NOW), (event("2", SILENT, NOW), NOW)], NOW + 10)
    after = core.restarted(with_another_window(core.definitions))
    node = "demo|user_id|u"
    assert split(node)[2] == "u"
    record = look(1, node, NOW + 1000)
    after.record(record.value, record.topic, record.partition, record.offset, record.timestamp_ms)
    ((_, touched),) = after.fields() if len(after.newest) == 1 else [one for one in after.fields() if one[1].get("views_14d") == 1]
    assert (touched["views_14d"], touched["orders_14d"]) == (1, 0)
    profile = next(live for live in (after._profile(key, "demo") for key in after._profile_blobs) if f"demo|user_id|{SILENT}" in live.nodes)
    after.profile_logic._recompute(profile)
    assert '"views_14d":null' in after.profile_logic._written(profile)
    after.poke_node(f"demo|user_id|{SILENT}")
    assert '"views_14d":1' in after.profile_logic._written(after._profile(profile.profile_id, "demo"))
