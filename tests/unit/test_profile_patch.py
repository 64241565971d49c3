"""A batch of patches may be joined before it is sent: the store must end up the same as with one write after the other."""

import datetime
import io
import struct
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import fastavro
import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from profile_store import layout
from profile_store.patch import Patch, coalesce, from_record
from profile_store.writer import Command, _profile_command
from schemas import clean, registry

FIELDS = ["a", "b", "c", layout.TRAITS]
Key = tuple[str, str]
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@dataclass
class Held:
    """A profile's two hashes in the model."""

    rank: tuple[int, int] = (-1, -1)
    merged: bool = False
    fields: dict[str, Any] = field(default_factory=dict)
    pii: dict[str, Any] = field(default_factory=dict)


def personal(traits: int | None) -> dict[str, Any]:
    """The personal traits that go with a value of field `traits`."""
    return {name: {"value": f"sealed:{traits}", "conflicts": []} for name in ("email", "phone")[: traits or 0]}


def arguments(patch: Patch, base: int) -> tuple[int, dict[str, Any], dict[str, Any] | None]:
    """Base, fields and personal traits (None: not concerned) of the command the writer makes of a patch."""
    command = _profile_command(patch, base)
    if command[2] == 1:
        return int(command[6]), pairs(command[7:]), None
    assert command[4] == layout.pii_key(patch.tenant, patch.profile_id)
    words = int(command[8])
    return int(command[7]), pairs(command[9 + words :]), pairs(command[9 : 9 + words])


def pairs(words: Command) -> dict[str, Any]:
    stored = {str(name): str(value) if isinstance(value, int) else value for name, value in zip(words[::2], words[1::2], strict=True)}
    return {name: orjson.loads(value) for name, value in stored.items() if name not in (layout.VERSION, layout.AT)}


def apply(store: dict[Key, Held], patch: Patch) -> None:
    """What writer.lua and the writer do with one patch, healing included."""
    held = store.setdefault((patch.tenant, patch.profile_id), Held())
    base, fields, pii = arguments(patch, patch.base_version)
    if patch.rank <= held.rank:
        return
    if base and (held.rank != (patch.incarnation, base) or held.merged):
        base, fields, pii = arguments(patch, 0)
    held.fields = {**held.fields, **fields} if base else fields
    held.pii = held.pii if pii is None else pii
    held.rank, held.merged = patch.rank, layout.MERGED_INTO in fields


@st.composite
def histories(draw: st.DrawFn) -> list[Patch]:
    """All versions one or two profiles ever had, by one or two writers, each patch truthful about what it changed."""
    patches = []
    for profile in draw(st.sampled_from([["p"], ["p", "q"]])):
        before: dict[str, int] = {}
        version = 0
        for incarnation in draw(st.sampled_from([[3], [3, 4]])):
            for step in range(draw(st.integers(1, 5))):
                version += 1
                now = draw(st.dictionaries(st.sampled_from(FIELDS), st.integers(0, 2)))
                merged = draw(st.sampled_from(["", "", "", "q"]))
                whole = step == 0 or draw(st.booleans())
                differing = [name for name in FIELDS if before.get(name) != now.get(name)]
                nodes = draw(
                    st.lists(
                        st.tuples(st.just("user_id"), st.sampled_from("12"), st.integers(0, 3)), max_size=2, unique_by=lambda node: node[1]
                    )
                )
                patches.append(
                    Patch(
                        "t",
                        profile,
                        incarnation,
                        version,
                        0 if whole else version - 1,
                        version,
                        orjson.dumps(now),
                        differing,
                        nodes,
                        merged,
                        orjson.dumps(personal(now.get(layout.TRAITS))),
                    )
                )
                before = now
    return patches


@patient
@given(histories(), st.data())
def test_a_joined_batch_leaves_the_store_as_one_write_after_the_other_does(history: list[Patch], data: st.DataObject) -> None:
    arrivals = data.draw(st.lists(st.sampled_from(history), max_size=12))
    if data.draw(st.booleans()):
        arrivals = history[data.draw(st.integers(0, len(history))) :]
    before = data.draw(st.lists(st.sampled_from(history), max_size=3))
    one_by_one: dict[Key, Held] = {}
    joined: dict[Key, Held] = {}
    for patch in before:
        apply(one_by_one, patch)
        apply(joined, patch)
    for patch in arrivals:
        apply(one_by_one, patch)
    for patch in coalesce(arrivals):
        apply(joined, patch)
    assert joined == one_by_one


@patient
@given(histories())
def test_a_joined_batch_names_each_profile_once_with_its_newest_version_and_each_identifier_with_its_newest_epoch(
    history: list[Patch],
) -> None:
    joined = coalesce(history)
    assert sorted(patch.profile_id for patch in joined) == sorted({patch.profile_id for patch in history})
    for patch in joined:
        mine = [other for other in history if other.profile_id == patch.profile_id]
        assert patch.rank == max(other.rank for other in mine)
        epochs: dict[tuple[str, str], int] = {}
        for other in mine:
            for namespace, value, epoch in other.nodes:
                epochs[namespace, value] = max(epoch, epochs.get((namespace, value), -1))
        assert set(patch.nodes) == {(*key, epoch) for key, epoch in epochs.items()}


