"""Why somebody is in a tag or a segment, or is not: the parts of the rule with the values found, and one sentence."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from config.definitions import Definitions
from config.definitions import Rule as Definition
from pipelines.audiences.rules import RuleBook
from pipelines.rules.rule import Part, Rule

LANGUAGES = ("english", "chinese")


class UnknownRuleError(LookupError):
    """There is no tag and no segment of this name; the message names those there are."""


class Explanation(msgspec.Struct, frozen=True):
    """Why a rule holds for a profile, or does not.

    Attributes:
        kind: `tag` or `segment`.
        name: of the tag or segment.
        says: what the definition says it is for.
        rule: as it is written.
        words: the rule as a sentence, by language.
        holds: whether it holds for the profile's values. Of segments the first that holds counts.
        shown: whether the published profile shows it; None: it was not judged by this rule yet.
        part: the rule's parts, each with its verdict and the values found.
    """

    kind: str
    name: str
    says: str
    rule: str
    words: dict[str, str]
    holds: bool
    shown: bool | None
    part: Part

    @property
    def reasons(self) -> list[Part]:
        """The comparisons that decide."""
        return reasons(self.part)


def explain(fields: Mapping[str, Any], at: int, definitions: Definitions, name: str = "") -> list[Explanation]:
    """Explain one tag or segment, or all tags and the segment that somebody is in.

    Args:
        fields: of the published profile.
        at: the moment they are true for, ms.
        definitions: the rules in force.
        name: of a tag or segment; empty: all tags, and the segment.

    Raises:
        UnknownRuleError: there is none of this name.
    """
    book = RuleBook(definitions)
    known = [("tag", one, book.tag(one.name)) for one in definitions.tags]
    segments = [("segment", one, book.segment(one.name)) for one in definitions.segments]
    if name:
        chosen = [one for one in [*known, *segments] if one[1].name == name]
        if not chosen:
            tags, others = (", ".join(one.name for one in rules) for rules in (definitions.tags, definitions.segments))
            there = f"tags: {tags}; segments: {others}"
            raise UnknownRuleError(f"there is no tag and no segment `{name}` among the rules in force; there are {there}")
    else:
        chosen = [*known, *(one for one in segments if one[1].name == fields.get("rfm_segment"))]
    return list(_explained(chosen, fields, at))


def _explained(chosen: list[tuple[str, Definition, Rule | None]], fields: Mapping[str, Any], at: int) -> Iterator[Explanation]:
    for kind, definition, rule in chosen:
        assert rule is not None
        part = rule.explain(fields, at)
        if kind == "tag":
            told = fields.get(f"tag:{definition.name}")
            shown = None if told is None else bool(told)
        else:
            shown = fields.get("rfm_segment") == definition.name
        words = {language: rule.sentence(language) for language in LANGUAGES}
        yield Explanation(kind, definition.name, definition.says, definition.when, words, part.holds, shown, part)


def reasons(part: Part) -> list[Part]:
    """The comparisons that decide: of a condition that holds those that make it hold, of one that does not those that prevent it."""
    if not part.parts:
        return [part]
    if len(part.parts) == 1:
        return reasons(part.parts[0])
    deciding = [inner for inner in part.parts if inner.holds == part.holds]
    return [reason for inner in deciding for reason in reasons(inner)]


def sentence(who: str, found: Explanation) -> str:
    """One sentence that says why."""
    because = " and ".join(
        f"{reason.text} {'holds' if reason.holds else 'does not hold'} ({values(reason.found)})" for reason in found.reasons
    )
    meaning = f" ({found.says})" if found.says else ""
    is_in = {"tag": ("has the tag", "does not have the tag"), "segment": ("fits the segment", "does not fit the segment")}[found.kind]
    return f"{who} {is_in[0] if found.holds else is_in[1]} {found.name}{meaning}, because {because}."


def values(found: Mapping[str, Any]) -> str:
    """Fields with their values, as people read them."""
    return ", ".join(f"{name} = {_value(value)}" for name, value in found.items())


def _value(value: Any) -> str:
    if value is None:
        return "nothing"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
