"""The feature definitions, compiled: which events feed which series, which windows are asked of them, what they are called."""

import itertools
import zlib

import msgspec

from config.definitions import Definitions, Features
from config.loader import ConfigError
from pipelines.features.series import Window

LIFETIME = "lifetime"
MINUTE_MS = 60_000


class Ask(msgspec.Struct, frozen=True):
    """One value a node computes: `name` is what the profile calls it."""

    name: str
    series: str
    window: Window | None
    amount: bool


class Plan(msgspec.Struct, frozen=True):
    """All that a node needs to know about features.

    Attributes:
        windows: every window, shortest first.
        asks: series -> the values computed from it.
        exact: names of values that rules read: they are followed to the millisecond.
        by_event: event name -> counting series it feeds.
        by_type: call type -> counting series it feeds.
        exact_entries, session_gap_ms, refresh_ms: see `features.yaml`.
        longest_hop_ms: modulus of tile phases.
        version: changes with whatever makes a node tell other values of the same past; never 0.
    """

    windows: list[Window]
    asks: dict[str, list[Ask]]
    exact: frozenset[str]
    by_event: dict[str, list[str]]
    by_type: dict[str, list[str]]
    exact_entries: int
    session_gap_ms: int
    refresh_ms: int
    longest_hop_ms: int
    version: int


class Published(msgspec.Struct, frozen=True):
    """One windowed field of a profile: `plus - minus` over node values, in major units when it is money."""

    name: str
    plus: str
    minus: str | None
    money: bool


def _value_name(series: str, measure: str, window: str) -> str:
    return f"{series}.{measure}.{window}"


def published_fields(features: Features) -> list[Published]:
    """The windowed fields of a profile in the order of the file.

    Raises:
        ConfigError: a feature names a series, window, measure or feature that does not exist.
    """
    by_name = {feature.name: feature for feature in features.features}
    fields: list[Published] = []
    for feature in features.features:
        for window in feature.windows:
            if window != LIFETIME and window not in features.windows:
                raise ConfigError(
                    f"features.yaml: feature `{feature.name}`: unknown window `{window}`; there are {[*features.windows, LIFETIME]}"
                )
            name = f"{feature.name}_{window}"
            if feature.difference:
                missing = [part for part in feature.difference if part not in by_name]
                if missing or len(feature.difference) != 2:
                    raise ConfigError(
                        f"features.yaml: feature `{feature.name}`: difference needs two features of this file, unknown: {missing}"
                    )
                left, right = (by_name[part] for part in feature.difference)
                plus, minus = _value_name(left.series, left.measure, window), _value_name(right.series, right.measure, window)
                fields.append(Published(name, plus, minus, left.measure == "amount"))
                continue
            if feature.series not in features.series:
                raise ConfigError(
                    f"features.yaml: feature `{feature.name}`: unknown series `{feature.series}`; there are {list(features.series)}"
                )
            if feature.measure not in {"count", "amount"}:
                raise ConfigError(f"features.yaml: feature `{feature.name}`: measure is `count` or `amount`, not `{feature.measure}`")
            own = _value_name(feature.series, feature.measure, window)
            longer = feature.minus.get(window)
            if longer is None:
                fields.append(Published(name, own, None, feature.measure == "amount"))
            else:
                fields.append(Published(name, _value_name(feature.series, feature.measure, longer), own, feature.measure == "amount"))
    return fields


def compile_plan(definitions: Definitions, read_by_rules: set[str]) -> Plan:
    """Compile the definitions for nodes.

    Args:
        definitions: the configuration.
        read_by_rules: published fields that tags, segments or scores read.

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
            asks[value] = Ask(value, series, None if window == LIFETIME else by_name[window], measure == "amount")
            if field.name in read_by_rules:
                exact.add(value)
    by_event: dict[str, list[str]] = {}
    by_type: dict[str, list[str]] = {}
    for name, fed in features.series.items():
        for event in fed.events:
            by_event.setdefault(event, []).append(name)
        for call in fed.types:
            by_type.setdefault(call, []).append(name)
    return Plan(
        windows=windows,
        asks={name: [ask for ask in asks.values() if ask.series == name] for name in features.series},
        exact=frozenset(exact),
        by_event=by_event,
        by_type=by_type,
        exact_entries=features.exact_entries,
        session_gap_ms=features.session_gap_s * 1000,
        refresh_ms=features.refresh_s * 1000,
        longest_hop_ms=max(window.hop for window in windows),
        version=1 + zlib.crc32(msgspec.json.encode([sorted(asks.values(), key=lambda ask: ask.name), features.exact_entries])),
    )
