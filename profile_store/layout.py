"""Keys, versions and value encoding of the profile store in Redis: the only place that knows them (docs/contracts.md, "Redis").

A profile lives in one hash, its personal traits in another one, which a Redis user may be kept from. Both keys carry the profile id as hash
tag: a Redis Cluster spreads profiles and keeps each in one slot.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

VERSION: Final = "_v"
AT: Final = "_at"
MERGED_INTO: Final = "_merged_into"
META: Final = frozenset({VERSION, AT, MERGED_INTO})
"""Fields the store itself keeps; a feature must not be called so."""

TRAITS: Final = "traits"
"""A change that names this field has other personal traits than its base, or others' words of them."""

PROFILE_PATTERN: Final = "cdp:{*}:*"
PII_PATTERN: Final = "cdp:pii:{*}:*"
NODE_PATTERN: Final = "cdp:id:*"

_PROFILE_PREFIX: Final = "cdp:"
_PII_PREFIX: Final = "cdp:pii:"


def profile_key(tenant: str, profile_id: str) -> str:
    """Key of a profile's hash."""
    return f"{_PROFILE_PREFIX}{{{profile_id}}}:{tenant}"


def parse_profile_key(key: str) -> tuple[str, str] | None:
    """Give `(tenant, profile_id)` of a key made by `profile_key`, None for any other key."""
    return _parse(key, _PROFILE_PREFIX)


def pii_key(tenant: str, profile_id: str) -> str:
    """Key of the hash of a profile's personal traits: name -> JSON text `{"value", "conflicts"}`, values encrypted (docs/traits.md)."""
    return f"{_PII_PREFIX}{{{profile_id}}}:{tenant}"


def parse_pii_key(key: str) -> tuple[str, str] | None:
    """Give `(tenant, profile_id)` of a key made by `pii_key`, None for any other key."""
    return _parse(key, _PII_PREFIX)


def _parse(key: str, prefix: str) -> tuple[str, str] | None:
    head, _, rest = key.partition("{")
    profile_id, end, tenant = rest.partition("}:")
    return (tenant, profile_id) if head == prefix and end and profile_id and tenant else None


def node_key(tenant: str, namespace: str, value: str) -> str:
    """Key that leads from an identifier to its profile; `value` is normalised, and an HMAC for namespaces marked `pii`."""
    return f"cdp:id:{tenant}:{namespace}:{value}"


def node_value(epoch: int, profile_id: str) -> str:
    """What a `node_key` holds."""
    return f"{epoch}:{profile_id}"


def parse_node_value(value: bytes) -> tuple[int, str]:
    """Give `(epoch, profile_id)` of what a `node_key` holds."""
    epoch, _, profile_id = value.decode().partition(":")
    return int(epoch), profile_id


def journal_key(log: str) -> str:
    """Hash that says how much of a log of changes the store holds; `log` is the topic's id, which a topic made anew does not share."""
    return f"cdp:journal:{log}"


def version(incarnation: int, number: int) -> str:
    """Text form of a profile's version."""
    return f"{incarnation}-{number}"


def parse_version(text: bytes | str) -> tuple[int, int]:
    """Give `(incarnation, number)`; tuples compare the way versions do."""
    incarnation, _, number = (text.decode() if isinstance(text, bytes) else text).partition("-")
    return int(incarnation), int(number)


def encode_value(value: Any) -> bytes:
    """A field's value as the hash holds it."""
    return orjson.dumps(value)


def decode_value(value: bytes) -> Any:
    """A field's value as Python sees it."""
    return orjson.loads(value)


def decode_fields(stored: Mapping[bytes, bytes]) -> dict[str, Any]:
    """All fields of a profile's hash except the store's own."""
    named = ((name.decode(), value) for name, value in stored.items())
    return {name: orjson.loads(value) for name, value in named if name not in META}
