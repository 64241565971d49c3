"""Shaping: what the collector adds, what it leaves alone, and what the pipeline makes of it."""

import datetime as dt
import functools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.collector import envelope
from api.collector.envelope import Stamp, raw
from pipelines.ingest.decode import Decoder
from pipelines.wire import Event, Rejected
from schemas import json_parts
from tests.decoders import configured_decoder
from tests.unit.schemas.test_json_parts import VALUES

NOON = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
STAMPED = {"tenant", "receivedAt", "context", "writeKey", "timestamp", "originalTimestamp", "sentAt", "type", "messageId"}


def stamp(received: dt.datetime = NOON, **more: Any) -> Stamp:
    return Stamp(tenant=raw("demo"), source=raw("web-shop"), received_at=raw(envelope.iso(received)), **more)


def shaped(event: object, given: Stamp | None = None) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(envelope.shape(json.dumps(event).encode(), given or stamp(), lambda: "made")[1])
    return found


@functools.cache
def decoder() -> Decoder:
    return configured_decoder()


def decode(value: bytes, log_time: int = int(NOON.timestamp() * 1000) + 5) -> Event | Rejected | None:
    return decoder().decode(value, "cdp.raw.clickstream", 0, 1, log_time)


def test_the_envelope_of_a_plain_call() -> None:
    sent = {"event": "X", "userId": "u", "timestamp": "2026-03-01T11:59:00Z", "properties": {"a": 1}, "writeKey": "secret"}
    assert shaped(sent, stamp(type=raw("track"), sent_at=raw("2026-03-01T11:59:30Z"))) == {
        "event": "X",
        "userId": "u",
        "properties": {"a": 1},
        "type": "track",
        "messageId": "made",
        "sentAt": "2026-03-01T11:59:30Z",
        "originalTimestamp": "2026-03-01T11:59:00Z",
        "context": {"source": "web-shop"},
        "tenant": "demo",
        "receivedAt": "2026-03-01T12:00:00.000Z",
    }


def test_what_the_client_says_wins_except_tenant_source_and_arrival() -> None:
    own = {
        "type": "page",
        "messageId": "m",
        "sentAt": "2026-03-01T10:00:01Z",
        "originalTimestamp": "2026-03-01T10:00:00Z",
        "timestamp": "2026-03-01T10:00:02Z",
        "tenant": "somebody else",
        "receivedAt": "1999-01-01T00:00:00Z",
        "context": {"source": "forged", "ip": "0.0.0.0", "channel": "store", "page": {"url": "own"}},
    }
    given = stamp(
        type=raw("track"),
        sent_at=raw("2026-03-01T11:00:00Z"),
        context={"page": raw("batch"), "library": raw("batch")},
        connection={"ip": raw("10.0.0.1"), "userAgent": raw("curl")},
    )
    assert shaped(own, given) == own | {
        "tenant": "demo",
        "receivedAt": "2026-03-01T12:00:00.000Z",
        "context": {
            "source": "web-shop",
            "ip": "0.0.0.0",
            "channel": "store",
            "page": {"url": "own"},
            "library": "batch",
            "userAgent": "curl",
        },
    }


def test_a_null_counts_as_absent_but_a_context_member_set_to_null_is_the_clients_wish() -> None:
    sent = {"type": None, "messageId": None, "sentAt": None, "timestamp": None, "context": {"ip": None}}
    found = shaped(sent, stamp(type=raw("track"), sent_at=raw("s"), connection={"ip": raw("10.0.0.1")}))
    assert (found["type"], found["messageId"], found["sentAt"]) == ("track", "made", "s")
    assert "timestamp" not in found
    assert "originalTimestamp" not in found
    assert found["context"]["ip"] is None


@given(
    st.dictionaries(st.sampled_from([*sorted(STAMPED), "userId", "properties", "traits", "x"]) | st.text(max_size=3), VALUES, max_size=9)
)
def test_nothing_else_of_an_object_is_touched(event: dict[str, object]) -> None:
    found = shaped(event)
    assert {name: value for name, value in found.items() if name not in STAMPED} == {
        name: value for name, value in event.items() if name not in STAMPED
    }
    if isinstance(event.get("context"), dict):
        assert found["context"] == event["context"] | {"source": "web-shop"}  # type: ignore[operator]
    elif event.get("context") not in (None, []):  # an empty array is an empty object of PHP
        assert found["context"] == event["context"], "what is no object stays, to be rejected"


