"""No record can stop the pipeline: what is wrong is kept with its bytes, a code and a field, what is merely strange is applied."""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson
import pytest
from confluent_kafka import Message, Producer

from demo.malformed import KINDS
from demo.messages import iso
from operations.timed_stream import Record
from pipelines import control
from tests.oracle.kafka_log import read_raw
from tests.stacks import eventually
from tests.system import shop
from tests.system.outcome import check_profiles, judged, records_of
from tests.system.running import Running, say

CLICKS, ORDERS = "cdp.raw.clickstream", "cdp.raw.orders"
KEY = b"hostile"
HERE = "$"


class Case(NamedTuple):
    """A record, and how it must end: a rejection code and the field it names, or applied (empty code)."""

    name: str
    value: bytes | None
    code: str = ""
    field: str = ""
    topic: str = CLICKS


def view(message_id: str, at_ms: int, **changes: Any) -> dict[str, Any]:
    """A good event with some fields changed; None removes one."""
    properties = {"product_id": "85123A", "price": 2.55, "quantity": 1}
    body = {
        "type": "track",
        "event": "Product Added",
        "messageId": f"hostile-{message_id}",
        "tenant": "demo",
        "userId": "hostile-user",
        "timestamp": iso(at_ms),
    }
    return {name: value for name, value in (body | {"properties": properties} | changes).items() if value is not None}


def order(message_id: str, at_ms: int, **changes: Any) -> dict[str, Any]:
    """The same for an order."""
    properties = {"order_id": message_id, "products": [{"product_id": "85123A", "quantity": 6, "price": 2.55}]} | changes
    return view(message_id, at_ms, event="Order Completed", properties=properties)


