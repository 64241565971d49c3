"""What this version of the platform needs to be registered, and what a registry has of it."""

from collections.abc import Iterator
from typing import Any, Final, Literal, NamedTuple

from schemas import clean, event_avro
from schemas.registry import RegistryRefusedError, plain
from schemas.registry_client import Client

LEVEL: Final = "BACKWARD"
"""A consumer with the new schema reads what was written by the one before: consumers are upgraded first."""
_AS_STRICT: Final = frozenset({LEVEL, "BACKWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"})


class Wanted(NamedTuple):
    """A schema that has to be in the registry: its subject there, its SchemaVer and its Avro."""

    subject: str
    version: str
    avro: dict[str, Any]


class Finding(NamedTuple):
    """How a registry stands to a schema.

    Attributes:
        wanted: the schema.
        state: `held`; `new` (no such subject); `fits` (it would be the subject's newest version); `breaks`.
        id: in the registry, 0 when it is not there.
        level: compatibility level of the subject, empty for none.
        why: of what breaks.
    """

    wanted: Wanted
    state: Literal["held", "new", "fits", "breaks"]
    id: int = 0
    level: str = ""
    why: str = ""

    @property
    def is_guarded(self) -> bool:
        """Does the registry refuse what would break readers of this subject?"""
        return self.level in _AS_STRICT


def wanted() -> list[Wanted]:
    """The newest schema of each clean record, and of each raw event."""
    newest = [clean.newest(subject) for subject in clean.SUBJECTS]
    records = [Wanted(clean.registered_as(found.subject), found.version, found.avro) for found in newest]
    events = (avro for _, avro in event_avro.newest().values())
    return records + [Wanted(event_avro.registered_as(avro), avro["cdp.version"], avro) for avro in events]


def compare(client: Client) -> Iterator[Finding]:
    """How a registry stands to each schema, by its own judgement of compatibility.

    Raises:
        RegistryError: see there.
    """
    for one in wanted():
        versions = list(client.versions(one.subject))
        if not versions:
            yield Finding(one, "new")
            continue
        level, bare = client.compatibility(one.subject), plain(one.avro)
        held = next((version for version in versions if plain(version.avro) == bare), None)
        if held is not None:
            yield Finding(one, "held", held.id, level)
        elif client.fits(one.subject, one.avro):
            yield Finding(one, "fits", 0, level)
        else:
            yield Finding(one, "breaks", 0, level, "; ".join(differences(versions[0].avro, one.avro)) or "the registry says so")


def register(client: Client, found: Finding) -> Finding:
    """Put a schema into the registry and have its subject guarded.

    Returns:
        How the registry stands to it now.

    Raises:
        RegistryError: see there.
    """
    subject, avro = found.wanted.subject, found.wanted.avro
    if found.state == "breaks":
        return found
    if found.state != "new" and not found.is_guarded:  # before the new version comes, so that it is judged by the level
        client.set_compatibility(subject, LEVEL)
    if found.state != "held":
        try:
            found = found._replace(id=client.register(subject, avro))
        except RegistryRefusedError as error:
            return found._replace(state="breaks", why=str(error))
    if found.state == "new":
        client.set_compatibility(subject, LEVEL)
    return found._replace(state="held", level=client.compatibility(subject))


def differences(old: Any, new: Any, path: str = "") -> list[str]:
    """What of a new version keeps it from reading records of the old one.

    Args:
        old: Avro schema.
        new: Avro schema.
        path: of both, for the messages.
    """
    if not (isinstance(old, dict) and isinstance(new, dict) and "fields" in old and "fields" in new):
        inner = _inside(old), _inside(new)
        if inner != (old, new):
            return differences(*inner, path)
        return [] if plain(old) == plain(new) else [f"{path}: {_short(old)} has become {_short(new)}"]
    before = {field["name"]: field["type"] for field in old["fields"]}
    found: list[str] = []
    for field in new["fields"]:
        name = f"{path}.{field['name']}".lstrip(".")
        if field["name"] in before:
            found += differences(before[field["name"]], field["type"], name)
        elif "default" not in field:
            found.append(f"{name}: new, and without a default")
    return found


def _inside(kind: Any) -> Any:
    """What is optional or repeated, by itself."""
    if isinstance(kind, list) and len(kind) == 2 and "null" in kind:
        return next(entry for entry in kind if entry != "null")
    return kind["items"] if isinstance(kind, dict) and kind.get("type") == "array" else kind


def _short(kind: Any) -> str:
    if isinstance(kind, dict):
        return str(kind.get("logicalType") or kind.get("name") or kind.get("type"))
    return " or ".join(map(_short, kind)) if isinstance(kind, list) else str(kind)
