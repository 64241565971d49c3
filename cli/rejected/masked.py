"""A stranger's record as it may be shown: what is or looks personal is left out, what would steer a terminal is escaped."""

import json
import re
from collections.abc import Callable
from typing import Any, Final

from config.identity import Identity, PersonalNames
from importers.personal import is_phone
from importers.profiling.names import is_personal, normal
from schemas import json_text
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
    inside = PersonalNames({*identity.pii_properties, *content})
    everywhere = PersonalNames({*identity.pii_traits, *identity.pii_properties, *content})
    namespaces = _personal_namespaces(identity)

    def walk(value: Any, personal: PersonalNames) -> Any:
        return _walk(value, personal.__getitem__, namespaces, _no_address)

    return {
        name: _hidden(value) if everywhere[name] else walk(value, inside if name == "properties" else everywhere)
        for name, value in envelope.items()
    }


def foreign(value: Any, identity: Identity) -> Any:
    """A copy of what is no event yet (a table's row, a webhook's body) without personal values.

    Its names are a stranger's: masked is what a name speaks of as personal, in whichever spelling, and what looks like an e-mail address or
    a telephone number, in the JSON that a text holds too.

    Args:
        value: what JSON can hold; of one that nests too deeply nothing is shown.
        identity: which fields and namespaces are personal.
    """
    namespaces = _personal_namespaces(identity)
    known = {normal(name) for name in (*identity.pii_traits, *identity.pii_properties, *namespaces)}

    def walk(inner: Any) -> Any:
        return _walk(inner, lambda name: is_personal(name) or normal(name) in known, namespaces, text)

    def text(inner: str) -> str:
        held = _json(inner)
        if held is None:
            return MASK if _EMAIL.search(inner) or is_phone(inner) else inner
        hidden = walk(held)
        return inner if hidden == held else json.dumps(hidden, ensure_ascii=False)

    try:
        return walk(value)
    except RecursionError:
        return MASK


def _walk(value: Any, is_hidden: Callable[[str], bool], namespaces: tuple[str, ...], text: Callable[[str], str]) -> Any:
    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            is_identifier = value.get("type") in namespaces
            return {
                text(name): _hidden(inner) if is_hidden(name) or (is_identifier and name == "id") else walk(inner)
                for name, inner in value.items()
            }
        if isinstance(value, list):
            return [walk(inner) for inner in value]
        return text(value) if isinstance(value, str) else value

    return walk(value)


def _personal_namespaces(identity: Identity) -> tuple[str, ...]:
    return tuple(space.name for space in identity.namespaces if space.pii)


def _no_address(text: str) -> str:
    return MASK if _EMAIL.search(text) else text


def _json(text: str) -> Any:
    """The object or list that a text says, None when it says none."""
    try:
        return json_text.read_generously(text) if text.lstrip()[:1] in ("{", "[") else None
    except json_text.JsonTextError as error:
        if error.is_json:  # it nests too deeply for anybody to look for what is personal in it
            raise RecursionError from error
        return None


def _hidden(value: Any) -> Any:
    return value if value is None else MASK
