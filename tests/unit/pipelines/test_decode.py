"""Each kind of bad record gets its code and the path of the field; nothing raises; harmless variants are accepted."""

import datetime as dt
import json
import re
from typing import Any

import msgspec
import pytest

from pipelines.ingest import moments
from pipelines.ingest.decode import Decoder
from pipelines.wire import Event, OrderFacts, Rejected
from tests.decoders import configured_decoder

NOW = 1_700_000_000_000


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    return configured_decoder()


def body(**changes: Any) -> bytes:
    base = {"type": "track", "event": "Product Viewed", "messageId": "m1", "userId": "u1", "properties": {"product_id": "p"}}
    return json.dumps({name: value for name, value in (base | changes).items() if value is not ...}).encode()


def order(**changes: Any) -> bytes:
    line = {k: v for k, v in ({"product_id": "p", "quantity": 2, "price": 1.5} | changes).items() if v is not ...}
    return body(event="Order Completed", properties={"order_id": "o", "products": [line]})


REJECTIONS = [
    (None, "payload_format", "$"),
    (b"", "payload_format", "$"),
    (b"{", "payload_format", "$"),
    (b"\xff\xfe{}", "payload_format", "$"),
    (b'{"messageId": 5, "type": "track"', "payload_format", "$"),
    (body(properties=float("nan")), "payload_format", "$"),
    (body().replace(b'"p"', b"1e400"), "payload_format", "$.properties.product_id"),
    (body(properties={"a": json.loads("[" * 70 + "]" * 70)}), "payload_format", "$"),
    (b"x" * 1_000_000, "size_violation", "$"),
    (body(properties={"product_id": "p", "pad": "x" * 40_000}), "size_violation", "$"),
    (body(messageId="m" * 101), "size_violation", "$.messageId"),
    (body(messageId=...), "schema_violation", "$.messageId"),
    (body(messageId=""), "schema_violation", "$.messageId"),
    (body(messageId=5), "schema_violation", "$.messageId"),
    (body(type="poke"), "schema_violation", "$.type"),
    (body(event=...), "schema_violation", "$.event"),
    (body(tenant="nobody"), "schema_violation", "$.tenant"),
    (body(properties=[1]), "schema_violation", "$.properties"),
    (body(properties={"product_id": 5}), "schema_violation", "$.properties.product_id"),
    (body(context={"externalIds": [{"type": "email", "id": 4}]}), "schema_violation", "$.context.externalIds[0].id"),
    (order(price=...), "schema_violation", "$.properties.products[0].price"),
    (order(quantity=1.5), "schema_violation", "$.properties.products[0].quantity"),
    (body(userId="null"), "identifier_missing", "$.userId"),
    (body(timestamp="9999-01-01T00:00:00Z"), "timestamp_out_of_range", "$.timestamp"),
    (body(timestamp="1999-12-31T23:59:59Z"), "timestamp_out_of_range", "$.timestamp"),
    (order(quantity=-1), "quality_rule", "$.properties.products[0].quantity"),
    (order(price=-0.01), "quality_rule", "$.properties.products[0].price"),
    (body(properties={"product_id": "p", "currency": "CHF"}), "quality_rule", "$.properties.currency"),
]


@pytest.mark.parametrize(("value", "code", "field"), REJECTIONS)
def test_a_bad_record_is_rejected_with_code_and_path(decoder: Decoder, value: bytes | None, code: str, field: str) -> None:
    found = decoder.decode(value, "t", 0, 0, NOW)
    assert isinstance(found, Rejected)
    assert (found.code, found.field) == (code, field)
    assert found.rule


@pytest.mark.parametrize("value", [body(properties=None, event="Something"), body(traits=None, context=None), order(quantity=2.0)])
def test_null_parts_and_whole_floats_are_harmless(decoder: Decoder, value: bytes) -> None:
    assert isinstance(decoder.decode(value, "t", 0, 0, NOW), Event)


def test_a_user_id_out_of_a_spreadsheet_and_the_strongest_identifier_win(decoder: Decoder) -> None:
    found = decoder.decode(body(userId="17850.0", anonymousId="a1"), "t", 0, 0, NOW)
    assert isinstance(found, Event)
    assert (found.node, found.identifiers) == ("demo|user_id|17850", ["demo|user_id|17850", "demo|anonymous_id|a1"])


def test_the_clock_skew_of_the_sender_is_taken_off(decoder: Decoder) -> None:
    value = body(originalTimestamp="2023-11-14T22:00:00Z", sentAt="2023-11-14T22:00:10Z")
    found = decoder.decode(value, "t", 0, 0, NOW)
    assert isinstance(found, Event)
    assert found.event_time == NOW - 10_000


