"""What goes back to a raw topic: the event as it was but for the fix, its own time, its lineage, and an id that no fix can change."""

import json
from typing import Any

import pytest

from pipelines.rejected.fixes import LoadedFix
from pipelines.rejected.record import Position, PositionError, Record
from pipelines.rejected.replayed import NotReplayableError, Replayed, lineage_of, readable, replayed
from pipelines.wire import Event, Rejected
from tests.mutants import AT_MS, mutants
from tests.rejected_world import World, fix

ID_CHARS = 100
LATER_MS = AT_MS + 3_600_000
NOTHING = LoadedFix("nothing@00000000", dict)


def record(value: bytes | dict[str, Any], code: str = "quality_rule", offset: int = 7, log_time: int = AT_MS) -> Record:
    original = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Record("cdp.raw.orders", 0, offset, log_time, code, "$.x", "x", "demo", "m", original)


def sent(found: Record, mend: LoadedFix | None = None, known_id: str = "") -> dict[str, Any]:
    ready = replayed(found, mend, ID_CHARS, known_id)
    envelope: dict[str, Any] = json.loads(ready.value)
    assert envelope["messageId"] == ready.message_id
    assert envelope["context"]["lineage"]["replay_of"] == str(found.position)
    return envelope


def test_a_position_is_read_as_it_is_written() -> None:
    assert Position.parse("cdp.raw.orders:0:1234") == ("cdp.raw.orders", 0, 1234)
    assert str(Position("cdp.raw.orders", 0, 1234)) == "cdp.raw.orders:0:1234"
    for text in ("", "a", "a:0", "a:0:", ":0:1", "a:x:1", "a:0:1:2", "a:0:-1", "a:0:²"):
        with pytest.raises(PositionError):
            Position.parse(text)


def test_a_replay_without_a_fix_changes_the_verdict_of_no_mutant_but_by_giving_it_an_id() -> None:
    world, counted = World(), {"same event": 0, "same code": 0, "unreadable": 0, "by its id": 0}
    for number, value in enumerate(mutants(5, 4000)):
        before = world.decoder.decode(value, "t", 0, number, AT_MS)
        assert before is not None
        code = before.code if isinstance(before, Rejected) else "quality_rule"
        ready = ready_or_none(record(value, code, number))
        if ready is None:
            envelope = readable(value)
            assert isinstance(before, Rejected)
            assert envelope is None or not isinstance(envelope["context"], dict)
            counted["unreadable"] += 1
            continue
        # A time that lies in the future when it is rejected may not do so later: judged at the same moment, then.
        after = world.decoder.decode(ready.value, "t", 0, 0, LATER_MS if isinstance(before, Event) else AT_MS)
        if isinstance(before, Event):
            assert isinstance(after, Event), (value, after)
            same = ("node", "name", "type", "tenant", "message_id", "identifiers", "properties", "traits", "facts")
            for name in same:
                assert _plain(name, getattr(after, name)) == _plain(name, getattr(before, name)), (name, value)
            ahead = before.event_time == AT_MS and after.event_time <= AT_MS + 300_000  # a clock that goes a little fast
            assert after.event_time == before.event_time or ahead, value
            counted["same event"] += 1
        elif before.code == "size_violation":
            continue  # written again without blanks it may be small enough, and then another rule decides
        elif isinstance(after, Rejected) and before.field != "$.messageId":
            assert (after.code, after.field) == (before.code, before.field), (value, before, after)
            counted["same code"] += 1
        else:
            assert before.field == "$.messageId", (value, before, after)
            counted["by its id"] += 1
    assert min(counted.values()) > 20, counted


def ready_or_none(found: Record) -> Replayed | None:
    try:
        return replayed(found, None, ID_CHARS)
    except NotReplayableError:
        return None


def _plain(name: str, value: Any) -> Any:
    """Parsed where it is JSON: an identifier may look like some."""
    return json.loads(value) if name in ("properties", "traits") else value


