"""Client of a schema registry that speaks Confluent's REST API (Confluent Schema Registry, Apicurio, Karapace, Redpanda)."""

import json
import time
from collections.abc import Callable, Iterator
from threading import Lock
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

import httpx2
from cachetools import TTLCache
from confluent_kafka.schema_registry import Schema as Text
from confluent_kafka.schema_registry import SchemaReference, SchemaRegistryClient, SchemaRegistryError

from schemas import registry
from schemas.registry import RegistryAwayError, RegistryRefusedError

TIMEOUT_S: Final = 5.0
RETRIES: Final = 6
FIRST_WAIT_MS: Final = 250
LONGEST_WAIT_MS: Final = 4_000
"""Waits are drawn up to 0.25, 0.5, 1, 2, 4 and 4 s: a registry that refuses connections is given up after at most 12 s, one that does not
answer at all after at most 47 s."""
UNKNOWN_FOR_S: Final = 10.0
_UNKNOWN_IDS: Final = 1_024
_ABSENT: Final = frozenset({40401, 40402, 40403, 40408})  # subject, version, schema, a subject's own compatibility level
_PASSING: Final = frozenset({408, 429})
T = TypeVar("T")


class Registered(NamedTuple):
    """One version of a subject."""

    version: int
    id: int
    avro: Any


