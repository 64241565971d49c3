"""Raw records in Avro mean what their JSON would, whichever version of the schema wrote them; broken ones are rejected, never more."""

import io
import json
import struct
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.ingest.avro_records import as_json
from pipelines.ingest.decode import Decoder
from pipelines.wire import Event, Rejected
from schemas import clean, contracts, event_avro, registry
from tests.decoders import configured_decoder
from tests.examples import examples

NOW = 1_700_000_000_000
EXAMPLES = examples()


def newest(event: str) -> int:
    return max(number for number, schema in event_avro.known().items() if schema["cdp.event"] == event)


def record(event: str, properties: dict[str, Any], **envelope: Any) -> bytes:
    schema_id = newest(event)
    body = io.BytesIO()
    typed = {label: _plain(value) for label, value in properties.items()}
    fastavro.schemaless_writer(
        body, fastavro.parse_schema(event_avro.known()[schema_id]), {"messageId": "m", "userId": "u"} | envelope | {"properties": typed}
    )
    return struct.pack(">bI", 0, schema_id) + body.getvalue()


def _plain(value: Any) -> Any:
    return NOW if value == "2011-03-13T07:06:40Z" else value


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    return configured_decoder()


@pytest.mark.parametrize("event", list(contracts.load()))
def test_every_event_can_be_sent_as_avro(decoder: Decoder, event: str) -> None:
    found = decoder.decode(record(event, EXAMPLES[event], context='{"channel": "store"}'), "t", 0, 1, NOW)
    assert isinstance(found, Event), found
    assert (found.name, found.node, found.channel) == (event, "demo|user_id|u", "store")


def test_it_is_the_same_event_as_its_json(decoder: Decoder) -> None:
    properties = EXAMPLES["Order Completed"]
    moment = "2023-11-14T22:13:20Z"
    body = {"type": "track", "event": "Order Completed", "messageId": "m", "userId": "u", "timestamp": moment, "properties": properties}
    one = decoder.decode(json.dumps(body).encode(), "t", 0, 1, NOW)
    two = decoder.decode(record("Order Completed", properties, timestamp=NOW), "t", 0, 1, NOW)
    assert isinstance(one, Event)
    assert isinstance(two, Event)
    assert (one.facts, one.event_time, one.business_content) == (two.facts, two.event_time, two.business_content)


def test_properties_beyond_the_contract_come_along(decoder: Decoder) -> None:
    found = decoder.decode(record("Product Viewed", {"product_id": "p"}, extra='{"shelf": 3}'), "t", 0, 1, NOW)
    assert isinstance(found, Event)
    assert json.loads(found.properties) == {"product_id": "p", "shelf": 3}


@pytest.mark.parametrize(
    "broken",
    [
        b"\0",
        b"\0\0\0\0",
        struct.pack(">bI", 0, registry.OF_FILES | 1),  # a schema of the clean topics
        struct.pack(">bI", 0, 999_999) + b"x",
        record("Product Viewed", {"product_id": "p"})[:-1],
        record("Product Viewed", {"product_id": "p"}) + b"x",
        record("Product Viewed", {"product_id": "p", "price": float("nan")}),
        record("Product Viewed", {"product_id": "p"}, extra="[1]"),
        record("Product Viewed", {"product_id": "p"}, context="no"),
    ],
)
def test_what_cannot_be_read_is_rejected(decoder: Decoder, broken: bytes) -> None:
    found = decoder.decode(broken, "t", 0, 1, NOW)
    assert isinstance(found, Rejected)
    assert found.code == "payload_format"


@given(st.binary(max_size=200), st.sampled_from(["Order Completed", "Product Viewed", "Ticket Opened"]))
def test_no_bytes_raise_anything_else(decoder: Decoder, body: bytes, event: str) -> None:
    found = decoder.decode(struct.pack(">bI", 0, newest(event)) + body, "t", 0, 1, NOW)
    assert isinstance(found, Event) or found.code != "internal"  # type: ignore[union-attr]


def test_there_is_a_schema_for_each_contract_as_it_is_now() -> None:
    assert event_avro.missing(contracts.load()) == {}
    for schema in event_avro.known().values():
        fastavro.parse_schema(schema)


def test_a_contract_that_changed_under_its_version_is_refused() -> None:
    changed = contracts.load()
    order = changed["Order Completed"]
    changed["Order Completed"] = contracts.msgspec.structs.replace(order, fields={k: v for k, v in order.fields.items() if k != "total"})
    with pytest.raises(ValueError, match="its version 1-0-2 has not"):
        event_avro.missing(changed)


def test_records_of_an_older_schema_read_as_the_newest() -> None:
    older = clean.formats()[1]
    record_ = {"tenant": "t", "node": "n", "profile_id": "p", "seq": 1, "type": "track", "name": "A", "message_id": "m", "event_time": 1}
    record_ |= {"source": "s", "partition": 0, "offset": 1, "log_time": 1, "channel": "web", "late": False, "identifiers": []}
    record_ |= {"properties": "{}", "traits": "{}", "context": "{}"}
    added = {"origin": "", "flags": [], "origin_log": "", "origin_order": "", "object": "", "group": ""}
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(older.avro), record_)
    assert clean.decode(struct.pack(">bI", 0, registry.OF_FILES | older.id) + body.getvalue()) == record_ | added


def test_the_json_of_an_avro_record_is_an_envelope() -> None:
    found = json.loads(as_json(record("Ticket Opened", {"ticket_id": "t"}, timestamp=NOW)))
    assert found["timestamp"] == "2023-11-14T22:13:20Z"
    assert found["properties"] == {"ticket_id": "t"}
