"""Schema ids from a real registry: registered once, found again, read by whoever wrote them; a registry that is away rejects nothing."""

import io
import json
import os
import struct
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pytest
from confluent_kafka.schema_registry import Schema as Text
from confluent_kafka.schema_registry import SchemaReference, SchemaRegistryClient
from typer.testing import CliRunner

from cli import registry_commands
from cli.main import app
from pipelines.ingest.decode import Decoder
from pipelines.wire import Event, Rejected
from schemas import clean, event_avro, registration, registry, registry_client
from schemas.registry_client import Client
from tests.decoders import configured_decoder
from tests.examples import examples
from tests.registries import using
from tests.registry_server import RegistryServer
from tests.unit.test_history_container import link

NOW = 1_700_000_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    made = RegistryServer(tmp_path_factory.mktemp("registry") / "home")
    try:
        yield made.start()
    finally:
        made.kill()


@pytest.fixture(autouse=True)
def _environment_stays() -> Iterator[None]:
    """Commands point the process they run in at the stack."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def client(server: RegistryServer) -> Iterator[Client]:
    with using(server.url) as made:
        assert isinstance(made, Client)
        yield made


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    return configured_decoder()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_client, "TIMEOUT_S", 0.5)
    monkeypatch.setattr(registry_client, "RETRIES", 2)


class Other:
    """A producer that is not ours: its own schemas, registered by Confluent's library."""

    def __init__(self, server: RegistryServer) -> None:
        self.api = SchemaRegistryClient({"url": server.url})

    def send(self, subject: str, avro: dict[str, Any], record: dict[str, Any], references: list[SchemaReference] | None = None) -> bytes:
        text = json.dumps(avro, indent=3)
        wire_id = self.api.register_schema(subject, Text(text, "AVRO", references or []))
        named: dict[str, Any] = {}
        for reference in references or []:
            needed = self.api.get_version(reference.subject or "", reference.version or 1).schema.schema_str
            fastavro.parse_schema(json.loads(needed or ""), named_schemas=named)
        return struct.pack(">bI", 0, wire_id) + encoded(fastavro.parse_schema(avro, named_schemas=named), record)


def encoded(schema: Any, record: dict[str, Any]) -> bytes:
    body = io.BytesIO()
    fastavro.schemaless_writer(body, schema, record)
    return body.getvalue()


def raw_schema(event: str) -> dict[str, Any]:
    """A copy to be changed."""
    found: dict[str, Any] = json.loads(json.dumps(event_avro.newest()[event][1]))
    return found


