"""Every aggregation there is, by itself and in the pipeline: what its slow twin says, in any order, over several identifiers."""

import itertools
import json
import math
import random
import re
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from config import loader
from config.definitions import Definitions, Feature, Features, Rule, Series
from config.loader import ConfigError
from definitions.rules import of_features
from pipelines.aggregations import registry
from pipelines.aggregations.contract import MICRO, NO_VALUE, Aggregation
from pipelines.features.plan import published_fields
from pipelines.features.series import Series as Entries
from pipelines.history.views import profile_columns
from pipelines.identity.nodes import profile_of
from pipelines.wire import Alias, Roster
from schemas import contracts
from tests.in_process import InProcess
from tests.oracle.rulebook import Rulebook
from tests.oracle.windows import Series as Windowed
from tests.unit.pipelines.test_profiles import BASE, DAY, event, feed, fields, order

DEFINITIONS = loader.definitions()
SHOPS = {"price": ("number", [1.5, 0.1, 20, 19.99, 3, 0]), "brand": ("text", ["Acme", "Birch", "Cedar", "Ünï", "acme"])}
CASES = [(one, of) for one in registry.ALL.values() for of in one.takes]
IDS = [f"{one.name}-{of or 'events'}" for one, of in CASES]


def close(one: Any, other: Any) -> bool:
    if isinstance(one, float) or isinstance(other, float):
        return one is not None and other is not None and math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return bool(one == other)


def entries(of: str, dice: random.Random, count: int) -> list[tuple[int, Any]]:
    pool = {"number": [dice.randrange(-50, 50) / 4 for _ in range(6)], "text": list("abcdef"), NO_VALUE: [0]}[of]
    return [(dice.randrange(20), dice.choice(pool)) for _ in range(count)]


def partial(one: Aggregation, told: Sequence[tuple[int, Any]], of: str) -> Any:
    micro = [(time, round(value * MICRO) if of == "number" else value) for time, value in told]
    if one.of_totals is not None:
        return one.of_totals(len(micro), sum(value for _, value in micro) if of == "number" else 0) if micro else None
    assert one.lift is not None
    found = None
    for time, value in micro:
        found = one.combine(found, one.lift(time, value))
    return found


@pytest.mark.parametrize(("one", "of"), CASES, ids=IDS)
def test_parts_in_any_order_and_grouping_make_what_the_slow_twin_says(one: Aggregation, of: str) -> None:
    dice = random.Random(1)
    for _ in range(200):
        told = entries(of, dice, dice.randrange(12))
        cut = sorted(dice.choices(range(len(told) + 1), k=2))
        parts = [partial(one, part, of) for part in (told[: cut[0]], told[cut[0] : cut[1]], told[cut[1] :])]
        units = MICRO if of == "number" and one.name != "count" else 0
        wanted = one.naive(told)
        for a, b, c in itertools.permutations(parts):
            for whole in (one.combine(one.combine(a, b), c), one.combine(a, one.combine(b, c))):
                assert close(one.present(whole, units), wanted), (told, parts)


@pytest.mark.parametrize(("one", "of"), CASES, ids=IDS)
def test_a_partial_travels(one: Aggregation, of: str) -> None:
    made = partial(one, entries(of, random.Random(2), 9), of)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(made)) == made


def with_features(of: str, *measures: str, where: str = "", when: str = "") -> Definitions:
    features = DEFINITIONS.features
    name = {"number": "price", "text": "brand", NO_VALUE: ""}[of]
    series = {**features.series, "asked": Series(events=["Product Viewed"], of=name, where=where)}
    asked = [Feature(name=f"asked_{measure}", windows=["1d", "7d", "lifetime"], series="asked", measure=measure) for measure in measures]
    tags = [*DEFINITIONS.tags, Rule("asked", when)] if when else DEFINITIONS.tags
    return msgspec.structs.replace(
        DEFINITIONS, features=msgspec.structs.replace(features, series=series, features=[*features.features, *asked]), tags=tags
    )


