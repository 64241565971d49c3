"""The one codec of the clean topics: Avro in the Confluent wire format, schemas from `schemas/avro`, ids from `schemas.registry`.

A subject has one file a version (`event-1-0-1.avsc`), kept for ever: records are written by the newest and read whichever wrote them.
"""

import io
import json
import struct
from functools import cache
from typing import Any, Final, Literal, get_args

import fastavro
import msgspec

from schemas import registry

Subject = Literal["event", "duplicate", "rejected", "link", "identity_update", "object", "profile_change"]
SUBJECTS: Final[tuple[Subject, ...]] = get_args(Subject)
TOPICS: Final[dict[Subject, str]] = {
    "event": "cdp.events",
    "duplicate": "cdp.duplicates",
    "rejected": "cdp.rejected",
    "link": "cdp.links",
    "identity_update": "cdp.identity.updates",
    "object": "cdp.objects",
    "profile_change": "cdp.profile.changes",
}
PREFIX_BYTES: Final = 5
_NAMESPACE: Final = "cdp"


class UnknownSchemaError(ValueError):
    """A record carries a schema id that this version of the platform does not know."""


class Format(msgspec.Struct, frozen=True, eq=False):
    """One version of a subject's schema.

    Attributes:
        id: of the file (`cdp.id`); the registry's for a schema that is in no file.
        subject: name of the record.
        version: SchemaVer, empty for a schema that is in no file.
        avro: the schema.
        name: tells it from every other schema, for ever.
    """

    id: int
    subject: Subject
    version: str
    avro: dict[str, Any]
    name: str


@cache
def formats() -> dict[int, Format]:
    """Every version there has been, by its id in the files."""
    clean = [(file_id, found.avro) for file_id, found in registry.committed().items() if "cdp.id" in found.avro]
    return {file_id: Format(file_id, avro["name"], avro["cdp.version"], avro, _file_name(avro)) for file_id, avro in clean}


def _file_name(avro: dict[str, Any]) -> str:
    return f"{avro['name']}-{avro['cdp.version']}"


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


def registered_as(subject: Subject) -> str:
    """A subject's name in a schema registry: that of its topic's values (TopicNameStrategy)."""
    return f"{TOPICS[subject]}-value"


def prefix(subject: Subject) -> bytes:
    """The five bytes before each record of a subject: magic 0 and the schema id.

    Raises:
        registry.RegistryError: no id could be had.
    """
    return _prefix(registry.current(), subject)


@cache
def _prefix(ids: registry.Registry, subject: Subject) -> bytes:
    written = newest(subject)
    return struct.pack(">bI", 0, ids.write_id(registered_as(subject), written.id, written.avro))


def encode(subject: Subject, record: dict[str, Any]) -> bytes:
    """Encode a record.

    Args:
        subject: which schema.
        record: field name -> value; times are ints in ms.

    Returns:
        Prefix and Avro body.

    Raises:
        ValueError: a field is missing or of the wrong type.
        registry.RegistryError: see `prefix`.
    """
    buffer = io.BytesIO()
    buffer.write(prefix(subject))
    fastavro.schemaless_writer(buffer, _without_logical_types(newest(subject)), record)
    return buffer.getvalue()


def format_of(message: bytes) -> Format:
    """Tell which schema a message was written with.

    Raises:
        UnknownSchemaError: not the Confluent wire format, or an id that stands for no schema of a clean topic.
        registry.RegistryError: nobody could say what the id stands for.
    """
    if len(message) < PREFIX_BYTES or message[0] != 0:
        raise UnknownSchemaError("not in the Confluent wire format (first byte is not 0)")
    return _format(registry.current(), int.from_bytes(message[1:PREFIX_BYTES], "big"))


@cache
def _format(ids: registry.Registry, wire_id: int) -> Format:
    found = ids.schema(wire_id)
    if found is None:
        raise UnknownSchemaError(
            f"{registry.unknown(wire_id)}; was it written by a newer version of the platform, or with another registry?"
        )
    same = registry.plain(found.avro)
    held = next((held for held in formats().values() if registry.plain(held.avro) == same), None)
    if held is not None:
        return held
    name = registry.full_name(found.avro)
    subject = next((subject for subject in SUBJECTS if name == f"{_NAMESPACE}.{subject}"), None)
    if subject is None or found.needs:
        raise UnknownSchemaError(f"schema id {wire_id} is that of `{name}`, which is no record of a clean topic")
    return Format(wire_id, subject, "", found.avro, f"{subject}-registered-{wire_id}")


def decode(message: bytes) -> dict[str, Any]:
    """Decode a message of any clean topic, as its newest schema has it. Times come back as ints in ms.

    Raises:
        UnknownSchemaError, registry.RegistryError: see `format_of`.
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
    return fastavro.parse_schema(json.loads(json.dumps(written.avro), object_hook=_plain_type))


def _plain_type(node: dict[str, Any]) -> Any:
    """A node of a schema without its logical type; by its bare name where nothing else is left: fastavro is quicker with that."""
    kept = {key: value for key, value in node.items() if key != "logicalType"}
    return kept["type"] if kept.keys() == {"type"} and isinstance(kept["type"], str) else kept