def properties_of(schema: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = next(field for field in schema["fields"] if field["name"] == "properties")["type"]["fields"]
    return found


def decoded(decoder: Decoder, message: bytes) -> Event:
    found = decoder.decode(message, "t", 0, 1, NOW)
    assert isinstance(found, Event), found
    return found


def test_a_record_is_written_with_the_registrys_id_and_read_by_it(client: Client) -> None:
    message = clean.encode("link", link(7, "x"))
    (held,) = client.versions("cdp.links-value")
    assert struct.unpack(">bI", message[:5]) == (0, held.id)
    assert held.id < registry.OF_FILES
    assert clean.decode(message) == link(7, "x")
    assert clean.format_of(message) is clean.newest("link"), "the same schema under another id"


def test_registering_again_makes_no_version_whatever_our_notes_in_the_schema_say(client: Client) -> None:
    avro = clean.schema("duplicate")
    first = client.write_id("cdp.duplicates-value", 1, avro)
    reordered = {name: avro[name] for name in reversed(avro)} | {"cdp.id": 999, "cdp.version": "9-9-9", "cdp.more": [1]}
    assert client.write_id("cdp.duplicates-value", 1, reordered) == first
    assert len(list(client.versions("cdp.duplicates-value"))) == 1
    assert not [name for name in next(client.versions("cdp.duplicates-value")).avro if name.startswith("cdp.")]


def test_a_schema_that_somebody_else_spelled_his_way_is_found(server: RegistryServer, client: Client) -> None:
    avro = clean.schema("rejected")
    theirs = Other(server).api.register_schema("cdp.rejected-value", Text(json.dumps(avro, indent=4), "AVRO"))
    assert client.write_id("cdp.rejected-value", 1, avro) == theirs


def test_records_of_the_files_and_of_the_registry_lie_in_one_topic(client: Client) -> None:
    with using(""):
        before = clean.encode("link", link(1, "x"))
    with using(client.shown):
        after = clean.encode("link", link(2, "x"))
        assert before[:5] != after[:5]
        assert [clean.decode(message)["offset"] for message in (before, after)] == [1, 2]
    with using(""), pytest.raises(clean.UnknownSchemaError, match="that of a schema registry, and none is configured"):
        clean.decode(after)


def test_a_newer_version_of_a_clean_record_is_read_as_ours(server: RegistryServer, client: Client) -> None:
    newer = json.loads(json.dumps(registry.plain(clean.schema("link"))))
    newer["fields"].insert(0, {"name": "weight", "type": "double", "default": 1.0})
    message = Other(server).send("cdp.links-value", newer, link(3, "x") | {"weight": 2.0})
    assert clean.decode(message) == link(3, "x")
    written = clean.format_of(message)
    assert (written.subject, written.version) == ("link", "")
    assert written.name == f"link-registered-{int.from_bytes(message[1:5], 'big')}"


def test_the_schema_of_a_raw_event_is_none_of_a_clean_topic(server: RegistryServer, client: Client) -> None:
    message = Other(server).send("x", {"type": "record", "name": "link", "namespace": "other", "fields": []}, {})
    with pytest.raises(clean.UnknownSchemaError, match=r"`other\.link`"):
        clean.format_of(message)


@pytest.mark.parametrize("event", ["Order Completed", "Ticket Opened", "Trial Started"])
def test_a_raw_event_under_the_registrys_id_is_what_it_is_under_the_files(client: Client, decoder: Decoder, event: str) -> None:
    file_id, avro = event_avro.newest()[event]
    properties = {name: NOW if value == "2011-03-13T07:06:40Z" else value for name, value in examples()[event].items()}
    body = encoded(fastavro.parse_schema(avro), {"messageId": "m", "userId": "u", "properties": properties})
    wire_id = client.write_id(event_avro.registered_as(avro), file_id, avro)
    by_registry = decoded(decoder, struct.pack(">bI", 0, wire_id) + body)
    by_file = decoded(decoder, struct.pack(">bI", 0, registry.OF_FILES | file_id) + body)
    assert by_registry.fingerprint == by_file.fingerprint
    assert by_registry.name == event


def test_a_producers_own_version_of_an_event_is_read_with_all_it_holds(server: RegistryServer, client: Client, decoder: Decoder) -> None:
    """Registered by another producer under the name its client gives, money as decimal, a field more, some fewer, no notes of ours."""
    theirs = registry.plain(raw_schema("Product Viewed"))
    fields = [field for field in properties_of(theirs) if field["name"] in ("product_id", "name")]
    price = {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}
    fields += [{"name": "price", "type": price}, {"name": "shelf", "type": "int"}]
    properties_of(theirs)[:] = fields
    record = {"messageId": "m", "userId": "u", "properties": {"product_id": "p", "name": None, "price": Decimal("12.50"), "shelf": 3}}
    found = decoded(decoder, Other(server).send("cdp.raw.clickstream-value", theirs, record))
    assert json.loads(found.properties) == {"product_id": "p", "price": 12.5, "shelf": 3}


def test_a_producers_schema_under_a_name_of_its_own_counts_by_its_attribute(
    server: RegistryServer, client: Client, decoder: Decoder
) -> None:
    fields = [{"name": "messageId", "type": "string"}, {"name": "userId", "type": "string"}]
    inner = {"type": "record", "name": "P", "fields": [{"name": "ticket_id", "type": "string"}]}
    theirs = {"type": "record", "name": "Done", "fields": [*fields, {"name": "properties", "type": inner}]}
    record = {"messageId": "m", "userId": "u", "properties": {"ticket_id": "t"}}
    named = decoded(decoder, Other(server).send("a", theirs | {"cdp.event": "Ticket Closed"}, record))
    assert named.name == "Ticket Closed"
    for avro in (theirs, theirs | {"cdp.event": "No Such Event"}):
        refused = decoder.decode(Other(server).send("b", avro, record), "t", 0, 1, NOW)
        assert isinstance(refused, Rejected)
        assert (refused.code, "is that of `Done`" in refused.rule) == ("payload_format", True)


def test_a_schema_that_is_not_avro_is_rejected_whatever_it_calls_itself(server: RegistryServer, client: Client, decoder: Decoder) -> None:
    text = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "name": "cdp.raw.TicketClosed",
        "cdp.event": "Ticket Closed",
    }
    wire_id = Other(server).api.register_schema("json", Text(json.dumps(text), "JSON"))
    refused = decoder.decode(struct.pack(">bI", 0, wire_id) + b"{}", "t", 0, 1, NOW)
    assert isinstance(refused, Rejected)
    assert refused.code == "payload_format", refused