class Told:
    """Views of two people's identifiers, told out of order, and what an aggregation has to be made of."""

    def __init__(self, dice: random.Random, count: int) -> None:
        self.views: list[tuple[str, int, dict[str, Any]]] = []
        for number in range(count):
            at = BASE + dice.choice([dice.randrange(7 * DAY - 5000), 6 * DAY + dice.randrange(DAY - 5000)])
            properties = {name: dice.choice(values) for name, (_, values) in SHOPS.items() if dice.random() < 0.8}
            self.views.append((dice.choice("ab"), at + number, {"product_id": "p", **properties}))

    def play(self, definitions: Definitions, forget_every: int, *, merge: bool) -> tuple[InProcess, int]:
        core = InProcess(definitions, forget_every)
        end = BASE + 7 * DAY - 1
        told = [event(f"m{number}", user, at, **properties) for number, (user, at, properties) in enumerate(self.views)]
        feed(core, [(value, BASE + 7 * DAY - 1000 + number) for number, value in enumerate(told)], end)
        if merge:
            a, b = "demo|user_id|a", "demo|user_id|b"
            core.roster(Roster("demo", profile_of(a), 1, [a, b]))
            core.alias(Alias(a, "demo", profile_of(a), 1))
            core.alias(Alias(b, "demo", profile_of(a), 1))
        return core, end

    def inside(self, user: str, of: str, window: str, end: int, rules: Any) -> list[tuple[int, Any]]:
        """Entries of one identifier inside a window, by the oracle's rule."""
        name = {"number": "price", "text": "brand", NO_VALUE: "product_id"}[of]
        mine = [(at, properties[name]) for who, at, properties in self.views if who == user and name in properties]
        windowed = Windowed(f"demo|user_id|{user}", [(at, 0) for at, _ in mine], rules)
        times = windowed.inside(window, end)
        return [(at, 0 if of == NO_VALUE else value) for at, value in mine if at in times]


@pytest.mark.parametrize(("one", "of"), CASES, ids=IDS)
@pytest.mark.parametrize("count", [5, 40, 400])
def test_the_pipeline_shows_what_the_slow_twin_says(one: Aggregation, of: str, count: int) -> None:
    rules = Rulebook.read(loader.folder())
    told = Told(random.Random(count), count)
    definitions = with_features(of, one.name)
    core, end = told.play(definitions, forget_every=7, merge=True)
    shown = fields(core, "demo|user_id|a")
    for window in ("lifetime", "7d", "1d"):
        wanted = one.naive([entry for user in "ab" for entry in told.inside(user, of, window, end, rules)])
        assert close(shown[f"asked_{one.name}_{window}"], wanted), window


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 5), st.booleans())
def test_order_of_arrival_and_restarts_change_nothing(seed: int, forget_every: int, merge: bool) -> None:
    dice = random.Random(seed)
    told = Told(dice, 30)
    definitions = with_features("number", *(one.name for one, of in CASES if of == "number"))
    core, _ = told.play(definitions, forget_every, merge=merge)
    before = fields(core, "demo|user_id|a")
    dice.shuffle(told.views)
    again, _ = told.play(definitions, 0, merge=merge)
    after = fields(again, "demo|user_id|a")
    names = [name for name in before if name.startswith("asked_") and not name.endswith("_1d")]
    assert names
    assert {name: before[name] for name in names} == {name: after[name] for name in names}


def test_a_filter_is_a_rule_over_the_event() -> None:
    definitions = with_features("number", "count", "max", where="price >= 3 and brand in ('Acme', 'Birch')")
    views = [(3, "Acme"), (2, "Acme"), (9, "Cedar"), (4.5, "Birch"), (None, "Acme"), (100, None)]
    core = InProcess(definitions)
    told = [
        {key: value for key, value in (("product_id", "p"), ("price", price), ("brand", brand)) if value is not None}
        for price, brand in views
    ]
    feed(core, [(event(f"m{at}", "u", BASE + at, **one), BASE + at) for at, one in enumerate(told)], BASE + 100)
    shown = fields(core, "demo|user_id|u")
    assert (shown["asked_count_lifetime"], shown["asked_max_lifetime"]) == (2, 4.5)