def test_the_body_of_a_replay_is_that_of_the_record_for_dedupe() -> None:
    world = World()
    for number, value in enumerate(mutants(6, 1500)):
        before = world.decoder.decode(value, "t", 0, number, AT_MS)
        if isinstance(before, Event) and b'imestamp"' in value:
            after = world.decoder.decode(replayed(record(value), None, ID_CHARS).value, "t", 0, 0, LATER_MS)
            assert isinstance(after, Event)
            told = json.loads(value)
            if told.get("timestamp") or told.get("originalTimestamp"):
                assert after.fingerprint == before.fingerprint, value


@pytest.mark.parametrize(
    "times",
    [
        {},
        {"timestamp": "2011-03-12T10:00:00Z"},
        {"originalTimestamp": "2011-03-12T10:00:00Z"},
        {"originalTimestamp": "2011-03-13T07:00:00Z", "sentAt": "2011-03-13T07:01:00Z"},
        {"originalTimestamp": "2011-03-13T07:00:00Z", "sentAt": "2011-03-13T07:01:00Z", "receivedAt": "2011-03-13T07:02:00Z"},
        {"timestamp": None, "originalTimestamp": None, "sentAt": "2011-03-13T07:01:00Z"},
    ],
)
def test_an_event_keeps_its_time_however_much_later_it_is_replayed(times: dict[str, Any]) -> None:
    decoder = World().decoder
    envelope = {"type": "page", "messageId": "m", "userId": "u", **times}
    before = decoder.decode(json.dumps(envelope).encode(), "t", 0, 0, AT_MS)
    after = decoder.decode(replayed(record(envelope), None, ID_CHARS).value, "t", 0, 0, AT_MS + 5 * 86_400_000)
    assert isinstance(before, Event)
    assert isinstance(after, Event)
    assert after.event_time == before.event_time


def test_a_usable_id_stays_whatever_the_fix_says() -> None:
    thief = fix("thief@1", lambda envelope: envelope.update(messageId="another"))
    assert sent(record({"messageId": "m", "x": 1}), thief)["messageId"] == "m"
    assert sent(record({"messageId": "m", "x": 1}), thief, known_id="m0")["messageId"] == "m0"


@pytest.mark.parametrize("own", [None, "", 5, "m" * 101, ["m"]])
def test_without_a_usable_id_the_position_is_the_id(own: Any) -> None:
    assert sent(record({"messageId": own}))["messageId"] == "replay:cdp.raw.orders:0:7"
    assert sent(record({}))["messageId"] == "replay:cdp.raw.orders:0:7"
    invented = fix("invented@1", lambda envelope: envelope.update(messageId="constant"))
    assert sent(record({"messageId": own}), invented)["messageId"] == "replay:cdp.raw.orders:0:7"


def test_an_id_that_the_record_had_under_another_name_is_its_id() -> None:
    renamed = fix("renamed@1", lambda envelope: envelope.update(messageId=envelope.pop("message_id")))
    assert sent(record({"message_id": "m-17"}), renamed)["messageId"] == "m-17"


def test_a_derived_id_is_never_too_long() -> None:
    long = Record("t" * 200, 0, 1, AT_MS, "schema_violation", "$.messageId", "x", "demo", "", b"{}")
    assert len(sent(long)["messageId"]) <= ID_CHARS


def test_the_id_of_a_conflicting_record_depends_on_what_the_producer_sent_alone() -> None:
    one = {"messageId": "m", "userId": "u", "properties": {"a": 1}}
    retried = {**one, "sentAt": "2011-03-13T07:06:40Z", "context": {"ip": "::1"}}
    other = {**one, "properties": {"a": 2}}
    mend = fix("mend@1", lambda envelope: envelope["properties"].update(a=3))
    ids = [sent(record(envelope, "id_conflict", offset), mended)["messageId"] for offset, (envelope, mended) in enumerate(
        [(one, None), (retried, None), (one, mend), (other, None)]
    )]  # fmt: skip
    assert ids[0] == ids[1] == ids[2] != ids[3]
    assert ids[0].startswith("replay:")
    assert ids[0] != "m"


