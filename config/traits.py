"""Traits: the types of `config/traits.yaml` and what must hold in it (docs/traits.md)."""

from collections.abc import Collection, Iterator, Mapping
from typing import Final, Literal

import msgspec

from schemas.documents import Mistake

FILE: Final = "traits.yaml"
Criterion = Literal["newest", "source", "most_frequent", "verified", "longest"]


class TraitRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which value of a trait counts where sources differ.

    Attributes:
        survivorship: criteria, the first one that tells two words apart decides; `newest` follows the last.
        sources: for criterion `source`: the sources that are believed, the most trusted first.
        verified_by: for criterion `verified`: name of the trait that says, in the same call, that this one is verified.
    """

    survivorship: list[Criterion] = msgspec.field(default_factory=lambda: ["newest"])
    sources: list[str] = []
    verified_by: str = ""


class Traits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`traits.yaml`.

    Attributes:
        default: rule of traits that are not listed.
        traits: trait -> its rule.
        tenants: tenant -> trait -> rule instead.
    """

    default: TraitRule = TraitRule()
    traits: dict[str, TraitRule] = {}
    tenants: dict[str, dict[str, TraitRule]] = {}

    def of(self, tenant: str, name: str) -> TraitRule:
        """The rule of a trait."""
        return self.tenants.get(tenant, {}).get(name) or self.traits.get(name) or self.default

    def listed(self, tenant: str) -> frozenset[str]:
        """Names of the traits that have a rule of their own."""
        return frozenset(self.traits) | frozenset(self.tenants.get(tenant, ()))


def mistakes(traits: Traits, tenants: Collection[str], sources: Collection[str]) -> Iterator[Mistake]:
    """What is wrong with the rules.

    Args:
        traits: the rules.
        tenants: names there are.
        sources: names there are.
    """
    yield from _of_rule(("default",), traits.default, sources)
    yield from _of_rules(("traits",), traits.traits, sources)
    for tenant, rules in traits.tenants.items():
        if tenant not in tenants:
            yield Mistake(("tenants", tenant), f"`{tenant}` is not among the tenants", f"there are {', '.join(tenants)}")
        yield from _of_rules(("tenants", tenant), rules, sources)


def _of_rules(steps: tuple[str | int, ...], rules: Mapping[str, TraitRule], sources: Collection[str]) -> Iterator[Mistake]:
    for name, rule in rules.items():
        yield from _of_rule((*steps, name), rule, sources)


def _of_rule(steps: tuple[str | int, ...], rule: TraitRule, sources: Collection[str]) -> Iterator[Mistake]:
    said = rule.survivorship
    for index, criterion in enumerate(said):
        if criterion in said[:index]:
            yield Mistake((*steps, "survivorship", index), f"`{criterion}` stands there twice", "remove one")
    for criterion, part, value in (("source", "sources", rule.sources), ("verified", "verified_by", rule.verified_by)):
        if criterion in said and not value:
            yield Mistake((*steps, "survivorship"), f"`{criterion}` needs `{part}`", f"add `{part}`, or leave `{criterion}` out")
        if value and criterion not in said:
            yield Mistake(
                (*steps, part), f"nothing asks for it: `survivorship` has no `{criterion}`", f"add `{criterion}` or remove `{part}`"
            )
    for index, source in enumerate(rule.sources):
        if source not in sources:
            yield Mistake((*steps, "sources", index), f"`{source}` is not among the sources", f"there are {', '.join(sources)}")