def test_spelling_and_restamping_do_not_change_the_fingerprint_and_content_does(decoder: Decoder) -> None:
    def fingerprint(value: bytes) -> int:
        found = decoder.decode(value, "t", 0, 0, NOW)
        assert isinstance(found, Event)
        return found.fingerprint

    plain = body(properties={"product_id": "p", "price": 1.5})
    again = body(properties={"price": 1.5, "product_id": "p"}, sentAt="2023-11-14T22:00:10Z", context={"ip": "1.2.3.4"})
    assert fingerprint(plain) == fingerprint(again) == fingerprint(json.dumps(json.loads(plain), indent=2).encode())
    assert fingerprint(plain) != fingerprint(body(properties={"product_id": "p", "price": 2.5}))


def test_personal_values_leave_no_trace(decoder: Decoder) -> None:
    value = body(
        type="identify",
        event=...,
        properties=...,
        traits={"email": "Ann@example.com", "plan": "gold"},
        context={"externalIds": [{"type": "email", "id": "Ann@example.com"}], "traits": {"phone": "+44 20 7946 0000"}},
    )
    found = decoder.decode(value, "t", 0, 0, NOW)
    assert isinstance(found, Event)
    clean = " ".join([found.properties, found.traits, found.context, *found.identifiers]).lower()
    assert "example.com" not in clean
    assert "7946" not in clean
    assert '"plan":"gold"' in found.traits


def test_amounts_are_minor_units_and_a_stated_total_wins(decoder: Decoder) -> None:
    lines = [{"product_id": "a", "quantity": 3, "price": 0.335}]
    added = decoder.decode(body(event="Order Completed", properties={"order_id": "o", "products": lines}), "t", 0, 0, NOW)
    stated = decoder.decode(body(event="Order Completed", properties={"order_id": "o", "products": lines, "total": 7}), "t", 0, 0, NOW)
    assert isinstance(added, Event)
    assert isinstance(stated, Event)
    assert added.facts == OrderFacts("o", 101, [("a", 3)])
    assert stated.facts == OrderFacts("o", 700, [("a", 3)])


@pytest.mark.parametrize(
    ("stamp", "zone", "utc"),
    [
        ("2023-07-01T12:00:00", None, "2023-07-01T12:00:00"),
        ("2023-07-01T12:00:00", "Europe/London", "2023-07-01T11:00:00"),
        ("2023-01-01T12:00:00", "Europe/London", "2023-01-01T12:00:00"),
        ("2022-10-30T01:30:00", "Europe/London", "2022-10-30T00:30:00"),  # read twice that night: the first is meant
        ("2023-03-26T01:30:00", "Europe/London", "2023-03-26T01:30:00"),  # never read that night: as if before the change
        ("2023-07-01T12:00:00Z", "Europe/London", "2023-07-01T12:00:00"),
        ("2023-07-01T12:00:00+08:00", "Mars/Base", "2023-07-01T04:00:00"),
    ],
)
def test_a_stamp_without_zone_is_in_the_zone_of_its_context(decoder: Decoder, stamp: str, zone: str | None, utc: str) -> None:
    found = decoder.decode(body(timestamp=stamp, context={"timezone": zone}), "t", 0, 1, NOW)
    assert isinstance(found, Event)
    assert found.event_time == dt.datetime.fromisoformat(utc + "+00:00").timestamp() * 1000


def test_a_zone_that_is_needed_and_unknown_breaks_a_rule(decoder: Decoder) -> None:
    found = decoder.decode(body(timestamp="2023-07-01T12:00:00", context={"timezone": "Mars/Base"}), "t", 0, 1, NOW)
    assert isinstance(found, Rejected)
    assert (found.code, found.field) == ("quality_rule", "$.context.timezone")


def test_the_source_goes_with_events_and_rejections_alike(decoder: Decoder) -> None:
    good, bad = (decoder.decode(body(context={"source": "web"}, userId=user), "t", 0, 1, NOW) for user in ("u", "null"))
    assert isinstance(good, Event)
    assert isinstance(bad, Rejected)
    assert (good.origin, bad.origin) == ("web", "web")
    for odd in (5, {"a": 1}, None, "x" * 257):
        found = decoder.decode(body(context={"source": odd}), "t", 0, 1, NOW)
        assert isinstance(found, Event)
        assert found.origin == ""


def test_a_rejection_tells_what_it_can_of_a_record_whose_shape_is_wrong(decoder: Decoder) -> None:
    found = decoder.decode(body(event=5, context={"source": "web"}), "t", 0, 1, NOW)
    assert isinstance(found, Rejected)
    assert (found.field, found.message_id, found.tenant, found.origin) == ("$.event", "m1", "demo", "web")
    strange = decoder.decode(body(messageId=5, tenant="nobody"), "t", 0, 1, NOW)
    assert isinstance(strange, Rejected)
    assert (strange.message_id, strange.tenant) == ("", "")


LONG = "18446744073709551616"


