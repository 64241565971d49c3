"""Who owns an object, and for whom its money counts: docs/objects.md, "Who owns it" and "Who counts what"."""

from collections import defaultdict
from collections.abc import Iterable

from tests.oracle.envelope import Event
from tests.oracle.ledger import Place
from tests.oracle.rulebook import Rulebook

Told = tuple[Place, Event]
Key = tuple[str, str]
"""Tenant, and `kind|issuer|id`."""


def owners(told: Iterable[Told], rules: Rulebook) -> dict[Key, str]:
    """Every object that some events concern -> node key of its owner; empty while it has none.

    Args:
        told: applied events, in any order.
        rules: namespaces in order of strength.
    """
    strength = {entry["name"]: rank for rank, entry in enumerate(rules.namespaces)}
    claims: dict[Key, list[tuple[int, int, str]]] = {}
    for _, event in told:
        if not event.object:
            continue
        made = claims.setdefault((event.tenant, event.object), [])
        if event.node and not event.late:
            made.append((strength[event.node.split("|")[1]], event.event_ms, event.node))
    return {key: min(made)[2] if made else "" for key, made in claims.items()}


def facts(told: Iterable[Told], rules: Rulebook) -> dict[str, list[Told]]:
    """Node -> all that its ledger is made of: what is told, not late, of the objects that it owns, whichever node is named.

    Args:
        told: applied events, in any order.
        rules: namespaces in order of strength.
    """
    told = list(told)
    owner = owners(told, rules)
    found: dict[str, list[Told]] = defaultdict(list)
    for place, event in told:
        if event.fact is not None and not event.late and owner[event.tenant, event.object]:
            found[owner[event.tenant, event.object]].append((place, event))
    return found
