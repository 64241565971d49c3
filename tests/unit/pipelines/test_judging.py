"""Changed rules judge everybody at once, also those who stay silent: what a poke does to nodes and profiles, and who is asked at all."""

import json
from typing import Any

import msgspec
import pytest

from config import loader
from config.definitions import Definitions, Feature, Rule
from operations import judging
from pipelines.audiences.rules import RuleBook, fingerprint
from pipelines.identity.nodes import profile_of
from profile_store import layout
from tests.in_process import InProcess
from tests.unit.pipelines.test_profiles import BASE, DAY, feed, order

NODE = "demo|user_id|u1"


def changed(definitions: Definitions, tags: list[Rule] | None = None, windows: dict[str, int] | None = None) -> Definitions:
    features = definitions.features
    for name, days in (windows or {}).items():
        features = msgspec.structs.replace(
            features,
            windows=features.windows | {name: days * 86_400},
            tile_hop_min=features.tile_hop_min | {name: 1280 if days < 120 else 7680},
            features=[*features.features, Feature("recent", [name], series="orders", measure="count")],
        )
    return msgspec.structs.replace(definitions, features=features, tags=[*definitions.tags, *(tags or [])])


def test_a_silent_customer_gets_a_new_tag_over_a_new_window_when_it_is_judged() -> None:
    before = InProcess()
    feed(before, [(order("o1", "u1", BASE, 10.0), BASE)], BASE + 9 * DAY)
    definitions = changed(before.definitions, [Rule("bought_in_80_days", "recent_80d >= 1")], {"80d": 80})
    after = before.restarted(definitions)
    after.poke_node(NODE)
    change = after.newest[profile_of(NODE)]
    fields = json.loads(change.patch.features)
    assert (fields["recent_80d"], fields["tag:bought_in_80_days"], fields["rules_version"]) == (1, 1, fingerprint(definitions))
    assert change.record["cause"] == "definitions"
    assert change.record["tags_entered"] == ["bought_in_80_days"]
    # The timers follow from the new rules: the tag ends to the millisecond, without another event.
    after.pass_time(BASE + 80 * DAY - 1)
    assert json.loads(after.newest[profile_of(NODE)].patch.features)["tag:bought_in_80_days"] == 1
    after.pass_time(BASE + 80 * DAY)
    gone = after.newest[profile_of(NODE)]
    assert json.loads(gone.patch.features)["tag:bought_in_80_days"] == 0
    assert gone.patch.at == BASE + 80 * DAY


def test_who_was_judged_by_these_rules_already_publishes_nothing() -> None:
    core = InProcess()
    feed(core, [(order("o1", "u1", BASE, 10.0), BASE)], BASE + 1)
    count = len(core.changes)
    core.poke_node(NODE)
    assert core.poke(profile_of(NODE), BASE + 2) is None
    assert len(core.changes) == count


def test_rules_that_come_to_the_same_verdict_are_shown_nevertheless_and_once() -> None:
    before = InProcess()
    feed(before, [(order("o1", "u1", BASE, 10.0), BASE)], BASE + 1)
    definitions = changed(before.definitions, [Rule("never", "orders_lifetime > 1000")])
    after = before.restarted(definitions)
    assert after.poke(profile_of(NODE), BASE + 2) is not None
    assert json.loads(after.newest[profile_of(NODE)].patch.features)["rules_version"] == RuleBook(definitions).version
    assert after.poke(profile_of(NODE), BASE + 3) is None


@pytest.mark.parametrize(
    ("change", "is_another"),
    [
        (lambda d: d, False),
        (lambda d: msgspec.structs.replace(d, tags=[msgspec.structs.replace(d.tags[0], says="in other words"), *d.tags[1:]]), False),
        (lambda d: msgspec.structs.replace(d, tags=d.tags[:-1]), True),
        (lambda d: msgspec.structs.replace(d, tags=[msgspec.structs.replace(d.tags[0], when="true"), *d.tags[1:]]), True),
        (lambda d: msgspec.structs.replace(d, segments=d.segments[::-1]), True),
        (lambda d: changed(d, windows={"80d": 80}), True),
        (lambda d: msgspec.structs.replace(d, rfm=msgspec.structs.replace(d.rfm, frequency="orders_90d")), True),
        (lambda d: msgspec.structs.replace(d, rfm=msgspec.structs.replace(d.rfm, tolerance=0.5)), False),
    ],
)
def test_the_fingerprint_follows_what_can_change_a_verdict_and_nothing_else(change: Any, is_another: bool) -> None:
    definitions = loader.definitions()
    assert (fingerprint(change(definitions)) != fingerprint(definitions)) is is_another


