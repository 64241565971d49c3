"""Events nobody meant and bursts no hand can make, recognised by the rules of `config/traffic.yaml`.

Both kinds of rule look at event time, so a backlog that arrives at once is no burst. Of two clicks the one that comes second is the
accidental one: what a rule catches depends on the order of arrival, and so do features from which a rule keeps events away
(docs/decisions/0009-traffic-rules.md).
"""

import zlib
from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from config.loader import ConfigError
from config.traffic import TrafficRule
from pipelines.rows import Row
from schemas.contracts import Contract

STRETCHES_KEPT: Final = 3
TARGETS_KEPT: Final = 4
_canonical = msgspec.json.Encoder(order="sorted").encode
_ACTS: Final = 2 * TARGETS_KEPT
_STRETCHES: Final = 2 * STRETCHES_KEPT


def nothing() -> Row:
    """What a node remembers before its first event.

    Target and event time (ms) of the newest acts that no rule caught, oldest first, in `TARGETS_KEPT` pairs (target 0: none); then, for
    each rule that has counted something, its number and `STRETCHES_KEPT` pairs: a stretch (-1: none) and the events in it.
    """
    return array("q", bytes(8 * _ACTS))


def rule_number(name: str) -> int:
    """What a node's row calls a rule."""
    return zlib.crc32(name.encode())


class Targets:
    """Tells, in `decode`, what an event acts upon; 0 for events that no repetition rule watches.

    Args:
        rules: of `traffic.yaml`.
        contracts: of the events.

    Raises:
        ConfigError: a rule is of neither form or of both, or watches what feeds the order ledger.
    """

    def __init__(self, rules: Iterable[TrafficRule], contracts: Mapping[str, Contract]) -> None:
        self._same: dict[str, list[str]] = {}
        for rule in rules:
            for what in mistakes(rule, contracts):
                raise ConfigError(f"traffic.yaml: `{rule.name}`: {what}")
            if rule.same:
                for event in rule.events:
                    self._same.setdefault(event, rule.same)

    def of(self, name: str, properties: Mapping[str, Any]) -> int:
        """Hash of the event's name and the values that make it the same act; 0 when there is none."""
        labels = self._same.get(name)
        if labels is None:
            return 0
        values = [properties.get(label) for label in labels]
        # Compared within one node and a fraction of a second: 32 bits will do.
        return zlib.crc32(_canonical((name, values))) if values.count(None) < len(values) else 0


class Traffic:
    """Judges, at a node, whether an event is real.

    Args:
        rules: of `traffic.yaml`.
    """

    def __init__(self, rules: Iterable[TrafficRule]) -> None:
        self._repeats: dict[str, TrafficRule] = {}
        self._bursts: dict[str, list[tuple[TrafficRule, int]]] = {}
        for rule in rules:
            for word in (*rule.events, *rule.types):
                if rule.same:
                    self._repeats.setdefault(word, rule)
                else:
                    self._bursts.setdefault(word, []).append((rule, rule_number(rule.name)))

    def caught_by(self, recent: Row, name: str, target: int, at: int) -> TrafficRule | None:
        """Judge an event and remember it.

        Args:
            recent: of the event's node; kept up to date.
            name: of the event.
            target: from `Targets`.
            at: event time, ms.

        Returns:
            The first rule that catches it, None when none does.
        """
        repeat = self._repeats.get(name) if target else None
        place = _ACTS - 2
        if repeat is not None:
            while place >= 0 and recent[place] != target:
                place -= 2
            if place >= 0 and abs(at - recent[place + 1]) < repeat.within_ms:
                return repeat
        for rule, number in self._bursts.get(name, ()):
            if _count(recent, number, at // (rule.within_s * 1000)) > rule.more_than:
                return rule
        if repeat is not None:
            gone = max(place, 0)  # its own place, else that of the oldest
            recent[gone : _ACTS - 2] = recent[gone + 2 : _ACTS]
            recent[_ACTS - 2], recent[_ACTS - 1] = target, at
        return None


def _count(recent: Row, rule: int, stretch: int) -> int:
    """Events in a stretch with this one; 0 for one that is too old to be remembered."""
    begin = _ACTS
    while begin < len(recent) and recent[begin] != rule:
        begin += 1 + _STRETCHES
    if begin == len(recent):
        recent.extend((rule, *(-1, 0) * STRETCHES_KEPT))
    oldest = begin + 1
    for place in range(begin + 1, begin + 1 + _STRETCHES, 2):
        if recent[place] == stretch:
            recent[place + 1] += 1
            return recent[place + 1]
        if recent[place] < recent[oldest]:
            oldest = place
    if stretch < recent[oldest]:
        return 0
    recent[oldest], recent[oldest + 1] = stretch, 1
    return 1


def mistakes(rule: TrafficRule, contracts: Mapping[str, Contract]) -> Iterator[str]:
    """What is wrong with a rule by itself."""
    repeats, bursts = bool(rule.same and rule.within_ms), bool(rule.more_than and rule.within_s)
    if repeats == bursts or bool(rule.same) != repeats:
        yield "needs either `same` and `within_ms`, or `more_than` and `within_s`"
    if repeats and (rule.types or not rule.events):
        yield "a repetition watches `events`"
    feeding = [event for event in rule.events if event in contracts and contracts[event].feeds]
    if feeding:
        yield f"`{feeding[0]}` feeds the order ledger; its business key tells repetitions"
