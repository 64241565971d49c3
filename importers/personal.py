"""What may be shown of a value: of one that is, or looks, personal only its shape."""

import re
from collections.abc import Mapping
from typing import Any, Final

from config.identity import Identity, PersonalNames
from schemas import contracts
from schemas.contracts import Contract

MAX_SHOWN: Final = 80
EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
PHONE: Final = re.compile(r"(?:\+|00)?[0-9][0-9\s().\-/]{6,18}[0-9]")
_STEP: Final = re.compile(r"\[\d+\]")
_SIGNED: Final = re.compile(r"[+(]|[0-9][\s().\-/][0-9]")


def shape(text: str) -> str:
    """A text with each letter as `a` or `A` and each digit as `9`: what is wrong with its form shows, whose it is does not."""
    letters = ("9" if one.isdigit() else "A" if one.isupper() else "a" if one.isalpha() else one for one in text[:MAX_SHOWN])
    return "".join(letters) + ("…" if len(text) > MAX_SHOWN else "")


def is_email(text: str) -> bool:
    """Whether a text looks like an e-mail address."""
    return EMAIL.fullmatch(text.strip()) is not None


def is_phone(text: str) -> bool:
    """Whether a text looks like a telephone number: 8 to 20 characters of digits, with a plus or separators."""
    text = text.strip()
    return (
        PHONE.fullmatch(text) is not None and _SIGNED.search(text) is not None and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) is None
    )


class Personal:
    """Knows which fields are personal: by identity.yaml, by the contracts' `pii`, by how they look.

    Args:
        identity: personal traits, properties and namespaces.
        events: contracts; by default those of schemas/events.
    """

    def __init__(self, identity: Identity, events: Mapping[str, Contract] | None = None) -> None:
        contact = {one.name for one in identity.namespaces if one.pii}
        inside = {*identity.pii_properties, *contact}
        for contract in (contracts.load() if events is None else events).values():
            for fields in (contract.fields, *contract.parts.values()):
                inside |= {label for label, field in fields.items() if field.pii != "none"}
        named = {"traits": {*identity.pii_traits, *contact}, "properties": inside, "": contact}
        self._names = {section: PersonalNames(names) for section, names in named.items()}

    def shown(self, path: str, value: Any) -> str:
        """A value as it may be printed.

        Args:
            path: of its field in an event: `events[0].traits.email`.
            value: anything.
        """
        if isinstance(value, dict | list):
            return f"{type(value).__name__} of {len(value)}"
        text = value if isinstance(value, str) else repr(value)
        steps = _STEP.sub("", path).split(".")
        section = next((step for step in steps if step in self._names), "")
        if any(self._is_name(step, section) for step in steps) or looks_personal(text):
            return shape(text)
        return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"

    def masked(self, value: Any, name: str = "", section: str = "") -> Any:
        """A copy of an event, or of a part of one, in which personal texts show only their shape."""
        if isinstance(value, dict):
            external = str(value["type"]) if set(value) == {"type", "id"} else ""
            inner = name if name in self._names else section
            return {label: self.masked(one, external if external and label == "id" else label, inner) for label, one in value.items()}
        if isinstance(value, list):
            return [self.masked(one, name, section) for one in value]
        if isinstance(value, str) and (self._is_name(name, section) or looks_personal(value)):
            return shape(value)
        return value

    def _is_name(self, name: str, section: str) -> bool:
        return self._names[section][name]


def looks_personal(text: str) -> bool:
    """Whether a text is an address or a number, wherever it stands."""
    return is_email(text) or is_phone(text)
