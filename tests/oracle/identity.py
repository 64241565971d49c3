"""Node keys and profile ids: docs/contracts.md, "Node and profile ids", and `config/identity.yaml`."""

import hashlib
from collections.abc import Iterable

from tests.oracle.rulebook import Rulebook


def profile_id(node: str) -> str:
    """The profile that a node never seen before founds."""
    return hashlib.blake2b(f"{node}|0".encode(), digest_size=8).hexdigest()


def normalise(namespace: str, raw: str, rules: Rulebook) -> str | None:
    """The value as it stands in keys, or None when it identifies nobody or the namespace is not known."""
    known = {entry["name"]: entry for entry in rules.namespaces}
    if namespace not in known:
        return None
    value = raw.strip()
    how = known[namespace].get("normalise", "")
    if how == "lower":
        value = value.lower()
    if how == "phone":
        value = "".join(sign for sign in value if not sign.isspace() and sign not in "().-/")
        if value.startswith("00"):
            value = "+" + value[2:]
    if namespace in rules.strip_float_suffix:
        whole, dot, fraction = value.partition(".")
        if dot and whole.isascii() and whole.isdigit() and fraction and set(fraction) == {"0"}:
            value = whole
    return None if value.lower() in rules.blocked else value


def node_keys(tenant: str, identifiers: Iterable[tuple[str, str]], rules: Rulebook) -> list[str]:
    """Keys of all nodes that an event names, strongest first: the first one owns the event.

    Args:
        tenant: owner.
        identifiers: pairs of namespace and raw value.
        rules: namespaces in order of strength, blocked values.
    """
    given = list(identifiers)
    keys: list[str] = []
    for entry in rules.namespaces:
        for namespace, raw in given:
            if namespace != entry["name"]:
                continue
            value = normalise(namespace, raw, rules)
            if value is None:
                continue
            if entry.get("pii"):
                value = rules.pseudonym(tenant, namespace, value)
            key = f"{tenant}|{namespace}|{value}"
            if key not in keys:
                keys.append(key)
    return keys
