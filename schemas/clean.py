"""The one codec of the clean topics: Avro in the Confluent wire format, schemas from `schemas/avro`.

A subject has one file a version (`event-1-0-1.avsc`), kept for ever: records are written by the newest and read whichever wrote them.
"""

import io
import json
import struct
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, get_args

import fastavro
import msgspec

Subject = Literal["event", "duplicate", "rejected", "link", "profile_change"]
SUBJECTS: Final[tuple[Subject, ...]] = get_args(Subject)
PREFIX_BYTES: Final = 5
_FOLDER = Path(__file__).parent / "avro"


class UnknownSchemaError(ValueError):
    """A record carries a schema id that this version of the platform does not know."""


class Format(msgspec.Struct, frozen=True, eq=False):
    """One version of a subject's schema.

    Attributes:
        id: on the wire.
        subject: name of the record.
        version: SchemaVer.
        avro: the schema as in its file.
    """

    id: int
    subject: Subject
    version: str
    avro: dict[str, Any]


@cache
def formats() -> dict[int, Format]:
    """Every version there has been, by wire id."""
    found: dict[int, Format] = {}
    for path in sorted(_FOLDER.glob("*.avsc")):
        avro = json.loads(path.read_text())
        found[avro["cdp.id"]] = Format(avro["cdp.id"], avro["name"], avro["cdp.version"], avro)
    return found


@cache
def newest(subject: Subject) -> Format:
    """The version that records of a subject are written by."""
    of_subject = [found for found in formats().values() if found.subject == subject]
    return max(of_subject, key=lambda found: tuple(map(int, found.version.split("-"))))


def schema(subject: Subject) -> dict[str, Any]:
    """The newest Avro schema of a subject as written in its file.

    Args:
        subject: name of the record, e.g. `event`.

    Returns:
        The parsed JSON, with the extra attributes `cdp.id` (wire id) and `cdp.version` (SchemaVer).
    """
    return newest(subject).avro


@cache
def prefix(subject: Subject) -> bytes:
    """The five bytes before each record of a subject: magic 0 and the schema id."""
    return struct.pack(">bI", 0, newest(subject).id)


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
    fastavro.schemaless_writer(buffer, _without_logical_types(newest(subject)), record)
    return buffer.getvalue()


def format_of(message: bytes) -> Format:
    """Tell which schema a message was written with.

    Raises:
        UnknownSchemaError: not the Confluent wire format, or an id we do not have.
    """
    if len(message) < PREFIX_BYTES or message[0] != 0:
        raise UnknownSchemaError("not in the Confluent wire format (first byte is not 0)")
    schema_id = int.from_bytes(message[1:PREFIX_BYTES], "big")
    found = formats().get(schema_id)
    if found is None:
        raise UnknownSchemaError(f"schema id {schema_id} is not in {_FOLDER.name}/: written by a newer version of the platform?")
    return found


def decode(message: bytes) -> dict[str, Any]:
    """Decode a message of any clean topic, as its newest schema has it. Times come back as ints in ms.

    Raises:
        UnknownSchemaError: see `format_of`.
    """
    written = format_of(message)
    wanted = newest(written.subject)
    reader = None if written is wanted else _without_logical_types(wanted)
    record = fastavro.schemaless_reader(io.BytesIO(message[PREFIX_BYTES:]), _without_logical_types(written), reader)
    assert isinstance(record, dict)
    return record


@cache
def _without_logical_types(written: Format) -> Any:
    """Times stay integers in Python: the log's clock is compared and subtracted, never printed in the middle of a pipeline."""
    plain = json.loads(json.dumps(written.avro), object_hook=lambda node: {k: v for k, v in node.items() if k != "logicalType"})
    return fastavro.parse_schema(plain)
