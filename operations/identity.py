"""People as the link log shows them: looking at one, telling why two identifiers are one person's or not, trying other rules on all of it.

The log is taken in by the graph itself (`pipelines.identity.graph`), so the answers are its answers.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

import msgspec
from confluent_kafka import Message

from config import loader
from config.identity import Identity
from operations.controls import LINKS
from operations.topics import each
from pipelines.identity import link_log
from pipelines.identity.graph import DROPPED, LINKED, REFUSED, Decision, Graph
from pipelines.identity.graph_state import GraphState, NodeRecord, ProfileRecord
from pipelines.identity.limits import Limits
from pipelines.identity.link_log import Link, LogRecord, Release, Rules, Settle
from schemas import clean
from schemas.registry import RegistryError

EXAMPLES: Final = 20


class Placed(NamedTuple):
    """A record of the link log and its place in it, from 1."""

    epoch: int
    record: LogRecord


class Tied(msgspec.Struct, frozen=True):
    """A link that is in force: its nodes, and the record that made it."""

    a: str
    b: str
    rule: str
    epoch: int
    at: int
    cause: str


class Turned(msgspec.Struct, frozen=True):
    """A link that is not in force: `what` has become of it (`refused`, `dropped`), by which rule, and the record at which that was."""

    a: str
    b: str
    what: str
    rule: str
    epoch: int
    at: int
    cause: str


class Person(msgspec.Struct, frozen=True):
    """One person.

    Attributes:
        profile_id: the profile's.
        nodes: node keys with the log time (ms) at which each was first linked with another, in the order of the log.
        ties: links in force, in the order of the log.
        turned: links of these nodes that are not in force, the newest verdict on each, in the order of the log.
        status: of nodes that are nobody's: `shared` or `blocked`.
    """

    profile_id: str
    nodes: list[tuple[str, int]]
    ties: list[Tied]
    turned: list[Turned]
    status: dict[str, str]


class Explained(msgspec.Struct, frozen=True):
    """Why two identifiers are one person's, or not.

    Attributes:
        is_one: whether they are.
        path: the links from the one to the other, the fewest; empty when they are two persons'.
        turned: links between their two persons that are not in force; empty when nobody ever saw them together.
    """

    is_one: bool
    path: list[Tied]
    turned: list[Turned]


class Differs(msgspec.Struct, frozen=True):
    """What other rules would change.

    Attributes:
        nodes: identifiers in the log.
        people: how many persons they are by the rules in force; `people_then` by the others.
        refused: links not in force; `refused_then` by the others.
        concerned: persons of now that would not be the same ones.
        moved: identifiers that would be together with others than now.
        joined: persons of now that would be one, up to 20: node keys of each.
        parted: persons of now that would be several, up to 20: node keys of each part.
    """

    nodes: int
    people: int
    people_then: int
    refused: int
    refused_then: int
    concerned: int
    moved: int
    joined: list[list[list[str]]]
    parted: list[list[list[str]]]


class Kept(dict[str, bytes]):
    """The graph's store."""

    def put(self, key: str, value: bytes) -> None:
        """Write a record."""
        self[key] = value

    def remove(self, key: str) -> None:
        """Delete a record."""
        del self[key]


class _Tried(Kept):
    """What a graph has changed of another store, which stays as it is.

    Args:
        below: the other one.
    """

    def __init__(self, below: Kept) -> None:
        super().__init__()
        self._below = below
        self._gone: set[str] = set()

    def get(self, key: str) -> bytes | None:  # type: ignore[override]
        """The record or None."""
        found = super().get(key)
        return found if found is not None or key in self._gone else self._below.get(key)

    def put(self, key: str, value: bytes) -> None:
        """Write a record."""
        self[key] = value
        self._gone.discard(key)

    def remove(self, key: str) -> None:
        """Delete a record."""
        self.pop(key, None)
        self._gone.add(key)

    def keep(self) -> None:
        """Change the other store likewise."""
        for key in self._gone:
            self._below.pop(key, None)
        self._below.update(self)


