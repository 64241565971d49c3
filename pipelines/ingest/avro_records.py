"""Raw records in Avro (Confluent wire format), turned into the JSON envelope that everything else reads."""

import io
import math
from functools import cache
from typing import Any, Final

import fastavro
import msgspec

from schemas import codes, event_avro
from schemas.validators import Violation

_PREFIX_BYTES: Final = 5


def as_json(message: bytes) -> bytes:
    """The JSON envelope of a raw Avro record.

    Args:
        message: byte 0, schema id (4 bytes, big endian), Avro body.

    Raises:
        Violation: `payload_format`: an unknown schema, a body that is not of it, bytes left over, or a number that JSON cannot hold.
    """
    schema_id = int.from_bytes(message[1:_PREFIX_BYTES], "big")
    schema = event_avro.known().get(schema_id)
    if schema is None:
        raise Violation(codes.PAYLOAD_FORMAT, "", f"JSON, or Avro by a schema for raw events; {schema_id} is the id of none")
    name = schema["cdp.event"]
    body = io.BytesIO(message[_PREFIX_BYTES:])
    try:
        record: Any = fastavro.schemaless_reader(body, _parsed(schema_id), None)
    except Exception as error:  # the reader raises whatever its innermost function does: of a body it cannot read it means one thing
        raise Violation(codes.PAYLOAD_FORMAT, "", f"the Avro record `{name}` {schema['cdp.version']}: {type(error).__name__}") from error
    if body.read(1):
        raise Violation(codes.PAYLOAD_FORMAT, "", f"the Avro record `{name}` and nothing after it")
    properties = {label: value for label, value in record.pop("properties").items() if value is not None}
    envelope = {label: value for label, value in record.items() if value is not None}
    if not _finite(properties):
        raise Violation(codes.PAYLOAD_FORMAT, ".properties", "numbers that JSON can hold")
    properties |= _object(envelope.pop("extra", "{}"), ".properties")
    if "context" in envelope:
        envelope["context"] = _object(envelope["context"], ".context")
    return msgspec.json.encode({"type": "track", "event": name, **envelope, "properties": properties})


def _object(text: str, path: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise Violation(codes.PAYLOAD_FORMAT, path, "the text of a JSON object") from error


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    return not isinstance(value, list) or all(map(_finite, value))


@cache
def _parsed(schema_id: int) -> Any:
    return fastavro.parse_schema(event_avro.known()[schema_id])
