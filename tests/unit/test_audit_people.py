"""`cdp verify` replays the link log by code of its own: it must come to the same people as the oracle, which looks at everything anew."""

from typing import Any

from hypothesis import given, settings

from cli.audit.people import Replay
from tests.oracle.identity_graph import SlowGraph
from tests.unit.pipelines.test_identity_graph import SPACES, World, logs


def as_written(record: dict[str, Any]) -> dict[str, Any]:
    """A record as it lies in `cdp.links`."""
    return {"rule": "seen", "b": "", "a": record.get("node"), **record, "log_time": record["at"]}


@given(logs)
@settings(max_examples=300, deadline=None)
def test_the_replay_comes_to_the_oracles_people(log: list[dict[str, Any]]) -> None:
    replay, slow = Replay(World().identity, "t"), SlowGraph(SPACES, 6)
    for epoch, record in enumerate(log, 1):
        replay.take(as_written(record), epoch)
        slow.take(record, epoch)
        assert replay.person == slow.profile
        assert set(replay.members().values()) == {frozenset(part) for part in slow.parts()}