def test_a_schema_that_refers_to_another_subject_is_read_with_it(server: RegistryServer, client: Client, decoder: Decoder) -> None:
    other = Other(server)
    line = {"type": "record", "name": "Line", "namespace": "shop"}
    line["fields"] = [{"name": "product_id", "type": "string"}, {"name": "quantity", "type": "int"}, {"name": "price", "type": "double"}]
    other.api.register_schema("shop.Line", Text(json.dumps(line), "AVRO"))
    theirs = {"type": "record", "name": "OrderCompleted", "namespace": "cdp.raw"}
    inner = [{"name": "order_id", "type": "string"}, {"name": "products", "type": {"type": "array", "items": "shop.Line"}}]
    theirs["fields"] = [{"name": "messageId", "type": "string"}, {"name": "userId", "type": "string"}]
    theirs["fields"].append({"name": "properties", "type": {"type": "record", "name": "Order", "fields": inner}})
    lines = [{"product_id": "p", "quantity": 2, "price": 1.5}]
    record = {"messageId": "m", "userId": "u", "properties": {"order_id": "o", "products": lines}}
    found = decoded(decoder, other.send("orders-value", theirs, record, [SchemaReference("shop.Line", "shop.Line", 1)]))
    assert json.loads(found.properties)["products"] == lines


def test_an_id_the_registry_does_not_have_is_a_rejection_and_is_asked_again_later(server: RegistryServer, decoder: Decoder) -> None:
    now = [0.0]
    message = struct.pack(">bI", 0, 4_000_000) + b"x"
    with using(server.url) as made:
        asker = Client(server.url, clock=lambda: now[0])
        assert asker.schema(4_000_000) is None
        found = decoder.decode(message, "t", 0, 1, NOW)
        assert isinstance(found, Rejected)
        assert (found.code, "4000000 is not in the schema registry" in found.rule) == ("payload_format", True)
        assert made.schema(4_000_000) is None
    asked: list[str] = []
    asker._ask = lambda what, call: asked.append(what)  # type: ignore[method-assign, func-returns-value]
    asker.schema(4_000_000)
    assert asked == [], "known to be unknown"
    now[0] += registry_client.UNKNOWN_FOR_S + 0.1
    asker.schema(4_000_000)
    assert asked == ["schema 4000000"]


def test_a_change_that_does_not_fit_is_refused_with_the_way_to_look_at_it(client: Client) -> None:
    avro = raw_schema("Cart Viewed")
    subject = event_avro.registered_as(avro)
    client.write_id(subject, 1, avro)
    client.set_compatibility(subject, "BACKWARD")
    assert client.compatibility(subject) == "BACKWARD"
    properties_of(avro).append({"name": "colour", "type": ["null", "string"], "default": None})
    assert client.fits(subject, avro)
    properties_of(avro).append({"name": "size", "type": "string"})
    assert not client.fits(subject, avro)
    with pytest.raises(registry.RegistryRefusedError, match="check --against-registry"):
        client.register(subject, avro)
    assert len(list(client.versions(subject))) == 1


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["schema", *arguments])
    return done.exit_code, done.output + (str(done.exception) if done.exception else "")


