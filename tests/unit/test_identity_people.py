"""People as the link log shows them: the person of an identifier, why two are one or not, what other rules would change."""

from typing import Any

import msgspec
from hypothesis import given, settings

from config import loader
from operations.identity import People, Placed
from pipelines.identity.link_log import Link, LogRecord
from tests.oracle.identity_graph import SlowGraph
from tests.unit.pipelines.test_identity_graph import DAY, NODES, SPACES, World, link, logs, unbind

IDENTITY = World().identity


def people(*records: dict[str, Any], most: int = 6) -> People:
    log = [Placed(epoch, msgspec.convert(record, LogRecord)) for epoch, record in enumerate(records, 1)]
    return People(World(most=most).identity, "t", log)


@given(logs)
@settings(max_examples=150, deadline=None)
def test_who_is_shown_as_one_person_is_one_and_the_path_is_made_of_links_in_force(log: list[dict[str, Any]]) -> None:
    slow = SlowGraph(SPACES, 6)
    for epoch, record in enumerate(log, 1):
        slow.take(record, epoch)
    found = people(*log)
    parts = {node: part for part in slow.parts() for node in part}
    for node in (f"t|{name}" for name in NODES):
        person = found.find(node)
        assert (person is None) == (node not in parts)
        if person is None:
            continue
        assert {key for key, _ in person.nodes} == parts[node]
        assert {tuple(sorted((tie.a, tie.b))) for tie in person.ties} == {pair for pair in slow.links if pair[0] in parts[node]}
        assert person.status == {key: slow.status[key] for key in parts[node] if slow.status.get(key)}
        for other in parts:
            explained = found.explain(node, other)
            assert explained.is_one == (other in parts[node])
            here = node
            for tie in explained.path:
                assert tuple(sorted((tie.a, tie.b))) in slow.links
                here = tie.b if here == tie.a else tie.a
            assert here == other or not explained.is_one


def test_it_says_which_record_joined_and_which_did_not() -> None:
    seen = Link("t", DAY, "m1", a="t|user_id|1", b="t|anonymous_id|1")
    found = People(IDENTITY, "t", [Placed(1, seen), Placed(2, Link("t", 2 * DAY, "m2", a="t|user_id|2", b="t|anonymous_id|1"))])
    person = found.find("t|anonymous_id|1")
    assert person is not None
    assert [(tie.rule, tie.cause, tie.at) for tie in person.ties] == [("seen", "m1", DAY)]
    assert [(one.what, one.rule, one.cause) for one in person.turned] == [("refused", "most:user_id", "m2")]
    explained = found.explain("t|user_id|2", "t|user_id|1")
    assert (explained.is_one, [one.cause for one in explained.turned]) == (False, ["m2"])
    assert found.find("t|user_id|9") is None
    assert found.explain("t|user_id|9", "t|user_id|1").is_one is False


def test_other_rules_are_tried_on_the_same_log() -> None:
    log = [
        link("user_id|1", "anonymous_id|1"),
        link("user_id|2", "anonymous_id|1"),
        link("user_id|3", "email|1"),
        unbind("email|1", "open_id|1"),
    ]
    now, then = people(*log), people(*log, most=2)
    assert now.compare(now).moved == 0
    loose = msgspec.structs.replace(
        IDENTITY,
        namespaces=[msgspec.structs.replace(IDENTITY.namespaces[0], limits=IDENTITY.namespaces[3].limits), *IDENTITY.namespaces[1:]],
    )
    placed = [Placed(epoch, msgspec.convert(record, LogRecord)) for epoch, record in enumerate(log, 1)]
    found = now.compare(People(loose, "t", placed))
    assert (found.nodes, found.people, found.people_then, found.refused, found.refused_then, found.moved) == (6, 4, 3, 1, 0, 3)
    assert found.joined == [[["t|anonymous_id|1", "t|user_id|1"], ["t|user_id|2"]]]
    assert found.parted == []
    assert then.compare(now).joined == []


def test_another_tenant_s_links_are_passed_over() -> None:
    other = {**link("user_id|1", "email|1"), "tenant": "x", "a": "x|user_id|1", "b": "x|email|1"}
    assert people(other).find("x|user_id|1") is None


def test_the_rules_of_the_platform_judge_a_log() -> None:
    assert People(loader.identity(), "demo", []).find("demo|user_id|1") is None
