"""The limits of one tenant's identity graph: what a conflict is, and which of two links is the stronger (docs/identity.md)."""

from collections.abc import Iterator
from copy import copy
from typing import Annotated, Final

import msgspec

from config.identity import Identity
from config.identity import Limits as Written
from pipelines.identity.graph_state import Member, NodeRecord, ProfileRecord
from pipelines.identity.nodes import split
from schemas import json_text

DAY_MS: Final = 86_400_000
MOST_NAMESPACES: Final = 256
MAX_NESTING: Final = 8
APART, TOO_MANY, MOST = "apart", "most_identifiers", "most:"
"""Rules by which a link is refused; `most:` goes before the namespace of which a profile would have too many."""


class TenantLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The limits of one tenant's graph, as a `rules` record of the link log carries them.

    Attributes:
        most_identifiers: in one profile.
        namespaces: limits of each, in the order in which conflicts are named; a namespace that is not among them has none.
    """

    most_identifiers: Annotated[int, msgspec.Meta(ge=2, le=10_000)]
    namespaces: Annotated[dict[str, Written], msgspec.Meta(max_length=MOST_NAMESPACES)]


def read_limits(body: str) -> TenantLimits:
    """The limits that the body of a `rules` record holds.

    Raises:
        schemas.json_text.JsonTextError: it is no JSON object.
        msgspec.ValidationError: it is not of this shape; the message says where.
    """
    return msgspec.convert(json_text.read_object(body, MAX_NESTING), TenantLimits)


def configured(identity: Identity, tenant: str) -> TenantLimits:
    """The limits of a tenant by `identity.yaml`: those of the namespaces, with the tenant's own in their place."""
    own = identity.graph.tenants.get(tenant, {})
    found = {namespace.name: own.get(namespace.name, namespace.limits) for namespace in identity.namespaces}
    return TenantLimits(identity.graph.most_identifiers, found)


class Change(msgspec.Struct, frozen=True):
    """One limit that differs.

    Attributes:
        limit: `most:email`, `days:email`, `shared_after:email` (with the namespace), or `most_identifiers`.
        before, now: its values; None: there is no such limit.
    """

    limit: str
    before: int | None
    now: int | None

    def __str__(self) -> str:
        """As a text: `most:email 5 -> none`."""
        before, now = ("none" if value is None else value for value in (self.before, self.now))
        return f"{self.limit} {before} -> {now}"


def changes(before: TenantLimits, now: TenantLimits) -> list[Change]:
    """What differs between two sets of limits; empty when they judge alike."""
    found = [Change(TOO_MANY, before.most_identifiers, now.most_identifiers)]
    for name in dict.fromkeys([*before.namespaces, *now.namespaces]):
        one, other = (limits.namespaces.get(name, Written()) for limits in (before, now))
        found += [Change(f"{field}:{name}", getattr(one, field), getattr(other, field)) for field in Written.__struct_fields__]
    return [change for change in found if change.before != change.now]


class Limits:
    """Judges links.

    Args:
        identity: the order of namespaces; the limits too where `in_force` is not given.
        tenant: whose graph.
        in_force: the limits, as the link log has them.
        since: epoch of the record that brought them; 0 for those of `identity.yaml`.
    """

    def __init__(self, identity: Identity, tenant: str, in_force: TenantLimits | None = None, since: int = 0) -> None:
        self.in_force, self.since = in_force or configured(identity, tenant), since
        self._rank = {namespace.name: rank for rank, namespace in enumerate(identity.namespaces)}
        self._of = self.in_force.namespaces
        self._counted = [(name, limits.most, limits.days) for name, limits in self._of.items() if limits.most is not None]
        self._most = self.in_force.most_identifiers

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
        for name, most, since in self._counts(clock):
            here, there = _groups(one, name, since), _groups(other, name, since)
            if here and there and here + there > most:
                return MOST + name
        return ""

    def is_stated_in_vain(self, one: ProfileRecord, other: ProfileRecord, a: str, b: str, clock: int) -> bool:
        """Whether a stated link between `a` of one profile and `b` of the other is in conflict, itself or with what the records show."""
        if self.conflict(one, other, clock, is_stated=True):
            return True
        both = ProfileRecord({key: copy(member) for key, member in (one.members | other.members).items()})
        united(both, a, b)
        for name, most, since in self._counts(clock):
            # A profile that has too many already, by limits of before, is not made worse by what brings no more of them.
            if _groups(both, name, since) > max(most, _groups(one, name, since), _groups(other, name, since)):
                return True
        return False

    def exceeds(self, profile: ProfileRecord, clock: int) -> bool:
        """Whether a profile has more than the limits allow: then some of its links cannot be kept when they are looked at anew."""
        if len(profile.members) > self._most:
            return True
        return any(_groups(profile, name, since) > most for name, most, since in self._counts(clock))

    def _counts(self, clock: int) -> Iterator[tuple[str, int, int]]:
        """Each limited namespace, how many of it may be in a profile, and since when (ms) an identifier counts."""
        for name, most, days in self._counted:
            yield name, most, 0 if days is None else clock - days * DAY_MS


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
