"""How a profile is found, without saying how commands reach Redis: generators that yield batches of commands and receive their replies."""

import re
from collections.abc import Callable, Generator, Sequence
from typing import Any, Final

from profile_store import layout
from profile_store.errors import IdentifierError
from profile_store.profile import Profile, from_hash, merged_into

MAX_HOPS: Final = 8
"""Merges followed from one profile; a longer chain is a fault of the resolver and reads as no profile."""

Normaliser = Callable[[str, str, str], str | None]
"""`(tenant, namespace, raw value)` -> the value as it stands in keys, or None when it identifies nobody."""

Command = tuple[str, ...]
Batches = Generator[list[Command], list[Any], dict[str, Profile | None]]
_FLOAT_SUFFIX: Final = re.compile(r"^(\d+)\.0+$")


def default_normaliser(tenant: str, namespace: str, value: str) -> str | None:
    """Trim, and read `17850.0` as `17850`. Namespaces marked `pii` need the platform's own normaliser, which knows the key."""
    trimmed = value.strip()
    matched = _FLOAT_SUFFIX.match(trimmed)
    return (matched[1] if matched else trimmed) or None


def parse_identifier(text: str) -> tuple[str, str]:
    """Split `namespace:value`.

    Raises:
        IdentifierError: there is no colon, or one side is empty.
    """
    namespace, colon, value = text.partition(":")
    if not (colon and namespace.strip() and value.strip()):
        raise IdentifierError(f"`{text}` is not an identifier; write namespace:value, e.g. user_id:17850")
    return namespace.strip(), value


def find(tenant: str, identifiers: Sequence[str], normalise: Normaliser) -> Batches:
    """Find profiles by identifier: one batch for all identifiers, one for all profiles, one more per merge that has to be followed.

    Raises:
        IdentifierError: see `parse_identifier`; or the value identifies nobody.
    """
    keys = []
    for text in identifiers:
        namespace, raw = parse_identifier(text)
        value = normalise(tenant, namespace, raw)
        if value is None:
            raise IdentifierError(
                f"`{text}` identifies nobody: the namespace is unknown or the value is a placeholder (config/identity.yaml)"
            )
        keys.append(layout.node_key(tenant, namespace, value))
    if not keys:
        return {}
    replies = yield [("GET", key) for key in keys]
    ids = {text: layout.parse_node_value(reply)[1] for text, reply in zip(identifiers, replies, strict=True) if reply is not None}
    found = yield from by_id(tenant, list(dict.fromkeys(ids.values())))
    return {text: found.get(ids[text]) if text in ids else None for text in identifiers}


def by_id(tenant: str, profile_ids: Sequence[str]) -> Batches:
    """Find profiles by id, following merges."""
    at = {asked: asked for asked in profile_ids}
    found: dict[str, Profile | None] = dict.fromkeys(profile_ids)
    for _ in range(MAX_HOPS):
        if not at:
            break
        here = list(dict.fromkeys(at.values()))
        replies = yield [("HGETALL", layout.profile_key(tenant, profile_id)) for profile_id in here]
        stored = dict(zip(here, replies, strict=True))
        found |= {asked: from_hash(tenant, place, stored[place]) for asked, place in at.items() if not merged_into(stored[place])}
        at = {asked: onward for asked, place in at.items() if (onward := merged_into(stored[place]))}
    return found