def test_a_rule_turns_when_a_window_of_cells_falls() -> None:
    definitions = with_features("number", "max", when="asked_max_1d > 10")
    core = InProcess(definitions)
    feed(
        core,
        [(event("1", "u", BASE, product_id="p", price=20), BASE), (event("2", "u", BASE + 5, product_id="p", price=3), BASE + 5)],
        BASE + 9,
    )
    assert fields(core, "demo|user_id|u")["tag:asked"] == 1
    core.pass_time(BASE + DAY - 1)
    assert fields(core, "demo|user_id|u")["tag:asked"] == 1
    core.pass_time(BASE + DAY)
    assert fields(core, "demo|user_id|u")["tag:asked"] == 0
    change = core.newest[profile_of("demo|user_id|u")]
    assert (change.record["at"], change.record["tags_exited"]) == (BASE + DAY, ["asked"])


def test_how_long_ago_is_a_rule_over_the_time_of_the_last() -> None:
    core = InProcess(with_features(NO_VALUE, "last_time", when="now - asked_last_time_lifetime > 3d"))
    feed(core, [(event("1", "u", BASE, product_id="p"), BASE)], BASE + 9)
    core.pass_time(BASE + 3 * DAY)
    assert fields(core, "demo|user_id|u")["tag:asked"] == 0
    core.pass_time(BASE + 3 * DAY + 1)
    assert fields(core, "demo|user_id|u")["tag:asked"] == 1


def test_a_series_of_other_values_begins_anew_and_one_that_was_not_asked_for_has_no_hole() -> None:
    def look(core: InProcess, at: int, **properties: Any) -> dict[str, Any]:
        core.record(event(f"m{at}", "u", BASE + at, product_id="p", **properties), "cdp.raw.clickstream", 0, at, BASE + at)
        return fields(core, "demo|user_id|u")

    core = InProcess(with_features(NO_VALUE, "count"))
    assert look(core, 1, price=1)["asked_count_lifetime"] == 1
    core = core.restarted(with_features("number", "count", "average", "max"))
    found = look(core, 2, price=50)
    assert [found[f"asked_{name}_lifetime"] for name in ("count", "average", "max")] == [1, 50.0, 50.0]
    core = core.restarted(with_features("text", "first", when="asked_first_lifetime = 'Acme'"))
    found = look(core, 3, price=60, brand="Acme")
    assert (found["asked_first_lifetime"], found["tag:asked"]) == ("Acme", 1)
    core = core.restarted(with_features("number", "max", when="asked_max_lifetime > 5"))
    found = look(core, 4, price=7)
    assert (found["asked_max_lifetime"], found["tag:asked"]) == (7.0, 1), "of this time, not of the one before"
    core = core.restarted(with_features("number", "count"))
    look(core, 5, price=99)
    core = core.restarted(with_features("number", "max"))
    assert look(core, 6, price=20)["asked_max_lifetime"] == 20.0, "99 was not seen, so nothing is said of before"


def test_a_sum_that_leaves_64_bits_makes_no_entry_and_is_flagged() -> None:
    definitions = with_features("number", "amount", "count")
    core = InProcess(definitions)
    series = [name for name in core._node_logic._plan.asks if name.startswith("asked#")]
    feed(core, [(event("1", "u", BASE, product_id="p", price=1), BASE)], BASE + 1)
    live = core._live_nodes["demo|user_id|u"]
    numbers = ([0, BASE], [0, 1], [0, (1 << 63) - 1])
    live.series[series[0]] = Entries.of_columns(*(array("q", column).tobytes() for column in numbers))
    core.record(event("2", "u", BASE + 2, product_id="p", price=2), "cdp.raw.clickstream", 0, 9, BASE + 2)
    assert "limit:amounts" in core.applied[-1].flags
    assert fields(core, "demo|user_id|u")["asked_count_lifetime"] == 1


def test_differences_are_of_the_same_units() -> None:
    features = with_features("number", "amount").features
    odd = Feature(name="odd", difference=["gross", "asked_amount"], windows=["7d"])
    with pytest.raises(ConfigError, match="only counts, or amounts in the same units"):
        published_fields(msgspec.structs.replace(features, features=[*features.features, odd]))


