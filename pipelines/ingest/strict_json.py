"""A raw record as plain data: JSON as `schemas.json_text` reads it, of bounded depth, without what breaks things further on."""

from typing import Any

from schemas import codes, json_parts, json_text
from schemas.validators import Violation


def parse(value: bytes, nesting: int) -> Any:
    """Parse a record; whatever is wrong with it as JSON shows here, also in members that nobody reads.

    Args:
        value: not empty.
        nesting: how deep arrays and objects may lie in one another.

    Raises:
        Violation: `payload_format`.
    """
    try:
        whole = json_text.read(value, nesting)
    except json_text.JsonTextError as error:
        raise Violation(codes.PAYLOAD_FORMAT, error.path, error.rule) from error
    if b"\\u0000" in value:  # cuts strings short wherever C is spoken: in keys of state, for one
        path = next((path for path, one in json_text.places(whole) if _has_nul(one)), None)
        if path is not None:
            raise Violation(codes.PAYLOAD_FORMAT, path, "text without the character U+0000")
    return whole


def glimpse(value: bytes) -> dict[str, Any]:
    """What a record that is not read says of itself, as far as it can be taken apart: `messageId`, `tenant` and `context.source`."""
    try:
        found = json_parts.members(value) or {}
        context = json_parts.members(found["context"]) if "context" in found else None
    except json_text.JsonTextError:
        return {}
    told: dict[str, Any] = {name: json_parts.text(found.get(name)) for name in ("messageId", "tenant")}
    return told | {"context": {"source": json_parts.text((context or {}).get("source"))}}


def part(whole: dict[str, Any], name: str) -> dict[str, Any]:
    """A part of the envelope that is an object; null counts as absent.

    Raises:
        Violation: it is something else.
    """
    found = whole.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise Violation(codes.SCHEMA_VIOLATION, "." + name, "an object")
    return found


def _has_nul(value: Any) -> bool:
    return "\0" in value if isinstance(value, str) else isinstance(value, dict) and any("\0" in name for name in value)
