"""Features, RFM, segments and tags: everything that is wrong with them, rule by rule."""

import itertools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from typing import Final

from config.definitions import Feature, Features, Rfm, Rule, Series
from config.loader import ConfigError
from config.quality import CALLS
from definitions.files import twice
from pipelines.aggregations.registry import ALL
from pipelines.audiences.rules import check_movement
from pipelines.audiences.symbols import PLAIN_FIELDS, SCORES, SEGMENT, profile_symbols
from pipelines.features.plan import LIFETIME, unfit
from pipelines.rules import reading
from pipelines.rules.errors import RuleError
from pipelines.rules.events import event_symbols, kind_of, read_event
from pipelines.rules.rule import Rule as Compiled
from pipelines.rules.symbols import Symbols
from schemas.contracts import Contract
from schemas.documents import Mistake, Steps, meant

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OTHER_MEASURES: Final = {
    "sum": "amount",
    "total": "amount",
    "avg": "average",
    "mean": "average",
    "minimum": "min",
    "maximum": "max",
    "unique": "distinct",
    "uniques": "distinct",
    "set": "values",
    "list": "values",
}
"""What measures are called elsewhere."""
_OWN: Final = ("rfm_version", "rules_version", "traits", "groups", "kind", "members")
"""Fields of profiles that rules do not read."""
_CUTS: Final = 4


def published(features: Features) -> list[str]:
    """Names of the windowed fields, also of features that have mistakes: a rule that reads one is not wrong for that."""
    return [f"{feature.name}_{window}" for feature in features.features for window in feature.windows]


def of_features(features: Features, events: Collection[str], contracts: Mapping[str, Contract]) -> Iterator[Mistake]:
    """Mistakes of `features.yaml`.

    Args:
        features: the file.
        events: names of the events there are, in contracts and plans.
        contracts: of those that have one.
    """
    yield from _names(features)
    yield from _windows(features)
    for name, series in features.series.items():
        if sum(map(bool, (series.events or series.types, series.ledger))) != 1:
            yield Mistake(("series", name), "a series has either `events` and `types`, or `ledger`")
        for index, event in enumerate(series.events):
            if event not in events:
                yield Mistake(("series", name, "events", index), f"there is no event `{event}`", meant(event, events))
        yield from _values(("series", name), series, events, contracts)
        if name in ("orders", "refunds") and series.ledger != name:
            yield Mistake(("series", name), f"`{name}` is the name of a series of the ledger", f"{{ledger: {name}}}, or another name")
        for index, call in enumerate(series.types):
            if call not in (*CALLS, "track"):
                yield Mistake(("series", name, "types", index), f"there is no call `{call}`", meant(call, CALLS))
    plain = {feature.name: feature for feature in features.features if not feature.difference}
    known = [*features.windows, LIFETIME]
    for number, feature in enumerate(features.features):
        at: Steps = ("features", number)
        for index, window in enumerate(feature.windows):
            if window not in known:
                yield Mistake((*at, "windows", index), f"unknown window `{window}`", f"{meant(window, known)} (windows: in this file)")
        if feature.difference:
            yield from _difference(at, feature.difference, list(plain))
            measures = {plain[part].measure for part in feature.difference if part in plain}
            if odd := measures - {"", "count", "amount"}:
                yield Mistake((*at, "difference"), f"`{odd.pop()}` cannot be subtracted", "only counts and amounts can")
            elif len(measures) > 1:
                yield Mistake((*at, "difference"), "an amount and a count cannot be subtracted")
            elif measures == {"amount"} and len({_is_ledger(features, plain[part]) for part in feature.difference if part in plain}) > 1:
                yield Mistake(
                    (*at, "difference"), "an amount of the ledger and one of a property cannot be subtracted", "both of one of them"
                )
            continue
        if feature.series not in features.series:
            what = f"unknown series `{feature.series}`" if feature.series else "`series` is missing"
            yield Mistake((*at, "series"), what, meant(feature.series, features.series))
        elif feature.measure and feature.measure not in ALL:
            known_as = _OTHER_MEASURES.get(feature.measure.lower())
            remedy = f"it is called `{known_as}` here" if known_as else meant(feature.measure, ALL)
            yield Mistake((*at, "measure"), f"there is no measure `{feature.measure}`", remedy)
        elif feature.measure and (why := _unfit(features, feature)):
            yield Mistake((*at, "measure"), why, "docs/features.md lists the measures")
        if not feature.measure:
            yield Mistake((*at, "measure"), "`measure` is missing", f"one of {', '.join(ALL)}")
        if feature.minus and feature.measure not in ("", "count", "amount"):
            yield Mistake((*at, "minus"), f"`{feature.measure}` cannot be subtracted", "only counts and amounts can")
        for window, longer in feature.minus.items():
            if window not in feature.windows:
                yield Mistake((*at, "minus", window), f"`{window}` is none of this feature's windows", meant(window, feature.windows))
            if longer not in features.windows:
                yield Mistake((*at, "minus", window), f"unknown window `{longer}`", meant(longer, features.windows))
            elif features.windows.get(window, 0) >= features.windows[longer]:
                yield Mistake((*at, "minus", window), f"`{longer}` is not longer than `{window}`", "name the longer window")


