"""One person, one profile (I3): events with shared orders, links, unlinks, blocks, late words and restarts in any interleaving.

In the end every profile is, field by field, what the oracle makes of all its identifiers did, and who is one person is what the replay of
`cdp verify` makes of the link log. What adds up by node is so in the oracle too.
"""

from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from bench.core import MapStore
from cli.audit.people import Replay, founded_by
from config import loader
from pipelines.identity import link_log
from pipelines.identity.graph import Graph
from pipelines.identity.link_log import Block, Link, LogRecord, Release, Unbind
from pipelines.identity.nodes import split
from tests.in_process import InProcess
from tests.ledger_world import START_MS, core, judge, written
from tests.oracle.compare import differences
from tests.unit.pipelines.test_objects_against_oracle import told
from tests.words import Words

Steps = list[tuple[str, int, int]]


class Town:
    """The pure core with a graph for each tenant; words of the graph wait in a queue for each node and profile."""

    def __init__(self, forget_every: int) -> None:
        self.core: InProcess = core(forget_every)
        tenants = ("demo", "yen", "dinar")
        self.graphs = {tenant: Graph(loader.identity(), tenant, MapStore()) for tenant in tenants}
        self.replays = {tenant: Replay(loader.identity(), tenant) for tenant in tenants}
        self.epoch = self.linked = 0
        self.words = Words()

    def say(self, record: LogRecord) -> None:
        self.epoch += 1
        outcome = self.graphs[record.tenant].take(record, self.epoch)
        self.replays[record.tenant].take(link_log.written(record), self.epoch)
        self.words.say(outcome)

    def hear_links(self) -> None:
        """What the nodes have reported since."""
        for stronger, weaker, rule in self.core.links[self.linked :]:
            self.say(Link(split(stronger)[0], START_MS, a=stronger, b=weaker, rule=rule))
        self.linked = len(self.core.links)

    def deliver(self, which: int) -> None:
        self.words.deliver(self.core, which)

    def step(self, what: str, one: int, other: int, nodes: list[str]) -> None:
        a, b = nodes[one % len(nodes)], nodes[other % len(nodes)]
        tenant = split(a)[0]
        if what == "deliver":
            self.deliver(one)
        elif what == "links":
            self.hear_links()
        elif what == "bind":
            self.say(Link(tenant, START_MS, a=a, b=b, rule="bind"))
        elif what == "unbind":
            self.say(Unbind(tenant, START_MS, a=a, b=b))
        elif what == "block":
            self.say(Block(tenant, START_MS, node=a))
        else:
            self.say(Release(tenant, START_MS, node=a))


words = st.sampled_from(["deliver"] * 4 + ["links"] * 3 + ["bind"] * 2 + ["unbind", "block", "release"])
steps = st.lists(st.lists(st.tuples(words, st.integers(0, 9), st.integers(0, 9)), max_size=4), min_size=17, max_size=17)


@settings(max_examples=150, deadline=None)
@given(told(), steps, st.integers(0, 3))
def test_every_person_is_the_union_of_what_its_identifiers_did(
    found: list[dict[str, Any]], between: list[Steps], forget_every: int
) -> None:
    town, records = Town(forget_every), written(found)
    tenant = found[0]["tenant"]
    email = town.core.nodes.key(tenant, "email", "ann@shop.org")
    nodes = [f"{tenant}|user_id|u", f"{tenant}|user_id|w", str(email), f"{tenant}|anonymous_id|a", f"{tenant}|device_id|d"]
    for record, more in zip(records, between, strict=False):
        town.core.record(record.value, record.topic, record.partition, record.offset, record.timestamp_ms)
        for step in more:
            town.step(*step, nodes)
    town.hear_links()
    town.words.settle(town.core)
    town.core.pass_time(records[-1].timestamp_ms + 1)

    oracle, person = judge(records), town.replays[tenant].person
    merged = 0
    for profile_id, fields in town.core.fields():
        change = town.core.newest[profile_id]
        members = list(change.record["nodes"])
        merged += len(members) > 1
        assert {person.get(node, founded_by(node, 0)) for node in members} == {profile_id}
        expected = oracle.at(members, change.patch.at)
        expected["rfm_version"] = fields["rfm_version"]
        assert differences(expected, fields) == {}
    shown = {node for change in town.core.newest.values() for node in change.record["nodes"]}
    seen = {one.node for one in town.core.applied if one.node}
    # Whoever is somebody's is shown there, with or without events; who is alone and did nothing need not be.
    together = {node for nodes in town.replays[tenant].members().values() if len(nodes) > 1 for node in nodes}
    assert seen | together <= shown <= seen | person.keys()
    event(f"several identifiers: {merged > 0}")
