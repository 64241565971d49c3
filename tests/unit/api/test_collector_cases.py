"""Public troubles at the collector and its webhooks (tests/cases): one odd event or body never costs its neighbours."""

import base64
import datetime as dt
import gzip
import hashlib
import hmac
import json
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from api.collector import body
from api.collector.intake import Refusal
from config import loader
from config.sources import Ping, Source, mistakes
from importers.webhooks import PING, Received, Refused, open_source, receive
from pipelines.wire import Event
from schemas.odd_spellings import without_second_60
from tests.oracle.envelope import judge_alone
from tests.oracle.rulebook import Rulebook
from tests.posted import NOON, NOON_MS, Posted, case

SECRETS = {"CDP_SHOP_WEBHOOK_SECRET": "shop-secret", "CDP_TICKETS_WEBHOOK_SECRET": "tick-secret"}


@pytest.fixture
def world(tmp_path: Path) -> Posted:
    return Posted(tmp_path)


def signed_in(message_id: str, **more: Any) -> dict[str, Any]:
    return {"type": "track", "event": "Signed In", "messageId": message_id, "userId": "u1"} | more


def batch(*events: dict[str, Any]) -> bytes:
    return json.dumps({"batch": events}).encode()


# 09: packed bodies


def test_09_a_gzip_body_of_several_members_is_one_text(world: Posted) -> None:
    assert world.post(case("09-two-members.json.gz"), encoding="gzip") == {"c09-a": "applied", "c09-b": "applied"}


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP"])
def test_09_many_members_and_zeros_behind_them_are_read(encoding: str, world: Posted) -> None:
    data = batch(signed_in("a"), signed_in("b"))
    packed = b"".join(gzip.compress(data[at : at + 3]) for at in range(0, len(data), 3))
    assert world.post(packed + bytes(512), encoding=encoding) == {"a": "applied", "b": "applied"}


@pytest.mark.parametrize("window", [zlib.MAX_WBITS, -zlib.MAX_WBITS])
def test_09_deflate_is_read_with_and_without_its_frame(window: int, world: Posted) -> None:
    packer = zlib.compressobj(wbits=window)
    packed = packer.compress(batch(signed_in("a"))) + packer.flush()
    assert world.post(packed, encoding="deflate") == {"a": "applied"}
    with pytest.raises(Refusal, match="cut off"):
        world.post(packed[:-6], encoding="deflate")
    with pytest.raises(Refusal, match="something follows"):
        world.post(packed + b"x", encoding="deflate")


@pytest.mark.parametrize("tail", [b"x", b"\x1f\x8b", b"{}", gzip.compress(b"x", mtime=0)[:-1]], ids=["text", "head", "json", "half"])
def test_09_garbage_behind_a_member_is_refused(tail: bytes, world: Posted) -> None:
    with pytest.raises(Refusal) as refused:
        world.post(gzip.compress(batch(signed_in("a"))) + tail, encoding="gzip")
    assert (refused.value.status, refused.value.reason) == (400, "unreadable")


