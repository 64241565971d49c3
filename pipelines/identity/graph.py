"""The identity graph: which identifiers are one person, decided record by record of the link log (docs/identity.md). Pure.

The graph is a function of the log: the same records in the same order give the same profiles, ids, epochs and refusals, whenever and how
often they are taken in.
"""

from collections.abc import Iterable

import msgspec

from config.identity import Identity
from pipelines.identity.graph_state import BLOCKED, OPEN, SHARED, GraphState, Member, NodeRecord, ProfileRecord, Store, Tie
from pipelines.identity.limits import MOST, TOO_MANY, Limits, changes, read_limits, united
from pipelines.identity.link_log import Block, Link, LogRecord, Release, Rules, Unbind
from pipelines.identity.nodes import profile_of
from pipelines.ingest.hashing import hash64
from pipelines.wire import Alias, Roster

LINKED, REFUSED, DROPPED, UNBOUND = "linked", "refused", "dropped", "unbound"
MERGED, SPLIT, MOVED, RELEASED, LIMITS = "merged", "split", "moved", "released", "limits"


class Decision(msgspec.Struct, frozen=True):
    """One thing that a record of the log led to.

    Attributes:
        what: `linked`, `refused` (a new link), `dropped` (one that was in force), `unbound`, `merged`, `split`, `moved`, `shared`,
            `blocked`, `released`, or `limits` (other ones are in force).
        a, b: the link's nodes; the node in `a` alone where there is one; both empty for `limits`.
        rule: why: the link's rule, or that by which it was refused or dropped; of `limits` what has changed since those that the log had
            before, empty for the first ones.
        profile_id: the profile that is there afterwards.
        other_profile: the one that was there before.
    """

    what: str
    a: str = ""
    b: str = ""
    rule: str = ""
    profile_id: str = ""
    other_profile: str = ""


class Outcome(msgspec.Struct, frozen=True):
    """What a record led to, and what nodes and profiles have to be told because of it."""

    decisions: list[Decision]
    aliases: list[Alias]
    rosters: list[Roster]


class Graph:
    """One tenant's graph.

    Args:
        identity: the order of namespaces, and the limits until the log says others.
        tenant: whose graph.
        store: what it remembers, the limits that the log has said among it.
    """

    def __init__(self, identity: Identity, tenant: str, store: Store) -> None:
        self._identity, self._tenant, self._store = identity, tenant, store
        # Read from the store once, at the first record: decoding them at each would be felt.
        self._limits: Limits | None = None

    def take(self, record: LogRecord, epoch: int) -> Outcome:
        """Take in a record of the log.

        Args:
            record: of this graph's tenant.
            epoch: its place in the log, from 1; greater than that of every record before.
        """
        state = GraphState(self._store)
        if self._limits is None:
            self._limits = self._kept_limits(state)
        step = _Step(self._limits, state, record, epoch)
        if isinstance(record, Link):
            step.link(record)
        elif isinstance(record, Unbind):
            step.unbind(record)
        elif isinstance(record, Block):
            step.block(record.node)
        elif isinstance(record, Release):
            step.release(record.node)
        elif isinstance(record, Rules):
            if step.rule(record):
                self._limits = Limits(self._identity, self._tenant, read_limits(record.body), epoch)
        else:
            step.settle(record.node)
        return step.done()

    @property
    def limits(self) -> Limits:
        """The limits in force."""
        return self._limits or self._kept_limits(GraphState(self._store))

    def _kept_limits(self, state: GraphState) -> Limits:
        kept = state.rules()
        if kept is None:
            return Limits(self._identity, self._tenant)
        epoch, body = kept
        return Limits(self._identity, self._tenant, read_limits(body), epoch)


