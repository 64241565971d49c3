"""Which events feed a series, and with which values."""

import functools
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from config.definitions import Features, Series
from config.loader import ConfigError
from pipelines.aggregations.contract import MICRO, NO_VALUE, Aggregation
from pipelines.aggregations.registry import ALL
from pipelines.rules import python
from pipelines.rules.events import event_symbols, kind_of, read_event
from schemas import contracts
from schemas.contracts import Contract

MOST_MICRO: Final = 10**18
"""A number of 10 ** 12 or more has no place in a series: sums of them would leave 64 bits."""
MAX_TEXT: Final = 100
"""Characters that an entry keeps of a text."""
Properties = Mapping[str, Any]


class Feed(msgspec.Struct, frozen=True):
    """One kind of event that feeds one series.

    Attributes:
        series: under which name nodes keep it.
        of: name of the property whose values the entries have; empty: they have none.
        is_number: whether those are numbers.
        holds: of an event's properties whether it counts; None: all do.
        cells: aggregations of the series that keep cells.
    """

    series: str
    of: str = ""
    is_number: bool = False
    holds: Callable[[Properties], bool] | None = None
    cells: tuple[Aggregation, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether every event makes an entry without a value, and the series has no cells."""
        return not self.of and self.holds is None and not self.cells

    def value(self, properties: Properties) -> Any:
        """The value of the entry that an event makes, a number in millionths; None when it makes none."""
        if self.holds is not None and not self.holds(properties):
            return None
        if not self.of:
            return 0
        found = properties.get(self.of)
        if self.is_number:
            if not isinstance(found, int | float) or isinstance(found, bool) or not abs(found) * MICRO < MOST_MICRO:
                return None
            return round(found * MICRO)
        return found[:MAX_TEXT] if isinstance(found, str) and found else None


def state_name(name: str, series: Series) -> str:
    """Under which name nodes keep a series: with other values or another filter it is another series, which begins anew."""
    if series.ledger:
        return series.ledger
    if not series.of and not series.where:
        return name
    content = msgspec.json.encode([series.events, series.of, series.where])
    return f"{name}#{hashlib.blake2b(content, digest_size=4).hexdigest()}"


def value_kind(series: Series, known: Mapping[str, Contract] | None = None) -> str:
    """Kind of the values of a series' entries: `number`, `text`, or `NO_VALUE`.

    Args:
        series: of the configuration.
        known: contracts by event; by default those in force.

    Raises:
        ConfigError: its events have no such property, or not all of one kind.
    """
    if series.ledger:
        return "number"
    if not series.of:
        return NO_VALUE
    known = in_force() if known is None else known
    kinds = set()
    for event in series.events:
        field = known[event].fields.get(series.of) if event in known else None
        if field is None or field.type in ("list", "map", "boolean") or field.pii != "none":
            raise ConfigError(f"features.yaml: `{event}` has no field `{series.of}` of which a series can be made")
        kinds.add("number" if kind_of(field) == "number" else "text")
    if len(kinds) != 1:
        raise ConfigError(f"features.yaml: `{series.of}` is a number in one of {series.events} and a text in another")
    return kinds.pop()


def in_force() -> Mapping[str, Contract]:
    """The contracts in force, read again only when one of their files has changed: each feature asks for them."""
    folder = contracts.folder()
    return _read(folder, max((file.stat().st_mtime_ns for file in folder.glob("*.yaml")), default=0))


@functools.lru_cache(maxsize=4)
def _read(folder: Path, _newest: int) -> Mapping[str, Contract]:
    return contracts.load(folder)


def feeds(features: Features) -> tuple[dict[str, list[Feed]], dict[str, list[Feed]]]:
    """Feeds by event name, and by call type.

    Raises:
        ConfigError: see `value_kind`.
        RuleError: a filter is no rule over the properties of one of its events.
    """
    by_event: dict[str, list[Feed]] = {}
    by_type: dict[str, list[Feed]] = {}
    needs_contracts = any(series.where or series.of for series in features.series.values())
    known = in_force() if needs_contracts else {}
    for name, series in features.series.items():
        asked = dict.fromkeys(feature.measure for feature in features.features if feature.series == name)
        cells = tuple(ALL[measure] for measure in asked if measure in ALL and ALL[measure].has_cells)
        is_number = value_kind(series, known) == "number"
        for event in series.events:
            holds = _filter(series.where, event, known, f"features.yaml: series.{name}.where") if series.where else None
            by_event.setdefault(event, []).append(Feed(state_name(name, series), series.of, is_number, holds, cells))
        for call in series.types:
            by_type.setdefault(call, []).append(Feed(name, cells=cells))
    return by_event, by_type


def _filter(where: str, event: str, known: Mapping[str, Contract], place: str) -> Callable[[Properties], bool]:
    if event not in known:
        raise ConfigError(f"{place}: there is no contract of `{event}`")
    symbols = event_symbols(known[event])
    return python.condition(read_event(where, symbols, place), symbols)
