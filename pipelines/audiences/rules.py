"""Scores, segments and tags of a profile: what holds now, and the moment at which time alone will change it."""

import hashlib
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from config.definitions import CutPoints, Definitions
from pipelines.audiences.symbols import SCORES, SEGMENT, profile_symbols
from pipelines.rules.clock import has_computable_turn
from pipelines.rules.errors import RuleError
from pipelines.rules.rule import Comparison, Rule
from pipelines.rules.symbols import NOW

DAY_MS: Final = 86_400_000
# Fields that move with the clock itself. All are linear in it.
CLOCK_FIELDS: Final = frozenset({"recency_days", "current_interval_days", "recency_ratio"})
_REMEMBERED: Final = 4096
_MOVING: Final = CLOCK_FIELDS | {NOW}
_CLOCK_BASES: Final = frozenset({"last_order_at", "mean_interpurchase_days"})


class Verdict(msgspec.Struct, array_like=True):
    """What the rules say of a profile.

    Attributes:
        scores: R, F, M from 1 to 5; 0 without orders.
        segment: name of the first segment that holds.
        tags: names of the tags that hold.
        version: of the cut points used.
        rules: fingerprint of the definitions used, see `RuleBook.version`.
    """

    scores: tuple[int, int, int]
    segment: str
    tags: list[str]
    version: int
    rules: str = ""


def fingerprint(definitions: Definitions) -> str:
    """Eight hex digits that change with the rules of verdict and golden record: windowed fields, scores, segments, tags, traits.

    What is only said of a rule, and the cut points (they have a version of their own), do not count.
    """
    features, rfm = definitions.features, definitions.rfm
    said = {
        "fields": [features.windows, features.series, [msgspec.structs.replace(one, english="", chinese="") for one in features.features]],
        "scores": [rfm.recency, rfm.frequency, rfm.monetary],
        "segments": [(rule.name, rule.when) for rule in definitions.segments],
        "tags": [(rule.name, rule.when) for rule in definitions.tags],
        "traits": definitions.traits,
    }
    return hashlib.blake2b(msgspec.json.encode(said, order="deterministic"), digest_size=4).hexdigest()


def clock_fields(last_order_at: int | None, mean_interpurchase_days: float | None, now: int) -> dict[str, float | None]:
    """The fields that move with the clock, at `now` (ms)."""
    if last_order_at is None:
        return {"current_interval_days": None, "recency_days": None, "recency_ratio": None}
    days = (now - last_order_at) / DAY_MS
    return {
        "current_interval_days": days,
        "recency_days": days,
        "recency_ratio": days / mean_interpurchase_days if mean_interpurchase_days else None,
    }


def check_movement(rule: Rule, where: str) -> None:
    """Refuse a rule of which nobody could tell when time alone turns it.

    Raises:
        RuleError: a comparison reads the clock through a function that does not grow evenly with it.
    """
    for comparison in rule.comparisons:
        if not has_computable_turn(comparison.tree, _MOVING):
            why = f"`{comparison.text}` does not move evenly with the clock, so nobody can tell when it turns by itself"
            remedy = "compare by `<`, `<=`, `>`, `>=` what moves by + - * / and ago(); a range is two comparisons: `x > 25 and x < 35`"
            raise RuleError(where, f"{why}; {remedy}")


class Effect(msgspec.Struct, frozen=True):
    """What a change of some fields can change.

    Attributes:
        concerns: a verdict.
        moves_flip: the next turn by time.
        scores: the scores; likewise `segment`.
        tags: name and rule of each, in the order of the file; None: the change does not touch it.
        reads: names of the fields that have to be known to judge it; None: all that rules read.
    """

    concerns: bool
    moves_flip: bool
    scores: bool
    segment: bool
    tags: list[tuple[str, Rule | None]]
    reads: frozenset[str] | None


