"""A rejected record as it may be shown to somebody: what is or looks personal is left out, what would steer a terminal is escaped."""

import re
from typing import Any, Final

from config.loader import Identity
from schemas.contracts import load

MASK: Final = "(personal)"
_EMAIL: Final = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")


def masked(envelope: dict[str, Any], identity: Identity) -> dict[str, Any]:
    """A copy without personal values.

    Masked are the fields that `identity.yaml` calls personal, at any depth and wherever a bad record has them; identifiers of personal
    namespaces; fields that the event's contract marks as contact or content; and whatever looks like an e-mail address.

    Args:
        envelope: a record that is a JSON object, of any shape.
        identity: which fields and namespaces are personal.
    """
    event = envelope.get("event")
    contract = load().get(event) if isinstance(event, str) else None
    content = {name for name, field in contract.fields.items() if field.pii in ("contact", "content")} if contract else set()
    # `name` is a person's in traits and a product's in properties: there only what is personal in properties counts.
    inside = frozenset({*identity.pii_properties, *content})
    everywhere = frozenset({*identity.pii_traits, *inside})
    namespaces = {space.name for space in identity.namespaces if space.pii}

    def walk(value: Any, personal: frozenset[str]) -> Any:
        if isinstance(value, dict):
            hidden = {"id"} if value.get("type") in namespaces else set()
            return {
                walk(name, personal): _hidden(inner) if name in personal or name in hidden else walk(inner, personal)
                for name, inner in value.items()
            }
        if isinstance(value, list):
            return [walk(inner, personal) for inner in value]
        return MASK if isinstance(value, str) and _EMAIL.search(value) else value

    return {
        name: _hidden(value) if name in everywhere else walk(value, inside if name == "properties" else everywhere)
        for name, value in envelope.items()
    }


def _hidden(value: Any) -> Any:
    return value if value is None else MASK
