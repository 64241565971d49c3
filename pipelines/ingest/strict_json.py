"""A raw record as plain data: JSON as its standard has it, of bounded depth, without what breaks things further on."""

from typing import Any

import msgspec
import orjson

from pipelines.ingest import envelope as shape
from schemas import codes
from schemas.validators import Violation

_decode_envelope = msgspec.json.Decoder(shape.Envelope).decode


def parse(value: bytes, nesting: int) -> Any:
    """Parse a record; whatever is wrong with it as JSON shows here, also in members that nobody reads.

    Args:
        value: not empty.
        nesting: how deep arrays and objects may lie in one another.

    Raises:
        Violation: `payload_format`.
    """
    whole = _whole(value)
    if value.count(b"{") + value.count(b"[") > nesting and _depth(whole) > nesting:
        raise Violation(codes.PAYLOAD_FORMAT, "", f"nesting of at most {nesting}")
    if b"\\u0000" in value and _has_nul(whole):  # cuts strings short wherever C is spoken: in keys of state, for one
        raise Violation(codes.PAYLOAD_FORMAT, "", "text without the character U+0000")
    return whole


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


def _whole(value: bytes) -> Any:
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        if "number is infinity" in str(error):
            raise Violation(codes.PAYLOAD_FORMAT, _part_in_fault(value), "a number that JSON and a 64-bit float can hold") from error
        raise Violation(codes.PAYLOAD_FORMAT, "", f"valid JSON in UTF-8: {error}") from error


def _part_in_fault(value: bytes) -> str:
    """The path of the part of the envelope that does not parse by itself, empty when none can be told."""
    try:
        raw = _decode_envelope(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    for name in ("properties", "traits", "context"):
        try:
            orjson.loads(bytes(getattr(raw, name)))
        except orjson.JSONDecodeError:
            return "." + name
    return ""


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max((_depth(inner) for inner in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max((_depth(inner) for inner in value), default=0)
    return 0


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_has_nul(inner) for pair in value.items() for inner in pair)
    return isinstance(value, list) and any(_has_nul(inner) for inner in value)
