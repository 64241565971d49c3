"""Graph, nodes and profiles together: in whatever order links, events and words arrive, a profile shows people, never halves."""

import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core import MapStore
from config import loader
from pipelines.identity.graph import Graph
from pipelines.identity.link_log import Block, Link, LogRecord, Release, Unbind
from pipelines.identity.nodes import profile_of
from tests.in_process import InProcess
from tests.words import Words

BASE = 1_700_000_000_000
SOURCE = "cdp.raw.clickstream"
IDS = [("userId", "u1"), ("userId", "u2"), ("anonymousId", "a1"), ("anonymousId", "a2"), ("anonymousId", "a3")]
NODES = ["demo|user_id|u1", "demo|user_id|u2", "demo|anonymous_id|a1", "demo|anonymous_id|a2", "demo|anonymous_id|a3"]


class Town:
    """The pure core and the graph; each node and each profile has a queue of words of the graph that have not reached it."""

    def __init__(self) -> None:
        self.core = InProcess()
        self.graph = Graph(loader.identity(), "demo", MapStore())
        self.epoch = self.count = 0
        self.words = Words()
        self.rosters = {profile_of(node): [{node}] for node in NODES}

    def visit(self, who: int) -> None:
        self.count += 1
        field, value = IDS[who]
        body = {"type": "track", "event": "Product Viewed", "messageId": f"m{self.count}", field: value, "properties": {"product_id": "p"}}
        self.core.record(json.dumps(body).encode(), SOURCE, 0, self.count, BASE + self.count)

    def say(self, record: LogRecord) -> None:
        self.epoch += 1
        outcome = self.graph.take(record, self.epoch)
        self.words.say(outcome)
        for roster in outcome.rosters:
            self.rosters.setdefault(roster.profile_id, []).append(set(roster.nodes))

    def deliver(self, which: int) -> None:
        self.words.deliver(self.core, which)

    def settle(self) -> None:
        self.words.settle(self.core)


pairs = st.tuples(st.sampled_from(NODES), st.sampled_from(NODES))
steps = st.one_of(
    st.tuples(st.just("visit"), st.integers(0, len(IDS) - 1)),
    st.tuples(st.just("deliver"), st.integers(0, 20)),
    st.tuples(st.just("deliver"), st.integers(0, 20)),
    st.tuples(st.sampled_from(["seen", "seen", "bind", "unbind"]), pairs),
    st.tuples(st.sampled_from(["block", "release"]), st.sampled_from(NODES)),
)


@given(st.lists(steps, max_size=60))
@settings(max_examples=150, deadline=None)
def test_every_publication_is_a_person_and_the_end_is_the_union_of_its_visits(chosen: list[tuple[str, Any]]) -> None:
    town = Town()
    visits = dict.fromkeys(NODES, 0)
    for what, how in chosen:
        if what == "visit":
            town.visit(how)
            visits[NODES[how]] += 1
        elif what == "deliver":
            town.deliver(how)
        elif what == "unbind":
            town.say(Unbind("demo", BASE, a=how[0], b=how[1]))
        elif what == "block":
            town.say(Block("demo", BASE, node=how))
        elif what == "release":
            town.say(Release("demo", BASE, node=how))
        else:
            town.say(Link("demo", BASE, a=how[0], b=how[1], rule=what))
    town.settle()

    for change in town.core.changes:
        nodes = set(change.record["nodes"])
        assert not nodes or nodes in town.rosters[change.record["profile_id"]]
    last = {profile: rosters[-1] for profile, rosters in town.rosters.items()}
    shown = {profile: found["views_lifetime"] for profile, found in town.core.fields()}
    wanted = {profile: sum(visits[node] for node in nodes) for profile, nodes in last.items() if nodes}
    assert {profile: views for profile, views in shown.items() if views} == {profile: views for profile, views in wanted.items() if views}
    # Whoever was merged away sends readers on to somebody who is still there.
    for profile, change in town.core.newest.items():
        forward = msgspec.json.decode(change.patch.features).get("_merged_into")
        seen = set()
        while forward is not None and forward not in shown:
            assert forward not in seen
            seen.add(forward)
            forward = (
                msgspec.json.decode(town.core.newest[forward].patch.features).get("_merged_into") if forward in town.core.newest else None
            )
        assert (profile in shown) != (not last[profile])


def test_a_profile_that_an_undone_attempt_may_have_shown_sends_its_readers_on() -> None:
    """The attempt that counts hears of the merge first: links are not undone, and the store shows what an undone attempt has written."""
    town = Town()
    town.say(Link("demo", BASE, a=NODES[0], b=NODES[2]))
    town.settle()
    town.visit(2)
    (person,) = (profile for profile, _ in town.core.fields())
    ended = town.core.newest[profile_of(NODES[2])]
    assert msgspec.json.decode(ended.patch.features) == {"_merged_into": person}
    assert ended.record["nodes"] == {}
