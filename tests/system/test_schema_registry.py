"""The whole platform with a schema registry: ids, other producers' schemas, and a registry that dies while records wait for it.

It has a stack of its own, as the registry's address is part of what every process is started with, and comes first so that no other runs
beside it.
"""

import io
import json
import os
import struct
from collections.abc import Iterator
from typing import Any

import fastavro
import pytest
from confluent_kafka import Producer
from confluent_kafka.schema_registry import Schema as Text
from confluent_kafka.schema_registry import SchemaRegistryClient

from schemas import clean, event_avro, registry
from tests.registries import using
from tests.registry_server import RegistryServer
from tests.stacks import Stack, eventually, read_all
from tests.system.running import Running, say

ORDERS = "cdp.raw.orders"
NUMBER = 200


class World:
    """The platform, its registry, and a producer that knows both."""

    def __init__(self, running: Running, server: RegistryServer) -> None:
        self.running, self.server = running, server
        self.api = SchemaRegistryClient({"url": server.url})
        self._producer = Producer({"bootstrap.servers": running.bootstrap})
        self._next = 0

    def register(self, subject: str, avro: dict[str, Any]) -> int:
        return self.api.register_schema(subject, Text(json.dumps(registry.plain(avro)), "AVRO"))

    def send_avro(self, wire_id: int, avro: dict[str, Any], properties: dict[str, Any]) -> None:
        body = io.BytesIO()
        fastavro.schemaless_writer(body, fastavro.parse_schema(avro), {**self._envelope(), "properties": properties})
        self.send(struct.pack(">bI", 0, wire_id) + body.getvalue())

    def send_json(self, event: str, properties: dict[str, Any]) -> None:
        self.send(json.dumps({**self._envelope(), "type": "track", "event": event, "properties": properties}).encode())

    def send(self, value: bytes) -> None:
        self._producer.produce(ORDERS, value, partition=0)
        self._producer.flush(30)

    def _envelope(self) -> dict[str, Any]:
        self._next += 1
        return {"messageId": f"m{self._next}", "userId": f"u{self._next % 7}"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("schema-registry")
    made = Stack(folder / "home")
    with made.pointed_at():
        server = RegistryServer(folder / "registry")
        running = Running(made)
        try:
            with using(server.start().url):
                os.environ["CDP_RAW_CLOCK"] = "replay"
                running.cdp("schema", "register")
                running.cdp("up", "--deadline", "900")
                yield World(running, server)
        finally:
            running.cdp("down")
            server.kill()


def outcome() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    events, rejected = ([clean.decode(message.value() or b"") for message in read_all(topic)] for topic in ("cdp.events", "cdp.rejected"))
    return events, rejected


@pytest.mark.timeout(1200)
def test_records_of_every_origin_pass_and_a_registry_that_dies_costs_none(world: World) -> None:
    theirs = json.loads(json.dumps(event_avro.newest()["Cart Viewed"][1]))
    inner = next(field for field in theirs["fields"] if field["name"] == "properties")["type"]["fields"]
    inner.append({"name": "shelf", "type": "int", "default": 0})
    late = json.loads(json.dumps(event_avro.newest()["Ticket Opened"][1]))
    ours = event_avro.newest()["Product Viewed"][1]
    our_id = world.register("cdp.raw.ProductViewed", ours)
    their_id, late_id = world.register("orders-value", theirs), world.register("cdp.raw.TicketOpened", late)

    for number in range(NUMBER):
        world.send_avro(our_id, ours, {"product_id": f"p{number}"})
        world.send_avro(their_id, theirs, {"cart_id": "c", "shelf": number})
        world.send_json("Product Viewed", {"product_id": f"p{number}"})
    world.send(struct.pack(">bI", 0, 999_999) + b"x")
    world.running.await_processed()
    events, rejected = outcome()
    assert len(events) == 3 * NUMBER
    assert sum("shelf" in json.loads(event["properties"]) for event in events) == NUMBER
    assert [(found["code"], "999999 is not in the schema registry" in found["rule"]) for found in rejected] == [("payload_format", True)]
    ids = {int.from_bytes((message.value() or b"")[1:5], "big") for topic in clean.TOPICS.values() for message in read_all(topic)}
    held = {world.api.get_latest_version(clean.registered_as(subject)).schema_id for subject in clean.SUBJECTS}
    assert ids <= held
    say(f"{len(events)} events, all of them with ids of the registry: {sorted(ids)}")
    world.running.verify()

    run, restarts = world.running.restarts()
    world.server.kill()
    say("the registry is killed; records come by a schema that nobody has asked for yet")
    for number in range(NUMBER):
        world.send_avro(late_id, late, {"ticket_id": f"t{number}", "category": "c", "channel": "phone", "priority": "high"})
        world.send_json("Product Viewed", {"product_id": f"q{number}"})
    eventually(lambda: world.running.rest.restarts(run) > restarts, "the job fails and is restarted", 300)
    say("the job has been restarted; the registry comes back")
    world.server.start()
    world.running.await_processed()
    events, rejected = outcome()
    assert len(rejected) == 1, "nothing was rejected for the registry's sake"
    assert len(events) == 5 * NUMBER
    assert len({event["message_id"] for event in events}) == 5 * NUMBER
    world.running.verify()