def test_lineage_names_the_newest_replay_and_keeps_where_the_record_came_from_at_first() -> None:
    first = {"messageId": "m", "context": {"channel": "store", "lineage": {"file_sha256": "ab", "row": 3}}}
    once = sent(record(first, offset=7), fix("a@1", lambda envelope: envelope.update(x=1)))
    twice = sent(record(once, offset=9))
    assert once["context"]["channel"] == "store"
    assert once["context"]["lineage"] == {
        "file_sha256": "ab",
        "row": 3,
        "replay_of": "cdp.raw.orders:0:7",
        "fix": "a@1",
        "content": lineage_of(once).content,
    }
    assert twice["context"]["lineage"] == {**once["context"]["lineage"], "replay_of": "cdp.raw.orders:0:9", "fix": ""}


@pytest.mark.parametrize(
    "told", [None, "x", {}, {"replay_of": "a"}, {"replay_of": "a", "content": "short"}, {"replay_of": 1, "content": 2}]
)
def test_what_a_producer_puts_into_lineage_is_no_replay_unless_it_looks_like_one(told: Any) -> None:
    assert lineage_of({"context": {"lineage": told}}) == ("", "", "")


def test_bytes_that_are_no_object_need_a_fix_that_reads_them() -> None:
    for value in (b"", b"hello", b"[1]", b"\xff{}", b'"text"', b"[" * 100_000):
        with pytest.raises(NotReplayableError, match="no JSON object"):
            replayed(record(value, "payload_format"), None, ID_CHARS)
    read = fix("read@1", lambda given: given.update(json.loads(given.pop("original_text").replace("'", '"'))))
    assert sent(record(b"{'messageId': 'm-5', 'userId': 'u'}", "payload_format"), read)["messageId"] == "m-5"
    assert sent(record(b"{'userId': 'u'}", "payload_format"), read)["messageId"] == "replay:cdp.raw.orders:0:7"


def test_however_deep_a_record_nests_it_is_replayed_or_refused() -> None:
    outcomes, decoder = set(), World().decoder
    for deep in (60, 100, 300, 900, *range(930, 1010), 5000):
        value = b'{"messageId": "m", "userId": "u", "type": "page", "properties": ' + b'{"a":' * deep + b"1" + b"}" * deep + b"}"
        for mend in (None, fix("cut@1", lambda envelope: envelope.update(properties={}))):
            try:
                outcomes.add(decoder.decode(replayed(record(value), mend, ID_CHARS).value, "t", 0, 0, AT_MS).__class__)
            except NotReplayableError:
                outcomes.add(NotReplayableError)
    assert outcomes == {Event, Rejected, NotReplayableError}


def test_a_context_that_cannot_hold_a_lineage_is_refused_until_a_fix_sets_it() -> None:
    wrong = record({"messageId": "m", "context": "mobile"}, "schema_violation")
    with pytest.raises(NotReplayableError, match="`context` is no object"):
        replayed(wrong, None, ID_CHARS)
    assert sent(wrong, fix("set@1", lambda envelope: envelope.update(context={})))["messageId"] == "m"


def test_what_decode_refuses_is_not_repaired_in_silence() -> None:
    decoder = World().decoder
    for odd in (b"NaN", b"1e999", b"-Infinity", b"9" * 400, b'"\\ud800"'):
        value = b'{"type": "page", "messageId": "m", "userId": "u", "properties": {"a": ' + odd + b"}}"
        assert isinstance(decoder.decode(value, "t", 0, 0, AT_MS), Rejected)
        after = decoder.decode(replayed(record(value, "payload_format"), None, ID_CHARS).value, "t", 0, 0, AT_MS)
        assert isinstance(after, Rejected)
        assert after.code == "payload_format"
