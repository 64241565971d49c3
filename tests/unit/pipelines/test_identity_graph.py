"""The identity graph: what links, what wins, what a limit does; and that it equals a graph that looks at everything anew each time."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from config import loader
from config.identity import Identity
from pipelines.identity.graph import Decision, Graph, Outcome
from pipelines.identity.link_log import LogRecord
from tests.oracle.identity_graph import SlowGraph

DAY = 86_400_000
SPACES: list[dict[str, Any]] = [
    {"name": "user_id", "most": 1, "shared_after": 3},
    {"name": "email", "most": 2, "shared_after": 2},
    {"name": "anonymous_id", "most": 3, "days": 30, "shared_after": 3},
    {"name": "open_id"},
]
_read = msgspec.convert


class World:
    """A graph, and what nodes and profiles have been told by it.

    Args:
        spaces: namespaces with their limits, by the configuration.
        most: identifiers of a profile, by the configuration.
        lives_on: one graph takes all records; else each is taken by a new one that knows what the store holds.
    """

    def __init__(self, spaces: list[dict[str, Any]] = SPACES, most: int = 6, lives_on: bool = False) -> None:
        written = [{"name": one["name"], "limits": {k: v for k, v in one.items() if k != "name"}} for one in spaces]
        others = msgspec.to_builtins(loader.identity()) | {"namespaces": written, "customers": [], "strip_float_suffix": []}
        self.identity = msgspec.convert(others | {"graph": {"most_identifiers": most}}, Identity)
        self.kept: dict[str, bytes] = {}
        self.graph = Graph(self.identity, "t", self) if lives_on else None
        self.epoch = 0
        self.belongs: dict[str, str] = {}
        self.rosters: dict[str, list[str]] = {}
        self.decisions: list[Decision] = []

    # The graph's store: a mapping of bytes.
    def get(self, key: str) -> bytes | None:
        return self.kept.get(key)

    def put(self, key: str, value: bytes) -> None:
        self.kept[key] = value

    def remove(self, key: str) -> None:
        del self.kept[key]

    def take(self, record: dict[str, Any]) -> Outcome:
        """One more record."""
        self.epoch += 1
        outcome = (self.graph or Graph(self.identity, "t", self)).take(_read(record, LogRecord), self.epoch)
        for alias in outcome.aliases:
            assert alias.epoch == self.epoch
            self.belongs[alias.node] = alias.profile_id
        for roster in outcome.rosters:
            assert roster.epoch == self.epoch
            self.rosters[roster.profile_id] = roster.nodes
        self.decisions += outcome.decisions
        return outcome

    def said(self, *what: str) -> list[tuple[str, str, str, str]]:
        return [(one.what, one.a[2:], one.b[2:], one.rule) for one in self.decisions if one.what in what]

    def people(self) -> set[frozenset[str]]:
        return {frozenset(node[2:] for node in nodes) for nodes in self.rosters.values() if nodes}


def link(a: str, b: str, rule: str = "seen", at: int = 0) -> dict[str, Any]:
    return {"kind": "link", "tenant": "t", "at": at, "a": "t|" + a, "b": "t|" + b, "rule": rule}


def unbind(a: str, b: str) -> dict[str, Any]:
    return {"kind": "unbind", "tenant": "t", "at": 0, "a": "t|" + a, "b": "t|" + b}


def about(kind: str, node: str) -> dict[str, Any]:
    return {"kind": kind, "tenant": "t", "at": 0, "node": "t|" + node}


def rules(most: int = 6, at: int = 0, **spaces: dict[str, int]) -> dict[str, Any]:
    """A record of limits: those of SPACES with others for some."""
    limits = {one["name"]: {k: v for k, v in one.items() if k != "name"} for one in SPACES} | spaces
    return {"kind": "rules", "tenant": "t", "at": at, "body": json.dumps({"most_identifiers": most, "namespaces": limits})}


def played(*records: dict[str, Any], most: int = 6) -> World:
    world = World(most=most)
    for record in records:
        world.take(record)
    return world


NUMBERS = {"user_id": 3, "email": 4, "anonymous_id": 5, "open_id": 3}
NODES = [f"{space}|{number}" for space, most in NUMBERS.items() for number in range(most)]
nodes = st.sampled_from(NODES)
times = st.integers(0, 60).map(lambda days: days * DAY)
links = st.builds(link, nodes, nodes, st.sampled_from(["seen"] * 6 + ["alias", "bind"]), times)
others = st.one_of(st.builds(unbind, nodes, nodes), st.builds(about, st.sampled_from(["block", "release", "release"]), nodes))
limits = st.fixed_dictionaries({}, optional={"most": st.integers(1, 4), "days": st.integers(1, 40), "shared_after": st.integers(1, 4)})
changed = st.builds(
    lambda most, at, spaces: rules(most, at, **spaces),
    st.integers(2, 8),
    times,
    st.dictionaries(st.sampled_from(list(NUMBERS)), limits, max_size=3),
)
settled = st.builds(about, st.just("settle"), nodes)
others = st.one_of(others, others, changed, settled)
records = st.one_of(links, links, links, links, links, others)


def of_size(least: int, most: int, one: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Lists of all sizes alike: by itself Hypothesis draws short ones, in which hardly anything is ever in conflict."""
    return st.integers(least, most).flatmap(lambda size: st.lists(one, min_size=size, max_size=size))


