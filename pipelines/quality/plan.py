"""The plan: what is checked of each event, out of contracts and `quality.yaml`."""

from collections.abc import Mapping
from typing import Final

import msgspec

from config.quality import Freshness, Quality, WithinRule
from config.sources import Source
from pipelines.quality.expressions import Compiled, compile_rule
from schemas.contracts import Contract

OTHER: Final = "(other)"
"""Field of violations that concern the envelope, or a field that is not listed by itself; and values beyond the most frequent ones."""
IDENTIFIER: Final = "(identifier)"
FORMAT: Final = "(format)"
ADDS_UP: Final = "adds_up"
"""The consistency rule that a contract may have: the total is what its lines make."""
_FREE: Final = frozenset({"text", "name", "boolean"})


class Rule(msgspec.Struct, frozen=True):
    """A consistency rule within one event: its name and SQL."""

    name: str
    sql: Compiled


class EventPlan(msgspec.Struct, frozen=True):
    """What is checked of one kind of event.

    Attributes:
        event: its name.
        complete: fields it should have: names of properties, or paths such as `traits.email`.
        valid: properties whose violations are counted by themselves.
        rules: what must hold between its fields.
        total: field that has to be what its lines make, by its contract; empty: there is none.
    """

    event: str
    complete: list[str]
    valid: list[str]
    rules: list[Rule]
    total: str = ""


class Plan(msgspec.Struct, frozen=True):
    """What is checked at all.

    Attributes:
        quality: the configuration.
        events: by name; others are checked for what every event has.
        freshness: how fast events have to be in the log; the last that fits counts.
    """

    quality: Quality
    events: dict[str, EventPlan]
    freshness: list[Freshness]

    def of(self, event: str) -> EventPlan:
        """The plan of an event, known or not."""
        return self.events.get(event) or EventPlan(event, [], [], [])


def make(quality: Quality, contracts: Mapping[str, Contract], sources: Mapping[str, Source]) -> Plan:
    """Derive the plan.

    Completeness is asked of the fields that a contract requires and of those expected besides. Validity is counted by field where a
    contract says more of it than that it is text. A source's own bar of freshness (`sources.yaml`) comes after those for all sources, and
    before those that name one.

    Raises:
        pipelines.rules.errors.RuleError: a rule cannot be compiled.
    """
    rules: dict[str, list[Rule]] = {}
    for rule in quality.consistency.within:
        rules.setdefault(rule.event, []).append(_rule(rule, contracts[rule.event]))
    events: dict[str, EventPlan] = {}
    for name in [*contracts, *(event for event in quality.expected if event not in contracts)]:
        fields = contracts[name].fields if name in contracts else {}
        complete = [label for label, field in fields.items() if field.required]
        complete += [label for label in quality.expected.get(name, []) if label not in complete]
        valid = [label for label, field in fields.items() if label in complete or field.type not in _FREE]
        adds_up = contracts[name].adds_up if name in contracts else None
        events[name] = EventPlan(name, complete, valid, rules.get(name, []), adds_up.total if adds_up else "")
    general = [one for one in quality.freshness if not one.origin]
    bars = [Freshness(source.freshness_s, name) for name, source in sources.items() if source.freshness_s]
    return Plan(quality, events, [*general, *bars, *(one for one in quality.freshness if one.origin)])


def _rule(rule: WithinRule, contract: Contract) -> Rule:
    where = f"config/quality.yaml: consistency: {rule.name}"
    return Rule(rule.name, compile_rule(rule.holds, contract, rule.unless, where))