def test_09_bombs_in_one_or_many_members_are_given_up_at_the_limit(world: Posted) -> None:
    limit = loader.platform().limits.request_bytes
    for bomb in (gzip.compress(bytes(limit + 1)), gzip.compress(bytes(limit // 2)) * 3, zlib.compress(bytes(limit + 1))):
        with pytest.raises(Refusal) as refused:
            world.post(bomb, encoding="deflate" if bomb[:1] == b"\x78" else "gzip")
        assert (refused.value.status, refused.value.reason) == (413, "request_bytes")
    with pytest.raises(Refusal, match="members"):
        world.post(gzip.compress(b"") * (body.MAX_MEMBERS + 1), encoding="gzip")
    with pytest.raises(Refusal) as unknown:
        world.post(b"x", encoding="br")
    assert unknown.value.status == 415


# 14: PHP's empty arrays


def test_14_an_empty_array_where_an_object_is_wanted_is_an_empty_object(world: Posted) -> None:
    outcomes = world.post(case("14-php-empty.json"))
    assert outcomes == dict.fromkeys(("c14-a", "c14-b", "c14-c", "c14-d"), "applied")
    assert [world.event(one).properties for one in ("c14-a", "c14-d")] == ["{}", "{}"]
    assert world.event("c14-b").traits == "{}"
    assert json.loads(world.event("c14-c").context)["source"] == "server"
    rules = Rulebook.read(loader.folder())
    judged = [judge_alone(value, NOON_MS, rules) for value in world.values]
    assert [type(one).__name__ for one in judged] == ["Event"] * 4


def test_14_empty_arrays_inside_are_read_too_and_full_ones_refused(world: Posted) -> None:
    consent = signed_in("map", event="Consent Updated", properties={"purposes": []})
    inside = signed_in("traits", context={"traits": [], "library": []})
    full = [signed_in("full", properties=[1]), signed_in("text", context="[]")]
    outcomes = world.post(json.dumps({"batch": [inside, consent, *full], "context": []}).encode())
    assert outcomes["traits"] == "applied"
    assert (outcomes["full"], outcomes["text"]) == ("schema_violation", "schema_violation")


# 19: second 60, fractions


def test_19_second_60_is_the_next_minute_and_long_fractions_are_read(world: Posted) -> None:
    outcomes = world.post(case("19-leap-second.json"))
    assert outcomes == dict.fromkeys(("c19-a", "c19-b", "c19-c", "c19-d"), "applied") | {"c19-e": "schema_violation"}
    times = [world.event(f"c19-{one}").event_time for one in "abcd"]
    assert times == [1_483_228_800_000, NOON_MS - 10_800_000 + 123, NOON_MS - 10_800_000 + 1123, NOON_MS - 10_800_000 + 2000]
    rules = Rulebook.read(loader.folder())
    judged = [judge_alone(value, NOON_MS, rules) for value in world.values]
    assert [getattr(one, "event_ms", one.__class__.__name__) for one in judged] == [*times, "Rejection"]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ("2016-12-31T23:59:60.999Z", "2017-01-01T00:00:00Z"),
        ("2017-01-01T05:29:60+05:30", "2017-01-01T05:30:00+05:30"),
        ("2016-12-31 23:59:60", "2017-01-01 00:00:00"),
        ("2016-12-31T23:59:61Z", "2016-12-31T23:59:61Z"),
        ("2016-12-31T23:60:00Z", "2016-12-31T23:60:00Z"),
        ("9999-12-31T23:59:60Z", "9999-12-31T23:59:60Z"),
        ("ratio 16:60", "ratio 16:60"),
    ],
)
def test_19_the_reading_of_second_60(text: str, read: str) -> None:
    assert without_second_60(text) == read


def test_19_a_time_of_a_contract_is_stored_as_it_was_understood(world: Posted) -> None:
    coupon = {"coupon_id": "k1", "expires_at": "2026-12-31T23:59:60Z"}
    assert world.post(batch(signed_in("a", event="Coupon Issued", properties=coupon))) == {"a": "applied"}
    assert json.loads(world.event("a").properties)["expires_at"] == "2027-01-01T00:00:00Z"


# 20: clocks


def test_20_an_event_is_never_moved_to_the_future_and_a_fast_clock_is_corrected(world: Posted) -> None:
    world.post(case("20-from-the-future.json"))
    world.post(case("20-clock-five-years-fast.json"))
    future = world.decoded("c20-a")
    assert not isinstance(future, Event) or future.event_time <= NOON_MS
    corrected = json.loads(next(value for value in world.values if b"c20-b" in value))
    received_ms = dt.datetime.fromisoformat(corrected["receivedAt"]).timestamp() * 1000
    found = world.core._decoder.decode(json.dumps(corrected).encode(), "t", 0, 0, int(received_ms))
    assert isinstance(found, Event)
    assert found.event_time == pytest.approx(received_ms - 30_000, abs=1)


# 22: byte order marks


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_22_a_byte_order_mark_in_front_is_ignored(encoding: str, world: Posted) -> None:
    data = case("22-batch-with-bom.json")
    assert world.post(gzip.compress(data) if encoding else data, encoding=encoding) == {"c22-a": "applied"}
    assert world.post(b"\xef\xbb\xbf" + json.dumps(signed_in("one")).encode(), call="track") == {"one": "applied"}


@pytest.mark.parametrize("written_as", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_22_other_encodings_are_refused_for_what_they_are(written_as: str, world: Posted) -> None:
    with pytest.raises(Refusal, match="JSON is sent in UTF-8"):
        world.post(batch(signed_in("a")).decode().encode(written_as))


# 21, 22, 45: webhooks


def shop(data: bytes, topic: str = "orders/create") -> dict[str, str]:
    mac = base64.b64encode(hmac.new(b"shop-secret", data, hashlib.sha256).digest()).decode()
    return {"x-shopify-topic": topic, "x-shopify-hmac-sha256": mac}


def source(name: str, **changes: Any) -> Any:
    given: Source = msgspec.structs.replace(loader.sources()[name], **changes)
    return open_source(name, given, loader.folder() / "mappings", SECRETS)


FORM = {"content-type": "application/x-www-form-urlencoded"}


def test_21_the_unsigned_ping_of_a_new_webhook_is_answered_and_becomes_no_event() -> None:
    assert receive(source("shop-orders"), FORM, case("21-ping-of-a-new-webhook.txt"), NOON) == Received([], PING)


@pytest.mark.parametrize("data", [b"webhook_id=17&total=1", b"webhook_id=x", b"webhook_id", b"", b"a=1", b"webhook_id=17" + b"0" * 5000])
def test_21_what_is_not_exactly_the_ping_still_needs_a_signature(data: bytes) -> None:
    found = receive(source("shop-orders"), FORM, data, NOON)
    assert isinstance(found, Refused)
    assert found.status == 401


def test_21_pings_by_header_and_by_body_and_those_that_have_to_be_signed() -> None:
    pings = [Ping(headers={"X-GitHub-Event": "ping"}, signed=True), Ping(body={"type": "ping|test", "live": "false"})]
    hook = source("shop-orders", pings=pings)
    zen = b'{"zen": "Keep it logically awesome."}'
    assert receive(hook, {"x-github-event": "ping"}, zen, NOON) == Refused(401, "bad_signature", "no signature in x-shopify-hmac-sha256")
    assert receive(hook, shop(zen) | {"x-github-event": "ping"}, zen, NOON) == Received([], PING)
    assert receive(hook, {}, b'{"type": "test", "live": false}', NOON) == Received([], PING)
    assert isinstance(receive(hook, {}, b'{"type": "test", "live": true}', NOON), Refused)


@pytest.mark.parametrize(
    ("pings", "told"),
    [
        ([Ping()], "a ping needs at least one of form, headers and body"),
        ([Ping(form={"a": "("})], "is no regular expression"),
        ([Ping(form={"a": "1"}, body={"a": "1"})], "not both"),
    ],
)
def test_21_a_ping_that_would_be_anything_is_refused_when_the_sources_are_read(pings: list[Ping], told: str) -> None:
    given = {"shop-orders": msgspec.structs.replace(loader.sources()["shop-orders"], pings=pings)}
    assert told in " ".join(one.what for one in mistakes(given, ["demo"], ["cdp.raw.orders"]))


def test_22_a_webhook_that_begins_with_a_byte_order_mark_is_read_and_utf_16_refused() -> None:
    data = case("22-begins-with-bom.json")
    found = receive(source("shop-orders"), shop(data), data, NOON)
    assert isinstance(found, Received)
    assert [message.envelope["properties"]["total"] for message in found.messages] == [20]
    wide = data.decode("utf-8-sig").encode("utf-16")
    refused = receive(source("shop-orders"), shop(wide), wide, NOON)
    assert isinstance(refused, Refused)
    assert (refused.status, refused.says) == (400, "the body is UTF-16 or UTF-32; JSON is sent in UTF-8")


def test_45_the_help_desks_events_open_and_close_a_ticket_once() -> None:
    made = []
    for name in ("45-desk-created.json", "45-desk-solved.json", "45-desk-created.json"):
        data, at = case(name), "2026-11-28T12:00:00Z"
        mac = base64.b64encode(hmac.new(b"tick-secret", at.encode() + data, hashlib.sha256).digest()).decode()
        headers = {"x-zendesk-webhook-signature": mac, "x-zendesk-webhook-signature-timestamp": at}
        found = receive(source("tickets"), headers, data, NOON)
        assert isinstance(found, Received), found
        made += [(message.envelope["event"], message.envelope["messageId"]) for message in found.messages]
    assert [name for name, _ in made] == ["Ticket Opened", "Ticket Closed", "Ticket Opened"]
    assert made[0][1] == made[2][1] != made[1][1]


def test_35_whole_numbers_as_floats_and_far_dates_are_applied(world: Posted) -> None:
    assert set(world.post(case("35-whole-numbers-as-floats.json")).values()) == {"applied"}
    counted = world.profile("user_id:c3501")
    assert counted is not None
