"""The one codec of the clean topics: Avro in the Confluent wire format, schemas from `schemas/avro`."""

import io
import json
import struct
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, get_args

import fastavro

Subject = Literal["event", "duplicate", "rejected", "link", "profile_change"]
SUBJECTS: Final[tuple[Subject, ...]] = get_args(Subject)
PREFIX_BYTES: Final = 5
_FOLDER = Path(__file__).parent / "avro"


class UnknownSchemaError(ValueError):
    """A record carries a schema id that this version of the platform does not know."""


@cache
def schema(subject: Subject) -> dict[str, Any]:
    """The Avro schema of a subject as written in its file.

    Args:
        subject: name of the record, e.g. `event`.

    Returns:
        The parsed JSON, with the extra attributes `cdp.id` (wire id) and `cdp.version` (SchemaVer).
    """
    loaded: dict[str, Any] = json.loads((_FOLDER / f"{subject}.avsc").read_text())
    return loaded


@cache
def prefix(subject: Subject) -> bytes:
    """The five bytes before each record of a subject: magic 0 and the schema id."""
    return struct.pack(">bI", 0, schema(subject)["cdp.id"])


@cache
def _subject_of_id(schema_id: int) -> Subject:
    for subject in SUBJECTS:
        if schema(subject)["cdp.id"] == schema_id:
            return subject
    raise UnknownSchemaError(f"schema id {schema_id} is not in {_FOLDER.name}/: written by a newer version of the platform?")


def encode(subject: Subject, record: dict[str, Any]) -> bytes:
    """Encode a record.

    Args:
        subject: which schema.
        record: field name -> value; times are ints in ms.

    Returns:
        Prefix and Avro body.

    Raises:
        ValueError: a field is missing or of the wrong type.
    """
    buffer = io.BytesIO()
    buffer.write(prefix(subject))
    fastavro.schemaless_writer(buffer, _without_logical_types(subject), record)
    return buffer.getvalue()


def subject_of(message: bytes) -> Subject:
    """Tell which schema a message was written with.

    Raises:
        UnknownSchemaError: not the Confluent wire format, or an id we do not have.
    """
    if len(message) < PREFIX_BYTES or message[0] != 0:
        raise UnknownSchemaError("not in the Confluent wire format (first byte is not 0)")
    return _subject_of_id(int.from_bytes(message[1:PREFIX_BYTES], "big"))


def decode(message: bytes) -> dict[str, Any]:
    """Decode a message of any clean topic. Times come back as ints in ms.

    Raises:
        UnknownSchemaError: see `subject_of`.
    """
    subject = subject_of(message)
    record = fastavro.schemaless_reader(io.BytesIO(message[PREFIX_BYTES:]), _without_logical_types(subject), None)
    assert isinstance(record, dict)
    return record


@cache
def _without_logical_types(subject: Subject) -> Any:
    """Times stay integers in Python: the log's clock is compared and subtracted, never printed in the middle of a pipeline."""
    plain = json.loads(json.dumps(schema(subject)), object_hook=lambda node: {k: v for k, v in node.items() if k != "logicalType"})
    return fastavro.parse_schema(plain)
