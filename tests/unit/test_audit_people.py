"""`cdp verify` replays the link log by code of its own: it must come to the same people as the oracle, which looks at everything anew."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cli.audit.identity import _is_taken
from cli.audit.people import Replay
from pipelines.identity import link_log
from tests.oracle.identity_graph import SlowGraph
from tests.unit.pipelines.test_identity_graph import SHARED_AT_ONCE, SPACES, World, logs, turned


def as_written(record: dict[str, Any]) -> dict[str, Any]:
    """A record as it lies in `cdp.links`."""
    return {"rule": "seen", "b": "", "a": record.get("node", ""), "body": "", **record, "log_time": record["at"]}


@example(SHARED_AT_ONCE)
@given(st.one_of(logs, turned))
@settings(max_examples=300, deadline=None)
def test_the_replay_comes_to_the_oracles_people(log: list[dict[str, Any]]) -> None:
    replay, slow = Replay(World().identity, "t"), SlowGraph(SPACES, 6)
    for epoch, record in enumerate(log, 1):
        replay.take(as_written(record), epoch)
        slow.take(record, epoch)
        assert replay.person == slow.profile
        assert set(replay.members().values()) == {frozenset(part) for part in slow.parts()}


values = st.one_of(st.none(), st.booleans(), st.integers(-1, 5), st.sampled_from([10_000, 10_001, 36_500, 36_501, 2.0, "3"]))
spaces = st.dictionaries(st.sampled_from(["most", "days", "shared_after", "other"]), values, max_size=3)
bodies = st.one_of(
    st.fixed_dictionaries(
        {"most_identifiers": st.one_of(st.integers(1, 10_001), values), "namespaces": st.dictionaries(st.text(), spaces)}
    ),
    st.dictionaries(st.sampled_from(["most_identifiers", "namespaces", "other"]), st.one_of(values, spaces)),
    values,
).map(json.dumps)
texts = st.one_of(bodies, bodies, st.text(max_size=10), st.just('{"most_identifiers":5,"namespaces":{"\\ud800":{}}}'))


@given(st.one_of(texts, st.just(json.dumps({"most_identifiers": 5, "namespaces": {str(number): {} for number in range(257)}}))))
@settings(max_examples=400, deadline=None)
def test_the_replay_passes_over_those_limits_that_the_resolver_rejects(body: str) -> None:
    record = {
        "tenant": "t",
        "kind": "rules",
        "rule": "seen",
        "a": "",
        "b": "",
        "message_id": "m",
        "log_time": 0,
        "reason": "",
        "body": body,
    }
    try:
        link_log.read(record, [])
        is_read = True
    except link_log.LinkLogError:
        is_read = False
    assert _is_taken(record, b"t", []) == is_read
    if not is_read:
        with pytest.raises(ValueError, match="no limits"):
            Replay(World().identity, "t").take(record, 1)
