"""The feature definitions, compiled: which events feed which series, which windows are asked of them, what they are called."""

import functools
import itertools
import zlib
from typing import Final

import msgspec

from config.definitions import Definitions, Feature, Features
from config.loader import ConfigError
from pipelines.aggregations.contract import MICRO, Aggregation
from pipelines.aggregations.registry import ALL
from pipelines.features.feeds import Feed, feeds, state_name, value_kind
from pipelines.features.layout import Layout, layout_of
from pipelines.features.series import Window
from pipelines.rules.tree import Kind

LIFETIME = "lifetime"
MINUTE_MS = 60_000
NUMBERS: Final = frozenset({"count", "amount"})
"""Measures whose values are whole numbers that are added up over nodes: they have a place in the layout."""


class Ask(msgspec.Struct, frozen=True):
    """One value a node computes: `name` is what the profile calls it, `measure` the aggregation; without a window it is of a lifetime."""

    name: str
    series: str
    window: Window | None
    measure: str


class Plan(msgspec.Struct, frozen=True):
    """All that a node needs to know about features.

    Attributes:
        windows: every window, shortest first.
        asks: series -> the values computed from it.
        exact: names of values that rules read: they are followed to the millisecond.
        by_event: event name -> series it feeds.
        by_type: call type -> series it feeds.
        cells: series -> its aggregations that keep cells.
        exact_entries, session_gap_ms, refresh_ms: see `features.yaml`.
        longest_hop_ms: modulus of tile phases.
        version: changes with whatever makes a node tell other values of the same past; never 0.
        layout: where numbers lie in what nodes tell and profiles keep.
    """

    windows: list[Window]
    asks: dict[str, list[Ask]]
    exact: frozenset[str]
    by_event: dict[str, list[Feed]]
    by_type: dict[str, list[Feed]]
    cells: dict[str, list[Aggregation]]
    exact_entries: int
    session_gap_ms: int
    refresh_ms: int
    longest_hop_ms: int
    version: int
    layout: Layout


class Published(msgspec.Struct, frozen=True):
    """One windowed field of a profile.

    Attributes:
        name: of the field.
        plus: name of the value that it shows.
        minus: name of the value that is taken off; None: nothing is.
        measure: the aggregation.
        kind: of what is shown.
        column: ClickHouse type of what is shown.
        money: whether amounts are in minor units of the tenant's currency; else they are in millionths.
    """

    name: str
    plus: str
    minus: str | None
    measure: str
    kind: Kind
    column: str
    money: bool

    def units(self, minor: int) -> int:
        """What an amount is divided by, where a unit of the currency has `minor` minor ones."""
        return 0 if self.measure == "count" else minor if self.money else MICRO


def value_name(series: str, measure: str, window: str) -> str:
    """What nodes call a value."""
    return f"{series}.{measure}.{window}"


@functools.lru_cache(maxsize=4096)
def measure_of(value: str) -> Aggregation | None:
    """The aggregation by which nodes' values of a name are combined; None for values of the platform's own."""
    parts = value.split(".")
    return ALL.get(parts[1]) if len(parts) == 3 else None


def published_fields(features: Features) -> list[Published]:
    """The windowed fields of a profile in the order of the file.

    Raises:
        ConfigError: a feature names a series, window, measure or feature that does not exist.
    """
    by_name = {feature.name: feature for feature in features.features}
    fields: list[Published] = []
    for feature in features.features:
        source = by_name.get(feature.difference[0], feature) if feature.difference else feature
        if feature.difference:
            missing = [part for part in feature.difference if part not in by_name]
            if missing or len(feature.difference) != 2:
                raise ConfigError(
                    f"features.yaml: feature `{feature.name}`: difference needs two features of this file, unknown: {missing}"
                )
        shown = _shown(features, feature, source)
        if feature.difference:
            other = _shown(features, feature, by_name[feature.difference[1]])
            if not {shown.measure, other.measure} <= NUMBERS or (shown.measure, shown.money) != (other.measure, other.money):
                raise ConfigError(f"features.yaml: feature `{feature.name}`: only counts, or amounts in the same units, can be subtracted")
        for window in feature.windows:
            if window != LIFETIME and window not in features.windows:
                raise ConfigError(
                    f"features.yaml: feature `{feature.name}`: unknown window `{window}`; there are {[*features.windows, LIFETIME]}"
                )
            plus, minus = _read(features, feature, by_name, window)
            fields.append(msgspec.structs.replace(shown, name=f"{feature.name}_{window}", plus=plus, minus=minus))
    return fields


