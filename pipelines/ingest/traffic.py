"""Events nobody meant and bursts no hand can make, recognised by the rules of `config/traffic.yaml`.

Both kinds of rule look at event time, so a backlog that arrives at once is no burst. Of two clicks the one that comes second is the
accidental one: what a rule catches depends on the order of arrival, and so do features from which a rule keeps events away
(docs/decisions/0009-traffic-rules.md).
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from config.loader import ConfigError
from config.traffic import TrafficRule
from schemas.contracts import Contract

STRETCHES_KEPT: Final = 3
TARGETS_KEPT: Final = 4
_canonical = msgspec.json.Encoder(order="sorted").encode


class Recent(msgspec.Struct, array_like=True):
    """What a node remembers of its traffic.

    Attributes:
        acts: event time of the newest act that no rule caught, by target, oldest first; at most `TARGETS_KEPT`.
        stretches: rule -> number of a stretch -> events in it; the newest `STRETCHES_KEPT` stretches.
    """

    acts: dict[int, int] = {}
    stretches: dict[str, dict[int, int]] = {}


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
        self._bursts: dict[str, list[TrafficRule]] = {}
        for rule in rules:
            for word in (*rule.events, *rule.types):
                if rule.same:
                    self._repeats.setdefault(word, rule)
                else:
                    self._bursts.setdefault(word, []).append(rule)

    def caught_by(self, recent: Recent, name: str, target: int, at: int) -> TrafficRule | None:
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
        if repeat is not None:
            last = recent.acts.get(target)
            if last is not None and abs(at - last) < repeat.within_ms:
                return repeat
        for rule in self._bursts.get(name, ()):
            if _count(recent.stretches.setdefault(rule.name, {}), at // (rule.within_s * 1000)) > rule.more_than:
                return rule
        if repeat is not None:
            recent.acts.pop(target, None)
            recent.acts[target] = at
            if len(recent.acts) > TARGETS_KEPT:
                del recent.acts[next(iter(recent.acts))]
        return None


def _count(stretches: dict[int, int], stretch: int) -> int:
    """Events in a stretch with this one; 0 for one that is too old to be remembered."""
    if stretch not in stretches and len(stretches) == STRETCHES_KEPT:
        oldest = min(stretches)
        if stretch < oldest:
            return 0
        del stretches[oldest]
    found = stretches[stretch] = stretches.get(stretch, 0) + 1
    return found


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