@pytest.mark.parametrize(
    "event", [b"5", b'"x"', b"[1, 2]", b"null", b'{"a": NaN}', b'{"userId": "a\\ud83d"}', b'{"\xff": 1}', b'{"a": "\x01"}']
)
def test_what_is_no_object_in_strict_json_goes_on_byte_for_byte_and_is_rejected_by_the_pipeline(event: bytes) -> None:
    key, value = envelope.shape(event, stamp(), lambda: "made")
    assert (key, value) == (None, event)
    assert isinstance(decode(value), Rejected)


def test_numbers_keep_their_spelling() -> None:
    event = b'{"properties": {"price": 1.10, "big": 123456789012345678901234567890, "exp": 1E400}}'
    value = envelope.shape(event, stamp(), lambda: "made")[1]
    assert b'{"price": 1.10, "big": 123456789012345678901234567890, "exp": 1E400}' in value


@pytest.mark.parametrize(
    ("event", "key"),
    [
        ({"userId": "u", "anonymousId": "a", "messageId": "m"}, b"u"),
        ({"userId": None, "anonymousId": "a", "messageId": "m"}, b"a"),
        ({"userId": "", "messageId": "m"}, b"m"),
        ({"userId": 5, "messageId": "m"}, b"m"),
        ({}, b"made"),
        ({"userId": "é" * 300}, ("é" * 256).encode()),
    ],
)
def test_the_key_is_the_strongest_identifier_that_is_a_text(event: object, key: bytes) -> None:
    assert envelope.shape(json.dumps(event).encode(), stamp(), lambda: "made")[0] == key
    assert envelope.shape(json.dumps(event, ensure_ascii=False).encode(), stamp(), lambda: "made")[0] == key


SKEW = st.timedeltas(dt.timedelta(days=-300), dt.timedelta(days=300))
DELAY = st.timedeltas(dt.timedelta(0), dt.timedelta(days=6))


@given(SKEW, DELAY)
def test_a_wrong_clock_is_corrected(skew: dt.timedelta, delay: dt.timedelta) -> None:
    """The event happened `delay` before the request arrived; the client's clock is off by `skew`."""
    skew, delay = (dt.timedelta(milliseconds=int(span / dt.timedelta(milliseconds=1))) for span in (skew, delay))
    sent_at, happened_at = (envelope.iso(moment) for moment in (NOON + skew, NOON + skew - delay))
    event = json.dumps({"type": "track", "event": "X", "userId": "u", "timestamp": happened_at}).encode()
    found = decode(envelope.shape(event, stamp(sent_at=raw(sent_at)), lambda: "made")[1])
    assert isinstance(found, Event)
    assert found.event_time == int((NOON - delay).timestamp() * 1000)


@given(st.timedeltas(dt.timedelta(0), dt.timedelta(hours=5)))
def test_a_retry_has_the_fingerprint_of_the_first_try(later: dt.timedelta) -> None:
    event = json.dumps(
        {"type": "track", "event": "X", "userId": "u", "messageId": "m", "timestamp": "2026-03-01T11:00:00Z", "properties": {"a": 1.0}}
    ).encode()
    first, second = (
        decode(
            envelope.shape(event, stamp(moment, sent_at=raw(envelope.iso(moment))), lambda: "made")[1], int(NOON.timestamp() * 1000) + 10**8
        )
        for moment in (NOON, NOON + later)
    )
    assert isinstance(first, Event)
    assert isinstance(second, Event)
    assert (first.fingerprint, first.id_hash, first.node) == (second.fingerprint, second.id_hash, second.node)


@pytest.mark.parametrize("depth", [1, 64, 65, 201, 900, 990, 1000, 1100, 5000, 100_000])
def test_an_event_of_any_depth_is_shaped_like_its_neighbours(depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    event = (
        b'{"type":"track","event":"E","userId":"u1","messageId":"m1","tenant":"other","properties":{"x":'
        + deep
        + b'},"context":{"y":'
        + deep
        + b"}}"
    )
    key, value = envelope.shape(event, stamp(), lambda: "made")
    assert key == b"u1"
    found = json_parts.members(value)
    assert found is not None
    assert bytes(found["tenant"]) == bytes(stamp().tenant)
    assert bytes(found["properties"]) == b'{"x":' + deep + b"}"
    context = json_parts.members(found["context"])
    assert context is not None
    assert (bytes(context["y"]), bytes(context["source"])) == (deep, bytes(stamp().source))
