"""Rows of numbers: whatever layouts there have been, each customer's numbers are those that were written, under the same names."""

import random
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config import loader
from config.definitions import Feature, Series
from pipelines.features import layout
from pipelines.features.layout import BASE, CHANNEL_NAMES, FIRST_SEEN, UNKNOWN, LayoutError, Layouts, layout_of
from pipelines.identity.nodes import profile_of, split
from pipelines.ingest.envelope import CHANNELS
from pipelines.wire import Alias, Roster
from tests.in_process import InProcess
from tests.unit.pipelines.test_new_definitions import look, with_another_window
from tests.unit.pipelines.test_profiles import BASE as NOW
from tests.unit.pipelines.test_profiles import DAY, SOURCE, cancel, event, feed, order, refund

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
    for one in (first, second, second, first):
        layout.add_to_file(file, one)
    assert layout.read_file(file).by_id() == {first.id: first.names, second.id: second.names}
    assert layout.read_file(file).applied == [first.id, second.id, first.id]
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


def test_the_channels_that_have_a_place_are_those_that_events_can_have() -> None:
    assert sorted(CHANNEL_NAMES) == sorted({*CHANNELS, "other"})


def test_what_returns_to_nothing_at_the_first_touch_under_other_definitions_is_told() -> None:
    core = InProcess()
    feed(core, [(order("o1", "u", NOW, 100.0), NOW), (refund("r1", "u", NOW + 1, 300.0), NOW + 1)], NOW + 5000)
    after = core.restarted(with_another_window(core.definitions))
    after.record(cancel("o1", "u", NOW + 7000), SOURCE, 0, 100, NOW + 7000)
    ((_, now),) = after.fields()
    assert (now["orders_lifetime"], now["first_order_at"], now["last_order_at"], now["recency_days"]) == (0, None, None, None)


def test_a_feature_that_was_taken_out_and_put_back_is_told_again_by_who_was_silent_meanwhile() -> None:
    """Another identifier's event has the profile written while the feature is away, so its number is gone; the node must say it again."""
    definitions = loader.definitions()
    features = definitions.features
    kept = [feature for feature in features.features if feature.name != "tickets"]
    without = msgspec.structs.replace(definitions, features=msgspec.structs.replace(features, features=kept))
    first = InProcess()
    person = profile_of("demo|user_id|u")
    first.record(event("t1", "u", NOW, "Ticket Opened", ticket_id="1", topic="x"), SOURCE, 0, 0, NOW)
    first.record(event("v1", "w", NOW), SOURCE, 0, 1, NOW + 1)
    first.alias(Alias("demo|user_id|w", "demo", person, 1))
    first.roster(Roster("demo", person, 1, ["demo|user_id|u", "demo|user_id|w"]))
    second = first.restarted(without)
    second.record(event("v2", "w", NOW + 1000), SOURCE, 0, 2, NOW + 1000)
    third = second.restarted(definitions)
    third.record(event("v3", "u", NOW + 2000), SOURCE, 0, 3, NOW + 2000)
    third.record(event("v4", "w", NOW + 2001), SOURCE, 0, 4, NOW + 2001)
    now = dict(third.fields())[person]
    assert (now["tickets_lifetime"], now["views_lifetime"]) == (1, 4)


def test_an_average_of_what_was_not_counted_is_null() -> None:
    definitions = loader.definitions()
    features = definitions.features
    shorter = [
        msgspec.structs.replace(feature, windows=[window for window in feature.windows if window != "lifetime"])
        if feature.name in ("gross", "refunded", "net")
        else feature
        for feature in features.features
    ]
    core = InProcess(msgspec.structs.replace(definitions, features=msgspec.structs.replace(features, features=shorter)))
    feed(core, [(order(f"o{number}", "u", NOW + number, 100.0), NOW + number) for number in range(3)], NOW + 100)
    after = core.restarted(definitions)
    (profile_id,) = after._profile_blobs
    profile = after._profile(profile_id, "demo")
    after.profile_logic._recompute(profile)
    assert '"average_basket":null' in after.profile_logic._written(profile)
    assert "frequent_small_basket" not in (profile.verdict.tags if profile.verdict else [])
    after.poke_node("demo|user_id|u")
    assert '"average_basket":100.0' in after.profile_logic._written(profile)


def test_the_sum_of_a_window_never_leaves_64_bits() -> None:
    """A window is a difference of two running sums: of nine at the one end and nine beyond the other."""
    definitions = loader.definitions()
    features = definitions.features
    series = {**features.series, "measured": Series(events=["Device Telemetry Reported"], of="value")}
    asked = Feature(name="measured", series="measured", measure="amount", windows=["1d", "lifetime"])
    core = InProcess(
        msgspec.structs.replace(
            definitions, features=msgspec.structs.replace(features, series=series, features=[*features.features, asked])
        )
    )
    values = [-9.9e11] * 9 + [9.9e11] * 18
    for number, value in enumerate(values):
        at = NOW + number * 60_000 + (2 * DAY if number >= 9 else 0)
        body = event(f"m{number}", "u", at, "Device Telemetry Reported", device_id="d", metric="t", value=value)
        core.record(body, SOURCE, 0, number, at)
    counted = [value for value, one in zip(values, core.applied, strict=True) if "limit:amounts" not in one.flags]
    now = dict(core.fields())[profile_of("demo|user_id|u")]
    assert now["measured_lifetime"] == sum(counted)
    assert now["measured_1d"] == sum(value for value in counted if value > 0)
    assert len(counted) < len(values)