class _Step:
    """One record's way through the graph."""

    def __init__(self, limits: Limits, state: GraphState, record: LogRecord, epoch: int) -> None:
        self._limits, self._state = limits, state
        self._tenant, self._epoch, self._at = record.tenant, epoch, record.at
        self._clock = state.clock(record.at)
        self._decisions: list[Decision] = []
        self._before: dict[str, str] = {}
        self._profiles: dict[str, None] = {}
        self._suspects: list[str] = []
        self._named = 0

    def link(self, link: Link) -> None:
        """Two nodes are one person's."""
        one, other = self._named_node(link.a), self._named_node(link.b)
        if link.a == link.b:
            return
        for node in (one, other):
            if node.status:
                self._decide(REFUSED, link.a, link.b, node.status)
                return
        known = one.ties.get(link.b)
        if known is not None:
            if link.is_stated and not known.is_stated:
                self._tie(link.a, link.b, Tie(known.epoch, is_stated=True))
                self._join_groups(one.profile_id, link)
                self._decide(LINKED, link.a, link.b, link.rule, one.profile_id)
            return
        if link.is_stated:
            self._reconcile(link.a, link.b)
        here, there = self._state.profile(one.profile_id), self._state.profile(other.profile_id)
        tie, is_one = Tie(self._epoch, link.is_stated), one.profile_id == other.profile_id
        strength = self._strength(link.a, link.b, tie)
        why = ""
        if is_one:
            is_free = True
        elif link.is_stated:
            is_free = not self._limits.is_stated_in_vain(here, there, link.a, link.b, self._clock)
        else:
            why = self._limits.conflict(here, there, self._clock, is_stated=False)
            is_free = not why
        if is_free:
            self._tie(link.a, link.b, tie)
            into = one.profile_id if is_one else self._merge(one.profile_id, other.profile_id)
            self._weaken(into, strength)
            self._join_groups(into, link)
            self._decide(LINKED, link.a, link.b, link.rule, into)
        elif why and strength >= max(here.weakest, there.weakest) and min(here.judged, there.judged) == self._limits.since:
            # It would be the last one to be looked at, and those before it agree with each other by the limits in force.
            self._refuse(link.a, link.b, why)
        else:
            self._settle([one.profile_id, other.profile_id], (link.a, link.b, tie), link.rule)
        self._part_with_shared()

    def unbind(self, record: Unbind) -> None:
        """Two nodes are not one person's."""
        one, other = self._named_node(record.a), self._named_node(record.b)
        if record.a == record.b or record.b in one.apart:
            return
        one.apart.append(record.b)
        other.apart.append(record.a)
        for profile_id in (one.profile_id, other.profile_id):
            profile = self._state.profile(profile_id)
            if _pair(record.a, record.b) not in profile.apart:
                profile.apart.append(_pair(record.a, record.b))
            self._state.set_profile(profile_id, profile)
        self._changed(record.a, record.b)
        self._decide(UNBOUND, record.a, record.b)
        if one.profile_id == other.profile_id:
            self._settle([one.profile_id])
            self._part_with_shared()

    def block(self, key: str) -> None:
        """A node is nobody's, whatever records show."""
        self.isolate(key, BLOCKED)
        self._part_with_shared()

    def isolate(self, key: str, status: str) -> None:
        """A node is nobody's: it loses its ties and gets no others."""
        node = self._named_node(key)
        if node.status == status:
            return
        node.status = status
        self._changed(key)
        self._decide(status, key)
        if node.ties:
            for partner in list(node.ties):
                self._untie(key, partner)
                self._decide(DROPPED, key, partner, status)
            self._settle([node.profile_id])

    def release(self, key: str) -> None:
        """A node may be somebody's again."""
        node = self._named_node(key)
        if node.status or node.refused:
            node.status, node.refused = OPEN, []
            self._changed(key)
            self._decide(RELEASED, key)

    def rule(self, record: Rules) -> bool:
        """Other limits are in force from here on; returns whether they are others. What was decided before stays."""
        is_first = self._state.rules() is None
        found = changes(self._limits.in_force, read_limits(record.body))
        if not is_first and not found:
            return False
        self._state.set_rules(self._epoch, record.body)
        self._decide(LIMITS, rule="" if is_first else ", ".join(map(str, found)))
        return True

    def settle(self, key: str) -> None:
        """The links of a node's person are looked at anew by the limits in force."""
        node = self._named_node(key)
        self._suspects.append(key)
        if node.ties:
            self._settle([node.profile_id])
        self._part_with_shared()

    def done(self) -> Outcome:
        """Write what changed, and tell those whom it concerns."""
        aliases, rosters = [], []
        for profile_id in self._profiles:
            found = self._members(profile_id)
            rosters.append(Roster(self._tenant, profile_id, self._epoch, sorted(found)))
            for key, member in sorted(found.items()):
                if self._before.get(key, profile_id) != profile_id or not member.is_told:
                    member.is_told = True
                    aliases.append(Alias(key, self._tenant, profile_id, self._epoch))
        for key, before in self._before.items():
            now = self._state.node(key).profile_id
            if now != before:
                self._decide(MOVED, key, profile_id=now, other_profile=before)
        self._state.write()
        return Outcome(self._decisions, aliases, rosters)

    def _named_node(self, key: str) -> NodeRecord:
        """A node that the record names, in the order in which it names them."""
        place = self._epoch * 2 + self._named
        self._named += 1
        return self._state.find(key) or self._state.begin(key, NodeRecord(profile_of(key), place, self._at), self._limits.since)

    def _members(self, profile_id: str) -> dict[str, Member]:
        """A profile's nodes; none when it has ended."""
        found = self._state.find_profile(profile_id)
        return {} if found is None else found.members

    def _merge(self, one_id: str, other_id: str) -> str:
        """Make two profiles one; returns which survives."""
        one, other = self._state.profile(one_id), self._state.profile(other_id)
        if self._order(self._limits.founder(other.members)) < self._order(self._limits.founder(one.members)):
            one_id, other_id, one, other = other_id, one_id, other, one
        for key in other.members:
            self._move(key, one_id)
        self._state.set_profile(one_id, _joined(one, other))
        self._state.set_profile(other_id, None)
        self._profiles |= {one_id: None, other_id: None}
        self._decide(MERGED, profile_id=one_id, other_profile=other_id)
        return one_id

    def _settle(self, profile_ids: list[str], new: tuple[str, str, Tie] | None = None, rule: str = "") -> None:
        """Take the ties of some profiles, and a new one, from the strongest to the weakest, and drop those that are in conflict.

        Args:
            profile_ids: whose ties.
            new: a tie that is not in force yet.
            rule: of the new one.
        """
        parts = {key: self._alone(key, member) for one in profile_ids for key, member in self._state.profile(one).members.items()}
        ties = self._ties(parts)
        if new is not None:
            ties.append(new)
        dropped = []
        for a, b, tie in sorted(ties, key=lambda one: (self._strength(*one), one[2].epoch)):
            here, there = parts[a], parts[b]
            if here is not there:
                why = self._limits.conflict(here, there, self._clock, is_stated=tie.is_stated)
                if why:
                    dropped.append((a, b, tie, why))
                    continue
                here = _joined(here, there)
                parts.update(dict.fromkeys(here.members, here))
            here.weakest = max(here.weakest, self._strength(a, b, tie))
            if tie.is_stated:
                united(here, a, b)
            if new is not None and tie is new[2]:
                self._tie(a, b, tie)
                self._decide(LINKED, a, b, rule)
        for a, b, tie, why in dropped:
            if new is not None and tie is new[2]:
                self._refuse(a, b, why)
            else:
                self._untie(a, b)
                self._decide(DROPPED, a, b, why)
                self._note_refused(a, b, why)
        self._name(profile_ids, list({id(part): part for part in parts.values()}.values()))

    def _alone(self, key: str, member: Member) -> ProfileRecord:
        """A node by itself, as the beginning of a part."""
        apart = [_pair(key, partner) for partner in self._state.node(key).apart]
        return ProfileRecord({key: Member(member.first, member.first_at, key, member.is_told)}, apart, judged=self._limits.since)

    def _ties(self, nodes: Iterable[str]) -> list[tuple[str, str, Tie]]:
        """The ties of some nodes, each once."""
        found = [(key, partner, tie) for key in nodes for partner, tie in self._state.node(key).ties.items()]
        return [one for one in found if self._order(one[0]) < self._order(one[1])]

    def _name(self, profile_ids: list[str], parts: list[ProfileRecord]) -> None:
        """Give parts the ids of the profiles whose strongest node they hold, or new ones: an id is never used again."""
        founders = {one: self._limits.founder(self._state.profile(one).members) for one in profile_ids}
        before = {key: one for one in profile_ids for key in self._state.profile(one).members}
        named: dict[str, ProfileRecord] = {}
        for part in parts:
            held = [one for one in profile_ids if founders[one] in part.members]
            anchor = self._limits.founder(part.members)
            name = min(held, key=lambda one: self._order(founders[one])) if held else profile_of(anchor, self._epoch)
            named[name] = part
            for other in held:
                if other != name:
                    self._decide(MERGED, profile_id=name, other_profile=other)
            if not held:
                self._decide(SPLIT, anchor, profile_id=name, other_profile=before[anchor])
        is_as_before = before == {key: name for name, part in named.items() for key in part.members}
        for one in profile_ids:
            self._state.set_profile(one, named.get(one))
        for name, part in named.items():
            self._state.set_profile(name, part)
            for key in part.members:
                if before[key] != name:
                    self._move(key, name)
        if not is_as_before:
            self._profiles |= dict.fromkeys([*profile_ids, *named])

    def _order(self, key: str) -> tuple[int, int]:
        return self._limits.rank(key), self._state.node(key).first

    def _move(self, key: str, profile_id: str) -> None:
        node = self._state.node(key)
        self._before.setdefault(key, node.profile_id)
        node.profile_id = profile_id
        self._state.changed(key)

    def _join_groups(self, profile_id: str, link: Link) -> None:
        if link.is_stated:
            profile = self._state.profile(profile_id)
            united(profile, link.a, link.b)
            self._state.set_profile(profile_id, profile)

    def _weaken(self, profile_id: str, strength: list[int]) -> None:
        profile = self._state.profile(profile_id)
        if strength > profile.weakest:
            profile.weakest = strength
            self._state.set_profile(profile_id, profile)

    def _strength(self, a: str, b: str, tie: Tie) -> list[int]:
        return self._limits.strength(a, b, is_stated=tie.is_stated)

    def _tie(self, a: str, b: str, tie: Tie) -> None:
        self._state.node(a).ties[b] = tie
        self._state.node(b).ties[a] = tie
        self._changed(a, b)

    def _untie(self, a: str, b: str) -> None:
        del self._state.node(a).ties[b]
        del self._state.node(b).ties[a]
        self._changed(a, b)

    def _reconcile(self, a: str, b: str) -> None:
        """What was unbound is stated to be one again."""
        for key, partner in ((a, b), (b, a)):
            node = self._state.node(key)
            if partner in node.apart:
                node.apart.remove(partner)
                profile = self._state.profile(node.profile_id)
                profile.apart = [pair for pair in profile.apart if pair != _pair(a, b)]
                self._state.set_profile(node.profile_id, profile)
                self._changed(key)

    def _refuse(self, a: str, b: str, why: str) -> None:
        self._decide(REFUSED, a, b, why)
        self._note_refused(a, b, why)

    def _note_refused(self, a: str, b: str, why: str) -> None:
        if not (why == TOO_MANY or why.startswith(MOST)):
            return
        for key, partner in ((a, b), (b, a)):
            node, hashed = self._state.node(key), hash64(partner.encode())
            if not self._limits.is_counted(key):
                continue
            self._suspects.append(key)
            if hashed not in node.refused:
                node.refused.append(hashed)
                self._state.changed(key)

    def _part_with_shared(self) -> None:
        """Nodes that could not be joined with too many others are nobody's.

        One by one, the one that the log named first before the others: what was stated to be one with it may be in conflict without it.
        """
        while found := [key for key in dict.fromkeys(self._suspects) if self._is_to_part(key)]:
            self.isolate(min(found, key=lambda key: self._state.node(key).first), SHARED)

    def _is_to_part(self, key: str) -> bool:
        node = self._state.node(key)
        return not node.status and self._limits.is_shared(key, node)

    def _changed(self, *keys: str) -> None:
        for key in keys:
            self._state.changed(key)

    def _decide(self, what: str, a: str = "", b: str = "", rule: str = "", profile_id: str = "", other_profile: str = "") -> None:
        self._decisions.append(Decision(what, a, b, rule, profile_id, other_profile))


def _pair(a: str, b: str) -> tuple[str, str]:
    return (a, b) if a < b else (b, a)


def _joined(one: ProfileRecord, other: ProfileRecord) -> ProfileRecord:
    apart = list(dict.fromkeys([*one.apart, *other.apart]))
    return ProfileRecord(one.members | other.members, apart, max(one.weakest, other.weakest), min(one.judged, other.judged))
