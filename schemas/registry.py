"""The one place that knows what a schema id on the wire means: the files of this version, or a schema registry when one is configured.

Ids of the files have their highest bit set, which no registry hands out: so records written with and without a registry can lie in one
topic, and both are understood as long as the registry is configured (docs/schema-registry.md).
"""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

VARIABLE: Final = "CDP_SCHEMA_REGISTRY"
"""Environment variable that holds the registry's URL; empty or missing: the files (see also `UNMARKED`)."""
UNMARKED: Final = "files"
"""In the place of the URL: no registry, and ids without the bit are ids of the files too, as they were before there was a bit."""
OF_FILES: Final = 1 << 31
FIRST_RAW_ID: Final = 1001
FOLDER: Final = Path(__file__).parent / "avro"
OURS: Final = "cdp."
"""Attributes of a schema that begin with this are notes of ours and no part of the schema."""


class RegistryError(Exception):
    """The registry cannot be used; no judgement about any record, so whoever meets it must fail rather than reject."""


class RegistryAwayError(RegistryError):
    """The registry has not answered although it was asked repeatedly; trying again later makes sense."""


class RegistryRefusedError(RegistryError):
    """The registry answers, and not with what was asked for; somebody has to change something."""


class Schema(msgspec.Struct, frozen=True, eq=False):
    """A schema as its id stands for it.

    Attributes:
        avro: the schema as parsed from JSON.
        needs: schemas of the named types it refers to and does not hold, each after those that it needs itself.
    """

    avro: dict[str, Any]
    needs: tuple[Any, ...] = ()


class Registry(Protocol):
    """What gives ids to schemas and schemas to ids."""

    def __hash__(self) -> int: ...  # what follows from an id is remembered by registry and id

    def write_id(self, subject: str, file_id: int, avro: dict[str, Any]) -> int:
        """The id to write records of a committed schema with.

        Args:
            subject: name in the registry.
            file_id: id in the files.
            avro: the schema.

        Raises:
            RegistryError: see there.
        """

    def schema(self, wire_id: int) -> Schema | None:
        """What an id stands for, None when it stands for nothing.

        Raises:
            RegistryError: see there.
        """


class Files:
    """The embedded registry: `schemas/avro/*.avsc` (clean topics, id in `cdp.id`) and `schemas/avro/raw/*.avsc` (id in the name).

    Args:
        unmarked: take ids of clean topics without the bit for ids of the files: so the platform wrote them when it knew no registry.
    """

    def __init__(self, unmarked: bool = False) -> None:
        self._unmarked = unmarked

    def write_id(self, subject: str, file_id: int, avro: dict[str, Any]) -> int:
        """See `Registry`; asks nobody."""
        return OF_FILES | file_id

    def schema(self, wire_id: int) -> Schema | None:
        """See `Registry`. Producers of raw events may leave the bit out: a registry that gets that far has long been configured."""
        if wire_id & OF_FILES or wire_id >= FIRST_RAW_ID or self._unmarked:
            return committed().get(wire_id & ~OF_FILES)
        return None


@cache
def committed(folder: Path = FOLDER) -> dict[int, Schema]:
    """Every schema of the files, by its id there."""
    clean = (json.loads(path.read_text()) for path in sorted(folder.glob("*.avsc")))
    found = {avro["cdp.id"]: Schema(avro) for avro in clean}
    return found | {int(path.name.split("-")[0]): Schema(json.loads(path.read_text())) for path in sorted(folder.glob("raw/*.avsc"))}


@cache
def current() -> Registry:
    """The registry of this process: by `CDP_SCHEMA_REGISTRY`, read once."""
    url = os.environ.get(VARIABLE, "").strip()
    if url in ("", UNMARKED):
        return Files(unmarked=url == UNMARKED)
    from schemas.registry_client import Client  # slow to import, and with the files nobody needs it

    return Client(url)


def unknown(wire_id: int) -> str:
    """Says where an id that stands for nothing was looked for."""
    if wire_id & OF_FILES:
        return f"schema id {wire_id & ~OF_FILES} of the files is not in schemas/avro"
    if isinstance(current(), Files):
        return (
            f"schema id {wire_id} is that of a schema registry, and none is configured (schema_registry.url, {VARIABLE}; "
            f"`{UNMARKED}` there if a version of the platform wrote it that knew no registry)"
        )
    return f"schema id {wire_id} is not in the schema registry"


def plain(avro: Any) -> Any:
    """A schema without our own attributes: what goes to a registry, and what two schemas are compared by."""
    if isinstance(avro, dict):
        return {name: plain(value) for name, value in avro.items() if not name.startswith(OURS)}
    return [plain(entry) for entry in avro] if isinstance(avro, list) else avro


def full_name(avro: dict[str, Any]) -> str:
    """Name of a record with its namespace."""
    name, space = str(avro.get("name", "")), avro.get("namespace")
    return f"{space}.{name}" if space and "." not in name else name