class Client:
    """A registry behind a URL; implements `registry.Registry`.

    Args:
        url: of the API, e.g. `http://user:password@host:8081`; several with commas are tried in turn.
        clock: monotonic seconds.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.shown = ",".join(map(_without_password, url.split(",")))
        conf = {"url": url, "timeout": TIMEOUT_S, "max.retries": RETRIES}
        try:
            self._api = SchemaRegistryClient(conf | {"retries.wait.ms": FIRST_WAIT_MS, "retries.max.wait.ms": LONGEST_WAIT_MS})
        except ValueError:
            raise RegistryRefusedError(f"{registry.VARIABLE}={self.shown} is no http:// or https:// address of a registry") from None
        self._schemas: dict[int, registry.Schema] = {}
        self._unknown: TTLCache[int, None] = TTLCache(_UNKNOWN_IDS, UNKNOWN_FOR_S, clock)
        self._lock = Lock()

    def write_id(self, subject: str, file_id: int, avro: dict[str, Any]) -> int:
        """See `registry.Registry`: the id of the version that says the same, registered now if there is none."""
        held = self.find(subject, avro)
        return held.id if held else self.register(subject, avro)

    def schema(self, wire_id: int) -> registry.Schema | None:
        """See `registry.Registry`. What an id stands for is asked once; that it stands for nothing is believed for ten seconds."""
        found = self._schemas.get(wire_id)
        if found is not None:
            return found
        if wire_id & registry.OF_FILES:
            return registry.committed().get(wire_id & ~registry.OF_FILES)
        with self._lock:
            if wire_id in self._unknown:
                return None
        text = self._ask(f"schema {wire_id}", lambda: self._api.get_schema(wire_id))
        found = None if text is None else self._parsed(text, f"schema {wire_id}")
        if found is not None:
            self._schemas[wire_id] = found
            return found
        with self._lock:
            self._unknown[wire_id] = None
        return None

    def versions(self, subject: str) -> Iterator[Registered]:
        """Versions of a subject, newest first; nothing for a subject that is not there."""
        numbers = self._ask(f"versions of {subject}", lambda: self._api.get_versions(subject)) or []
        for number in sorted(numbers, reverse=True):
            found = self._ask(f"{subject} version {number}", lambda number=number: self._api.get_version(subject, number))  # type: ignore[misc]
            if found is not None and found.schema is not None and found.schema_id is not None:
                yield Registered(number, found.schema_id, _json(found.schema.schema_str))

    def find(self, subject: str, avro: dict[str, Any]) -> Registered | None:
        """The version of a subject that says the same as a schema, whoever registered it and however it is spelled."""
        wanted = registry.plain(avro)
        return next((held for held in self.versions(subject) if registry.plain(held.avro) == wanted), None)

    def register(self, subject: str, avro: dict[str, Any]) -> int:
        """Make a schema the newest version of a subject.

        Returns:
            Its id.

        Raises:
            RegistryRefusedError: it does not fit to what is registered, or we may not.
        """
        made = self._ask(f"register {subject}", lambda: self._api.register_schema(subject, _text(avro)))
        if made is None:
            raise RegistryRefusedError(f"{self.shown}: registering {subject}: not found; is this the address of the registry's API?")
        return made

    def fits(self, subject: str, avro: dict[str, Any]) -> bool:
        """Would the registry take a schema as the newest version of a subject, by the subject's own compatibility level?"""
        found = self._ask(f"compatibility with {subject}", lambda: self._api.test_compatibility_all_versions(subject, _text(avro)))
        return found is None or found

    def compatibility(self, subject: str) -> str:
        """The compatibility level in force for a subject, e.g. `BACKWARD`."""
        own = self._ask(f"compatibility of {subject}", lambda: self._api.get_compatibility(subject))
        return own or self._ask("compatibility level", lambda: self._api.get_compatibility()) or "NONE"

    def set_compatibility(self, subject: str, level: str) -> None:
        """Set a subject's compatibility level."""
        self._ask(f"set the compatibility of {subject}", lambda: self._api.set_compatibility(subject, level))

    def _parsed(self, text: Text, what: str) -> registry.Schema | None:
        """None when it is not Avro."""
        if (text.schema_type or "AVRO") != "AVRO":
            return None
        avro = _json(text.schema_str)
        return registry.Schema(avro, tuple(self._needs(text, what, set()))) if isinstance(avro, dict) else None

    def _needs(self, text: Text, what: str, seen: set[tuple[str, int]]) -> Iterator[Any]:
        for reference in text.references or ():
            key = (reference.subject or "", reference.version or 0)
            if key in seen:
                continue
            seen.add(key)
            needed = self._referred(reference, what)
            yield from self._needs(needed, what, seen)
            yield _json(needed.schema_str)

    def _referred(self, reference: SchemaReference, what: str) -> Text:
        subject, version = reference.subject or "", reference.version or 0
        found = self._ask(f"{subject} version {version}", lambda: self._api.get_version(subject, version))
        if found is None or found.schema is None:
            raise RegistryRefusedError(f"{self.shown}: {what} refers to {subject} version {version}, which is not there")
        return found.schema

    def _ask(self, what: str, call: Callable[[], T]) -> T | None:
        """None when the registry says that there is no such thing; the client library retries what may pass."""
        try:
            return call()
        except SchemaRegistryError as error:
            status, code = error.http_status_code, error.error_code
            if status == 404 and code in _ABSENT:
                return None
            said = f"schema registry {self.shown}: {what}: HTTP {status}, {str(error.error_message)[:300]}"
            if status >= 500 or status in _PASSING:
                raise RegistryAwayError(said) from error
            raise RegistryRefusedError(f"{said}; {_REMEDIES.get(status, _ADDRESS)}") from error
        except httpx2.TransportError as error:
            reason = f"{type(error).__name__}: {error}"
            raise RegistryAwayError(f"schema registry {self.shown} does not answer ({reason}); asked for: {what}") from error
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RegistryRefusedError(f"schema registry {self.shown}: {what}: {type(error).__name__}; {_ADDRESS}") from error


_ADDRESS: Final = "is this the address of the registry's API? (schema_registry.url in config/platform.yaml)"
_REMEDIES: Final = {
    401: "put user:password@ into the address",
    403: "this user may not do that; run `cdp schema register` as one that may",
    409: "`cdp schema check --against-registry` says what does not fit",
    422: "`cdp schema check --against-registry` says what does not fit",
}


def _text(avro: dict[str, Any]) -> Text:
    """A schema as it is registered: always the same text, as some registries compare by that alone."""
    return Text(json.dumps(registry.plain(avro), separators=(",", ":"), ensure_ascii=False))


def _json(text: str | None) -> Any:
    """What a registry holds as the text of a schema; None for what is no JSON."""
    try:
        return json.loads(text or "null")
    except ValueError:
        return None


def _without_password(url: str) -> str:
    parts = urlsplit(url.strip())
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