def _shown(features: Features, feature: Feature, source: Feature) -> Published:
    """What is the same for all windows of a feature; `source` is the one whose measure it shows."""
    if source.series not in features.series:
        raise ConfigError(f"features.yaml: feature `{feature.name}`: unknown series `{source.series}`; there are {list(features.series)}")
    aggregation, series = ALL.get(source.measure), features.series[source.series]
    if aggregation is None:
        raise ConfigError(f"features.yaml: feature `{feature.name}`: there is no measure `{source.measure}`; there are {list(ALL)}")
    of = value_kind(series)
    if of not in aggregation.takes or (series.ledger and aggregation.has_cells):
        raise ConfigError(f"features.yaml: feature `{feature.name}`: {unfit(source.series, source.measure, features)}")
    return Published("", "", None, source.measure, aggregation.kind(of), aggregation.column_of(of), bool(series.ledger))


def unfit(series: str, measure: str, features: Features) -> str:
    """Why a measure cannot be made of a series, in words; empty when it can.

    Raises:
        ConfigError: see `feeds.value_kind`.
    """
    aggregation, source = ALL[measure], features.series[series]
    of = value_kind(source)
    if of not in aggregation.takes:
        takes = " or ".join(f"{kind}s" for kind in aggregation.takes if kind)
        if not of:
            return f"`{measure}` takes {takes}, and series `{series}` has no values; give it, or one of its own, `of: PROPERTY`"
        return f"`{measure}` takes {takes}, the values of `{series}` are {of}s"
    if source.ledger and aggregation.has_cells:
        return f"`{measure}` cannot be made of the ledger, whose orders change; series `{series}` has {', '.join(_of_ledger())}"
    return ""


def _of_ledger() -> list[str]:
    return [name for name, aggregation in ALL.items() if not aggregation.has_cells]


def _read(features: Features, feature: Feature, by_name: dict[str, Feature], window: str) -> tuple[str, str | None]:
    """The value that a field shows, and the one that is taken off."""

    def value(of: Feature, window: str) -> str:
        return value_name(state_name(of.series, features.series[of.series]), of.measure, window)

    if feature.difference:
        left, right = (by_name[part] for part in feature.difference)
        return value(left, window), value(right, window)
    longer = feature.minus.get(window)
    return (value(feature, window), None) if longer is None else (value(feature, longer), value(feature, window))


def compile_plan(definitions: Definitions, read_by_rules: set[str], changes: int = 0) -> Plan:
    """Compile the definitions for nodes.

    Args:
        definitions: the configuration.
        read_by_rules: published fields that tags, segments or scores read.
        changes: how many layouts have been put in force before this one: what profiles forgot under another one is told again, though this
            one had been there already.

    Raises:
        ConfigError: see `published_fields`; or hops that do not nest.
    """
    features = definitions.features
    windows = [Window(name, length * 1000, features.tile_hop_min[name] * MINUTE_MS) for name, length in features.windows.items()]
    windows.sort(key=lambda window: window.length)
    for shorter, longer in itertools.pairwise(windows):
        if longer.hop % shorter.hop or longer.hop * 60 > longer.length:
            raise ConfigError(
                f"features.yaml: tile_hop_min of {longer.name} must be a multiple of {shorter.name}'s and at most a 60th of the window"
            )
    by_name = {window.name: window for window in windows}
    asks: dict[str, Ask] = {}
    exact: set[str] = set()
    for field in published_fields(features):
        for value in filter(None, (field.plus, field.minus)):
            series, measure, window = value.split(".")
            asks[value] = Ask(value, series, None if window == LIFETIME else by_name[window], measure)
            if field.name in read_by_rules:
                exact.add(value)
    by_event, by_type = feeds(features)
    names = dict.fromkeys(state_name(name, series) for name, series in features.series.items())
    cells: dict[str, list[Aggregation]] = {}
    for ask in asks.values():
        aggregation = ALL[ask.measure]
        if aggregation.has_cells and aggregation not in cells.setdefault(ask.series, []):
            cells[ask.series].append(aggregation)
    return Plan(
        windows=windows,
        asks={name: [ask for ask in asks.values() if ask.series == name] for name in names},
        exact=frozenset(exact),
        by_event=by_event,
        by_type=by_type,
        cells=cells,
        exact_entries=features.exact_entries,
        session_gap_ms=features.session_gap_s * 1000,
        refresh_ms=features.refresh_s * 1000,
        longest_hop_ms=max(window.hop for window in windows),
        layout=layout(features),
        version=1 + zlib.crc32(msgspec.json.encode([sorted(asks.values(), key=_by_name), features.exact_entries, _fed(features)]), changes),
    )


def layout(features: Features) -> Layout:
    """The layout of numbers by a configuration, which `published_fields` finds no mistake in."""
    by_name = {feature.name: feature for feature in features.features}
    read = {value for feature in features.features for window in feature.windows for value in _read(features, feature, by_name, window)}
    return layout_of(tuple(sorted(value for value in read if value is not None and value.split(".")[1] in NUMBERS)))


def _by_name(ask: Ask) -> str:
    return ask.name


def _fed(features: Features) -> list[tuple[str, str, str]]:
    """What besides events makes entries of a series others: filters and values."""
    return [(name, series.where, series.of) for name, series in features.series.items() if series.where or series.of]
