"""Orders and refunds told under many identifiers or none, in any order, again and again: whose they are is the oracle's, and the money."""

import json
import random
from collections import Counter
from typing import Any

import msgspec
from hypothesis import event, given, settings
from hypothesis import strategies as st

from pipelines.identity.nodes import profile_of
from pipelines.wire import Alias, Roster
from tests.in_process import InProcess
from tests.ledger_world import START_MS, core, events, judge, play, written
from tests.oracle.compare import differences

Told = list[dict[str, Any]]
EMAIL = {"context": {"externalIds": [{"type": "email", "id": "ann@shop.org"}]}}
WHO: list[dict[str, Any]] = [{"userId": "u"}, {"userId": "w"}, EMAIL, {"anonymousId": "a"}, {"userId": "u", "anonymousId": "a"}, {}]


@st.composite
def told(draw: st.DrawFn) -> Told:
    """Ledger events, parcels and payments, each by one of several people or by nobody."""
    found = []
    for one in draw(events()):
        who = draw(st.sampled_from(WHO))
        context = one["context"] | who.get("context", {})
        body = {name: value for name, value in one.items() if name != "userId"} | who | {"context": context}
        if draw(st.integers(0, 5)) == 0:
            more = {
                "event": "Shipment Dispatched",
                "properties": {"order_id": "o1", "shipment_id": "s"},
                "messageId": one["messageId"] + "s",
            }
            body |= draw(st.sampled_from([more, more | {"event": "Payment Failed", "properties": {"order_id": "o2", "reason": "x"}}]))
        if draw(st.integers(0, 9)) == 0:
            body["timestamp"] = "2025-12-01T00:00:00.000Z"  # late
        found.append(body)
    return found


@settings(max_examples=150, deadline=None)
@given(told(), st.integers(0, 3))
def test_every_profile_is_the_oracles(found: Told, forget_every: int) -> None:
    records = written(found)
    made, oracle = play(records, forget_every), judge(records)
    made.pass_time(records[-1].timestamp_ms + 1)
    for profile_id, fields in made.fields():
        change = made.newest[profile_id]
        expected = oracle.at(list(change.record["nodes"]), change.patch.at)
        expected["rfm_version"] = fields["rfm_version"]
        assert differences(expected, fields) == {}
    event(f"nobody's: {any(not one.node for one in made.applied)}")
    event(f"handed over: {any(state.version > 1 for state in made.objects.values())}")


@settings(max_examples=50, deadline=None)
@given(told(), st.randoms(use_true_random=False))
def test_whose_it_is_and_its_stages_do_not_depend_on_the_order_of_arrival(found: Told, dice: random.Random) -> None:
    """Of repetitions with the same message id: the one that came first counts, so those are left out."""
    once = list({one["messageId"]: one for one in found}.values())
    other = list(once)
    dice.shuffle(other)
    ends = [{key: (state.owner, state.stages) for key, state in play(written(one)).objects.items()} for one in (once, other)]
    assert ends[0] == ends[1]


def order(number: str, **who: Any) -> dict[str, Any]:
    lines = [{"product_id": "p", "quantity": 1, "price": 10}]
    return {
        "type": "track",
        "event": "Order Completed",
        "messageId": f"m{json.dumps(who)}{number}",
        "timestamp": "2026-01-05T00:00:00Z",
        "properties": {"order_id": number, "products": lines},
        **who,
    }


def one_person(made: InProcess, *nodes: str) -> str:
    profile = profile_of(nodes[0])
    for node in nodes:
        made.alias(Alias(node, "demo", profile, 1))
    made.roster(Roster("demo", profile, 1, list(nodes)))
    return profile


