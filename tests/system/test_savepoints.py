"""A job goes on from its savepoint with one more source and one more window: nothing is lost, nothing counts twice."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka import Consumer, TopicPartition

from config import loader
from demo.dataset import DAY_MS
from demo.messages import Message, message
from demo.stream import Slice
from sinks.clickhouse import ClickHouse
from stack import transactions
from tests.oracle.compare import differences
from tests.stacks import eventually
from tests.system import shop
from tests.system.outcome import changes, check_profiles, newest
from tests.system.running import JOB, Running, say

FIRST, THEN = Slice(days=6, customers=80), Slice(days=4, customers=40)
# Some customers come back after the restart, others stay away.
BACK, AWAY = "back-", "away-"
WHILE_SAVED = 150.0
"""Records and ticks a second while the first savepoint is made."""
NODES = [f"demo|{namespace}|{prefix}" for prefix in (BACK, AWAY) for namespace in ("user_id", "anonymous_id")]
TOPIC = "cdp.raw.loyalty"
WINDOW, WINDOW_DAYS, HOP_MIN = "14d", 14, 320
NEW_FIELDS = {f"{feature}_{WINDOW}" for feature in ("orders", "views")}

# Fields that no visit changes.
LASTING = ("orders_lifetime", "gross_lifetime", "refunded_lifetime", "first_seen_at", "first_order_at", "last_order_at", "top_products")


def _written(platform: Running) -> int:
    """How far `cdp.events` has been written, open transactions included."""
    reader = Consumer({"bootstrap.servers": platform.bootstrap, "group.id": "savepoints"})
    try:
        parts = reader.list_topics("cdp.events", timeout=10).topics["cdp.events"].partitions
        return sum(reader.get_watermark_offsets(TopicPartition("cdp.events", number), timeout=10)[1] for number in parts)
    finally:
        reader.close()


@pytest.mark.timeout(1200)
def test_a_savepoint_carries_the_job_to_another_configuration(platform: Running) -> None:
    events = shop.instalment(FIRST, platform.clock_ms(), BACK)
    before = _written(platform)
    with shop.Player(platform, events, rate=WHILE_SAVED) as player:
        player.portion()  # there has to be something that a start from the savepoint would have to commit
        eventually(lambda: _written(platform) > before, "the job writes what comes in")
        older = platform.cdp("job", "savepoint", JOB).splitlines()[-1]
        player.finish()
    platform.await_processed()
    promised = {one.id.removeprefix("cdp-profiles-").rsplit("-", 2)[0] for one in transactions.committables(Path(older))}
    assert promised >= {"cdp.events", "cdp.profile.changes"}, "what a start from here would have to commit can be read"
    shop.write(platform, shop.instalment(THEN, platform.clock_ms(), AWAY))
    platform.await_processed()
    newer = platform.cdp("job", "stop", JOB, "--savepoint").splitlines()[-1]
    before = newest(changes(*NODES))
    assert [Path(folder).parent.name for folder in (older, newer)] == [JOB, JOB], "savepoints lie by job"
    say(f"{len(before):,} profiles at the savepoint")

    refused = platform.cdp("job", "start", JOB, "--from", older, refuses=True)
    assert "would go back" in refused
    assert newer in refused
    assert "--rewind" in refused
    say(f"the older savepoint is refused: {refused}")

    add_topic_and_window()
    platform.cdp("up")  # makes the topic; the job stays stopped
    assert platform.stack.state(JOB).state == "stopped"
    start_ms = platform.clock_ms() + 1000
    arrived = visits(events, start_ms)
    shop.write(platform, arrived)
    platform.cdp("job", "start", JOB)
    platform.await_processed()

    after = newest(changes(*NODES))
    untouched = {owner for owner in before if after[owner]["version"] == before[owner]["version"]}
    say(f"{len(after) - len(before):,} new profiles, {len(untouched):,} untouched, {len(before) - len(untouched):,} published again")
    came_back = {shop.node(event) for event in arrived} & {node for change in before.values() for node in change["nodes"]}
    assert len(came_back) > 20
    for owner, change in before.items():
        old = {name: value for name, value in after[owner]["fields"].items() if name not in NEW_FIELDS}
        assert old.keys() == change["fields"].keys()
        assert {name: old[name] for name in LASTING} == {name: change["fields"][name] for name in LASTING}, owner
        if owner in untouched:
            assert not differences(change["fields"], after[owner]["fields"])
    from_topic = [change for change in after.values() if came_back & change["nodes"].keys()]
    assert all(change["fields"].keys() >= NEW_FIELDS for change in from_topic)
    assert any(change["fields"][f"orders_{WINDOW}"] for change in from_topic)
    checked = check_profiles(platform, *NODES[:2])
    platform.verify()
    columns = "SELECT name FROM system.columns WHERE database = 'cdp' AND table = 'profiles'"
    shown = {row["name"] for row in ClickHouse(loader.platform().clickhouse).rows(columns)}
    assert shown >= NEW_FIELDS, "job `history` was started anew and made its views for the new definitions"
    say(f"{checked:,} who came back equal the oracle's by the new configuration, {len(arrived):,} events came by the new topic")


def add_topic_and_window() -> None:
    """What an operator edits: one more source, and one more window of two features."""
    edit("topics.yaml", lambda written: written["topics"].update({TOPIC: {"raw": True, "partitions": 2, "config": {"retention.ms": "-1"}}}))

    def more(written: Any) -> None:
        written["windows"][WINDOW] = WINDOW_DAYS * DAY_MS // 1000
        written["tile_hop_min"][WINDOW] = HOP_MIN
        for feature in written["features"]:
            if feature["name"] in ("orders", "views"):
                feature["windows"].append(WINDOW)

    edit("features.yaml", more)


def edit(name: str, change: Any) -> None:
    """Change a file of the configuration."""
    file = loader.folder() / name
    written = yaml.safe_load(file.read_text())
    change(written)
    file.write_text(yaml.safe_dump(written, sort_keys=False))


def visits(events: list[Message], start_ms: int) -> list[Message]:
    """Everybody of the first instalment comes by again, seen by the new source."""
    people = shop.people(events)
    found = []
    for number, theirs in enumerate(people.values()):
        user, device = theirs[-1].body.get("userId", ""), theirs[-1].body.get("anonymousId", "")
        found.append(
            message(
                TOPIC,
                start_ms + number * 1000,
                f"{BACK}visit-{number}",
                "page",
                user=user,
                device=device,
                context={"channel": "store"},
                properties={},
            )
        )
    return found