logs = of_size(0, 60, records)

# Few identifiers that may first be together, and then may not.
FEW = ["user_id|0", "user_id|1", "email|0", "email|1", "email|2", "anonymous_id|0", "anonymous_id|1", "open_id|0"]
few, and_new = st.sampled_from(FEW), st.sampled_from([*FEW, "email|3", "anonymous_id|2", "open_id|1"])
how = st.sampled_from(["seen"] * 6 + ["bind"])
close, closer = st.builds(link, few, few, how), st.builds(link, and_new, and_new, how)
one_or_two = st.integers(1, 2)
loose = st.builds(
    lambda users: rules(8, user_id={"most": users, "shared_after": 4}, email={"shared_after": 4}, anonymous_id={"shared_after": 4}),
    one_or_two,
)
tight = st.builds(
    lambda most, users, emails, browsers, after: rules(
        most,
        user_id={"most": users},
        email={"most": emails, "shared_after": after},
        anonymous_id={"most": browsers, "shared_after": after},
    ),
    st.integers(3, 8),
    *[one_or_two] * 4,
)
said = st.builds(about, st.sampled_from(["block", "settle", "settle", "release"]), few)
turned = st.builds(
    lambda first, before, then, after, again: [first, *before, then, *after, *again],
    loose,
    of_size(4, 20, close),
    tight,
    of_size(1, 10, st.one_of(closer, closer, said, st.builds(unbind, few, few))),
    st.one_of(st.just([]), st.builds(lambda other, more: [other, *more], tight, of_size(1, 6, st.one_of(closer, said)))),
)


# Two identifiers become shared at once, and what was stated to be one by way of them is not any more: which of them goes first matters.
SHARED_AT_ONCE = [
    rules(8, email={"shared_after": 4}, anonymous_id={"shared_after": 4}),
    link("user_id|0", "anonymous_id|0"),
    link("user_id|1", "email|0"),
    link("user_id|1", "email|1"),
    link("email|0", "email|2"),
    link("email|0", "anonymous_id|0", "bind"),
    link("email|1", "anonymous_id|0", "bind"),
    rules(4, email={"most": 1, "shared_after": 1}, anonymous_id={"most": 1, "shared_after": 1}),
    about("settle", "anonymous_id|0"),
]


@example(SHARED_AT_ONCE, True)
@given(st.one_of(logs, turned), st.booleans())
@settings(max_examples=600, deadline=None)
def test_it_equals_a_graph_that_looks_at_everything_anew(log: list[dict[str, Any]], lives_on: bool) -> None:
    world, slow = World(lives_on=lives_on), SlowGraph(SPACES, 6)
    for epoch, record in enumerate(log, 1):
        slow.log.clear()
        before = len(world.decisions)
        world.take(record)
        slow.take(record, epoch)
        slow.check()
        # What nodes and profiles were told: where every node belongs, and whom every profile has to hold.
        told = {node: world.belongs.get(node, slow.profile[node]) for node in slow.profile}
        assert told == slow.profile
        for part in slow.parts():
            name = slow.profile[min(part)]
            assert world.rosters.get(name, sorted(part)) == sorted(part)
            if len(part) > 1:
                assert name in world.rosters
        ended = world.rosters.keys() - set(slow.profile.values())
        assert not any(world.rosters[one] for one in ended)
        news = [(one.what, *sorted((one.a, one.b))) for one in world.decisions[before:] if one.what in ("refused", "dropped")]
        assert sorted(news) == sorted(slow.log)
        event(f"dropped: {any(one[0] == 'dropped' for one in slow.log)}")
    event(f"shared: {'shared' in slow.status.values()}")
    event(f"limits change: {slow.says_limits}")


