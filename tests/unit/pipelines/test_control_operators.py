"""The operators under malformed control records: rejected with their place and bytes, and the next good record is taken."""

import json
from typing import Any

import pytest
from pyflink.common import Row

from config import loader
from pipelines import control
from pipelines.features import operators
from pipelines.identity.nodes import profile_of
from pipelines.wire import Join, Update
from schemas import clean

NODE = "demo|user_id|u1"
BAD = (b"garbage", b"", b"{", b"\x95\x01", b"[" * 5000, b'{"tenant":"nobody"}', b'{"tenant":"demo"}', b'{"tenant":["demo"]}')


class State:
    """A value or a mapping of the engine."""

    def __init__(self) -> None:
        self.held: Any = None
        self.mapping: dict[Any, Any] = {}
        self.get, self.items = self.mapping.get, self.mapping.items

    def value(self) -> Any:
        return self.held

    def update(self, value: Any) -> None:
        self.held = value

    def put(self, key: Any, value: Any) -> None:
        self.mapping[key] = value

    def remove(self, key: Any) -> None:
        del self.mapping[key]


class Engine:
    """What an operator asks the engine for: runtime context, metrics, timers and the key, all in one."""

    def __init__(self, key: str) -> None:
        self.key, self.counts, self.broadcast = key, dict[str, int](), State()
        self._runtime_context = self

    def get_state(self, _: object) -> State:
        return State()

    get_map_state = get_state

    def get_metrics_group(self) -> "Engine":
        return self

    def counter(self, name: str) -> Any:
        counts = self.counts

        class Counter:
            def inc(self) -> None:
                counts[name] = counts.get(name, 0) + 1

        return Counter()

    def getTaskInfo(self) -> "Engine":
        return self

    def getIndexOfThisSubtask(self) -> int:
        return 0

    def get_current_key(self) -> str:
        return self.key

    def timer_service(self) -> "Engine":
        return self

    def current_watermark(self) -> int:
        return 1_700_000_000_000

    def register_event_time_timer(self, _: int) -> None:
        """Nothing fires here."""

    def get_broadcast_state(self, _: object) -> State:
        return self.broadcast


@pytest.fixture(autouse=True)
def _no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operators, "require_thread_mode", lambda: None)
    monkeypatch.setattr(operators, "collect_seldom", lambda: None)
    monkeypatch.setattr(operators, "attempt_number", lambda _: 0)


def rejections(found: list[Any]) -> list[dict[str, Any]]:
    return [clean.decode(out._values[1]) for tag, out in (one for one in found if isinstance(one, tuple))]


def framed(topic: str, value: bytes) -> bytes:
    return control.frame(topic, 1, 42, 1_700_000_000_000, value)


def test_the_node_rejects_malformed_aliases_and_takes_the_next() -> None:
    engine = Engine(NODE)
    node = operators.NodeFunction(loader.definitions(), loader.platform(), loader.traffic())
    node.open(engine)
    for value in (*BAD, json.dumps({"node": "demo|user_id|u2", "tenant": "demo", "profile_id": "p", "epoch": 1}).encode()):
        (told,) = rejections(list(node.process_element(framed(control.ALIAS, value), engine)))
        assert (told["source"], told["partition"], told["offset"], told["original"]) == (control.ALIAS, 1, 42, value)
        assert told["rule"]
    good = json.dumps({"node": NODE, "tenant": "demo", "profile_id": "p", "epoch": 1}).encode()
    (_, join) = list(node.process_element(framed(control.ALIAS, good), engine))
    assert join._values[0] == "p"
    assert engine.counts["control_rejected"] == len(BAD) + 1


def test_the_profile_rejects_malformed_rosters_pokes_and_definitions_and_takes_the_next() -> None:
    profile_id = profile_of(NODE)
    engine = Engine(profile_id)
    profile = operators.ProfileFunction(loader.definitions(), loader.platform(), 1)
    profile.open(engine)
    for topic in (control.ROSTER, control.POKES):
        for value in BAD:
            (told,) = rejections(list(profile.process_element(framed(topic, value), engine)))
            assert (told["source"], told["offset"], told["original"]) == (topic, 42, value)
    for value in BAD:
        (told,) = rejections(list(profile.process_broadcast_element(Row("demo/cut_points", framed(control.DEFINITIONS, value)), engine)))
        assert (told["source"], told["original"]) == (control.DEFINITIONS, value)
    assert engine.broadcast.mapping == {}
    cuts = {"version": 99, "recency": [1, 2, 3, 4], "frequency": [1, 2, 3, 4], "monetary": [1, 2, 3, 4]}
    good = json.dumps({"tenant": "demo", "kind": "cut_points", "version": 99, "body": cuts}).encode()
    assert list(profile.process_broadcast_element(Row("demo/cut_points", framed(control.DEFINITIONS, good)), engine)) == []
    assert engine.broadcast.mapping == {"demo/cut_points": good.decode()}
    update = Update(profile_id, NODE, "demo", 1, 1_700_000_000_000, "m", 1_700_000_000_000, {"first_seen_at": 1, "last_seen_at": 1})
    encode = operators.msgspec.msgpack.encode
    (change,) = list(profile.process_element(encode(Join(update, 0)), engine))
    assert json.loads(clean.decode(change._values[1])["features"])["rfm_version"] == 99
    poke = json.dumps({"tenant": "demo", "profile_id": profile_id, "reason": "why"}).encode()
    assert rejections(list(profile.process_element(framed(control.POKES, poke), engine))) == []
    assert engine.counts["control_rejected"] == 3 * len(BAD)


def test_a_word_about_another_tenants_profile_is_rejected() -> None:
    platform = operators.msgspec.structs.replace(
        loader.platform(), tenants=loader.platform().tenants | {"other": loader.platform().tenants["demo"]}
    )
    engine = Engine("p1")
    profile = operators.ProfileFunction(loader.definitions(), platform, 1)
    profile.open(engine)
    update = Update("p1", NODE, "demo", 1, 1_700_000_000_000, "m", 1_700_000_000_000, {"first_seen_at": 1, "last_seen_at": 1})
    list(profile.process_element(operators.msgspec.msgpack.encode(Join(update, 0)), engine))
    poke = json.dumps({"tenant": "other", "profile_id": "p1", "reason": "why"}).encode()
    (told,) = rejections(list(profile.process_element(framed(control.POKES, poke), engine)))
    assert (told["code"], told["field"]) == ("schema_violation", "$.tenant")