class RuleBook:
    """The compiled rules of one set of definitions.

    Args:
        definitions: the configuration.

    Attributes:
        reads: every published field that a score, segment or tag depends on.
        version: fingerprint of everything a verdict depends on: fields, scores, segments, tags. Profiles carry it as `rules_version`.

    Raises:
        RuleError: a rule is wrong; the message names file and rule.
    """

    def __init__(self, definitions: Definitions) -> None:
        rfm = definitions.rfm
        self.version = fingerprint(definitions)
        symbols = profile_symbols(definitions.features, [rule.name for rule in definitions.segments])
        self._raw = (rfm.recency, rfm.frequency, rfm.monetary)
        self._score_reads = frozenset({*self._raw, "orders_lifetime", "last_order_at"})
        for label, name in (("recency", rfm.recency), ("frequency", rfm.frequency), ("monetary", rfm.monetary)):
            if name not in symbols or symbols[name].kind != "number":
                raise RuleError("config/rfm.yaml", f"{label}: `{name}` is no field that is a number")
        first = profile_symbols(definitions.features, is_segment_known=False)
        self._segments = [(rule.name, Rule(rule.when, first, f"config/segments.yaml: {rule.name}")) for rule in definitions.segments]
        self._tags = [(rule.name, Rule(rule.when, symbols, f"config/tags.yaml: {rule.name}")) for rule in definitions.tags]
        self._segment_reads = frozenset().union(*(rule.names for _, rule in self._segments))
        for name, rule in self._segments + self._tags:
            check_movement(rule, f"rule {name}")
        rules = [rule for _, rule in self._segments + self._tags]
        self.reads: frozenset[str] = frozenset({*self._raw, "orders_lifetime"}).union(*(rule.names for rule in rules))
        if self.reads & CLOCK_FIELDS:  # which are made of these
            self.reads |= _CLOCK_BASES
        self._timed = [comparison for rule in rules for comparison in rule.comparisons if comparison.names & _MOVING]
        # What the next flip by time depends on: where the clock fields start from, and whatever they are compared with.
        self._effects: dict[frozenset[str], Effect] = {}
        self._flip_reads = _CLOCK_BASES.union(*(comparison.names for comparison in self._timed)) - _MOVING

    @property
    def tag_names(self) -> list[str]:
        """All tags, in the order of the file."""
        return [name for name, _ in self._tags]

    def tag(self, name: str) -> Rule | None:
        """The rule of a tag."""
        return dict(self._tags).get(name)

    def segment(self, name: str) -> Rule | None:
        """The rule of a segment."""
        return dict(self._segments).get(name)

    def effect(self, changed: Iterable[str]) -> Effect:
        """What a change of these fields can change."""
        names = frozenset(changed)
        found = self._effects.get(names)
        if found is None:
            moved = names if _CLOCK_BASES.isdisjoint(names) else names | CLOCK_FIELDS
            tags = [(name, rule if not rule.names.isdisjoint(moved) else None) for name, rule in self._tags]
            moves_flip = not self._flip_reads.isdisjoint(names)
            scores, segment = not self._score_reads.isdisjoint(names), not self._segment_reads.isdisjoint(moved)
            # Other scores or another segment touch other rules, and a turn by time may be any rule's.
            reads = frozenset[str]().union(*(rule.names for _, rule in tags if rule is not None))
            found = Effect(
                not self.reads.isdisjoint(names), moves_flip, scores, segment, tags, None if scores or segment or moves_flip else reads
            )
            if len(self._effects) >= _REMEMBERED:
                self._effects.clear()
            self._effects[names] = found
        return found

    def judge(
        self, fields: dict[str, Any], cuts: CutPoints, now: int, old: Verdict | None = None, changed: Iterable[str] | None = None
    ) -> Verdict:
        """Scores, segment and tags for a profile's fields.

        Args:
            fields: the profile; scores and segment are written into it, for rules read them and a copy would cost more than the rules.
            cuts: cut points in force.
            now: the moment for which the fields are true, ms.
            old: an earlier verdict by the same cut points; only what `changed` touches is looked at again.
            changed: names of fields that have changed since; ignored without `old`.

        Returns:
            The verdict; `old` itself where it is the same.
        """
        if old is None or changed is None:
            scores = self._scores(fields, cuts)
            fields["r_score"], fields["f_score"], fields["m_score"] = scores
            fields["rfm_segment"] = segment = self._segment(fields, now)
            return Verdict(scores, segment, [name for name, rule in self._tags if rule.holds(fields, now)], cuts.version, self.version)
        effect = self.effect(changed)
        scores, segment, held = old.scores, old.segment, old.tags
        if effect.scores:
            scores = self._scores(fields, cuts)
            if scores != old.scores:
                fields["r_score"], fields["f_score"], fields["m_score"] = scores
                moved = (name for name, before, now in zip(SCORES, old.scores, scores, strict=True) if before != now)
                changed = {*changed, *moved}
                effect = self.effect(changed)
        if effect.segment:
            segment = self._segment(fields, now)
            if segment != old.segment:
                fields["rfm_segment"] = segment
                effect = self.effect({*changed, SEGMENT})
        tags = [name for name, rule in effect.tags if (name in held if rule is None else rule.holds(fields, now))]
        if tags == held and segment == old.segment and scores == old.scores and old.rules == self.version and old.version == cuts.version:
            return old
        return Verdict(scores, segment, tags, cuts.version, self.version)

    def _segment(self, view: Mapping[str, Any], now: int) -> str:
        return next((name for name, rule in self._segments if rule.holds(view, now)), "")

    def _scores(self, fields: Mapping[str, Any], cuts: CutPoints) -> tuple[int, int, int]:
        if not fields.get("orders_lifetime"):
            return 0, 0, 0
        recency, frequency, monetary = (fields.get(name) for name in self._raw)
        return (
            0 if recency is None else 5 - _above(recency, cuts.recency),
            1 + _above(frequency or 0, cuts.frequency),
            1 + _above(monetary or 0, cuts.monetary),
        )

    def next_flip(self, fields: Mapping[str, Any], cuts: CutPoints, now: int) -> int | None:
        """The first moment after `now` (ms) at which a comparison with a clock field or a recency cut point turns by time alone."""
        last, mean = fields.get("last_order_at"), fields.get("mean_interpurchase_days")
        candidates: list[int | None] = []
        if last is not None and self._raw[0] in ("recency_days", "current_interval_days"):
            candidates = [_first_after(last, cut, now) for cut in cuts.recency]
        for comparison in self._timed:
            if last is None and NOW not in comparison.names:
                continue

            candidates.append(_turn(comparison, {name: fields.get(name) for name in comparison.names}, last, mean, now))
        return min((moment for moment in candidates if moment is not None), default=None)