@given(st.lists(st.tuples(nodes, nodes), max_size=30), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_without_limits_the_order_of_links_does_not_matter(pairs: list[tuple[str, str]], random: Any) -> None:
    spaces = [{"name": space["name"]} for space in SPACES]
    ends = []
    for order in (pairs, random.sample(pairs, len(pairs))):
        world = World(spaces, most=100)
        for a, b in order:
            world.take(link(a, b))
        ends.append(world.people())
    assert ends[0] == ends[1]


@given(logs, st.integers(0, 60))
@settings(max_examples=100, deadline=None)
def test_a_log_taken_in_again_from_a_copy_of_the_state_says_the_same(log: list[dict[str, Any]], cut: int) -> None:
    world = World()
    for record in log[:cut]:
        world.take(record)
    copy, epoch = dict(world.kept), world.epoch
    first = [world.take(record) for record in log[cut:]]
    world.kept, world.epoch = copy, epoch
    assert [world.take(record) for record in log[cut:]] == first


def test_a_log_in_gives_its_visits_to_the_person() -> None:
    world = played(link("user_id|1", "anonymous_id|1"), link("user_id|1", "anonymous_id|2"), link("email|1", "anonymous_id|2"))
    assert world.people() == {frozenset({"user_id|1", "anonymous_id|1", "anonymous_id|2", "email|1"})}
    # The strongest identifier's profile is the one that stays.
    assert {world.belongs["t|anonymous_id|1"], world.belongs["t|email|1"]} == {world.belongs["t|user_id|1"]}


def test_the_second_person_on_a_device_does_not_get_the_first_one_s_visits() -> None:
    world = played(link("user_id|1", "anonymous_id|1"), link("user_id|2", "anonymous_id|1"))
    assert world.said("refused") == [("refused", "user_id|2", "anonymous_id|1", "most:user_id")]
    assert world.people() == {frozenset({"user_id|1", "anonymous_id|1"})}


def test_a_stronger_link_takes_a_node_from_a_weaker_one() -> None:
    # open_id is the weakest namespace here: its link goes when two user ids would meet by way of it.
    world = played(link("user_id|1", "open_id|1"), link("open_id|1", "anonymous_id|1"), link("user_id|2", "anonymous_id|1"))
    assert world.said("dropped") == [("dropped", "anonymous_id|1", "open_id|1", "most:user_id")]
    assert world.people() == {frozenset({"user_id|1", "open_id|1"}), frozenset({"user_id|2", "anonymous_id|1"})}


def test_an_alias_joins_two_user_ids_although_a_person_has_one() -> None:
    world = played(link("user_id|1", "user_id|2", "alias"), link("user_id|1", "anonymous_id|1"), link("user_id|3", "anonymous_id|1"))
    assert world.people() == {frozenset({"user_id|1", "user_id|2", "anonymous_id|1"})}
    assert world.said("refused") == [("refused", "user_id|3", "anonymous_id|1", "most:user_id")]


def test_what_was_unbound_stays_apart_until_it_is_bound_again() -> None:
    world = played(link("user_id|1", "email|1"), link("email|1", "anonymous_id|1"), unbind("user_id|1", "anonymous_id|1"))
    # The weaker of the two links between them goes.
    assert world.people() == {frozenset({"user_id|1", "email|1"}), frozenset({"anonymous_id|1"})}
    parted = world.belongs["t|anonymous_id|1"]
    world.take(link("user_id|1", "anonymous_id|1"))
    assert world.said("refused") == [("refused", "user_id|1", "anonymous_id|1", "apart")]
    world.take(link("user_id|1", "anonymous_id|1", "bind"))
    assert world.people() == {frozenset({"user_id|1", "email|1", "anonymous_id|1"})}
    assert world.belongs["t|anonymous_id|1"] != parted


def test_a_part_that_leaves_gets_an_id_that_was_never_used() -> None:
    world = World()
    seen = set()
    for _ in range(3):
        world.take(link("user_id|1", "anonymous_id|1", "bind"))
        world.take(unbind("user_id|1", "anonymous_id|1"))
        parted = world.belongs["t|anonymous_id|1"]
        assert parted not in seen
        seen.add(parted)


def test_a_device_that_many_use_is_nobody_s_until_it_is_released() -> None:
    world = played(*(link(f"user_id|{number}", "anonymous_id|1") for number in range(4)))
    assert world.said("shared") == [("shared", "anonymous_id|1", "", "")]
    assert world.people() == {frozenset({"user_id|0"}), frozenset({"anonymous_id|1"})}
    world.take(link("user_id|4", "anonymous_id|1"))
    assert world.said("refused")[-1] == ("refused", "user_id|4", "anonymous_id|1", "shared")
    world.take(about("release", "anonymous_id|1"))
    world.take(link("user_id|0", "anonymous_id|1"))
    assert world.people() == {frozenset({"user_id|0", "anonymous_id|1"})}


def test_a_blocked_node_is_nobody_s() -> None:
    world = played(link("user_id|1", "email|1"), about("block", "email|1"), link("user_id|2", "email|1"))
    assert world.people() == {frozenset({"user_id|1"}), frozenset({"email|1"})}
    assert world.said("refused") == [("refused", "user_id|2", "email|1", "blocked")]


@pytest.mark.parametrize(("days", "people"), [(31, 1), (29, 2)])
def test_only_identifiers_of_the_window_count(days: int, people: int) -> None:
    old = [link("user_id|1", f"anonymous_id|{number}") for number in range(3)]
    world = played(*old, link("user_id|1", "anonymous_id|3", at=days * DAY))
    assert len(world.people() | {frozenset({"anonymous_id|3"})} if people == 2 else world.people()) == people


def test_a_profile_has_a_greatest_size() -> None:
    world = played(*(link("user_id|1", f"open_id|{number}") for number in range(5)), most=4)
    assert [len(one) for one in world.people()] == [4]
    assert {one[3] for one in world.said("refused")} == {"most_identifiers"}


def test_a_repeated_record_changes_nothing() -> None:
    world = played(link("user_id|1", "email|1"))
    again = world.take(link("email|1", "user_id|1"))
    assert (again.decisions, again.aliases, again.rosters) == ([], [], [])


def test_other_limits_judge_what_comes_and_leave_what_was() -> None:
    world = played(link("user_id|1", "email|1"), link("user_id|1", "email|2"), rules(email={"most": 1}))
    assert world.said("limits") == [("limits", "", "", "")]
    assert world.people() == {frozenset({"user_id|1", "email|1", "email|2"})}
    # Brings no e-mail address: the person, which has too many of them by now, gets it.
    world.take(link("user_id|1", "anonymous_id|1"))
    assert len(world.people()) == 1
    # Is in conflict: then all links of the person are judged by what is in force.
    world.take(link("email|3", "anonymous_id|1"))
    assert world.people() == {frozenset({"user_id|1", "email|1", "anonymous_id|1"}), frozenset({"email|2"}), frozenset({"email|3"})}


def test_looser_limits_let_in_what_comes_again() -> None:
    log = [link("user_id|1", "anonymous_id|1"), link("user_id|2", "anonymous_id|1"), rules(), rules(user_id={"most": 2})]
    world = played(*log)
    assert [one[3] for one in world.said("limits")] == ["", "most:user_id 1 -> 2, shared_after:user_id 3 -> none"]
    assert len(world.people()) == 1
    world.take(link("user_id|2", "anonymous_id|1"))
    assert world.people() == {frozenset({"user_id|1", "user_id|2", "anonymous_id|1"})}


def test_a_person_is_settled_by_the_limits_in_force() -> None:
    world = played(link("user_id|1", "email|1"), link("user_id|1", "email|2"), about("settle", "email|1"))
    assert len(world.people()) == 1, "nothing exceeds"
    world.take(rules(email={"most": 1}))
    world.take(about("settle", "email|1"))
    assert world.people() == {frozenset({"user_id|1", "email|1"}), frozenset({"email|2"})}
    assert world.said("dropped") == [("dropped", "user_id|1", "email|2", "most:email")]
    again = world.take(about("settle", "email|1"))
    assert (again.decisions, again.aliases, again.rosters) == ([], [], [])


def test_the_configuration_is_nothing_to_a_graph_whose_log_has_limits() -> None:
    log = [rules(), *(link(f"user_id|{number}", "anonymous_id|1") for number in range(3))]
    world, other = World(), World([{"name": space["name"]} for space in SPACES], most=2)
    for record in log:
        assert world.take(record) == other.take(record)


def test_limits_of_a_tenant_replace_those_of_the_namespace() -> None:
    world = World()
    own = msgspec.convert({"tenants": {"t": {"email": {"most": 1}}}}, type(world.identity.graph))
    world.identity = msgspec.structs.replace(world.identity, graph=own)
    world.take(link("user_id|1", "email|1"))
    world.take(link("user_id|1", "email|2"))
    assert world.said("refused") == [("refused", "user_id|1", "email|2", "most:email")]
