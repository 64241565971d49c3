"""The operator of identity: what stands on the link log is taken in or rejected with its place, its bytes and a reason; nothing raises."""

from typing import Any

import msgspec
import pytest

from config import loader
from config.identity import Limits
from operations.identity import People, Placed
from pipelines import control
from pipelines.identity import link_log, operators
from pipelines.identity.limits import configured
from pipelines.identity.link_log import Block, Link, LogRecord, Release, Rules, Settle, Unbind
from pipelines.wire import Alias, Roster
from schemas import clean
from tests.engine import Engine

AT = 1_700_000_000_000
ANN, BOB, PHONE = "demo|user_id|ann", "demo|user_id|bob", "demo|device_id|phone"


class Resolver:
    """The operator on the log of one tenant."""

    def __init__(self) -> None:
        self.engine = Engine("demo")
        self.operator = operators.ResolverFunction(loader.identity(), ["demo"])
        self.operator.open(self.engine)
        self.offset = -1

    def take(self, value: bytes, partition: int = 0) -> dict[str, list[Any]]:
        self.offset += 1
        found: dict[str, list[Any]] = {"alias": [], "rosters": [], "updates": [], "rejected": []}
        for one in self.operator.process_element(control.frame("cdp.links", partition, self.offset, AT, value), self.engine):
            tag, out = one if isinstance(one, tuple) else (None, one)
            _, payload = out._values
            if tag is None:
                found["alias"].append(msgspec.msgpack.decode(payload, type=Alias))
            elif tag.tag_id == "rosters":
                found["rosters"].append(msgspec.msgpack.decode(payload, type=Roster))
            else:
                found[tag.tag_id].append(clean.decode(payload))
        return found


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    monkeypatch.setattr(operators, "require_thread_mode", lambda: None)
    return Resolver()


def seen(a: str, b: str) -> bytes:
    place = {"source": "cdp.raw.orders", "partition": 1, "offset": 7, "log_time": AT, "message_id": "m-1"}
    return clean.encode("link", {"tenant": "demo", "a": a, "b": b, **place})


def stated(record: LogRecord) -> bytes:
    return clean.encode("link", link_log.written(record))


def test_a_link_tells_its_nodes_their_profile_and_everybody_what_was_decided(resolver: Resolver) -> None:
    found = resolver.take(seen(ANN, PHONE))
    (person,) = {alias.profile_id for alias in found["alias"]}
    assert [(alias.node, alias.epoch) for alias in found["alias"]] == [(PHONE, 1), (ANN, 1)]
    assert [set(roster.nodes) for roster in found["rosters"] if roster.profile_id == person] == [{ANN, PHONE}]
    assert [(update["epoch"], update["number"], update["what"], update["cause"]) for update in found["updates"]] == [
        (1, 0, "merged", "m-1"),
        (1, 1, "linked", "m-1"),
        (1, 2, "moved", "m-1"),
    ]
    assert not any(resolver.take(seen(ANN, PHONE)).values()), "told again, it changes nothing"
    refused = resolver.take(seen(BOB, PHONE))
    assert [(update["what"], update["rule"]) for update in refused["updates"]] == [("refused", "most:user_id")]


@pytest.mark.parametrize(
    "said",
    [
        Link("demo", AT, "c-1", "ann called", ANN, PHONE, "bind"),
        Unbind("demo", AT, "c-1", "ann called", ANN, PHONE),
        Block("demo", AT, "c-1", "ann called", PHONE),
        Release("demo", AT, "c-1", "ann called", PHONE),
        Settle("demo", AT, "c-1", "ann called", PHONE),
        Rules("demo", AT, "c-1", "ann called", '{"most_identifiers":9,"namespaces":{"email":{"most":2}}}'),
    ],
)
def test_what_is_stated_by_hand_is_read_as_it_was_meant(resolver: Resolver, said: LogRecord) -> None:
    assert link_log.read(clean.decode(stated(said)), []) == said
    assert not resolver.take(stated(said))["rejected"]


