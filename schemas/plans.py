"""Tracking plans: which events and properties a tenant or a source has agreed to send, and what becomes of the rest."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from schemas import codes
from schemas.contracts import Contract, Field
from schemas.validators import Validator, Violation

UNPLANNED_EVENT: Final = "unplanned_event"
UNPLANNED: Final = "unplanned:"
STRIPPED: Final = "stripped:"
MAX_FLAGS: Final = 16


class PlanError(ValueError):
    """A plan is wrong; the message names plan, event and field."""


class PlannedEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is expected of one event beyond its contract.

    Attributes:
        properties: more fields, or fields of the contract with tighter rules.
        required: fields of the contract that this plan requires.
    """

    properties: dict[str, Field] = {}
    required: list[str] = []


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tracking plan.

    Attributes:
        says: what it is for, and who keeps it.
        events: by name; `{}` expects an event just as its contract has it.
        unplanned_events: `allow` applies them with the flag `unplanned_event`, `reject` does not.
        unplanned_properties: `allow` keeps them with the flag `unplanned:<name>`, `strip` takes them out of the clean event with the flag
            `stripped:<name>`, `reject` rejects the event.
        totals: what becomes of an event whose total is not what its lines make: `flag` or `reject`.
    """

    says: str
    events: dict[str, PlannedEvent]
    unplanned_events: Literal["allow", "reject"] = "allow"
    unplanned_properties: Literal["allow", "strip", "reject"] = "allow"
    totals: Literal["flag", "reject"] = "flag"


class CompiledPlan:
    """A plan with its validators.

    Args:
        name: of the plan, for messages.
        plan: as read.
        contracts: the platform's.

    Raises:
        PlanError: an event requires a field that neither contract nor plan knows.
    """

    def __init__(self, name: str, plan: Plan, contracts: Mapping[str, Contract]) -> None:
        self.name = name
        self.rejects_totals = plan.totals == "reject"
        self._plan = plan
        self._validators = {event: Validator(_contract(name, event, planned, contracts)) for event, planned in plan.events.items()}
        self._known = {event: frozenset(validator.contract.fields) for event, validator in self._validators.items()}

    def validator(self, event: str) -> Validator | None:
        """What a planned event is checked by; None for an event that the plan does not have."""
        return self._validators.get(event)

    def judge(self, event: str, properties: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Deal with what was not planned.

        Args:
            event: its name.
            properties: as they came; they are left as they are.

        Returns:
            The properties that may pass, and what was noticed: at most sixteen flags, the last one counting the rest.

        Raises:
            Violation: the plan rejects it.
        """
        known = self._known.get(event)
        if known is None:
            if self._plan.unplanned_events == "reject":
                raise Violation(codes.SCHEMA_VIOLATION, ".event", f"an event of the tracking plan `{self.name}`")
            return properties, [UNPLANNED_EVENT]
        if known.issuperset(properties):
            return properties, []
        unplanned = sorted(properties.keys() - known)
        action = self._plan.unplanned_properties
        if action == "reject":
            rule = f"a property that the tracking plan `{self.name}` has for this event"
            raise Violation(codes.SCHEMA_VIOLATION, f".properties.{unplanned[0]}", rule)
        word = STRIPPED if action == "strip" else UNPLANNED
        flags = [word + label for label in unplanned[:MAX_FLAGS]]
        if len(unplanned) > MAX_FLAGS:
            flags[-1] = f"{word}and {len(unplanned) - MAX_FLAGS + 1} more"
        if action == "strip":
            properties = {label: value for label, value in properties.items() if label in known}
        return properties, flags


def _contract(plan: str, event: str, planned: PlannedEvent, contracts: Mapping[str, Contract]) -> Contract:
    base = contracts.get(event) or Contract(event, "1-0-0", plan, f"Planned by {plan}.", "", {}, {})
    for label, field in planned.properties.items():
        if field.type == "list":
            raise PlanError(f"plan `{plan}`: {event}.{label}: lists belong into a contract (schemas/events)")
        if base.fields.get(label, field).required and not field.required:
            raise PlanError(f"plan `{plan}`: {event}.{label} is required by its contract; a plan can only ask for more")
    fields = {**base.fields, **planned.properties}
    unknown = [label for label in planned.required if label not in fields]
    if unknown:
        raise PlanError(f"plan `{plan}`: {event}: requires `{unknown[0]}`, which neither its contract nor the plan describes")
    fields |= {label: msgspec.structs.replace(fields[label], required=True) for label in planned.required}
    return msgspec.structs.replace(base, fields=fields)