def test_a_ledger_series_may_have_another_name() -> None:
    features = DEFINITIONS.features
    series = {**features.series, "sales": Series(ledger="orders")}
    asked = Feature(name="sales", windows=["7d", "lifetime"], series="sales", measure="average")
    definitions = msgspec.structs.replace(
        DEFINITIONS, features=msgspec.structs.replace(features, series=series, features=[*features.features, asked])
    )
    core = InProcess(definitions)
    feed(core, [(order("o1", "u", BASE, 10.0), BASE), (order("o2", "u", BASE + 1, 5.0), BASE + 1)], BASE + 2)
    shown = fields(core, "demo|user_id|u")
    assert (shown["sales_lifetime"], shown["orders_lifetime"]) == (7.5, 2)


def test_what_comes_in_costs_little_however_much_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window is not gone through again while nothing leaves it."""
    one = registry.ALL["max"]
    calls = [0]

    def counted(a: Any, b: Any) -> Any:
        calls[0] += 1
        return one.combine(a, b)

    monkeypatch.setitem(registry.ALL, "max", msgspec.structs.replace(one, combine=counted))
    core = InProcess(with_features("number", "max"))
    for at in range(300):
        core.record(event(f"m{at}", "u", BASE + at, product_id="p", price=at), "cdp.raw.clickstream", 0, at, BASE + at)
    assert calls[0] < 300 * 15, "some for each of 3 windows, and none for each of 300 entries"


def test_many_different_ones_are_estimated() -> None:
    one = registry.ALL["distinct"]
    many = partial(one, [(0, f"v{number}") for number in range(20_000)], "text")
    assert len(many) == 256
    assert abs(one.present(many, 0) / 20_000 - 1) < 0.2, "three standard errors"


def test_an_aggregation_more_is_one_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if `range.py` had been added: it is in the profile, in the analysts' view, and rules read it."""
    span = Aggregation(
        name="range",
        about="the greatest less the smallest",
        takes=("number",),
        gives="number",
        lift=lambda time, value: [value, value],
        combine=lambda a, b: b if a is None else a if b is None else [min(a[0], b[0]), max(a[1], b[1])],
        present=lambda found, units: (found[1] - found[0]) / units if found else None,
        column={"*": "Nullable(Float64)"},
        sql="max({value}) - min({value})",
        english="the range of {what}",
        chinese="{what}的极差",
        naive=lambda told: max(value for _, value in told) - min(value for _, value in told) if told else None,
    )
    monkeypatch.setitem(registry.ALL, "range", span)
    definitions = with_features("number", "range", when="asked_range_7d >= 17")
    core = InProcess(definitions)
    feed(
        core, [(event(str(at), "u", BASE + at, product_id="p", price=price), BASE + at) for at, price in enumerate((3, 20, 4.5))], BASE + 9
    )
    shown = fields(core, "demo|user_id|u")
    assert (shown["asked_range_7d"], shown["tag:asked"]) == (17.0, 1)
    assert profile_columns(definitions)["asked_range_7d"] == "fields.asked_range_7d"
    assert {field.name: field.column for field in published_fields(definitions.features)}["asked_range_7d"] == "Nullable(Float64)"
    assert json.loads(json.dumps(shown))["asked_range_lifetime"] == 17.0


def test_the_page_lists_the_measures_there_are() -> None:
    page = (Path(__file__).parents[3] / "docs" / "features.md").read_text()
    of = {NO_VALUE: "events", "number": "numbers", "text": "texts"}
    for one in registry.ALL.values():
        assert f"| `{one.name}` | {one.about} | {', '.join(of[kind] for kind in one.takes)} |" in page.splitlines()


def test_the_examples_of_the_page_are_features() -> None:
    page = (Path(__file__).parents[3] / "docs" / "features.md").read_text()
    (text,) = re.findall(r"```yaml\n(windows:.*?)```", page, re.DOTALL)
    plain = {"exact_entries": 64, "session_gap_s": 1800, "refresh_s": 3600}
    refunds = {"name": "refunded", "series": "refunds", "measure": "amount", "windows": ["14d"]}
    read = yaml.safe_load(text)
    read["series"]["refunds"] = {"ledger": "refunds"}
    written = msgspec.convert({**plain, **read, "features": [refunds, *read["features"]]}, Features)
    found = contracts.load()
    assert list(of_features(written, list(found), found)) == []
    assert "brands_14d" in {field.name for field in published_fields(written)}