NO_LIMITS = [
    "",
    "{}",
    "[]",
    "{",
    '{"most_identifiers":1,"namespaces":{}}',
    '{"most_identifiers":9}',
    '{"most_identifiers":9,"namespaces":{"email":{"mosst":2}}}',
    '{"most_identifiers":9,"namespaces":{"email":{"most":0}}}',
    '{"most_identifiers":9,"namespaces":{"email":{"most":true}}}',
    '{"most_identifiers":9,"namespaces":{"email":null}}',
]


def test_what_is_no_record_of_the_log_is_rejected_and_the_next_one_is_taken(resolver: Resolver) -> None:
    good = clean.decode(seen(ANN, PHONE))
    wrong = [
        b"",
        b"x",
        b"{}",
        b"\x00\x00",
        clean.encode(
            "duplicate",
            {
                "tenant": "demo",
                "node": ANN,
                "message_id": "m",
                "source": "s",
                "partition": 0,
                "offset": 0,
                "log_time": 0,
                "origin": "",
                "reason": "",
            },
        ),
    ]
    changes: list[dict[str, Any]] = [{"kind": "rules", "body": body} for body in NO_LIMITS]
    changes += [
        {"kind": "settle", "a": ""},
        {"kind": "merge"},
        {"rule": "guess"},
        {"a": "other|user_id|ann"},
        {"a": "demo"},
        {"b": ""},
        {"tenant": "nobody"},
    ]
    wrong += [clean.encode("link", good | change) for change in changes]
    for value in wrong:
        found = resolver.take(value)
        (told,) = found["rejected"]
        assert (told["source"], told["offset"], told["original"]) == ("cdp.links", resolver.offset, value)
        assert told["rule"]
        assert not found["alias"]
    assert resolver.take(seen(ANN, PHONE))["alias"]
    assert resolver.engine.counts["control_rejected"] == len(wrong)


def test_limits_change_while_it_runs_and_everybody_is_told(resolver: Resolver) -> None:
    resolver.take(seen(ANN, PHONE))
    limits = configured(loader.identity(), "demo")
    two_users = msgspec.structs.replace(limits, namespaces=limits.namespaces | {"user_id": Limits(most=2)})
    for number, one in enumerate((limits, two_users, two_users)):
        said = Rules("demo", AT, f"c-{number}", "ann: why", msgspec.json.encode(one).decode())
        updates = resolver.take(stated(said))["updates"]
        wanted = ["", "most:user_id 1 -> 2, shared_after:user_id 1000 -> none"][number : number + 1]
        assert [(one["what"], one["rule"], one["a"], one["cause"], one["reason"]) for one in updates] == [
            ("limits", rule, "", f"c-{number}", "ann: why") for rule in wanted
        ]
    assert resolver.take(seen(BOB, PHONE))["alias"], "two user ids are one person's now"


def test_limits_of_the_log_hold_after_a_restart(resolver: Resolver) -> None:
    limits = configured(loader.identity(), "demo")
    two_users = msgspec.structs.replace(limits, namespaces=limits.namespaces | {"user_id": Limits(most=2)})
    resolver.take(stated(Rules("demo", AT, body=msgspec.json.encode(two_users).decode())))
    resolver.take(seen(ANN, PHONE))
    resolver.operator = operators.ResolverFunction(loader.identity(), ["demo"])
    resolver.operator.open(resolver.engine)
    assert resolver.take(seen(BOB, PHONE))["alias"]


def test_a_tenants_log_is_one_partition(resolver: Resolver) -> None:
    resolver.take(seen(ANN, PHONE), partition=1)
    (told,) = resolver.take(seen(ANN, BOB), partition=0)["rejected"]
    assert "partition 1" in told["rule"]


def test_what_the_commands_say_is_what_the_operator_decides(resolver: Resolver) -> None:
    log = [
        Link("demo", AT, a=ANN, b=PHONE),
        Link("demo", AT, a=BOB, b=PHONE),
        Unbind("demo", AT, a=ANN, b=PHONE),
        Block("demo", AT, node=ANN),
        Rules("demo", AT, body='{"most_identifiers":2,"namespaces":{}}'),
        Settle("demo", AT, node=BOB),
    ]
    people = People(loader.identity(), "demo", [])
    for epoch, record in enumerate(log, 1):
        updates = resolver.take(stated(record))["updates"]
        assert [update["what"] for update in updates] == [decision.what for decision in people.take(Placed(epoch, record))]