def _turn(comparison: Comparison, fields: Mapping[str, Any], last: int | None, mean: float | None, now: int) -> int | None:
    """The first moment after `now` at which a comparison turns by time alone: where its two sides, which move evenly, cross.

    Moving evenly they cross once at most, so it turns before a far moment if it is another one then. Where, their difference tells to some
    milliseconds, unless it is lost in the rounding of large numbers: then it is looked for by halves.
    """

    def at(moment: int) -> dict[str, Any]:
        return {**fields, **clock_fields(last, mean, moment)}

    far, present = now + 100 * 366 * DAY_MS, at(now)
    truth = comparison.holds(present, now)
    if comparison.holds(at(far), far) == truth:
        return None
    here, later = comparison.difference(present, now), comparison.difference(at(now + DAY_MS), now + DAY_MS)
    if here is not None and later is not None and here != later:
        start = math.floor(now - here * DAY_MS / (later - here)) - 2
        first = max(start, now + 1)
        if start < far and (first == now + 1 or comparison.holds(at(first - 1), first - 1) == truth):
            found = next((t for t in range(first, start + 6) if comparison.holds(at(t), t) != truth), None)
            if found is not None:
                return found
    before, after = now, far
    while after - before > 1:
        middle = (before + after) // 2
        before, after = (middle, after) if comparison.holds(at(middle), middle) == truth else (before, middle)
    return after


def _above(value: float, cuts: list[float]) -> int:
    return sum(value > cut for cut in cuts)


def _first_after(last: int, cut: float, now: int) -> int | None:
    """The first moment at which the days since `last` exceed a cut point, if that is still to come."""
    moment = last + math.floor(cut * DAY_MS)
    while (moment - last) / DAY_MS <= cut:
        moment += 1
    return moment if moment > now else None