class People:
    """One tenant's people, by a log and by rules; `epoch` is the place of the last record that was taken in.

    Args:
        identity: the order of namespaces, and the limits until the log says others.
        tenant: whose.
        log: in its order; records of other tenants are passed over.
    """

    def __init__(self, identity: Identity, tenant: str, log: Iterable[Placed]) -> None:
        self._identity = identity
        self._kept = Kept()
        self._graph = Graph(identity, tenant, self._kept)
        self._tenant, self.epoch = tenant, 0
        self._looked: GraphState | None = None
        self._records: dict[int, LogRecord] = {}
        self._verdicts: dict[tuple[str, str], tuple[int, Decision]] = {}
        self._shown_at: dict[tuple[str, str], int] = {}
        self._requests: set[str] = set()
        self._freed_at: dict[str, int] = {}
        for placed in log:
            self.take(placed)

    def take(self, placed: Placed) -> list[Decision]:
        """Take in one more record of the log; returns what it led to."""
        if placed.record.tenant != self._tenant:
            return []
        decisions = self._graph.take(placed.record, placed.epoch).decisions
        self._note(placed, decisions)
        return decisions

    def take_if(self, placed: Placed, is_wanted: Callable[[list[Decision]], bool]) -> bool:
        """Take in one more record of the log, unless what it leads to is not wanted; returns whether it was taken."""
        tried = _Tried(self._kept)
        decisions = Graph(self._identity, self._tenant, tried).take(placed.record, placed.epoch).decisions
        if not is_wanted(decisions):
            return False
        tried.keep()
        self._graph = Graph(self._identity, self._tenant, self._kept)
        self._note(placed, decisions)
        return True

    def copy(self) -> "People":
        """The same people, to try something on."""
        made = People(self._identity, self._tenant, [])
        made._kept.update(self._kept)
        made.epoch = self.epoch
        made._records, made._verdicts, made._shown_at = self._records.copy(), self._verdicts.copy(), self._shown_at.copy()
        made._requests, made._freed_at = self._requests.copy(), self._freed_at.copy()
        return made

    def _note(self, placed: Placed, decisions: list[Decision]) -> None:
        epoch, record = placed
        self.epoch, self._looked = epoch, None
        if decisions:
            self._records[epoch] = record
        for decision in decisions:
            if decision.what in (LINKED, REFUSED, DROPPED):
                self._verdicts[_pair(decision.a, decision.b)] = epoch, decision
        if isinstance(record, Rules):
            self._requests.add(record.cause)
        elif isinstance(record, Release) and record.cause not in self._requests:
            self._freed_at[record.node] = epoch
        if isinstance(record, Link) and decisions:
            pair = _pair(record.a, record.b)
            before = self._records.get(self._shown_at.get(pair, 0))
            if before is None or (record.is_stated and isinstance(before, Link) and not before.is_stated):
                self._shown_at[pair] = epoch

    @property
    def limits(self) -> Limits:
        """The limits in force."""
        return self._graph.limits

    def named(self) -> Iterator[str]:
        """Node keys of all identifiers that the log names, in no particular order."""
        return (key[2:] for key in self._kept if key.startswith("n:"))

    def persons(self) -> Iterator[ProfileRecord]:
        """All people, in no particular order."""
        return (self.state.profile(key[2:]) for key in self._kept if key.startswith("p:"))

    def not_in_force(self) -> Iterator[tuple[int, Link, str]]:
        """Links that are not in force, without those from before somebody released one of the two by hand: that is for what comes after.

        Yields:
            Place and record of the first that stated it, or else of the first that showed it; and the rule by which it is not in force.
        """
        for pair, (_, decision) in self._verdicts.items():
            if decision.what != LINKED:
                epoch = self._shown_at[pair]
                record = self._records[epoch]
                assert isinstance(record, Link)
                if epoch > max(self._freed_at.get(node, 0) for node in pair):
                    yield epoch, record, decision.rule

    @property
    def state(self) -> GraphState:
        """The graph as it is now, to be looked at and not to be changed: what was read once is remembered."""
        if self._looked is None:
            self._looked = GraphState(self._kept)
        return self._looked

    def find(self, node: str) -> Person | None:
        """The person of an identifier; None when the log does not name it: then it is alone."""
        known = self.state.find(node)
        if known is None:
            return None
        members = self._profile(known).members
        nodes = sorted(members, key=lambda key: members[key].first)
        ties = {_pair(key, other): tie for key in nodes for other, tie in self.state.node(key).ties.items()}
        turned = self._not_in_force(lambda a, b: a in members or b in members)
        status = {key: self.state.node(key).status for key in nodes if self.state.node(key).status}
        return Person(
            known.profile_id,
            [(key, members[key].first_at) for key in nodes],
            sorted((self._tied(pair) for pair in ties), key=lambda tie: tie.epoch),
            turned,
            status,
        )

    def explain(self, a: str, b: str) -> Explained:
        """Why two identifiers are one person's, or not.

        Args:
            a: a node key.
            b: another one.
        """
        one, other = self.state.find(a), self.state.find(b)
        if a == b:
            return Explained(is_one=True, path=[], turned=[])
        if one is None or other is None:
            return Explained(is_one=False, path=[], turned=[])
        if one.profile_id == other.profile_id:
            return Explained(is_one=True, path=list(self._path(a, b)), turned=[])
        here, there = self._profile(one).members, self._profile(other).members
        turned = self._not_in_force(lambda x, y: (x in here and y in there) or (y in here and x in there))
        return Explained(is_one=False, path=[], turned=turned)

    def compare(self, then: "People") -> Differs:
        """What would be different.

        Args:
            then: the same log by other rules.
        """
        now, other = self._parts(), then._parts()
        mine = {node: part for part in now for node in part}
        theirs = {node: part for part in other for node in part}
        joined = [_of(part, mine) for part in other]
        parted = [_of(part, theirs) for part in now]
        return Differs(
            len(mine),
            len(now),
            len(other),
            self._refused(),
            then._refused(),
            len(set(now) - set(other)),
            sum(mine[node] != theirs[node] for node in mine),
            sorted(parts for parts in joined if len(parts) > 1)[:EXAMPLES],
            sorted(parts for parts in parted if len(parts) > 1)[:EXAMPLES],
        )

    def _parts(self) -> list[frozenset[str]]:
        return [frozenset(person.members) for person in self.persons()]

    def _refused(self) -> int:
        return sum(decision.what != LINKED for _, decision in self._verdicts.values())

    def _profile(self, node: NodeRecord) -> ProfileRecord:
        return self.state.profile(node.profile_id)

    def _path(self, a: str, b: str) -> Iterator[Tied]:
        """The fewest links between two nodes of one person."""
        came = {b: b}
        waiting = deque([b])
        while a not in came:
            here = waiting.popleft()
            for other in sorted(self.state.node(here).ties):
                if other not in came:
                    came[other] = here
                    waiting.append(other)
        while a != b:
            yield self._tied(_pair(a, came[a]))
            a = came[a]

    def _tied(self, pair: tuple[str, str]) -> Tied:
        epoch, decision = self._verdicts[pair]
        record = self._records[epoch]
        return Tied(decision.a, decision.b, decision.rule, epoch, record.at, record.reason or record.cause)

    def _not_in_force(self, is_meant: Callable[[str, str], bool]) -> list[Turned]:
        """The links between certain nodes that were refused or dropped, in the order of the log."""
        found = []
        for epoch, decision in self._verdicts.values():
            if decision.what != LINKED and is_meant(decision.a, decision.b):
                record = self._records[epoch]
                found.append(Turned(decision.a, decision.b, decision.what, decision.rule, epoch, record.at, record.reason or record.cause))
        return sorted(found, key=lambda link: link.epoch)