def test_all_schemas_are_registered_at_once_guarded_and_only_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a registry of its own: what else lies in the shared one is not ours."""
    monkeypatch.setenv("CDP_KAFKA", "127.0.0.1:1")
    monkeypatch.setattr(registry_commands, "ANSWER_TIMEOUT_S", 0.5)
    count = len(registration.wanted())
    own = RegistryServer(tmp_path / "home")
    try:
        with using(own.start().url) as client:
            assert isinstance(client, Client)
            code, said = run("register", "--dry-run")
            assert (code, f"0 were there, {count} to be registered" in said) == (0, True), said
            assert "Kafka does not answer" in said
            assert not list(client.versions("cdp.events-value")), "a dry run does nothing"
            code, said = run("register")
            assert (code, f"0 were there, {count} registered" in said) == (0, True), said
            assert {client.compatibility(one.subject) for one in registration.wanted()} == {"BACKWARD"}
            code, said = run("register")
            assert (code, said.splitlines()[0]) == (0, f"{count} schemas, {own.url}: {count} were there, 0 registered, 0 refused")
            assert run("check", "--against-registry")[0] == 0
            client.set_compatibility("cdp.events-value", "NONE")
            client.set_compatibility("cdp.links-value", "FULL")
            assert "1 subjects take whatever comes" in run("check", "--against-registry")[1]
            run("register")
            assert client.compatibility("cdp.events-value") == "BACKWARD"
            assert client.compatibility("cdp.links-value") == "FULL", "stricter than ours is left alone"
            _breaking_change_is_named(own, client, count, monkeypatch)
    finally:
        own.kill()


def _breaking_change_is_named(own: RegistryServer, client: Client, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    changed, fitting = raw_schema("Cart Viewed"), raw_schema("Product Viewed")
    properties_of(changed).append({"name": "size", "type": "string"})
    lines = next(field for field in properties_of(changed) if field["name"] == "products")["type"][1]["items"]
    next(field for field in lines["fields"] if field["name"] == "price")["type"] = "string"
    properties_of(fitting).append({"name": "colour", "type": ["null", "string"], "default": None})
    newest = event_avro.newest()
    replaced = newest | {"Cart Viewed": (1, changed), "Product Viewed": (1, fitting)}
    monkeypatch.setattr(event_avro, "newest", lambda: replaced)
    for command in (("check", "--against-registry"), ("register",)):
        code, said = run(*command)
        assert code == 1
        assert "properties.size: new, and without a default" in " ".join(said.split())
        assert "properties.products.price: double has become string" in " ".join(said.split())
        assert f"{count - 2} were there, 1 {'registered' if command == ('register',) else 'to be registered'}, 1 refused" in said
    assert len(list(client.versions("cdp.raw.ProductViewed"))) == 2
    assert len(list(client.versions("cdp.raw.CartViewed"))) == 1


def test_the_commands_say_when_there_is_no_registry() -> None:
    with using(""):
        code, said = run("register")
    assert (code, "set schema_registry.url in config/platform.yaml" in said) == (1, True)


def test_a_registry_that_is_away_fails_the_caller_and_rejects_nothing(
    server: RegistryServer, client: Client, decoder: Decoder, impatient: None
) -> None:
    file_id, avro = event_avro.newest()["Product Viewed"]
    body = encoded(fastavro.parse_schema(avro), {"messageId": "m", "userId": "u", "properties": {"product_id": "p"}})
    message = struct.pack(">bI", 0, client.write_id(event_avro.registered_as(avro), file_id, avro)) + body
    json_record = b'{"type":"track","event":"Product Viewed","messageId":"m","userId":"u","properties":{"product_id":"p"}}'
    server.kill()
    try:
        with using(server.url):
            for attempt in (lambda: decoder.decode(message, "t", 0, 1, NOW), lambda: clean.encode("link", link(1, "x"))):
                with pytest.raises(registry.RegistryAwayError, match="does not answer"):
                    attempt()
            assert decoded(decoder, json_record).name == "Product Viewed", "JSON needs no registry"
            assert decoded(decoder, struct.pack(">bI", 0, registry.OF_FILES | file_id) + body).name == "Product Viewed"
            server.start()
            assert decoded(decoder, message).name == "Product Viewed", "what failed is not remembered"
            server.kill()
            assert decoded(decoder, message).name == "Product Viewed", "what was found is"
    finally:
        server.start()


def test_a_registry_that_hangs_is_given_up(server: RegistryServer, decoder: Decoder, impatient: None) -> None:
    server.freeze()
    try:
        with using(server.url), pytest.raises(registry.RegistryAwayError, match="Timeout"):
            decoder.decode(struct.pack(">bI", 0, 1) + b"x", "t", 0, 1, NOW)
    finally:
        server.thaw()


def test_a_wrong_address_is_no_judgement_about_records(server: RegistryServer, decoder: Decoder) -> None:
    root = server.url.removesuffix("/apis/ccompat/v7")
    for url in (f"{root}/apis/nothing", root, f"{root}/apis/registry/v2"):
        with using(url), pytest.raises(registry.RegistryRefusedError, match="is this the address"):
            decoder.decode(struct.pack(">bI", 0, 1) + b"x", "t", 0, 1, NOW)
    with pytest.raises(registry.RegistryRefusedError, match="is no http"), using("localhost:8081"):
        pass


def test_a_password_in_the_address_is_in_no_message(server: RegistryServer, impatient: None, tmp_path: Path) -> None:
    with using("http://me:secret@127.0.0.1:1/x"), pytest.raises(registry.RegistryAwayError) as caught:
        clean.encode("link", link(1, "x"))
    assert "secret" not in str(caught.value)
    assert "127.0.0.1:1/x" in str(caught.value)
