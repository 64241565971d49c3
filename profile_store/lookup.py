"""How a profile is found, without saying how commands reach Redis: generators that yield batches of commands and receive their replies."""

from collections.abc import Callable, Generator, Sequence
from typing import Any, Final, TypeVar

from profile_store import layout
from profile_store.errors import IdentifierError
from profile_store.profile import Profile, from_hash, merged_into
from schemas import identifiers

MAX_HOPS: Final = 8
"""Merges followed from one profile; a longer chain is a fault of the resolver and reads as no profile."""

Normaliser = Callable[[str, str, str], str | None]
"""`(tenant, namespace, raw value)` -> the value as it stands in keys, or None when it identifies nobody."""

Command = tuple[str, ...]
T = TypeVar("T")
Batches = Generator[list[Command], list[Any], T]
Profiles = Batches[dict[str, Profile | None]]
Personal = dict[str, dict[str, Any]]
"""Personal traits: name -> `{"value": "sealed:...", "conflicts": [{"value": "sealed:...", "source", "at", "verified"}]}`."""
WHOLE: Final = frozenset({"user_id", "member_id"})
"""Namespaces in which `17850.0` is 17850, as long as nobody changes `strip_float_suffix` of config/identity.yaml."""


def default_normaliser(tenant: str, namespace: str, value: str) -> str | None:
    """Read an identifier the way the pipeline does, without configuration and key.

    Knows no placeholders of the configuration (nobody has a profile under one) and no namespaces marked `pii`: telephone numbers and e-mail
    addresses need `Nodes.lookup_value` of `pipelines.identity.nodes`, which has the key.
    """
    try:
        read = identifiers.plain(value)
    except identifiers.UnusableError:
        return None
    return identifiers.whole(read) if namespace in WHOLE else read


def parse_identifier(text: str) -> tuple[str, str]:
    """Split `namespace:value`.

    Raises:
        IdentifierError: there is no colon, or one side is empty.
    """
    namespace, colon, value = text.partition(":")
    if not (colon and namespace.strip() and value.strip()):
        raise IdentifierError(f"`{text}` is not an identifier; write namespace:value, e.g. user_id:17850")
    return namespace.strip(), value


def find(tenant: str, asked: Sequence[str], normalise: Normaliser) -> Profiles:
    """Find profiles by identifier: one batch for all identifiers, one for all profiles, one more per merge that has to be followed.

    Raises:
        IdentifierError: see `parse_identifier`; or the value identifies nobody.
    """
    keys = [_node_key(tenant, text, normalise) for text in asked]
    if not keys:
        return {}
    replies = yield [("GET", key) for key in keys]
    ids = {text: layout.parse_node_value(reply)[1] for text, reply in zip(asked, replies, strict=True) if reply is not None}
    found = yield from by_id(tenant, list(dict.fromkeys(ids.values())))
    return {text: found.get(ids[text]) if text in ids else None for text in asked}


def by_id(tenant: str, profile_ids: Sequence[str]) -> Profiles:
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


def personal(tenant: str, asked: str, normalise: Normaliser) -> Batches[Personal | None]:
    """Find the personal traits of the profile that an identifier belongs to: one batch for the identifier, one for each profile on the way.

    Returns:
        Values as the store holds them, encrypted; None when there is no profile.

    Raises:
        IdentifierError: see `find`.
    """
    [reply] = yield [("GET", _node_key(tenant, asked, normalise))]
    if reply is None:
        return None
    _, profile_id = layout.parse_node_value(reply)
    for _ in range(MAX_HOPS):
        # In this order: of a profile that is merged away between the two, the traits are still there, or it says where they went.
        found, (version, onward) = yield [
            ("HGETALL", layout.pii_key(tenant, profile_id)),
            ("HMGET", layout.profile_key(tenant, profile_id), layout.VERSION, layout.MERGED_INTO),
        ]
        if onward is None:
            return None if version is None else {name.decode(): layout.decode_value(value) for name, value in found.items()}
        profile_id = layout.decode_value(onward)
    return None


def _node_key(tenant: str, asked: str, normalise: Normaliser) -> str:
    namespace, raw = parse_identifier(asked)
    value = normalise(tenant, namespace, raw)
    if value is None:
        raise IdentifierError(
            f"`{asked}` identifies nobody: an unknown namespace, a placeholder, or not what the namespace says (docs/identifiers.md)"
        )
    return layout.node_key(tenant, namespace, value)