def cases(at_ms: int) -> Iterator[Case]:
    """Everything we could think of, by hand."""

    def of(name: str, code: str = "", field: str = "", **changes: Any) -> Case:
        return Case(name, orjson.dumps(view(name, at_ms, **changes)), code, field)

    def of_order(name: str, code: str = "", field: str = "", **changes: Any) -> Case:
        return Case(name, orjson.dumps(order(name, at_ms, **changes)), code, field, ORDERS)

    def spoilt(name: str, old: bytes, new: bytes, code: str, field: str = HERE) -> Case:
        return Case(name, orjson.dumps(view(name, at_ms)).replace(old, new), code, field)

    good = orjson.dumps(view("good", at_ms))
    yield Case("an empty record", b"", "payload_format", HERE)
    yield Case("a tombstone", None, "payload_format", HERE)
    yield Case("half a record", good[: len(good) // 2], "payload_format", HERE)
    yield Case("binary", bytes(range(256)), "payload_format", HERE)
    yield Case("zeros", b"\0" * 1000, "payload_format", HERE)
    yield Case("UTF-16", good.decode().encode("utf-16"), "payload_format", HERE)
    yield Case("a byte order mark", b"\xef\xbb\xbf" + orjson.dumps(view("a byte order mark", at_ms)))
    yield spoilt("invalid UTF-8 in a value", b"85123A", b"\xff\xfe\x80", "payload_format")
    yield spoilt("invalid UTF-8 in an identifier", b"hostile-user", b"\xc3\x28", "payload_format")
    yield spoilt("an overlong encoding", b"85123A", b"\xc0\xaf", "payload_format")
    yield spoilt("half a surrogate pair", b"85123A", b"\\ud800", "payload_format")
    yield spoilt("a raw control character", b"85123A", b"a\nb", "payload_format")
    yield spoilt("NaN", b"2.55", b"NaN", "payload_format")
    yield spoilt("Infinity", b"2.55", b"Infinity", "payload_format")
    yield spoilt("1e999", b"2.55", b"1e999", "payload_format", "$.properties.price")
    yield spoilt("-1e999", b"2.55", b"-1e999", "payload_format", "$.properties.price")
    yield spoilt("a whole number beyond 64 bits", b"2.55", b"18446744073709551616", "payload_format", "$.properties.price")
    yield spoilt(
        "a whole number of 400 digits", b'"product_id"', b'"x":[-' + b"7" * 400 + b'],"product_id"', "payload_format", "$.properties.x[0]"
    )
    yield spoilt("a name told twice", b'"price"', b'"price":"none","price"', "", "")
    yield spoilt("a number with leading zeros", b"2.55", b"0002.55", "payload_format")
    yield spoilt("nested in properties", b'"85123A"', b"[" * 100 + b"]" * 100, "payload_format")
    yield Case("nested 100,000 deep", b"[" * 100_000 + b"]" * 100_000, "payload_format", HERE)
    yield Case("opened 100,000 times", b'{"a":' * 40_000, "payload_format", HERE)
    yield Case("a tick with a space", b'{"type": "tick"}', "schema_violation", "$.type")
    yield Case("a bare null", b"null", "schema_violation", HERE)
    yield Case("an array of events", b"[" + good + b"]", "schema_violation", HERE)
    yield of("type is a number", "schema_violation", "$.type", type=7)
    yield of("userId is an object", "schema_violation", "$.userId", userId={"$ne": None})
    yield of("userId is a boolean", "schema_violation", "$.userId", userId=True)
    yield of("properties is text", "schema_violation", "$.properties", properties="{}")
    yield of("traits is a list", "schema_violation", "$.traits", traits=[1])
    yield of("context is a number", "schema_violation", "$.context", context=1)
    yield of("channel is an object", "schema_violation", "$.context.channel", context={"channel": {}})
    yield of("externalIds is an object", "schema_violation", "$.context.externalIds", context={"externalIds": {"type": "phone"}})
    yield of(
        "an external id without a type",
        "schema_violation",
        "$.context.externalIds[1].type",
        context={"externalIds": [{"type": "a", "id": "b"}, {"id": "c"}]},
    )
    yield of("a tenant nobody knows", "schema_violation", "$.tenant", tenant="demo'; DROP TABLE events; --")
    yield of("a track call without a name", "schema_violation", "$.event", event=None)
    yield of("price is text", "schema_violation", "$.properties.price", properties={"product_id": "1", "price": "2.55"})
    yield of("no product", "schema_violation", "$.properties.product_id", properties={})
    yield of_order(
        "a line without a price",
        "schema_violation",
        "$.properties.products[1].price",
        products=[{"product_id": "1", "quantity": 1, "price": 1}, {"product_id": "1", "quantity": 1}],
    )
    yield of_order("no lines", "schema_violation", "$.properties.products", products=[])
    yield of_order(
        "quantity is a fraction",
        "schema_violation",
        "$.properties.products[0].quantity",
        products=[{"product_id": "1", "quantity": 1.5, "price": 1}],
    )
    yield of("a view of 33 kB", "size_violation", HERE, note="x" * 33_000)
    yield of("a string of 1 MB", "size_violation", HERE, note="x" * 1_048_576)
    yield of_order("an order of 1.9 MB", "size_violation", HERE, note="x" * 1_900_000)
    yield of("a message id of 101 characters", "size_violation", "$.messageId", messageId="m" * 101)
    yield of("nobody", "identifier_missing", "$.userId", userId=None)
    yield of("a placeholder", "identifier_missing", "$.userId", userId=" NULL ", anonymousId="undefined")
    yield of("the year 9999", "timestamp_out_of_range", "$.timestamp", timestamp="9999-12-31T23:59:59.999Z")
    yield of("the year 1", "timestamp_out_of_range", "$.timestamp", timestamp="0001-01-01T00:00:00Z")
    yield of("six minutes ahead", "timestamp_out_of_range", "$.timestamp", timestamp=iso(at_ms + 360_000))
    yield of("the 30th of February", "schema_violation", "$.timestamp", timestamp="2011-02-30T00:00:00Z")
    yield of("the year 271821 before Christ", "schema_violation", "$.timestamp", timestamp="-271821-04-20T00:00:00Z")
    yield of("a timestamp in words", "schema_violation", "$.timestamp", timestamp="yesterday")
    yield of("a timestamp as a number", "schema_violation", "$.timestamp", timestamp=at_ms)
    yield of("a negative price", "quality_rule", "$.properties.price", properties={"product_id": "1", "price": -0.01})
    yield of("a price of 1e308", "quality_rule", "$.properties.price", properties={"product_id": "1", "price": 1e308})
    yield of_order(
        "a huge quantity",
        "quality_rule",
        "$.properties.products[0].quantity",
        products=[{"product_id": "1", "quantity": 2**53, "price": 1}],
    )
    yield of_order("another currency", "quality_rule", "$.properties.currency", currency="XXX")
    yield Case("an ordinary event", good)
    yield Case("its id with another body", orjson.dumps(view("good", at_ms, event="Product Viewed")), "id_conflict", "$.messageId")
    yield of_order(
        "lines that add up beyond 64 bits",
        "quality_rule",
        "$.properties.products",
        products=[{"product_id": "1", "quantity": 1e6, "price": 1e9}] * 2000,
    )
    yield of("U+0000 in an identifier", "payload_format", "$.userId", userId="a\u0000b")
    yield of("U+0000 in the name of a property", "payload_format", "$.properties", properties={"product_id": "1", "a\u0000b": 1})
    yield spoilt("invalid UTF-8 in a name that nobody reads", b'"tenant"', b'"\xc0\xaf"', "payload_format")
    yield of("a long identifier", "schema_violation", "$.userId", userId="u" * 257)
    yield of("a long event name", "schema_violation", "$.event", event="E" * 257)
    yield of("an empty product", "schema_violation", "$.properties.product_id", properties={"product_id": ""})
    yield of_order("an empty order id", "schema_violation", "$.properties.order_id", order_id="")
    yield of("strange identifiers", userId="a|b|c {x}:demo \U0001f4a9", anonymousId="'; DROP TABLE events; --")
    yield of_order(
        "strange keys of an order", order_id="\U0001f4a9|\u202e", products=[{"product_id": "\U0001f9e6", "quantity": 1, "price": 1}]
    )
    yield of("a backslash and u0000", userId="hostile-user", note="\\u0000")
    yield of(
        "strange properties",
        properties={"product_id": " ", "__proto__": {"x": [[[]]]}, "": None, "\u202e": "\U0001f4a9", "a.b": {"$where": "1"}},
    )
    yield of("64 levels", properties={"product_id": "1", "deep": orjson.loads(b"[" * 62 + b"]" * 62)})
    yield of_order("5,000 lines", products=[{"product_id": "p", "quantity": 1, "price": 0.01}] * 5000)


@pytest.mark.timeout(900)
def test_no_record_stops_the_job_and_each_is_kept_with_its_fault(platform: Running) -> None:
    at_ms = platform.clock_ms() + 3_600_000
    told = list(cases(at_ms))
    known = [Case(f"kind {kind.name}", kind.value(f"hostile-kind-{kind.name}", at_ms), kind.code, "", kind.topic) for kind in KINDS]
    before, ends = platform.restarts(), platform.raw_ends()
    shop.write(platform, [Record(at_ms, case.topic, KEY, case.value, case.code) for case in told + known])
    platform.await_processed()
    assert platform.restarts() == before, "the job went on"

    raw = [record for record in read_raw(platform.bootstrap, platform.raw_topics) if record.offset >= ends[record.topic, record.partition]]
    positions = {topic: [r for r in sorted(raw) if r.topic == topic and r.value != b'{"type":"tick"}'] for topic in (CLICKS, ORDERS)}
    rejected = {
        (found["source"], found["partition"], found["offset"]): found
        for found in records_of("cdp.rejected")
        if found["source"] not in control.TOPICS
    }
    wrong = {}
    for topic, records in positions.items():
        mine = [case for case in told + known if case.topic == topic]
        assert [record.value for record in records] == [case.value for case in mine]
        for case, record in zip(mine, records, strict=True):
            found = rejected.get((record.topic, record.partition, record.offset))
            said = (found["code"], found["field"] if case.field else "", found["original"]) if found else ("", "", b"")
            wanted = (case.code, case.field, (record.value or b"") if case.code else b"")
            if said != wanted:
                wrong[case.name] = {
                    "found": said[:2],
                    "expected": wanted[:2],
                    "same bytes": said[2] == wanted[2],
                    "rule": found and found["rule"],
                }
            elif found:
                assert found["rule"], f"{case.name}: no rule"
    assert not wrong, "\n".join(f"{name}: {what}" for name, what in wrong.items())

    log = judged(platform)
    codes = {tuple(j.position): j.code for j in log.judged if j.outcome == "rejected"}
    assert {place: found["code"] for place, found in rejected.items()} == codes, "the specification's judgement of every record of the log"
    hostile = sum(bool(case.code) for case in told + known)
    say(f"{hostile} hostile records rejected, each with its bytes; {len(told + known) - hostile} strange ones applied; no restart")
    assert check_profiles(platform, log=log) >= 2
    begun = time.monotonic()
    platform.verify()
    say(f"verified in {time.monotonic() - begun:.1f} s")


@pytest.mark.timeout(900)
def test_no_control_record_stops_the_job_and_each_is_kept_with_its_fault(platform: Running) -> None:
    before, written = platform.restarts(), {}
    producer = Producer({"bootstrap.servers": platform.bootstrap})

    def note(error: object, message: Message) -> None:
        assert error is None
        written[message.topic(), message.partition(), message.offset()] = message.value()

    for topic in control.TOPICS:
        for key, value in (
            (None, b"no key"),
            (b"k", b"garbage"),
            (b"k", b"\x95\x01"),
            (b"k", b"[" * 5000),
            (b"\xff", b'{"tenant":"nobody"}'),
        ):
            if key is not None or topic != control.DEFINITIONS:  # a compacted topic's broker refuses records without a key
                producer.produce(topic, value, key, on_delivery=note)
        producer.produce(topic, b'{"tenant":"demo","x":"' + b"x" * 900_000 + b'"}', b"big", on_delivery=note)
    producer.produce("cdp.pokes", b'{"tenant":"demo","profile_id":"p","reason":7}', b"p", on_delivery=note)
    assert producer.flush(60) == 0

    def kept() -> bool:
        found = {(r["source"], r["partition"], r["offset"]): r["original"] for r in records_of("cdp.rejected")}
        return {place: found.get(place) for place in written} == written

    eventually(kept, "every malformed control record is in cdp.rejected", 120)
    assert platform.restarts() == before, "the job went on"
    platform.verify()
