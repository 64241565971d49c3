"""The operators under malformed control records: rejected with their place and bytes, and the next good record is taken."""

import json
from typing import Any

import pytest
from pyflink.common import Row

from config import loader
from pipelines import control
from pipelines.features import operators
from pipelines.features.layout import History
from pipelines.identity.nodes import profile_of
from pipelines.wire import Alias, Join, Roster, Update
from schemas import clean
from tests.engine import Engine

NODE = "demo|user_id|u1"
BAD = (b"garbage", b"", b"{", b"\x95\x01", b"[" * 5000, b'{"tenant":"nobody"}', b'{"tenant":"demo"}', b'{"tenant":["demo"]}')


@pytest.fixture(autouse=True)
def _no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operators, "require_thread_mode", lambda: None)
    monkeypatch.setattr(operators, "collect_seldom", lambda: None)
    monkeypatch.setattr(operators, "attempt_number", lambda _: 0)


def rejections(found: list[Any]) -> list[dict[str, Any]]:
    return [clean.decode(out._values[1]) for tag, out in (one for one in found if isinstance(one, tuple))]


def framed(topic: str, value: bytes) -> bytes:
    return control.frame(topic, 1, 42, 1_700_000_000_000, value)


def test_a_node_and_a_profile_take_the_words_of_the_resolver() -> None:
    encode = operators.msgspec.msgpack.encode
    node = operators.NodeFunction(loader.definitions(), loader.platform(), loader.traffic(), History())
    node.open(Engine(NODE))
    (leave, join) = list(node.process_element(encode(Alias(NODE, "demo", "p", 1)), Engine(NODE)))
    assert (leave._values[0], join._values[0]) == (profile_of(NODE), "p")
    profile = operators.ProfileFunction(loader.definitions(), loader.platform(), 1, History())
    engine = Engine("p")
    profile.open(engine)
    assert list(profile.process_element(join._values[1], engine)) == [], "the roster is not there yet"
    (change,) = list(profile.process_element(encode(Roster("demo", "p", 1, [NODE])), engine))
    assert clean.decode(change._values[1])["nodes"] == {NODE: 0}


def test_the_profile_rejects_malformed_pokes_and_definitions_and_takes_the_next() -> None:
    profile_id = profile_of(NODE)
    engine = Engine(profile_id)
    profile = operators.ProfileFunction(loader.definitions(), loader.platform(), 1, History())
    profile.open(engine)
    for value in BAD:
        (told,) = rejections(list(profile.process_element(framed(control.POKES, value), engine)))
        assert (told["source"], told["partition"], told["offset"], told["original"]) == (control.POKES, 1, 42, value)
        assert told["rule"]
    for value in BAD:
        (told,) = rejections(list(profile.process_broadcast_element(Row("demo/cut_points", framed(control.DEFINITIONS, value)), engine)))
        assert (told["source"], told["original"]) == (control.DEFINITIONS, value)
    assert engine.broadcast.mapping == {}
    cuts = {"version": 99, "recency": [1, 2, 3, 4], "frequency": [1, 2, 3, 4], "monetary": [1, 2, 3, 4]}
    good = json.dumps({"tenant": "demo", "kind": "cut_points", "version": 99, "body": cuts}).encode()
    assert list(profile.process_broadcast_element(Row("demo/cut_points", framed(control.DEFINITIONS, good)), engine)) == []
    assert engine.broadcast.mapping == {"demo/cut_points": good.decode()}
    update = Update(profile_id, NODE, "demo", 1, 1_700_000_000_000, "m", 1_700_000_000_000, [0, 1], [1, 1])  # first and last seen
    encode = operators.msgspec.msgpack.encode
    (change,) = list(profile.process_element(encode(Join(update, 0)), engine))
    assert json.loads(clean.decode(change._values[1])["features"])["rfm_version"] == 99
    poke = json.dumps({"tenant": "demo", "profile_id": profile_id, "reason": "why"}).encode()
    assert rejections(list(profile.process_element(framed(control.POKES, poke), engine))) == []
    assert engine.counts["control_rejected"] == 2 * len(BAD)


def test_a_word_about_another_tenants_profile_is_rejected() -> None:
    platform = operators.msgspec.structs.replace(
        loader.platform(), tenants=loader.platform().tenants | {"other": loader.platform().tenants["demo"]}
    )
    engine = Engine("p1")
    profile = operators.ProfileFunction(loader.definitions(), platform, 1, History())
    profile.open(engine)
    update = Update("p1", NODE, "demo", 1, 1_700_000_000_000, "m", 1_700_000_000_000, [0, 1], [1, 1])  # first and last seen
    list(profile.process_element(operators.msgspec.msgpack.encode(Join(update, 0)), engine))
    poke = json.dumps({"tenant": "other", "profile_id": "p1", "reason": "why"}).encode()
    (told,) = rejections(list(profile.process_element(framed(control.POKES, poke), engine)))
    assert (told["code"], told["field"]) == ("schema_violation", "$.tenant")