def test_a_continuous_chain_stays_partial() -> None:
    chain = [Patch("t", "p", 1, v, v - 1, v, b'{"a":1,"b":2}', [name]) for v, name in ((5, "a"), (6, "b"), (7, "a"))]
    [joined] = coalesce(chain)
    assert (joined.version, joined.base_version, joined.changed) == (7, 4, ["a", "b"])


@given(histories())
def test_whoever_looks_at_any_moment_finds_the_personal_traits_that_go_with_the_fields(history: list[Patch]) -> None:
    store: dict[Key, Held] = {}
    for patch in history:
        apply(store, patch)
        held = store[patch.tenant, patch.profile_id]
        assert held.pii == ({} if held.merged else personal(held.fields.get(layout.TRAITS)))


def test_a_change_that_does_not_concern_personal_traits_is_sent_as_if_there_were_none() -> None:
    whole = Patch("t", "p", 1, 5, 4, 5, b'{"a":1,"traits":{}}', ["a"], pii=b'{"email":{"value":"sealed:x","conflicts":[]}}')
    command = _profile_command(whole, 4)
    assert command[2:4] == (1, "cdp:{p}:t")
    assert command[4:] == (1, 5, 4, "_v", "1-5", "_at", "5", "a", b"1")


def test_a_gap_in_the_chain_makes_the_write_whole() -> None:
    [joined] = coalesce([Patch("t", "p", 1, v, v - 1, v, b"{}", ["a"]) for v in (5, 7)])
    assert joined.whole


def test_a_patch_comes_out_of_the_record_of_its_change_as_it_went_in() -> None:
    record = {"tenant": "t", "profile_id": "p", "incarnation": 7, "version": 3, "at": 5, "cause": "event", "message_id": "m"}
    record |= {"tags_entered": [], "tags_exited": [], "nodes": {"t|user_id|a|b": 4, "t|email|x": 1}, "features": '{"a":1}'}
    record |= {"base_version": 2, "changed": ["a"], "epochs": {"t|email|x": 9}, "pii": '{"email":{}}'}
    found = from_record(clean.decode(clean.encode("profile_change", record)))
    assert found == Patch("t", "p", 7, 3, 2, 5, b'{"a":1}', ["a"], [("user_id", "a|b", 0), ("email", "x", 9)], "", b'{"email":{}}')


def test_a_record_of_a_version_that_knew_no_personal_traits_has_none() -> None:
    record = {"tenant": "t", "profile_id": "p", "incarnation": 7, "version": 3, "at": 5, "cause": "event", "message_id": "m"}
    record |= {"tags_entered": [], "tags_exited": [], "nodes": {"t|user_id|a": 4}, "features": '{"a":1}'}
    older = next(found for found in clean.formats().values() if (found.subject, found.version) == ("profile_change", "1-0-1"))
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(older.avro), record | {"at": datetime.datetime.fromtimestamp(0, datetime.UTC)})
    message = struct.pack(">bI", 0, registry.OF_FILES | older.id) + body.getvalue()
    assert from_record(clean.decode(message)).pii == b"{}"
    assert clean.decode(clean.encode("profile_change", record))["pii"] == "{}"


def test_a_profile_that_was_merged_away_has_no_nodes_and_says_where_to() -> None:
    record = {"tenant": "t", "profile_id": "p", "incarnation": 7, "version": 3, "at": 5, "nodes": {}, "features": '{"_merged_into":"q"}'}
    assert from_record(record | {"base_version": 0, "changed": [], "epochs": {}}).merged_into == "q"


@given(st.tuples(st.integers(0, 2**40), st.integers(0, 2**40)), st.tuples(st.integers(0, 2**40), st.integers(0, 2**40)))
def test_versions_compare_by_incarnation_then_number(one: tuple[int, int], other: tuple[int, int]) -> None:
    texts = [layout.version(*one), layout.version(*other)]
    assert layout.parse_version(texts[0]) == one
    assert (layout.parse_version(texts[0]) < layout.parse_version(texts[1])) == (one < other)


def test_keys_are_read_back_as_they_were_made() -> None:
    assert layout.profile_key("demo", "ab12") == "cdp:{ab12}:demo"
    assert layout.parse_profile_key("cdp:{ab12}:demo") == ("demo", "ab12")
    assert layout.parse_profile_key("cdp:id:demo:user_id:1") is None
    assert layout.pii_key("demo", "ab12") == "cdp:pii:{ab12}:demo"
    assert layout.parse_pii_key("cdp:pii:{ab12}:demo") == ("demo", "ab12")


def test_neither_of_a_profiles_two_keys_is_taken_for_the_other() -> None:
    profile, personal = layout.profile_key("demo", "ab12"), layout.pii_key("demo", "ab12")
    assert layout.parse_profile_key(personal) is layout.parse_pii_key(profile) is None
    assert not fnmatchcase(personal, layout.PROFILE_PATTERN)
    assert not fnmatchcase(profile, layout.PII_PATTERN)
    assert not fnmatchcase(personal, layout.NODE_PATTERN)
    assert fnmatchcase(personal, layout.PII_PATTERN)


def test_identifiers_lead_to_profiles() -> None:
    assert layout.parse_node_value(layout.node_value(3, "ab12").encode()) == (3, "ab12")