def _is_ledger(features: Features, feature: Feature) -> bool:
    series = features.series.get(feature.series)
    return bool(series and series.ledger)


def _unfit(features: Features, feature: Feature) -> str:
    try:
        return unfit(feature.series, feature.measure, features)
    except ConfigError:
        return ""  # told at the series


def _over_event(text: str, symbols: Symbols, _: Compiled) -> None:
    read_event(text, symbols, "")


def _values(at: Steps, series: Series, events: Collection[str], contracts: Mapping[str, Contract]) -> Iterator[Mistake]:
    """Mistakes of a series' filter and of the property whose values it has."""
    if not series.where and not series.of:
        return
    if series.ledger or series.types:
        yield Mistake(at, "`where` and `of` are for series of events", "properties of calls and of the ledger have no contract")
        return
    kinds: set[str] = set()
    for event in series.events:
        if event not in contracts:
            if event in events:  # else it is told that there is no such event
                yield Mistake((*at, "events"), f"`{event}` has no contract, so nobody knows its properties", "leave out `where` and `of`")
            continue
        fields = contracts[event].fields
        if series.of and series.of not in fields:
            yield Mistake((*at, "of"), f"`{event}` has no field `{series.of}`", meant(series.of, fields))
        elif series.of and fields[series.of].pii != "none":
            yield Mistake((*at, "of"), f"`{series.of}` is personal ({fields[series.of].pii})", "profiles show features in clear")
        elif series.of and fields[series.of].type in ("list", "map", "boolean"):
            yield Mistake((*at, "of"), f"`{series.of}` is a {fields[series.of].type}", "name a number or a text")
        elif series.of:
            kinds.add("number" if kind_of(fields[series.of]) == "number" else "text")
        if series.where:
            symbols = event_symbols(contracts[event])
            yield from _condition((*at, "where"), series.where, symbols, partial(_over_event, series.where, symbols))
    if len(kinds) > 1:
        yield Mistake((*at, "of"), f"`{series.of}` is a number in one of these events and a text in another", "make two series")


def of_rfm(rfm: Rfm, features: Features) -> Iterator[Mistake]:
    """Mistakes of `rfm.yaml`."""
    known, symbols = [*published(features), *PLAIN_FIELDS], profile_symbols(features)
    for label in ("recency", "frequency", "monetary"):
        name = getattr(rfm, label)
        if name not in known:
            yield Mistake((label,), f"unknown field `{name}`", meant(name, known))
        elif (kind := symbols[name].kind) != "number":
            yield Mistake((label,), f"`{name}` is a {kind}", "name a field that is a number")
    yield from _ascending(("quantiles",), rfm.quantiles)
    if any(not 0 < share < 1 for share in rfm.quantiles):
        yield Mistake(("quantiles",), "a quantile lies between 0 and 1", "e.g. [0.2, 0.4, 0.6, 0.8]")
    for label in ("recency", "frequency", "monetary"):
        yield from _ascending(("initial", label), getattr(rfm.initial, label))
    if rfm.tolerance <= 0:
        yield Mistake(("tolerance",), "tolerance must be above 0", "0.05 is 5 %")


def of_rules(rules: Iterable[Rule], known: Symbols | None, what: str) -> Iterator[Mistake]:
    """Mistakes of `tags.yaml` or `segments.yaml`.

    Args:
        rules: of the file.
        known: fields that a rule may read; None when the features are not known, and only the grammar is checked.
        what: `tag` or `segment`.
    """
    rules = list(rules)
    yield from twice([((index, "name"), rule.name) for index, rule in enumerate(rules)], what)
    for index, rule in enumerate(rules):
        if not rule.name.strip():
            yield Mistake((index, "name"), f"a {what} needs a name")
        elif what == "tag" and not _NAME.fullmatch(rule.name):  # analysts have a column of it
            yield Mistake((index, "name"), f"`{rule.name}` is no name for a tag", "letters, digits and _, no digit first")
        yield from of_condition((index, "when"), rule.when, known)


