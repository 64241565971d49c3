"""Node keys: who an event belongs to.

A node is `(tenant, namespace, value)`, written `tenant|namespace|value`. Values are normalised, placeholders refused, and values of
namespaces marked `pii` replaced by an HMAC, so that a key never shows an e-mail address or a phone number: docs/identifiers.md.
"""

import hashlib
import hmac
import re
from collections import OrderedDict
from typing import Any, Final, NamedTuple

from config.identity import EVERY, Identity
from schemas import identifiers
from schemas.contracts import MAX_NAME
from schemas.identifiers import EMPTY, PLACEHOLDER, UnusableError

REMEMBERED: Final = 16_384
"""Keys remembered by what they were made of: the people of one stream come again and again."""
_REFERS: Final = re.compile(r"\\[1-9]|\(\?P|\(\?\(")
_AROUND: Final = "\"'`()[]{}<> "
_Made = tuple[str, str]
"""A node key, or nothing and the reason why there is none."""


def profile_of(node: str, epoch: int = 0) -> str:
    """The profile id that a node founds: 16 hex digits of blake2b over the node key and the epoch."""
    return hashlib.blake2b(f"{node}|{epoch}".encode(), digest_size=8).hexdigest()


def phase_ms(node: str, longest_hop_ms: int) -> int:
    """Where a node's tile boundaries lie, so that nobody's windows all move at midnight (docs/features.md)."""
    return int.from_bytes(hashlib.blake2b(node.encode(), digest_size=8).digest()[:4], "big") % longest_hop_ms


def split(node: str) -> tuple[str, str, str]:
    """Tenant, namespace and value of a node key."""
    tenant, namespace, value = node.split("|", 2)
    return tenant, namespace, value


class Dropped(NamedTuple):
    """An identifier that was given and cannot be used.

    Attributes:
        namespace: which one.
        reason: in a few words; nothing of the value.
    """

    namespace: str
    reason: str