def read_log(bootstrap: str, tell: Callable[[int, int], None] = lambda *_: None) -> list[Placed]:
    """The link log of all tenants as the resolver takes it: without what it rejects.

    Records of aborted transactions are part of it: what an event shows is true whatever became of its processing.

    Args:
        bootstrap: Kafka's address.
        tell: see `operations.topics.each`.

    Raises:
        operations.topics.TopicsAwayError: Kafka does not answer.
    """
    found: list[Placed] = []
    groups = loader.identity().groups
    partitions: dict[str, int] = {}

    def take(message: Message) -> None:
        value, offset, partition = message.value(), message.offset(), message.partition()
        assert offset is not None
        assert partition is not None
        try:
            record = link_log.read(clean.decode(value or b""), groups)
        except RegistryError:
            raise
        except Exception:
            return
        if message.key() == record.tenant.encode() and partitions.setdefault(record.tenant, partition) == partition:
            found.append(Placed(offset + 1, record))

    each(bootstrap, LINKS, take, committed=False, tell=tell)
    return found


def without_limits(log: Iterable[Placed]) -> list[Placed]:
    """A log as it would be if nobody had ever changed limits, to try others on it.

    What has followed from a change of limits goes too: whatever carries the id of the request that changed them.
    """
    placed = list(log)
    requests = {record.cause for _, record in placed if isinstance(record, Rules)}
    return [one for one in placed if not isinstance(one.record, Rules | Settle) and one.record.cause not in requests]


def _pair(a: str, b: str) -> tuple[str, str]:
    return (a, b) if a < b else (b, a)


def _of(part: frozenset[str], other: dict[str, frozenset[str]]) -> list[list[str]]:
    """What a part is made of, by another way of dividing."""
    return sorted(sorted(found & part) for found in {other[node] for node in part})
