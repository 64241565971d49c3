"""Raw events as Avro: a schema for each event, made from its contract, with the envelope around the typed properties.

Each version of a contract has a file in `schemas/avro/raw`, named by its wire id and kept for ever, so that whoever produces by an older
version is understood. `cdp schema docs` adds what is missing.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from schemas import registry
from schemas.contracts import Contract, Field

FOLDER: Final = registry.FOLDER / "raw"
NAMESPACE: Final = "cdp.raw"
_TIME: Final = {"type": "long", "logicalType": "timestamp-millis"}
_TYPES: Final[dict[str, Any]] = {
    **dict.fromkeys(("key", "name", "text", "choice", "currency", "country", "email", "phone", "url"), "string"),
    "boolean": "boolean",
    "number": "double",
    "money": "double",
    "integer": "long",
    "quantity": "long",
    "timestamp": _TIME,
}
_ENVELOPE: Final = (
    ("messageId", "string", "dedupe key"),
    ("tenant", ["null", "string"], "default: the platform's"),
    ("userId", ["null", "string"], "who, once known"),
    ("anonymousId", ["null", "string"], "who, before that"),
    ("timestamp", ["null", _TIME], "when it happened"),
    ("originalTimestamp", ["null", _TIME], "when it happened by the sender's clock"),
    ("sentAt", ["null", _TIME], "when it was sent, by the sender's clock"),
    ("receivedAt", ["null", _TIME], "when it was received, by the receiver's clock"),
    ("context", ["null", "string"], "JSON object"),
)


def schema_of(contract: Contract) -> dict[str, Any]:
    """The Avro schema of an event as it goes to a raw topic.

    Args:
        contract: of the event.

    Returns:
        A record with the envelope, `properties` as a record of the contract's fields, and `extra`: a JSON object of further properties.
    """
    named: set[str] = set()
    title = _title(contract.name)
    properties = {"type": "record", "name": f"{title}Properties", "fields": [*_fields(contract.fields, contract, title, named)]}
    envelope = [_field(name, kind, doc) for name, kind, doc in _ENVELOPE]
    return {
        "type": "record",
        "name": title,
        "namespace": NAMESPACE,
        "doc": contract.says,
        "cdp.event": contract.name,
        "cdp.version": contract.version,
        "fields": [
            *envelope,
            {"name": "properties", "type": properties, "doc": "see docs/events.md"},
            _field("extra", ["null", "string"], "JSON object: properties the contract does not have"),
        ],
    }


def _fields(fields: Mapping[str, Field], contract: Contract, title: str, named: set[str]) -> Iterator[dict[str, Any]]:
    for label, field in fields.items():
        kind: Any
        if field.type == "map":
            kind = {"type": "map", "values": _TYPES[field.items]}
        elif field.type != "list":
            kind = _TYPES[field.type]
        else:
            name = f"{title}{_title(field.items)}"
            items: Any = name
            if name not in named:
                named.add(name)
                items = {"type": "record", "name": name, "fields": [*_fields(contract.parts[field.items], contract, title, named)]}
            kind = {"type": "array", "items": items}
        yield _field(label, kind if field.required else ["null", kind], field.says)


def _field(name: str, kind: Any, doc: str) -> dict[str, Any]:
    optional = {"default": None} if isinstance(kind, list) else {}
    return {"name": name, "type": kind, "doc": doc, **optional}


def _title(name: str) -> str:
    """Two events must not share a title: readers tell events by it (a test sees to it)."""
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"\W+|_", name))


def registered_as(schema: dict[str, Any]) -> str:
    """A raw schema's name in a schema registry: that of its record (RecordNameStrategy), as an event is the same in whatever topic."""
    return registry.full_name(schema)


@cache
def newest() -> dict[str, tuple[int, dict[str, Any]]]:
    """The newest version of each event's schema: event name -> id in the files, schema."""
    return {schema["cdp.event"]: (file_id, schema) for file_id, schema in sorted(known().items(), key=_version)}


def _version(entry: tuple[int, dict[str, Any]]) -> tuple[int, ...]:
    return tuple(map(int, entry[1]["cdp.version"].split("-")))


def event_of(schema: dict[str, Any]) -> str | None:
    """Name of the event that records of a schema are about, None when they are about none of ours.

    Args:
        schema: ours, or another producer's: it counts as ours by the name of its record, else by the attribute `cdp.event`.
    """
    if schema.get("type") != "record":
        return None
    by_name = _events_by_record().get(registry.full_name(schema))
    stated = schema.get("cdp.event")
    return by_name or (stated if isinstance(stated, str) and stated in newest() else None)


@cache
def _events_by_record() -> dict[str, str]:
    return {registry.full_name(schema): event for event, (_, schema) in newest().items()}


@cache
def known(folder: Path = FOLDER) -> dict[int, dict[str, Any]]:
    """Every version of every raw schema, by wire id."""
    return {int(path.name.split("-")[0]): json.loads(path.read_text()) for path in sorted(folder.glob("*.avsc"))}


def missing(contracts: Mapping[str, Contract], folder: Path = FOLDER) -> dict[str, str]:
    """The files that have to be added for contracts in their present versions.

    Returns:
        File name -> content.

    Raises:
        ValueError: a contract has changed under the version that a file stands for.
    """
    there = {(schema["cdp.event"], schema["cdp.version"]): schema for schema in known(folder).values()}
    next_id = max(known(folder), default=registry.FIRST_RAW_ID - 1) + 1
    found: dict[str, str] = {}
    for contract in contracts.values():
        wanted = schema_of(contract)
        held = there.get((contract.name, contract.version))
        if held is None:
            name = re.sub(r"\W+", "-", contract.name.lower())
            found[f"{next_id}-{name}-{contract.version}.avsc"] = json.dumps(wanted, indent=1) + "\n"
            next_id += 1
        elif _without_docs(held) != _without_docs(wanted):
            raise ValueError(f"{contract.name}: its fields have changed and its version {contract.version} has not; see `cdp schema check`")
    return found


def _without_docs(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {name: _without_docs(value) for name, value in schema.items() if name != "doc"}
    return [_without_docs(entry) for entry in schema] if isinstance(schema, list) else schema
