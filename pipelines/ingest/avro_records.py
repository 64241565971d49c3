"""Raw records in Avro (Confluent wire format), turned into the JSON envelope that everything else reads."""

import io
import math
from functools import cache
from typing import Any, Final, NamedTuple

import fastavro
import msgspec

from schemas import codes, event_avro, json_text, registry
from schemas.validators import Violation

_PREFIX_BYTES: Final = 5
_to_json: Final = msgspec.json.Encoder(decimal_format="number").encode


class _Known(NamedTuple):
    """A schema of raw records: the event they are about, how to name it, and what the reader needs."""

    event: str
    says: str
    parsed: Any


def as_json(message: bytes) -> bytes:
    """The JSON envelope of a raw Avro record.

    The schema may be any whose record is one of our events, older or newer than ours: properties that the contract does not have come
    along as they do in JSON.

    Args:
        message: byte 0, schema id (4 bytes, big endian), Avro body.

    Raises:
        Violation: `payload_format`: an unknown schema, a body that is not of it, bytes left over, or a number that JSON cannot hold.
        registry.RegistryError: nobody could say what the id stands for.
    """
    if len(message) < _PREFIX_BYTES:
        raise Violation(codes.PAYLOAD_FORMAT, "", "JSON, or Avro in the Confluent wire format")
    wire_id = int.from_bytes(message[1:_PREFIX_BYTES], "big")
    ids = registry.current()
    schema = ids.schema(wire_id)
    if schema is None:
        raise Violation(codes.PAYLOAD_FORMAT, "", f"JSON, or Avro by a schema for raw events; {registry.unknown(wire_id)}")
    known = _known(ids, wire_id)
    if known is None:
        name = registry.full_name(schema.avro)
        raise Violation(codes.PAYLOAD_FORMAT, "", f"Avro by a schema for raw events; {wire_id} is that of `{name}`")
    body = io.BytesIO(message[_PREFIX_BYTES:])
    try:
        record: Any = fastavro.schemaless_reader(body, known.parsed, None)
    except Exception as error:  # the reader raises whatever its innermost function does: of a body it cannot read it means one thing
        raise Violation(codes.PAYLOAD_FORMAT, "", f"{known.says}: {type(error).__name__}") from error
    if body.read(1):
        raise Violation(codes.PAYLOAD_FORMAT, "", f"{known.says} and nothing after it")
    properties = record.pop("properties", None) or {}
    if not isinstance(properties, dict):
        raise Violation(codes.PAYLOAD_FORMAT, ".properties", "a record")
    properties = {label: value for label, value in properties.items() if value is not None}
    envelope = {label: value for label, value in record.items() if value is not None}
    for path, part in (("", envelope), (".properties", properties)):
        if not _finite(part):
            raise Violation(codes.PAYLOAD_FORMAT, path, "numbers that JSON can hold")
    properties |= _object(envelope.pop("extra", {}), ".properties")
    if "context" in envelope:
        envelope["context"] = _object(envelope["context"], ".context")
    return _to_json({**envelope, "type": "track", "event": known.event, "properties": properties})


@cache
def _known(ids: registry.Registry, wire_id: int) -> _Known | None:
    """None when the schema is not about an event of ours."""
    schema = ids.schema(wire_id)
    event = event_avro.event_of(schema.avro) if schema else None
    if schema is None or event is None:
        return None
    named: dict[str, Any] = {}
    for needed in schema.needs:
        fastavro.parse_schema(needed, named_schemas=named)
    version = schema.avro.get("cdp.version") or f"of schema {wire_id}"
    return _Known(event, f"the Avro record `{event}` {version}", fastavro.parse_schema(schema.avro, named_schemas=named))


def _object(value: Any, path: str) -> dict[str, Any]:
    """A JSON object: as text, as in our schemas, or as a record or map, as others may have it."""
    if isinstance(value, dict):
        return value
    try:
        return json_text.read_object(value, wide=True)
    except (json_text.JsonTextError, AttributeError) as error:
        raise Violation(codes.PAYLOAD_FORMAT, path, "the text of a JSON object") from error


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    return not isinstance(value, list) or all(map(_finite, value))
