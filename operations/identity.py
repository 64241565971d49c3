"""People as the link log shows them: looking at one, telling why two identifiers are one person's or not, trying other rules on all of it.

The log is taken in by the graph itself (`pipelines.identity.graph`), so the answers are its answers.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

import msgspec
from confluent_kafka import Message

from config.identity import Identity
from operations.controls import LINKS
from operations.topics import each
from pipelines.identity import link_log
from pipelines.identity.graph import DROPPED, LINKED, REFUSED, Decision, Graph
from pipelines.identity.graph_state import GraphState, NodeRecord, ProfileRecord
from pipelines.identity.link_log import LogRecord
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
        moved: identifiers that would be together with others than now.
        joined: persons of now that would be one, up to 20: node keys of each.
        parted: persons of now that would be several, up to 20: node keys of each part.
    """

    nodes: int
    people: int
    people_then: int
    refused: int
    refused_then: int
    moved: int
    joined: list[list[list[str]]]
    parted: list[list[list[str]]]


class _Kept(dict[str, bytes]):
    """The graph's store."""

    def put(self, key: str, value: bytes) -> None:
        """Write a record."""
        self[key] = value

    def remove(self, key: str) -> None:
        """Delete a record."""
        del self[key]


class People:
    """One tenant's people, by a log and by rules; `epoch` is the place of the last record that was taken in.

    Args:
        identity: the rules.
        tenant: whose.
        log: in its order; records of other tenants are passed over.
    """

    def __init__(self, identity: Identity, tenant: str, log: Iterable[Placed]) -> None:
        self._kept = _Kept()
        self._graph = Graph(identity, tenant, self._kept)
        self._tenant, self.epoch = tenant, 0
        self._looked: GraphState | None = None
        self._records: dict[int, LogRecord] = {}
        self._verdicts: dict[tuple[str, str], tuple[int, Decision]] = {}
        for placed in log:
            self.take(placed)

    def take(self, placed: Placed) -> list[Decision]:
        """Take in one more record of the log; returns what it led to."""
        epoch, record = placed
        if record.tenant != self._tenant:
            return []
        self.epoch, self._looked = epoch, None
        decisions = self._graph.take(record, epoch).decisions
        if decisions:
            self._records[epoch] = record
        for decision in decisions:
            if decision.what in (LINKED, REFUSED, DROPPED):
                self._verdicts[_pair(decision.a, decision.b)] = epoch, decision
        return decisions

    @property
    def _state(self) -> GraphState:
        """The graph as it is now, to be looked at: what was read once is remembered."""
        if self._looked is None:
            self._looked = GraphState(self._kept)
        return self._looked

    def find(self, node: str) -> Person | None:
        """The person of an identifier; None when the log does not name it: then it is alone."""
        known = self._state.find(node)
        if known is None:
            return None
        members = self._profile(known).members
        nodes = sorted(members, key=lambda key: members[key].first)
        ties = {_pair(key, other): tie for key in nodes for other, tie in self._state.node(key).ties.items()}
        turned = self._not_in_force(lambda a, b: a in members or b in members)
        status = {key: self._state.node(key).status for key in nodes if self._state.node(key).status}
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
        one, other = self._state.find(a), self._state.find(b)
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
            sum(mine[node] != theirs[node] for node in mine),
            sorted(parts for parts in joined if len(parts) > 1)[:EXAMPLES],
            sorted(parts for parts in parted if len(parts) > 1)[:EXAMPLES],
        )

    def _parts(self) -> list[frozenset[str]]:
        state = self._state
        return [frozenset(state.profile(key[2:]).members) for key in self._kept if key.startswith("p:")]

    def _refused(self) -> int:
        return sum(decision.what != LINKED for _, decision in self._verdicts.values())

    def _profile(self, node: NodeRecord) -> ProfileRecord:
        return self._state.profile(node.profile_id)

    def _path(self, a: str, b: str) -> Iterator[Tied]:
        """The fewest links between two nodes of one person."""
        came = {b: b}
        waiting = deque([b])
        while a not in came:
            here = waiting.popleft()
            for other in sorted(self._state.node(here).ties):
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
    partitions: dict[str, int] = {}

    def take(message: Message) -> None:
        value, offset, partition = message.value(), message.offset(), message.partition()
        assert offset is not None
        assert partition is not None
        try:
            record = link_log.read(clean.decode(value or b""))
        except RegistryError:
            raise
        except Exception:
            return
        if message.key() == record.tenant.encode() and partitions.setdefault(record.tenant, partition) == partition:
            found.append(Placed(offset + 1, record))

    each(bootstrap, LINKS, take, committed=False, tell=tell)
    return found


def _pair(a: str, b: str) -> tuple[str, str]:
    return (a, b) if a < b else (b, a)


def _of(part: frozenset[str], other: dict[str, frozenset[str]]) -> list[list[str]]:
    """What a part is made of, by another way of dividing."""
    return sorted(sorted(found & part) for found in {other[node] for node in part})