def test_a_person_whose_order_goes_from_one_identifier_to_the_other_is_seen_with_one_order_all_the_time() -> None:
    made = core()
    email = made.nodes.key("demo", "email", "ann@shop.org")
    assert email is not None
    person = one_person(made, "demo|user_id|u", email)
    records = written([order("1", **EMAIL), order("1", userId="u"), {"type": "page", "messageId": "later", "userId": "u"}])
    for record in records:
        made.record(record.value, record.topic, record.partition, record.offset, record.timestamp_ms)
        made.pass_time(record.timestamp_ms)
    shown = [msgspec.json.decode(change.patch.features) for change in made.changes if change.record["profile_id"] == person]
    counts = [fields["orders_lifetime"] for fields in shown]
    assert counts == [0] * counts.count(0) + [1] * counts.count(1)
    assert counts[-1] == 1
    turns = Counter(tag for change in made.changes for name in ("tags_entered", "tags_exited") for tag in change.record[name])
    assert all(number == 1 for number in turns.values())
    assert made.objects["demo|order||1"].owner == "demo|user_id|u"


def test_while_an_order_changes_hands_both_are_silent() -> None:
    made = core()
    first, second = written([order("1", **EMAIL), order("1", userId="u")])
    made.record(first.value, first.topic, first.partition, first.offset, first.timestamp_ms)
    before = len(made.changes)
    made.record(second.value, second.topic, second.partition, second.offset, second.timestamp_ms)
    assert len(made.changes) == before
    made.pass_time(second.timestamp_ms)
    told_by = {change.record["profile_id"]: msgspec.json.decode(change.patch.features)["orders_lifetime"] for change in made.changes}
    assert sorted(told_by.values()) == [0, 1]
    assert told_by[profile_of("demo|user_id|u")] == 1


def test_a_refund_told_with_and_without_its_order_stays_when_the_order_goes() -> None:
    """Found at random: what one object gives away another one still holds."""
    made = core()
    lines = [{"product_id": "p", "quantity": 1, "price": 2}] * 3
    refund = {"type": "track", "event": "Order Refunded", "timestamp": "2026-01-05T00:00:00Z", "userId": "u"}
    plain = refund | {"messageId": "1", "properties": {"refund_id": "r1", "products": lines}}
    named = refund | {"messageId": "2", "timestamp": "2026-01-05T00:00:01Z", "properties": {"refund_id": "r1", "order_id": "o", "total": 1}}
    other = {"type": "track", "event": "Payment Failed", "messageId": "3", "timestamp": "2026-01-01T00:00:00Z", "userId": "w"}
    records = written([plain, named, other | {"properties": {"order_id": "o", "reason": "x"}}])
    for record in records:
        made.record(record.value, record.topic, record.partition, record.offset, record.timestamp_ms)
    made.pass_time(records[-1].timestamp_ms)
    assert made.objects["demo|order||o"].owner == "demo|user_id|w"
    fields = {profile: fields for profile, fields in made.fields()}[profile_of("demo|user_id|u")]
    assert (fields["unmatched_refunds"], fields["refunded_lifetime"]) == (3, 6.0)


def test_a_record_that_names_only_its_order_counts_for_the_owner_before_and_after_there_is_one() -> None:
    made = core()
    refund = {
        "type": "track",
        "event": "Order Refunded",
        "messageId": "r",
        "timestamp": "2026-01-05T00:00:00Z",
        "properties": {"refund_id": "r1", "order_id": "1", "total": 4},
    }
    parcel = refund | {"event": "Shipment Dispatched", "messageId": "s", "properties": {"order_id": "1", "shipment_id": "s"}}
    for record in written([parcel, refund, order("1", userId="u"), refund | {"messageId": "r2"}]):
        made.record(record.value, record.topic, record.partition, record.offset, record.timestamp_ms)
    assert Counter(made.outcomes.values()) == {"applied": 3, "duplicate": 1}, "the business key tells the refund told again"
    ((_, fields),) = made.fields()
    assert (fields["orders_lifetime"], fields["net_lifetime"]) == (1, 6.0)
    state = made.objects["demo|order||1"]
    assert (state.owner, sorted(state.stages)) == ("demo|user_id|u", ["placed", "refunded", "shipped"])
    assert state.stages["placed"] == START_MS + 4 * 86_400_000