class Nodes:
    """Builds node keys from identifiers, by the rules of `identity.yaml`.

    Args:
        identity: the rules.
        hmac_key: secret for namespaces marked `pii`, the same for every process of an installation; None where it is not known: then
            identifiers of these namespaces have no keys.
    """

    def __init__(self, identity: Identity, hmac_key: bytes | None) -> None:
        self._rank = {n.name: rank for rank, n in enumerate(identity.namespaces)}
        self._pii = {n.name for n in identity.namespaces if n.pii}
        self._reading = {n.name: n.normalise for n in identity.namespaces}
        self._groups = list(identity.groups)
        self._traits = list(identity.identifying_traits.items())
        self._reading |= dict.fromkeys(self._groups, "")
        self._strip = set(identity.strip_float_suffix)
        self._words = {value.lower() for value in identity.blocked_values}
        self._patterns = {name: _patterns(identity, name) for name in self._reading}
        self._region_of = identity.phone_region.of
        self._key = hmac_key
        self._made: OrderedDict[tuple[str, str, str, str], _Made] = OrderedDict()

    @property
    def pii(self) -> set[str]:
        """Namespaces whose plain values must not leave `decode`."""
        return self._pii

    def value(self, namespace: str, raw: str, region: str = "") -> str:
        """Read one identifier value.

        Args:
            namespace: one of identity.yaml.
            raw: as it was given.
            region: country of telephone numbers without country code.

        Returns:
            The value as it stands in keys, before it is replaced by an HMAC.

        Raises:
            UnusableError: it identifies nobody, or is not what the namespace says.
        """
        value = identifiers.plain(raw)
        self._refuse_placeholders(namespace, value)
        reading = self._reading[namespace]
        if reading == "email":
            value = identifiers.email(value)
            self._refuse_placeholders(namespace, value)
        elif reading == "phone":
            value, national, digits = identifiers.phone(value, region)
            self._refuse_placeholders(namespace, national)
            self._refuse_placeholders(namespace, digits)
        elif namespace in self._strip:
            shortened = identifiers.whole(value)
            if shortened is not value:
                self._refuse_placeholders(namespace, shortened)
            value = shortened
        return value

    def key(self, tenant: str, namespace: str, raw: str, source: str = "") -> str | None:
        """The node key of an identifier; None when its namespace or the key for it is unknown, or when it cannot be used."""
        return self._make(tenant, namespace, raw, source)[0] or None

    def lookup_value(self, tenant: str, namespace: str, raw: str) -> str | None:
        """The value as it stands in keys of the profile store: what a client takes as its `normalise`."""
        key = self.key(tenant, namespace, raw)
        return None if key is None else split(key)[2]

    def told_by(self, traits: dict[str, Any]) -> list[tuple[str, str]]:
        """Pairs of namespace and raw value that the traits of an `identify` call give: an address, a number."""
        given = ((namespace, traits.get(trait)) for trait, namespace in self._traits)
        told = [(namespace, str(value)) for namespace, value in given if isinstance(value, str | int) and not isinstance(value, bool)]
        return [(namespace, value) for namespace, value in told if len(value) <= MAX_NAME]

    def group(self, tenant: str, kind: Any, raw: Any) -> str | None:
        """The node key of a group; None when its kind is unknown, or its id a placeholder, too long, or neither text nor whole number.

        Args:
            tenant: owner.
            kind: one of `groups` of identity.yaml; None: the usual one.
            raw: id as it was given.
        """
        named = self._groups[0] if kind is None and self._groups else kind
        if isinstance(raw, int) and not isinstance(raw, bool):
            raw = str(raw)
        is_usable = isinstance(raw, str) and len(raw) <= MAX_NAME and named in self._groups
        return self.key(tenant, named, raw) if is_usable else None

    def mask(self, tenant: str, namespace: str, value: str) -> str:
        """HMAC-SHA256 of a normalised value, 32 hex digits, bound to tenant and namespace."""
        if self._key is None:
            raise ValueError("no HMAC key: set CDP_HMAC_KEY_FILE to the key file of this installation")
        return hmac.new(self._key, f"{tenant}|{namespace}|{value}".encode(), hashlib.sha256).hexdigest()[:32]

    def keys(self, tenant: str, given: list[tuple[str, str]], source: str = "") -> tuple[list[str], list[Dropped]]:
        """Node keys of all usable identifiers, strongest first, without repeats; and those that had to be dropped.

        An empty value is absent, not dropped; a namespace that identity.yaml does not know is ignored.

        Args:
            tenant: owner.
            given: pairs of namespace and raw value.
            source: name of the source, which may have a country of its own for telephone numbers.
        """
        if len(given) > 1:
            given = sorted(given, key=lambda pair: self._rank.get(pair[0], len(self._rank)))
        found: list[str] = []
        dropped: list[Dropped] = []
        for namespace, raw in given:
            if namespace not in self._rank:
                continue
            key, reason = self._make(tenant, namespace, raw, source)
            if key:
                if key not in found:
                    found.append(key)
            elif reason and reason != EMPTY:
                dropped.append(Dropped(namespace, reason))
        return found, dropped

    def _make(self, tenant: str, namespace: str, raw: str, source: str) -> _Made:
        if namespace not in self._reading or (self._key is None and namespace in self._pii):
            return "", ""
        region = self._region_of(tenant, source) if self._reading[namespace] == "phone" else ""
        asked = (tenant, namespace, raw, region)
        made = self._made.get(asked)
        if made is None:
            made = self._made[asked] = self._make_new(tenant, namespace, raw, region)
            if len(self._made) > REMEMBERED:
                self._made.popitem(last=False)
        return made

    def _make_new(self, tenant: str, namespace: str, raw: str, region: str) -> _Made:
        try:
            value = self.value(namespace, raw, region)
        except UnusableError as error:
            return "", error.reason
        if namespace in self._pii:
            value = self.mask(tenant, namespace, value)
        return f"{tenant}|{namespace}|{value}", ""

    def _refuse_placeholders(self, namespace: str, value: str) -> None:
        if value.strip(_AROUND).lower() in self._words or any(one.fullmatch(value) for one in self._patterns[namespace]):
            raise UnusableError(PLACEHOLDER)


def _patterns(identity: Identity, namespace: str) -> list[re.Pattern[str]]:
    """As one expression, which takes a fifth of the time of many; those that refer to groups stay alone, as their numbers would shift."""
    written = [pattern for name in (EVERY, namespace) for pattern in identity.blocked_patterns.get(name, [])]
    alone = [pattern for pattern in written if _REFERS.search(pattern)]
    together = "|".join(f"(?:{pattern})" for pattern in written if pattern not in alone)
    return [re.compile(pattern, re.IGNORECASE | re.DOTALL) for pattern in [*alone, together] if pattern]