def of_condition(at: Steps, text: str, known: Symbols | None) -> Iterator[Mistake]:
    """Mistakes of a condition over a profile: every field that there is not, else what the language refuses."""
    yield from _condition(at, text, known, lambda rule: check_movement(rule, ""))


def _condition(at: Steps, text: str, known: Symbols | None, check: Callable[[Compiled], None]) -> Iterator[Mistake]:
    try:
        names = reading.fields(text, known or Symbols([], ""))
        if known is None:
            return
        unknown = [(name, column) for name, column in names if name not in known]
        for name, column in unknown:
            whose = "" if known.what == "a profile" else f" of {known.what}"
            yield Mistake(at, f"unknown field `{name}`{whose}", meant(name, known.all), column)
        if not unknown:
            check(Compiled(text, known))
    except RuleError as error:
        what, _, remedy = error.why.partition("; ")
        yield Mistake(at, what, remedy, error.column)


def _names(features: Features) -> Iterator[Mistake]:
    for part in ("windows", "series"):
        for name in getattr(features, part):
            if not re.fullmatch(r"[A-Za-z0-9_]+", str(name)):
                yield Mistake((part, name), f"`{name}` is no name", "letters, digits and _")
    for number, feature in enumerate(features.features):
        if not _NAME.fullmatch(feature.name):
            yield Mistake(("features", number, "name"), f"`{feature.name}` is no name for a field", "letters, digits and _, no digit first")
    yield from twice([(("features", number, "name"), feature.name) for number, feature in enumerate(features.features)], "feature")
    taken = {name: "the platform has a field of this name" for name in (*PLAIN_FIELDS, *SCORES, SEGMENT, *_OWN)}
    for number, feature in enumerate(features.features):
        for index, window in enumerate(feature.windows):
            name = f"{feature.name}_{window}"
            if name in taken:
                yield Mistake(("features", number, "windows", index), f"the field `{name}` is there twice: {taken[name]}")
            taken[name] = f"feature `{feature.name}` makes it too"


def _windows(features: Features) -> Iterator[Mistake]:
    if LIFETIME in features.windows:
        yield Mistake(("windows", LIFETIME), f"`{LIFETIME}` is there without being defined", "choose another name")
    for name in features.windows:
        if name not in features.tile_hop_min:
            yield Mistake(("windows", name), f"window `{name}` has no `tile_hop_min`", f"add {name}: MINUTES to tile_hop_min")
    for name in features.tile_hop_min:
        if name not in features.windows:
            yield Mistake(("tile_hop_min", name), f"there is no window `{name}`", meant(name, features.windows))
    both = [name for name in features.windows if name in features.tile_hop_min]
    both.sort(key=lambda name: features.windows[name])
    for name in both:
        if features.tile_hop_min[name] * 3600 > features.windows[name]:
            what = f"a hop of {features.tile_hop_min[name]} min is more than a 60th of window `{name}`"
            yield Mistake(("tile_hop_min", name), what, f"at most {max(1, features.windows[name] // 3600)}")
    for shorter, longer in itertools.pairwise(both):
        if features.tile_hop_min[longer] % features.tile_hop_min[shorter]:
            what = f"must be a multiple of {shorter}'s ({features.tile_hop_min[shorter]} min)"
            yield Mistake(("tile_hop_min", longer), what, "so that the windows share their tiles")


def _difference(at: Steps, parts: list[str], plain: list[str]) -> Iterator[Mistake]:
    if len(parts) != 2:
        yield Mistake((*at, "difference"), f"a difference is of two features, not {len(parts)}", "[what counts, what is taken off]")
    for index, part in enumerate(parts):
        if part not in plain:
            yield Mistake((*at, "difference", index), f"there is no plain feature `{part}`", meant(part, plain))


def _ascending(at: Steps, values: list[float]) -> Iterator[Mistake]:
    if len(values) != _CUTS:
        yield Mistake(at, f"{_CUTS} values are needed for scores from 1 to {_CUTS + 1}, not {len(values)}")
    if any(later < earlier for earlier, later in itertools.pairwise(values)):
        yield Mistake(at, "the values must ascend", f"{sorted(values)}")
