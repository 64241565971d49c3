"""Keep personal values out of the clean topics: a masked field keeps its name and gets a token that is equal for equal values."""

from typing import Any

from config.identity import Identity, PersonalNames
from pipelines.identity.nodes import Nodes

_Parts = tuple[dict[str, Any] | None, dict[str, Any] | None, dict[str, Any] | None]


class Masker:
    """Masks the fields that `identity.yaml` marks as personal.

    Args:
        identity: which fields are personal.
        nodes: makes the tokens.
    """

    def __init__(self, identity: Identity, nodes: Nodes) -> None:
        self._properties = PersonalNames(identity.pii_properties)
        self._traits = PersonalNames(identity.pii_traits)
        self._nodes = nodes

    def mask(
        self, tenant: str, properties: dict[str, Any], traits: dict[str, Any], context: dict[str, Any], *, of_group: bool = False
    ) -> _Parts:
        """Mask what must be masked.

        Args:
            tenant: owner.
            properties: of the event.
            traits: of the event.
            context: of the event.
            of_group: the traits are a group's: its `name` is nobody's, so what is personal in properties is personal.

        Returns:
            For each of properties, traits and context a masked copy, or None where nothing had to change.
        """
        return (
            self._fields(tenant, properties, self._properties),
            self._of_person(tenant, traits, self._properties if of_group else self._traits),
            self._context(tenant, context),
        )

    def _fields(self, tenant: str, part: dict[str, Any], personal: PersonalNames) -> dict[str, Any] | None:
        if not any(map(personal.__getitem__, part)):
            return None
        return {name: self._token(tenant, name, value) if personal[name] else value for name, value in part.items()}

    def _of_person(self, tenant: str, traits: dict[str, Any], personal: PersonalNames) -> dict[str, Any] | None:
        """Of a trait with personal fields inside nothing is shown: `{"contact": {"email": ...}}`."""
        if not personal.are_in(traits):
            return None
        return {name: self._token(tenant, name, value) if personal.cover(name, value) else value for name, value in traits.items()}

    def _context(self, tenant: str, context: dict[str, Any]) -> dict[str, Any] | None:
        """`externalIds` stand in the event's `identifiers` already, as node keys; traits in the context are traits."""
        traits = context.get("traits")
        masked_traits = self._of_person(tenant, traits, self._traits) if isinstance(traits, dict) else None
        if "externalIds" not in context and masked_traits is None:
            return None
        kept = {name: value for name, value in context.items() if name != "externalIds"}
        if masked_traits is not None:
            kept["traits"] = masked_traits
        return kept

    def _token(self, tenant: str, name: str, value: Any) -> str:
        return "masked:" + self._nodes.mask(tenant, "field:" + name, str(value))
