"""The limits of one tenant's identity graph: what a conflict is, and which of two links is the stronger (docs/identity.md)."""

from copy import copy
from typing import Final

from config.identity import Identity
from config.identity import Limits as Written
from pipelines.identity.graph_state import Member, NodeRecord, ProfileRecord
from pipelines.identity.nodes import split

DAY_MS: Final = 86_400_000
APART, TOO_MANY, MOST = "apart", "most_identifiers", "most:"
"""Rules by which a link is refused; `most:` goes before the namespace of which a profile would have too many."""


class Limits:
    """Judges links.

    Args:
        identity: the rules.
        tenant: whose graph.
    """

    def __init__(self, identity: Identity, tenant: str) -> None:
        own = identity.graph.tenants.get(tenant, {})
        self._rank = {namespace.name: rank for rank, namespace in enumerate(identity.namespaces)}
        self._of = {namespace.name: own.get(namespace.name, namespace.limits) for namespace in identity.namespaces}
        self._counted = [(name, limits.most, limits.days) for name, limits in self._of.items() if limits.most is not None]
        self._most = identity.graph.most_identifiers

    def rank(self, node: str) -> int:
        """How strong a node's namespace is: 0 is the strongest; one that is not known any more is the weakest."""
        return self._rank.get(split(node)[1], len(self._rank))

    def strength(self, a: str, b: str, *, is_stated: bool) -> list[int]:
        """Sorts links, the strongest first: stated before seen, then by the weaker of the two namespaces, then by the stronger one.

        Between equals the older one is the stronger; that is not part of the answer.
        """
        ranks = sorted((self.rank(a), self.rank(b)))
        return [0 if is_stated else 1, ranks[1], ranks[0]]

    def founder(self, members: dict[str, Member]) -> str:
        """The strongest, then oldest node of a profile: of two profiles that with the stronger, then older founder survives a merge."""
        return min(members, key=lambda node: (self.rank(node), members[node].first))

    def is_shared(self, key: str, node: NodeRecord) -> bool:
        """Whether so many could not be joined with a node that it is nobody's."""
        after = self._shared_after(key)
        return after is not None and len(node.refused) >= after

    def is_counted(self, key: str) -> bool:
        """Whether a node's refused partners matter."""
        return self._shared_after(key) is not None

    def _shared_after(self, key: str) -> int | None:
        return self._of.get(split(key)[1], Written()).shared_after

    def conflict(self, one: ProfileRecord, other: ProfileRecord, clock: int, *, is_stated: bool) -> str:
        """Why two profiles cannot become one; empty when they can.

        What was stated is above the limits of namespaces, but not above what was stated to be apart, nor above the size of a profile.

        Args:
            one: a profile.
            other: another one.
            clock: the graph's, ms.
            is_stated: whether the link between them is.
        """
        for a, b in (*one.apart, *other.apart):
            if (a in one.members and b in other.members) or (b in one.members and a in other.members):
                return APART
        if len(one.members) + len(other.members) > self._most:
            return TOO_MANY
        if is_stated:
            return ""
        return self._exceeded((one, other), clock)

    def is_stated_in_vain(self, one: ProfileRecord, other: ProfileRecord, a: str, b: str, clock: int) -> bool:
        """Whether a stated link between `a` of one profile and `b` of the other is in conflict, itself or with what the records show."""
        if self.conflict(one, other, clock, is_stated=True):
            return True
        both = ProfileRecord({key: copy(member) for key, member in (one.members | other.members).items()})
        united(both, a, b)
        return bool(self._exceeded((both,), clock))

    def _exceeded(self, parts: tuple[ProfileRecord, ...], clock: int) -> str:
        for name, most, days in self._counted:
            since = 0 if days is None else clock - days * DAY_MS
            if sum(_groups(part, name, since) for part in parts) > most:
                return MOST + name
        return ""


def _groups(profile: ProfileRecord, namespace: str, since: int) -> int:
    """How many of a namespace a profile has; those that were stated to be one count once."""
    return len({member.group for node, member in profile.members.items() if member.first_at >= since and split(node)[1] == namespace})


def united(profile: ProfileRecord, a: str, b: str) -> None:
    """Note that two members were stated to be one: they, and all that is one with either, count once."""
    members = profile.members
    keys = sorted((members[a].group, members[b].group), key=lambda key: members[key].first)
    for member in members.values():
        if member.group == keys[1]:
            member.group = keys[0]