class Store:
    """A profile store in memory, of which poked profiles answer at the next look; as much of a Redis client as is needed."""

    def __init__(self) -> None:
        self.hashes: dict[str, dict[str, bytes]] = {}
        self.keys: dict[str, str] = {}
        self.queue: list[list[bytes | None]] = []

    def add(self, tenant: str, profile_id: str, rules: str | None, *nodes: str, merged: bool = False) -> None:
        fields = {} if rules is None else {judging.FIELD: layout.encode_value(rules)}
        self.hashes[layout.profile_key(tenant, profile_id)] = fields | ({layout.MERGED_INTO: b"x"} if merged else {})
        for node in nodes:
            self.keys[layout.node_key(*node.split("|", 2))] = layout.node_value(0, profile_id)

    def scan_iter(self, match: str, count: int) -> list[bytes]:
        head, _, tail = match.replace("\\", "").partition("*")
        return [key.encode() for key in (*self.hashes, *self.keys) if key.startswith(head) and key.endswith(tail)]

    def mget(self, keys: list[bytes]) -> list[bytes]:
        return [self.keys[key.decode()].encode() for key in keys]

    def pipeline(self, transaction: bool) -> "Store":
        self.queue = []
        return self

    def hmget(self, key: str, *fields: str) -> None:
        self.queue.append([self.hashes[key].get(field) for field in fields])

    def execute(self) -> list[list[bytes | None]]:
        return self.queue

    def close(self) -> None:
        """Nothing is open."""


class Asked:
    """Takes pokes and lets those who are asked answer, except the deaf."""

    def __init__(self, store: Store, rules: str, deaf: set[str]) -> None:
        self.store, self.rules, self.deaf = store, rules, deaf
        self.nodes: list[str] = []
        self.profiles: list[str] = []

    def poke_nodes(self, tenant: str, nodes: list[str], reason: str) -> None:
        self.nodes += nodes
        for node in nodes:
            self._answer(tenant, layout.parse_node_value(self.store.keys[layout.node_key(*node.split("|", 2))].encode())[1])

    def poke_profiles(self, tenant: str, profile_ids: list[str], reason: str) -> None:
        self.profiles += profile_ids
        for profile_id in profile_ids:
            self._answer(tenant, profile_id)

    def _answer(self, tenant: str, profile_id: str) -> None:
        if profile_id not in self.deaf:
            self.store.hashes[layout.profile_key(tenant, profile_id)][judging.FIELD] = layout.encode_value(self.rules)


@pytest.mark.parametrize("deaf", [set(), {"p2"}])
def test_only_who_was_judged_by_other_rules_is_asked_and_who_does_not_answer_is_told(
    monkeypatch: pytest.MonkeyPatch, deaf: set[str]
) -> None:
    store = Store()
    store.add("demo", "p1", "new", "demo|user_id|a")
    store.add("demo", "p2", "old", "demo|user_id|b:with|bars", "demo|email|c")
    store.add("demo", "p3", None, "demo|user_id|d")
    store.add("demo", "p4", "old")
    store.add("demo", "p5", "old", "demo|user_id|e", merged=True)
    store.add("other", "p6", "old", "other|user_id|b")
    asked = Asked(store, "new", deaf)
    monkeypatch.setattr(judging.Redis, "from_url", lambda *_args, **_options: store)
    monkeypatch.setattr(judging.time, "sleep", lambda _s: None)
    progress: list[tuple[int, int]] = []
    found = judging.judge(asked, "redis://", "demo", "new", 0.0 if deaf else 60.0, lambda done, of: progress.append((done, of)))  # type: ignore[arg-type]
    assert (found.profiles, found.poked, found.behind) == (4, 3, sorted(deaf))
    assert sorted(asked.nodes) == ["demo|email|c", "demo|user_id|b:with|bars", "demo|user_id|d"]
    assert asked.profiles == ["p4"]
    assert progress[0] == (0, 3)
    assert progress[-1] == (3 - len(deaf), 3)
