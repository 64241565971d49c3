"""What an id on the wire means without a registry, and which names things would have in one."""

import io
import os
import struct

import fastavro
import pytest

from config import loader
from config.platform import Platform
from pipelines.history.container import files_of
from pipelines.history.tables import TABLES
from schemas import clean, contracts, event_avro, registry
from stack import settings
from tests.registries import using
from tests.unit.test_history_container import link, read


def test_ids_of_the_files_are_marked_by_a_bit_that_no_registry_hands_out() -> None:
    (wire_id,) = struct.unpack(">I", clean.encode("link", link(1, "x"))[1:5])
    assert wire_id == (1 << 31) | clean.newest("link").id


def test_an_unmarked_id_in_a_clean_topic_is_a_registrys_unless_one_says_otherwise() -> None:
    message = clean.encode("link", link(1, "x"))
    unmarked = struct.pack(">bI", 0, clean.newest("link").id) + message[5:]
    with using(""), pytest.raises(clean.UnknownSchemaError, match=r"that of a schema registry, and none is configured .*`files`"):
        clean.decode(unmarked)
    with using(registry.UNMARKED):
        assert clean.decode(unmarked) == clean.decode(message) == link(1, "x")


def test_an_id_that_no_file_has_is_said_to_be_of_the_files() -> None:
    with using(""), pytest.raises(clean.UnknownSchemaError, match="schema id 999 of the files is not in schemas/avro"):
        clean.format_of(struct.pack(">bI", 0, registry.OF_FILES | 999))


def test_one_schema_under_two_ids_makes_one_file_with_all_rows_in_order() -> None:
    """Two files would have the same insert token, and the second would be taken for a repetition of the first."""
    message = [clean.encode("link", link(number, "x")) for number in range(4)]
    message[2] = struct.pack(">bI", 0, clean.newest("link").id) + message[2][5:]
    with using(registry.UNMARKED):
        ((written, data),) = files_of(message).items()
    assert written is clean.newest("link")
    assert read(data) == [0, 1, 2, 3]


def test_names_of_schemas_tell_them_apart() -> None:
    names = [found.name for found in clean.formats().values()]
    assert len(set(names)) == len(names)
    assert "event-1-0-0" in names, "insert tokens hold these names: they must not change"


def test_the_topics_of_the_subjects_are_those_that_history_reads() -> None:
    assert {table.subject: topic for topic, table in TABLES.items()} | {"link": "cdp.links"} == clean.TOPICS
    assert clean.registered_as("profile_change") == "cdp.profile.changes-value"


def test_each_event_has_a_record_name_of_its_own_by_which_it_is_known() -> None:
    newest = event_avro.newest()
    assert set(newest) == set(contracts.load())
    for event, (_, schema) in newest.items():
        assert event_avro.event_of(registry.plain(schema)) == event
        assert event_avro.registered_as(schema).startswith("cdp.raw.")
    assert len({event_avro.registered_as(schema) for _, schema in newest.values()}) == len(newest)
    assert {event: schema["cdp.version"] for event, (_, schema) in newest.items()} == {
        event: contract.version for event, contract in contracts.load().items()
    }


def test_only_a_record_can_be_an_event() -> None:
    assert event_avro.event_of({"type": "record", "name": "X", "cdp.event": "Ticket Closed"}) == "Ticket Closed"
    assert event_avro.event_of({"type": "array", "items": "string", "cdp.event": "Ticket Closed"}) is None


def test_schemas_without_our_notes_are_still_schemas() -> None:
    for file_id, schema in registry.committed().items():
        bare = registry.plain(schema.avro)
        assert "cdp." not in str({name for name in bare}), file_id
        fastavro.parse_schema(bare)
        assert registry.plain(bare) == bare


def test_the_body_of_a_record_is_the_same_whatever_its_id() -> None:
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(registry.plain(clean.schema("link"))), link(1, "x"))
    assert clean.encode("link", link(1, "x"))[5:] == body.getvalue()


def test_the_url_travels_in_the_environment_of_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(registry.VARIABLE, raising=False)
    assert settings.environment(settings.load({}))[registry.VARIABLE] == loader.read("platform.yaml", Platform).schema_registry.url
    monkeypatch.setenv(registry.VARIABLE, "http://elsewhere:8081")
    assert settings.child_environment(settings.load({}), "kafka")[registry.VARIABLE] == "http://elsewhere:8081"
    with using(os.environ[registry.VARIABLE]):
        assert loader.platform().schema_registry.url == "http://elsewhere:8081"
