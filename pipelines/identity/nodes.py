"""Node keys: who an event belongs to.

A node is `(tenant, namespace, value)`, written `tenant|namespace|value`. Values are normalised, placeholders refused, and values of
namespaces marked `pii` replaced by an HMAC, so that a key never shows an e-mail address or a phone number.
"""

import hashlib
import hmac
import re
from collections.abc import Callable

from config.loader import Identity

_FLOAT_SUFFIX = re.compile(r"([0-9]+)\.0+\Z")
_NOT_PHONE = re.compile(r"[\s().\-/]")


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


def _phone(value: str) -> str:
    digits = _NOT_PHONE.sub("", value)
    return "+" + digits[2:] if digits.startswith("00") else digits


_NORMALISERS: dict[str, Callable[[str], str]] = {"": str, "lower": str.lower, "phone": _phone}


class Nodes:
    """Builds node keys from identifiers, by the rules of `identity.yaml`.

    Args:
        identity: the rules.
        hmac_key: secret for namespaces marked `pii`; the same for every process of an installation.

    Raises:
        ValueError: a namespace names a normaliser that does not exist.
    """

    def __init__(self, identity: Identity, hmac_key: bytes) -> None:
        unknown = {n.normalise for n in identity.namespaces} - _NORMALISERS.keys()
        if unknown:
            raise ValueError(f"identity.yaml: unknown normaliser {sorted(unknown)}; there are {sorted(_NORMALISERS)}")
        self._rank = {n.name: rank for rank, n in enumerate(identity.namespaces)}
        self._pii = {n.name for n in identity.namespaces if n.pii}
        self._normaliser = {n.name: _NORMALISERS[n.normalise] for n in identity.namespaces}
        self._strip = set(identity.strip_float_suffix)
        self._blocked = {value.lower() for value in identity.blocked_values}
        self._key = hmac_key

    @property
    def pii(self) -> set[str]:
        """Namespaces whose plain values must not leave `decode`."""
        return self._pii

    def value(self, namespace: str, raw: str) -> str | None:
        """Normalise one identifier value.

        Returns:
            The value as it stands in keys (an HMAC for `pii`), or None when the namespace is unknown or the value identifies nobody.
        """
        normalise = self._normaliser.get(namespace)
        if normalise is None:
            return None
        value = normalise(raw.strip())
        if namespace in self._strip:
            matched = _FLOAT_SUFFIX.match(value)
            value = matched[1] if matched else value
        if value.lower() in self._blocked:
            return None
        return value

    def key(self, tenant: str, namespace: str, raw: str) -> str | None:
        """The node key of an identifier, or None (see `value`)."""
        value = self.value(namespace, raw)
        if value is None:
            return None
        if namespace in self._pii:
            value = self.mask(tenant, namespace, value)
        return f"{tenant}|{namespace}|{value}"

    def mask(self, tenant: str, namespace: str, value: str) -> str:
        """HMAC-SHA256 of a normalised value, 32 hex digits, bound to tenant and namespace."""
        return hmac.new(self._key, f"{tenant}|{namespace}|{value}".encode(), hashlib.sha256).hexdigest()[:32]

    def keys(self, tenant: str, identifiers: list[tuple[str, str]]) -> list[str]:
        """Node keys of all usable identifiers, strongest first, without repeats.

        Args:
            tenant: owner.
            identifiers: pairs of namespace and raw value.
        """
        if len(identifiers) > 1:
            identifiers = sorted(identifiers, key=lambda pair: self._rank.get(pair[0], len(self._rank)))
        found: list[str] = []
        for namespace, raw in identifiers:
            key = self.key(tenant, namespace, raw)
            if key is not None and key not in found:
                found.append(key)
        return found
