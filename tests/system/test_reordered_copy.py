"""The order of arrival does not matter: a stream and its copy for another tenant, reordered and repeated, give the same profiles."""

import random

import pytest

from demo.dataset import DAY_MS
from demo.messages import CLICKSTREAM, Message, iso, message
from demo.stream import Slice
from profile_store import layout
from tests.oracle.compare import differences
from tests.system import shop
from tests.system.conftest import MIRROR
from tests.system.outcome import changes, check_profiles, newest
from tests.system.running import Running, say

PART = Slice(days=8, customers=60)
PREFIX = "copy-"
LONGEST_MS = 6 * DAY_MS  # an event older than 7 days at arrival is late, and ids are remembered for 7 days
REPEATED = 0.3
FEW = 60  # from 64 entries on windows end at tile boundaries, and these differ between any two nodes


@pytest.mark.timeout(600)
def test_a_reordered_and_repeated_copy_gives_the_same_profiles(platform: Running) -> None:
    events = shop.instalment(PART, platform.clock_ms(), PREFIX)
    crowded = {node for node, theirs in shop.people(events).items() if len(theirs) > FEW}
    events = [event for event in events if shop.node(event) not in crowded]
    copy = shuffled([event._replace(body={**event.body, "tenant": MIRROR}) for event in events])
    people = shop.people(events + copy)
    end_ms = max(event.log_ms for event in events + copy) + 1
    looks = [look(theirs[0], end_ms, number) for number, theirs in enumerate(people.values())]
    repetitions = len(copy) - len(events)
    say(f"{len(events):,} events of {len(people) // 2:,} people, and a copy with {repetitions:,} repetitions, up to 6 days out of order")
    shop.write(platform, sorted(events + copy, key=lambda event: event.log_ms) + looks, settle_ms=1)
    platform.await_processed()

    published = newest(changes())
    profiles = {node: change for change in published.values() for node in change["nodes"] if node in people}
    assert profiles.keys() == people.keys()
    wrong = {}
    for node, change in profiles.items():
        twin = profiles[node.replace("demo|", f"{MIRROR}|", 1)]
        assert (change["at"], twin["at"]) == (end_ms, end_ms)
        found = differences(change["fields"], twin["fields"], layout.META)
        if found:
            wrong[node] = found
    assert not wrong
    say(f"{len(people) // 2:,} pairs of profiles are the same, field by field")
    check_profiles(platform)
    platform.verify()


def shuffled(events: list[Message]) -> list[Message]:
    """The same events as they arrive on a bad day: each delayed by up to six days, some more than once."""
    dice = random.Random(6)
    arrived = []
    for event in events:
        late_ms = event.log_ms + dice.randint(0, LONGEST_MS)
        arrived.append(event._replace(log_ms=late_ms))
        if dice.random() < REPEATED:
            again_ms = late_ms + dice.randint(1, LONGEST_MS)
            arrived.append(event._replace(log_ms=again_ms, body={**event.body, "sentAt": iso(again_ms)}))
    return arrived


def look(event: Message, at_ms: int, number: int) -> Message:
    """Somebody looks at a page, so that the profile is published at this very moment."""
    user, device = event.body.get("userId", ""), event.body.get("anonymousId", "")
    seen = message(CLICKSTREAM, at_ms, f"{PREFIX}look-{number}", "page", user=user, device=device, context={}, properties={})
    return seen._replace(body={**seen.body, "tenant": event.body["tenant"]})