@pytest.mark.parametrize(
    ("spelled", "stored"),
    [
        ('{"a":1,"b":0,"\\u0061":2}', '{"a":2,"b":0}'),
        ('{"x":{"total":40,"total":20}}', '{"x":{"total":20}}'),
        ('{ "a" : 1E2 , "b" : 2.0, "c": -0.0, "d": 0.1000000000000000055511151231257827, "e": 1e-400 }',
         '{"a":100.0,"b":2.0,"c":-0.0,"d":0.1,"e":0.0}'),
        ('{"a":18446744073709551615,"b":-9223372036854775808}', '{"a":18446744073709551615,"b":-9223372036854775808}'),
        ('{"a":"caf\\u00e9 \\ud83d\\ude00 \\/"}', '{"a":"café 😀 /"}'),
        ("null", "{}"),
        ("{}", "{}"),
    ],
)  # fmt: skip
def test_what_is_stored_is_what_was_understood_not_how_it_was_spelled(decoder: Decoder, spelled: str, stored: str) -> None:
    for part in ("properties", "traits", "context"):
        value = f'{{"type":"identify","messageId":"m","userId":"u","{part}":{{"old":1}},"{part}":{spelled}}}'
        event = decoder.decode(value.encode(), "t", 0, 0, NOW)
        assert isinstance(event, Event), event
        assert getattr(event, part) == stored
        assert event == msgspec.structs.replace(decoder.decode(value.encode("utf-8-sig"), "t", 0, 0, NOW), original=value.encode())


@pytest.mark.parametrize("number", [LONG, "-9223372036854775809", "7" * 400, "1" * 5000, "1e400"])
@pytest.mark.parametrize(
    "path",
    ["properties.total", "properties.x[1].y", "traits.phone", "context.z", "other", "properties.email", "properties.products[0].price"],
)
def test_a_number_that_cannot_be_kept_exactly_is_refused_where_it_stands(decoder: Decoder, number: str, path: str) -> None:
    inner = number
    for step in reversed(re.findall(r"[^.\[\]]+", path)):
        inner = f'{{"{step}":{inner}}}' if not step.isdigit() else "[" + "0," * int(step) + inner + "]"
    value = body(properties={"product_id": "p"}).decode().rstrip("}") + "}," + inner.removeprefix("{")
    found = decoder.decode(value.encode(), "t", 0, 0, NOW)
    assert isinstance(found, Rejected)
    assert (found.code, found.field) == ("payload_format", "$." + path)
    assert number not in found.rule


def test_a_record_that_cannot_be_read_still_tells_whose_it_is(decoder: Decoder) -> None:
    for bad in ('"x":NaN', '"x":' + "[" * 5000 + "]" * 5000, '"x":' + LONG, '"x":1e400', '"x":"\\ud800"', '"x":"\\u0000"'):
        value = f'{{"messageId":"m7","tenant":"demo","context":{{"source":"shop"}},"properties":{{{bad}}}}}'
        found = decoder.decode(value.encode(), "t", 0, 0, NOW)
        assert isinstance(found, Rejected)
        assert (found.code, found.tenant, found.message_id, found.origin) == ("payload_format", "demo", "m7", "shop"), bad[:20]


@pytest.mark.parametrize("number", ["9223372036854775808", "1e19", "9223372036854775808.0", "-9223372036854775809.0"])
def test_a_whole_number_of_a_contract_fits_its_column(decoder: Decoder, number: str) -> None:
    value = body(event="Products Searched", properties={"query": "mug", "results": 5}).replace(b"5}", number.encode() + b"}")
    found = decoder.decode(value, "t", 0, 0, NOW)
    assert isinstance(found, Rejected)
    assert (found.code, found.field) == ("quality_rule", "$.properties.results")
    most = decoder.decode(value.replace(number.encode(), b"9223372036854775807"), "t", 0, 0, NOW)
    assert isinstance(most, Event)
    assert most.properties == '{"query":"mug","results":9223372036854775807}'


def test_zones_that_strangers_make_up_do_not_fill_the_memory(decoder: Decoder) -> None:
    for number in range(3 * moments.ZONES_KEPT):
        found = decoder.decode(body(timestamp="2023-11-14T10:00:00", context={"timezone": f"Zone/{number}"}), "t", 0, 0, NOW)
        assert isinstance(found, Rejected)
        assert found.field == "$.context.timezone"
    assert moments.zone.cache_info().currsize <= moments.ZONES_KEPT
    assert isinstance(decoder.decode(body(timestamp="2023-11-14T10:00:00", context={"timezone": "Asia/Tokyo"}), "t", 0, 0, NOW), Event)


def test_an_event_names_a_bounded_number_of_external_ids(decoder: Decoder) -> None:
    ids = [{"type": "email", "id": f"a{number}@example.org"} for number in range(51)]
    found = decoder.decode(body(context={"externalIds": ids}), "t", 0, 0, NOW)
    assert isinstance(found, Rejected)
    assert (found.code, found.field) == ("schema_violation", "$.context.externalIds")
    assert isinstance(decoder.decode(body(context={"externalIds": ids[:50]}), "t", 0, 0, NOW), Event)
