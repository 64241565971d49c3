"""The plan: what is checked of each event, out of contracts and `quality.yaml`."""

from collections.abc import Mapping
from typing import Final

import msgspec

from config.quality import Quality, WithinRule
from pipelines.quality.expressions import Compiled, compile_rule
from schemas.contracts import Contract

OTHER: Final = "(other)"
"""Field of violations that concern the envelope, or a field that is not listed by itself; and values beyond the most frequent ones."""
IDENTIFIER: Final = "(identifier)"
FORMAT: Final = "(format)"
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
    """

    event: str
    complete: list[str]
    valid: list[str]
    rules: list[Rule]


class Plan(msgspec.Struct, frozen=True):
    """What is checked at all.

    Attributes:
        quality: the configuration.
        events: by name; others are checked for what every event has.
    """

    quality: Quality
    events: dict[str, EventPlan]

    def of(self, event: str) -> EventPlan:
        """The plan of an event, known or not."""
        return self.events.get(event) or EventPlan(event, [], [], [])


def make(quality: Quality, contracts: Mapping[str, Contract]) -> Plan:
    """Derive the plan.

    Completeness is asked of the fields that a contract requires and of those expected besides. Validity is counted by field where a
    contract says more of it than that it is text.

    Raises:
        pipelines.quality.expressions.RuleError: a rule cannot be compiled.
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
        events[name] = EventPlan(name, complete, valid, rules.get(name, []))
    return Plan(quality, events)


def _rule(rule: WithinRule, contract: Contract) -> Rule:
    where = f"config/quality.yaml: consistency: {rule.name}"
    return Rule(rule.name, compile_rule(rule.holds, contract, rule.unless, where))
