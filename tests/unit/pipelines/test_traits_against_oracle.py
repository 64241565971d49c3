"""Golden records: what sources say of people and groups, in any order of arrival, merged and parted, is shown as docs/traits.md says.

First the page's sentences, each with literal values; then streams at random, against the oracle.
"""

import itertools
import json
import random
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from config import loader
from config.definitions import Definitions
from config.traffic import TrafficRule
from config.traits import Traits
from pipelines.audiences.rules import RuleBook
from pipelines.features.profile import ProfileLogic
from pipelines.identity.nodes import Nodes, profile_of
from pipelines.ingest.checks import Rules
from pipelines.ingest.decode import Decoder
from pipelines.ingest.personal import Masker
from pipelines.ingest.sealing import Sealer
from pipelines.ingest.told_traits import TraitReader
from pipelines.wire import Alias, Roster
from tests.in_process import KEY, PII_KEY, InProcess
from tests.oracle import Log, Profiles, RawRecord, Rulebook
from tests.oracle.compare import differences
from tests.oracle.traits import Shown
from tests.unit.pipelines.test_people_against_oracle import Steps, Town, steps

START_MS = 1_767_225_600_000  # 2026-01-01
LOGGED_MS = START_MS + 6 * 86_400_000
Written = dict[str, Any]
"""A rule, a value, a call: as it is written in YAML or JSON."""
SEALER = Sealer(PII_KEY)


@cache
def nodes() -> Nodes:
    return Nodes(loader.identity(), KEY)


@cache
def shipped() -> tuple[Definitions, Rulebook]:
    return loader.definitions(), Rulebook.read(loader.folder(), nodes().mask)


@cache
def checks() -> Rules:
    return Rules.configured()


class World:
    """The pure core and the oracle under the same rules of traits."""

    def __init__(self, traits: Written) -> None:
        definitions, rules = shipped()
        self.definitions = msgspec.structs.replace(definitions, traits=msgspec.convert(traits, Traits))
        self.rules = rules._replace(traits=traits)
        reader = TraitReader(self.definitions.traits, loader.identity(), SEALER)
        self._decoder = Decoder(loader.platform(), nodes(), Masker(loader.identity(), nodes()), checks(), reader)

    def core(self, forget_every: int = 0) -> InProcess:
        return InProcess(self.definitions, forget_every, decoder=self._decoder)

    def play(self, records: Iterable[RawRecord], forget_every: int = 0) -> InProcess:
        made = self.core(forget_every)
        for record in records:
            made.record(record.value, record.topic, record.partition, record.offset, record.timestamp_ms)
        return made

    def judge(self, records: Iterable[RawRecord]) -> Profiles:
        return Profiles(Log(records, self.rules), self.rules)


def shown(made: InProcess) -> dict[str, Shown]:
    """Profile -> its fields that are of traits and groups, and its personal traits in plain text."""
    found = {}
    for profile_id, fields in made.fields():
        record = made.newest[profile_id].record
        is_group = "kind" in fields
        meant = {name for name in fields if is_group or name.startswith("trait") or name == "groups"} - {"rules_version"}
        of_traits = {name: value for name, value in fields.items() if name in meant}
        found[profile_id] = Shown(of_traits, opened(record))
    return found


def opened(record: Written) -> Written:
    """Personal traits of a change, decrypted."""

    def plain(name: str, entry: Written) -> Any:
        return json.loads(SEALER.open(record["tenant"], name, entry["value"]))

    return {
        name: {
            "value": plain(name, entry),
            "conflicts": [conflict | {"value": plain(name, conflict)} for conflict in entry["conflicts"]],
        }
        for name, entry in json.loads(record["pii"]).items()
    }


def exact(found: Any) -> str:
    """JSON that tells 1 from true and from 1.0."""
    return json.dumps(found, sort_keys=True)


def check(made: InProcess, oracle: Profiles) -> None:
    """Every profile of people and of groups is the oracle's."""
    known = shown(made)
    groups = set()
    for profile_id, fields in made.fields():
        change = made.newest[profile_id]
        members = list(change.record["nodes"])
        expected = Shown(oracle.at(members, change.patch.at), oracle.personal(members))
        if "kind" in fields:
            groups.update(members)
        else:
            expected.fields["rfm_version"] = fields["rfm_version"]
        assert differences(expected.fields, fields) == {}
        of_traits = {name: value for name, value in expected.fields.items() if name in known[profile_id].fields}
        assert exact([of_traits, expected.personal]) == exact(known[profile_id])
    assert groups == oracle.groups()


def iso(time_ms: int) -> str:
    return f"2026-01-{1 + (time_ms - START_MS) // 86_400_000:02d}T00:00:{(time_ms - START_MS) % 86_400_000 / 1000:06.3f}Z"


def identify(at: int, source: str = "", order: Any = None, log: str | None = None, who: Written | None = None, **traits: Any) -> Written:
    """A call of user `u`, so many ms after the beginning."""
    context = {"source": source or None, "sourceOrder": order, "sourceLog": log}
    given = {name: value for name, value in context.items() if value is not None}
    return {"type": "identify", "timestamp": iso(START_MS + at), "traits": traits, "context": given} | (
        {"userId": "u"} if who is None else who
    )


def group(at: int, named: Any, kind: str | None = None, source: str = "", who: Written | None = None, **traits: Any) -> Written:
    call = identify(at, source, who=who, **traits) | {"type": "group", "groupId": named}
    return call | {"context": call["context"] | ({"groupType": kind} if kind is not None else {})}


def written(calls: Sequence[Written], per_ms: int = 1) -> list[RawRecord]:
    """Calls as records, the later one behind the earlier one. What shares a message id shares a topic, so that one of both is the first.

    Args:
        calls: with `logged`, ms, where that is not soon after the calls.
        per_ms: so many have one log time; of those the place in the topics tells which is the later one.
    """
    records, ends = [], {"cdp.raw.clickstream": 0, "cdp.raw.orders": 0}
    for number, call in enumerate(calls):
        body = {"messageId": f"m{number}", **call}
        topic = sorted(ends)[sum(body["messageId"].encode()) % 2]
        logged_ms = body.pop("logged", LOGGED_MS + number // per_ms)
        records.append(RawRecord(topic, 0, ends[topic], logged_ms, json.dumps(body).encode()))
        ends[topic] += 1
    return records


def in_any_order(records: Sequence[RawRecord]) -> Iterable[Sequence[RawRecord]]:
    """The same places in the log, read in every order, or in two dozen of them: partitions are read as fast as they can be."""
    every = list(itertools.islice(itertools.permutations(records), 50_000))
    return every if len(every) <= 24 else random.Random(1).sample(every, 24)


class Case(NamedTuple):
    """A sentence of docs/traits.md, what is said of `trait`, and what the profile shows then."""

    says: str
    rule: Written
    calls: list[Written]
    value: Any
    conflicts: list[tuple[Any, str, int]]
    """Value, source, ms since the beginning."""


GONE = object()
ERP_FIRST = {"survivorship": ["source"], "sources": ["erp", "shop-orders"]}
CONFIRMED = {"survivorship": ["verified", "newest"], "verified_by": "ok"}
OFTEN = {"survivorship": ["most_frequent", "longest"]}


def said(at: int, trait: Any, source: str = "", order: Any = None, log: str | None = None, ok: Any = None) -> Written:
    return identify(at, source, order, log, None, trait=trait, **({} if ok is None else {"ok": ok}))


CASES = [
    # What tells a trait
    Case("a trait of an identify call", {}, [said(1, "Leeds", "erp")], "Leeds", []),
    Case("other calls tell none", {}, [said(1, "Leeds") | {"type": "page"}, said(2, "York") | {"type": "screen"}], GONE, []),
    Case("context.traits tells none", {}, [said(1, "Leeds") | {"traits": {}, "context": {"traits": {"trait": "Hull"}}}], GONE, []),
    Case("a late call tells nothing", {}, [said(1, "Leeds"), said(2, "York") | {"logged": START_MS + 8 * 86_400_000}], "Leeds", []),
    Case("traits of a group call are the group's", {}, [said(1, "Leeds"), group(2, "acme", trait="York")], "Leeds", []),
    Case("a number is a value", {}, [said(1, 0)], 0, []),
    Case("false is a value", {}, [said(1, False)], False, []),
    Case("a list is a value, an empty one too", {}, [said(1, ["a", 1.0], "erp"), said(2, [], "shop")], [], [(["a", 1], "erp", 1)]),
    Case("nested names are one value", {}, [said(1, {"city": "Leeds"}), said(2, {"zip": "LS1"})], {"zip": "LS1"}, []),
    Case("objects are equal in any order of names", {}, [said(1, {"a": 1, "b": 2}, "x"), said(2, {"b": 2, "a": 1})], {"a": 1, "b": 2}, []),
    Case("5 and 5.0 are one value", {}, [said(1, 5, "erp"), said(2, 5.0, "shop")], 5, []),
    Case("5 and 5.0 are one value inside others", {}, [said(1, [{"a": 5}], "erp"), said(2, [{"a": 5.0}], "shop")], [{"a": 5}], []),
    Case("5 and 5.5 are two", {}, [said(1, 5, "erp"), said(2, 5.5, "shop")], 5.5, [(5, "erp", 1)]),
    Case("1 and true are two", {}, [said(1, 1, "erp"), said(2, True, "shop")], True, [(1, "erp", 1)]),
    Case("1 and its text are two", {}, [said(1, 1, "erp"), said(2, "1", "shop")], "1", [(1, "erp", 1)]),
    Case("text is compared without blanks around it", {}, [said(1, "Leeds", "erp"), said(2, " Leeds\n", "shop")], "Leeds", []),
    Case("text is compared as it is", {}, [said(1, "leeds", "erp"), said(2, "Leeds", "shop")], "Leeds", [("leeds", "erp", 1)]),
    Case("blanks inside a list are its own", {}, [said(1, ["x"], "erp"), said(2, ["x "], "shop")], ["x "], [(["x"], "erp", 1)]),
    Case("null takes back", {}, [said(1, "Leeds"), said(2, None)], GONE, []),
    Case("blanks take back", {}, [said(1, "Leeds"), said(2, " ")], GONE, []),
    Case("no text takes back", {}, [said(1, "Leeds"), said(2, "")], GONE, []),
    Case("null in an object is part of it", {}, [said(1, {"city": None})], {"city": None}, []),
    Case("what others say stands", {}, [said(1, "York", "erp"), said(2, "Leeds", "shop"), said(3, None, "shop")], "York", []),
    Case("what is taken back stays so", {}, [said(1, "York"), said(2, "Leeds"), said(3, None)], GONE, []),
    Case("only what was said before is taken back", {}, [said(1, None), said(2, "Leeds")], "Leeds", []),
    Case("every word before is taken back", CONFIRMED, [said(1, "a", ok=True), said(2, "b"), said(3, None)], GONE, []),
    Case("of a record told later the newer word counts", {}, [said(2, None), said(1, "Leeds")], GONE, []),
    Case("a trait that is not named stays", {}, [said(1, "Leeds"), identify(2, other="x")], "Leeds", []),
    # What counts: one word a source
    Case("the newest word of a source", {}, [said(2, "Leeds", "erp"), said(1, "York", "erp")], "Leeds", []),
    Case("no source is a source", {}, [said(1, "Leeds"), said(2, "York", "erp")], "York", [("Leeds", "", 1)]),
    Case("a source that is not in sources.yaml is one", {}, [said(1, "a", "x"), said(2, "b", "y")], "b", [("a", "x", 1)]),
    Case("the greater order is newer", {}, [said(2, "Leeds", "erp", 1), said(1, "York", "erp", 2)], "York", []),
    Case("orders compare as numbers", {}, [said(2, "Leeds", "erp", "b-9"), said(1, "York", "erp", "b-10")], "York", []),
    Case("of one order the later time", {}, [said(2, "Leeds", "erp", 1), said(1, "York", "erp", 1)], "Leeds", []),
    Case("of one time the later record", {}, [said(1, "York", "erp"), said(1, "Hull", "erp"), said(1, "Ely", "erp")], "Ely", []),
    Case("an order takes back what is before it", {}, [said(2, "Leeds", "erp", 1), said(1, None, "erp", 2)], GONE, []),
    Case("an order keeps what is behind it", {}, [said(1, "Leeds", "erp", 2), said(2, None, "erp", 1)], "Leeds", []),
    Case("between two logs of a source the later time", {}, [said(1, "a", "erp", 9, "x"), said(2, "b", "erp", 1, "y")], "b", []),
    Case("another log takes back what was said before", {}, [said(1, "a", "erp", 9, "x"), said(2, None, "erp", 1, "y")], GONE, []),
    Case("but not what was said after", {}, [said(3, "a", "erp", 9, "x"), said(2, None, "erp", 1, "y")], "a", []),
    Case("records without an order are a log", {}, [said(2, "a", "x", 1), said(3, "b", "x", 2), said(1, "c", "x")], "b", []),
    Case("of which the newest may count", {}, [said(2, "a", "x", 1), said(3, "b", "x", 2), said(4, "c", "x")], "c", []),
    Case("orders of two sources do not meet", {}, [said(2, "a", "erp", 1), said(1, "b", "shop", 2)], "a", [("b", "shop", 1)]),
    # What counts: criteria
    Case("newest is the default", {}, [said(2, "a", "erp"), said(1, "b", "shop")], "a", [("b", "shop", 1)]),
    Case("a source that stands first wins", ERP_FIRST, [said(1, "a", "erp"), said(2, "b", "shop-orders")], "a", [("b", "shop-orders", 2)]),
    Case(
        "those not in the list come after, all alike, so newest decides",
        ERP_FIRST,
        [said(1, "a", "shop-orders"), said(3, "b", "tickets"), said(2, "c", "server")],
        "a",
        [("b", "tickets", 3), ("c", "server", 2)],
    ),
    Case("two logs of one source are alike", ERP_FIRST, [said(1, "a", "erp", 9), said(2, "b", "erp")], "b", []),
    Case(
        "the value that most sources say",
        {"survivorship": ["most_frequent"]},
        [said(1, "a", "erp"), said(2, "a", "server"), said(3, "b", "tickets")],
        "a",
        [("b", "tickets", 3)],
    ),
    Case(
        "that a source says it twice does not count",
        {"survivorship": ["most_frequent"]},
        [said(1, "a", "erp"), said(2, "a", "erp"), said(3, "b", "tickets")],
        "b",
        [("a", "erp", 2)],
    ),
    Case(
        "what was said before does not count",
        {"survivorship": ["most_frequent"]},
        [said(1, "a", "erp"), said(2, "a", "server"), said(4, "c", "server"), said(3, "b", "tickets")],
        "c",
        [("b", "tickets", 3), ("a", "erp", 1)],
    ),
    Case(
        "equal values are one in any spelling",
        {"survivorship": ["most_frequent"]},
        [said(1, 5, "erp"), said(2, 5.0, "server"), said(3, 6, "tickets")],
        5,
        [(6, "tickets", 3)],
    ),
    Case(
        "a source of two logs speaks once",
        {"survivorship": ["most_frequent"]},
        [said(1, "a", "erp"), said(2, "a", "erp", 1), said(3, "b", "tickets")],
        "b",
        [("a", "erp", 2)],
    ),
    Case("a verified word first", CONFIRMED, [said(1, "a", "erp", ok=True), said(2, "b", "shop")], "a", [("b", "shop", 2)]),
    Case("only true verifies", CONFIRMED, [said(1, "a", "erp", ok="true"), said(2, "b", "shop", ok=1)], "b", [("a", "erp", 1)]),
    Case(
        "it is verified in the same call or not at all",
        CONFIRMED,
        [said(1, "a", "erp"), identify(2, "erp", ok=True), said(3, "b", "shop")],
        "b",
        [("a", "erp", 1)],
    ),
    Case("of two verified words the newer", CONFIRMED, [said(1, "a", "erp", ok=True), said(2, "b", "x", ok=True)], "b", [("a", "erp", 1)]),
    Case("the longer value", {"survivorship": ["longest"]}, [said(1, "abc", "erp"), said(2, "ab", "shop")], "abc", [("ab", "shop", 2)]),
    Case("in characters", {"survivorship": ["longest"]}, [said(1, "abc", "erp"), said(2, "ßß", "shop")], "abc", [("ßß", "shop", 2)]),
    Case("without the blanks around", {"survivorship": ["longest"]}, [said(1, "abc", "y"), said(2, " ab ", "x")], "abc", [("ab", "x", 2)]),
    Case(
        "of other values than text their JSON",
        {"survivorship": ["longest"]},
        [said(1, [1, 2], "erp"), said(2, "four", "shop"), said(3, True, "server"), said(4, 5.0, "tickets")],
        [1, 2],
        [(True, "server", 3), ("four", "shop", 2), (5, "tickets", 4)],
    ),
    # What counts: one criterion after the other
    Case("the first criterion decides", OFTEN, [said(1, "a", "erp"), said(2, "a", "x"), said(3, "bc", "y")], "a", [("bc", "y", 3)]),
    Case("where it is equal the second", OFTEN, [said(1, "bc", "erp"), said(2, "a", "x")], "bc", [("a", "x", 2)]),
    Case("in the end newest", OFTEN, [said(1, "a", "erp"), said(2, "b", "x")], "b", [("a", "erp", 1)]),
    Case(
        "longest before most_frequent",
        {"survivorship": ["longest", "most_frequent"]},
        [said(1, "a", "erp"), said(2, "a", "x"), said(0, "bc", "y")],
        "bc",
        [("a", "x", 2), ("a", "erp", 1)],
    ),
    Case(
        "newest before source",
        {"survivorship": ["newest", "source"], "sources": ["erp"]},
        [said(1, "a", "erp"), said(2, "b", "x"), said(2, "c", "erp", 1), said(2, "d", "y")],
        "c",
        [("d", "y", 2), ("b", "x", 2)],
    ),
    Case(
        "source before verified",
        {"survivorship": ["source", "verified"], "sources": ["erp"], "verified_by": "ok"},
        [said(1, "a", "erp"), said(2, "b", "x", ok=True), said(3, "c", "y")],
        "a",
        [("b", "x", 2), ("c", "y", 3)],
    ),
    Case(
        "verified before source",
        {"survivorship": ["verified", "source"], "sources": ["erp"], "verified_by": "ok"},
        [said(1, "a", "erp"), said(2, "b", "x", ok=True), said(3, "c", "y")],
        "b",
        [("a", "erp", 1), ("c", "y", 3)],
    ),
    Case("in the end the later record", {}, [said(1, "b", "z"), said(1, "c", "x"), said(1, "a", "y")], "a", [("c", "x", 1), ("b", "z", 1)]),
    # What counts: verified words
    Case("a confirmed word stays whatever is typed in", CONFIRMED, [said(1, "a", "x", ok=True), said(2, "b", "x")], "a", [("b", "x", 2)]),
    Case("until another one is", CONFIRMED, [said(1, "a", "x", ok=True), said(2, "b", "x"), said(3, "c", "x", ok=True)], "c", []),
    Case("the newest verified one", CONFIRMED, [said(1, "a", "x", ok=True), said(2, "b", "x", ok=True)], "b", []),
    Case("and the newest one if that is later", CONFIRMED, [said(2, "a", "x", ok=True), said(1, "b", "x")], "a", []),
    Case("later by its order", CONFIRMED, [said(2, "a", "x", 1, ok=True), said(1, "b", "x", 2)], "a", [("b", "x", 1)]),
    Case("both words of one value are no conflict", CONFIRMED, [said(1, "a", "x", ok=True), said(2, "a", "x")], "a", []),
    Case(
        "without the criterion a source has one word",
        {"survivorship": ["newest"], "verified_by": "ok"},
        [said(1, "a", "x", ok=True), said(2, "b", "x")],
        "b",
        [],
    ),
    Case(
        "both words of a source are said by one source",
        {"survivorship": ["most_frequent", "verified"], "verified_by": "ok"},
        [said(1, "a", "x", ok=True), said(2, "a", "x"), said(0, "b", "y", ok=True), said(3, "b", "z")],
        "b",
        [("a", "x", 1), ("a", "x", 2)],
    ),
    Case("a verified word is taken back too", CONFIRMED, [said(1, "a", "x", ok=True), said(2, None, "x"), said(3, "b", "x")], "b", []),
    Case("a call can take back and verify nothing", CONFIRMED, [said(1, "a", "x", ok=True), said(2, None, "x", ok=True)], GONE, []),
]  # fmt: skip


def names(cases: Iterable[Case]) -> list[str]:
    return [case.says for case in cases]


@pytest.mark.parametrize("case", CASES, ids=names(CASES))
def test_what_the_page_says(case: Case) -> None:
    world = World({"default": {"survivorship": ["newest"]}, "traits": {"trait": case.rule} if case.rule else {}, "tenants": {}})
    records = written(case.calls)
    oracle = world.judge(records)
    for arrived in in_any_order(records):
        made = world.play(arrived)
        fields = shown(made)[profile_of("demo|user_id|u")].fields
        conflicts = fields["traits"].get("trait", {"conflicts": []})["conflicts"]
        assert exact(fields.get("trait:trait", "gone")) == exact("gone" if case.value is GONE else case.value)
        assert exact([(one["value"], one["source"], one["at"] - START_MS) for one in conflicts]) == exact(case.conflicts)
        check(made, oracle)


SHIPPED: Written = {"default": {"survivorship": ["newest"]}, "traits": {}, "tenants": {}}


def test_who_said_it_when_and_whether_it_is_verified() -> None:
    world = World(SHIPPED | {"traits": {"code": {"survivorship": ["verified"], "verified_by": "ok"}}})
    made = world.play(written([identify(1, "erp", code="a", ok=True), identify(2, "server", code="b"), identify(3, code="c", ok=True)]))
    assert shown(made)[profile_of("demo|user_id|u")].fields == {
        "trait:code": "c",
        "trait:ok": True,
        "traits": {
            "code": {
                "source": "",
                "at": START_MS + 3,
                "verified": True,
                "conflicts": [
                    {"value": "a", "source": "erp", "at": START_MS + 1, "verified": True},
                    {"value": "b", "source": "server", "at": START_MS + 2, "verified": False},
                ],
            },
            "ok": {"source": "", "at": START_MS + 3, "verified": False, "conflicts": []},
        },
        "groups": {},
    }


def test_personal_traits_show_who_says_what_to_whom_holds_the_key_alone() -> None:
    world = World(SHIPPED)
    calls = [identify(1, "erp", first_name="Ann"), identify(2, "shop", first_name="Anne"), identify(3, "x", first_name=" Anne ")]
    made = world.play(written(calls))
    others = [{"source": "erp", "at": START_MS + 1, "verified": False}]
    found = shown(made)[profile_of("demo|user_id|u")]
    assert found.fields == {
        "traits": {"first_name": {"source": "x", "at": START_MS + 3, "verified": False, "conflicts": others, "personal": True}},
        "groups": {},
    }
    assert found.personal == {"first_name": {"value": "Anne", "conflicts": [{"value": "Ann", **others[0]}]}}
    told = msgspec.json.encode([change.record for change in made.changes] + [one.traits for one in made.applied])
    assert b"Ann" not in told


@pytest.mark.parametrize(
    "name", ["email", "Email", "E-Mail", "e_mail", "first.name", "FIRST NAME", "lastName", "birth-day", "Address", "last\u00a0name"]
)
def test_a_personal_trait_is_known_in_any_spelling(name: str) -> None:
    made = World(SHIPPED).play(written([identify(1, "erp", **{name: "x"})]))
    (found,) = shown(made).values()
    assert found.fields["traits"][name]["personal"] is True
    assert found.personal == {name: {"value": "x", "conflicts": []}}
    assert f"trait:{name}" not in found.fields


def test_the_longest_personal_value_is_told_by_characters_though_it_is_sealed() -> None:
    world = World(SHIPPED | {"traits": {"name": {"survivorship": ["longest"]}}})
    calls = [identify(1, "erp", name="abcd"), identify(2, "shop", name="ßßß"), identify(3, "x", name='"\\"')]
    (found,) = shown(world.play(written(calls))).values()
    assert [found.personal["name"]["value"], *(one["value"] for one in found.personal["name"]["conflicts"])] == ["abcd", '"\\"', "ßßß"]


def test_a_rule_of_the_tenant_stands_instead_of_the_others() -> None:
    newest = {"survivorship": ["newest"]}
    of_tenant = {"demo": {"city": {"survivorship": ["longest"]}}, "other": {"zip": {"survivorship": ["longest"]}}}
    world = World(
        {"default": {"survivorship": ["source"], "sources": ["erp"]}, "traits": {"city": newest, "zip": newest}, "tenants": of_tenant}
    )
    calls = [identify(1, "shop", city="aaa", zip="aaa", plan="aaa"), identify(2, "erp", city="b", zip="b", plan="b")]
    calls.append(identify(3, "x", city="c", zip="c", plan="c"))
    (found,) = shown(world.play(written(calls))).values()
    assert [found.fields[f"trait:{name}"] for name in ("city", "zip", "plan")] == ["aaa", "c", "b"]


def test_a_changed_rule_needs_no_history() -> None:
    before, after = World(SHIPPED), World(SHIPPED | {"traits": {"city": ERP_FIRST}})
    made = before.play(written([identify(1, "erp", city="Leeds"), identify(2, "shop", city="York")]))
    (profile_id,) = made.newest
    assert shown(made)[profile_id].fields["trait:city"] == "York"
    again = made.restarted(after.definitions)
    again.profile_logic = ProfileLogic(after.definitions, RuleBook(after.definitions), {"demo": 100}, 2)
    again.poke_node("demo|user_id|u")
    again.pass_time(LOGGED_MS + 7_200_000)  # published within the hour: no verdict has turned
    found = shown(again)[profile_id].fields
    assert (found["trait:city"], found["traits"]["city"]["conflicts"][0]["value"]) == ("Leeds", "York")


def test_a_changed_rule_is_one_that_profiles_are_asked_for() -> None:
    """`cdp judge` asks those that carry another fingerprint."""
    versions = {RuleBook(World(SHIPPED | {"traits": {"city": rule}}).definitions).version for rule in (ERP_FIRST, OFTEN)}
    assert len(versions) == 2


def one_person(made: InProcess, profile: str, epoch: int, members: Sequence[str]) -> None:
    for node in members:
        made.alias(Alias(node, "demo", profile, epoch))
    made.roster(Roster("demo", profile, epoch, list(members)))


def test_what_a_source_says_of_one_identifier_it_replaces_by_another_once_both_are_one_person_and_back() -> None:
    """The page: what the shop heard from the laptop is replaced by what it hears later from the phone."""
    made = World(SHIPPED).core()
    laptop, phone = "demo|user_id|u", "demo|anonymous_id|phone"
    told = [
        identify(1, "shop", city="Leeds", name="Ann"),
        identify(2, "shop", who={"anonymousId": "phone"}, city="York", name=None),
        identify(1, "erp", who={"anonymousId": "phone"}, name="Anne"),
    ]
    for record in written(told):
        made.record(record.value, record.topic, record.partition, record.offset, record.timestamp_ms)

    def now(node: str) -> tuple[Any, Any, Any]:
        found = shown(made)[profile_of(node)]
        return found.fields.get("trait:city"), found.fields["traits"]["city"]["conflicts"], found.personal["name"]["value"]

    alone = {laptop: ("Leeds", [], "Ann"), phone: ("York", [], "Anne")}
    assert {node: now(node) for node in alone} == alone
    one_person(made, profile_of(laptop), 1, [laptop, phone])
    assert now(laptop) == ("York", [], "Anne")
    one_person(made, profile_of(phone), 2, [phone])
    made.roster(Roster("demo", profile_of(laptop), 2, [laptop]))
    assert {node: now(node) for node in alone} == alone


def test_a_message_told_again_tells_nothing_more() -> None:
    """A repetition comes with another source and is newer as a record; it is the first one that counts."""
    first = identify(1, "erp", city="Leeds") | {"messageId": "m"}
    again = first | {"context": {"source": "shop"}}
    other = identify(2, "erp", city="York") | {"messageId": "m"}
    records = written([first, again, other])
    made = World(SHIPPED).play(records)
    assert list(made.outcomes.values()) == ["applied", "duplicate", "id_conflict"]
    (found,) = shown(made).values()
    assert found.fields["traits"]["city"] == {"source": "erp", "at": START_MS + 1, "verified": False, "conflicts": []}


def test_a_call_that_a_traffic_rule_excludes_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = {"name": "burst", "says": "too many", "types": ["identify"], "more_than": 2, "within_s": 60, "exclude": True}
    monkeypatch.setattr(loader, "traffic", lambda: [msgspec.convert(rule, TrafficRule)])
    world, records = World(SHIPPED), written([identify(at, city=f"c{at}") | {"messageId": "m" * 2 * (at + 1)} for at in range(4)])
    world.rules = world.rules._replace(traffic=[rule])
    made = world.play(records)
    assert flags(made) == [[], [], ["burst"], ["burst"]]
    assert shown(made)[profile_of("demo|user_id|u")].fields["trait:city"] == "c1"
    check(made, world.judge(records))


EMAIL = {"context": {"externalIds": [{"type": "email", "id": "ann@shop.org"}]}}


def flags(made: InProcess) -> list[list[str]]:
    return [one.flags for one in made.applied]


def test_groups_of_a_person_by_kind_in_alphabetical_order() -> None:
    told = [
        (1, "b", None),
        (2, " a ", "account"),
        (3, 7, "household"),
        (4, "acme", "team"),
        (5, "NULL", None),
        (6, "-", "household"),
        (7, "", None),
    ]
    records = written([group(at, named, kind) for at, named, kind in told])
    made = World(SHIPPED).play(records)
    assert shown(made)[profile_of("demo|user_id|u")].fields["groups"] == {"account": ["a", "b"], "household": ["7"]}
    assert flags(made) == [[], [], [], *[["dropped_group"]] * 3, []], "an empty id is absent"
    assert shown(made).keys() == {profile_of(key) for key in ("demo|user_id|u", "demo|account|a", "demo|account|b", "demo|household|7")}


def test_a_group_has_a_profile_of_its_own_and_joins_nobody() -> None:
    who = [{"userId": "u"}, {"userId": "w"}, {"anonymousId": "a"}, {"userId": "u", "anonymousId": "a"}]
    told = [group(at, "acme", source=f"s{at}", who=one, industry=f"i{at}", email=f"{at}@acme.org") for at, one in enumerate(who)]
    late = group(9, "acme", who={"userId": "x"}, industry="late") | {"logged": START_MS + 8 * 86_400_000}
    world, records = World(SHIPPED), written([*told, late, identify(10, industry="of the user")])
    for arrived in in_any_order(records):
        made = world.play(arrived)
        found = shown(made)[profile_of("demo|account|acme")]
        others = [{"source": f"s{at}", "at": START_MS + at, "verified": False} for at in (2, 1, 0)]
        valued = [{"value": f"i{at}", **other} for at, other in zip((2, 1, 0), others, strict=True)]
        assert found.fields == {
            "kind": "account",
            "members": 3,
            "first_seen_at": START_MS,
            "last_seen_at": START_MS + 3,
            "trait:industry": "i3",
            "traits": {
                "industry": {"source": "s3", "at": START_MS + 3, "verified": False, "conflicts": valued},
                "email": {"source": "s3", "at": START_MS + 3, "verified": False, "conflicts": others, "personal": True},
            },
        }
        assert found.personal["email"]["value"] == "3@acme.org"
        assert shown(made)[profile_of("demo|user_id|u")].fields["trait:industry"] == "of the user"
        assert {one for pair in made.links for one in pair[:2]} == {"demo|user_id|u", "demo|anonymous_id|a"}
        check(made, world.judge(records))


def test_message_ids_of_group_calls_are_compared_by_group_and_member() -> None:
    page = {"type": "page", "messageId": "m", "userId": "u", "timestamp": iso(START_MS)}
    said = [("acme", "u", 1), ("acme", "w", 1), ("beta", "u", 1), ("acme", "u", 1), ("acme", "u", 2)]
    calls = [page, *(group(1, named, who={"userId": who}, seats=seats) | {"messageId": "m"} for named, who, seats in said)]
    world, records = World(SHIPPED), written(calls)
    made = world.play(records)
    assert list(made.outcomes.values()) == ["applied", "applied", "applied", "applied", "duplicate", "id_conflict"]
    acme = shown(made)[profile_of("demo|account|acme")].fields
    assert (acme["members"], acme["trait:seats"]) == (2, 1)
    assert shown(made)[profile_of("demo|user_id|u")].fields["groups"] == {"account": ["acme", "beta"]}
    check(made, world.judge(records))


def test_what_else_is_called_a_group_id_is_dropped_with_a_flag_and_the_call_counts() -> None:
    odd = [(True, None), (1.5, None), ("x" * 257, None), ({}, None), ("acme", 5), ("acme", ["account"])]
    calls = [group(at, named) | {"context": {"groupType": kind}} for at, (named, kind) in enumerate(odd)]
    page = {"type": "page", "messageId": "m", "userId": "u", "timestamp": iso(START_MS), "groupId": {}, "context": {"groupType": 5}}
    world, records = World(SHIPPED), written([*calls, page])
    made = world.play(records)
    assert flags(made) == [["dropped_group"]] * len(odd) + [[]]
    (found,) = shown(made).values()
    assert found.fields["groups"] == {}
    check(made, world.judge(records))


def test_names_of_64_characters_and_values_of_1024_are_kept_and_longer_ones_flagged() -> None:
    fits = {"n" * 64: 1, "text": "ß" * 1022, "trimmed": "  " + "x" * 1022 + " ", "list": [1] * 511}
    over = {"n" * 65: 1, "": 1, "long": "x" * 1023, "quoted": '"' * 512, "numbers": [1] * 512}
    made = World(SHIPPED).play(written([identify(1, **fits), identify(2, **over), identify(3, text="x" * 1023)]))
    (found,) = shown(made).values()
    assert found.fields["traits"].keys() == fits.keys()
    assert found.fields["trait:text"] == "ß" * 1022
    assert flags(made) == [[], ["limit:traits"], ["limit:traits"]]


def test_a_node_keeps_the_words_of_the_first_sixteen_sources() -> None:
    """By name: by time it would depend on the order of arrival what is left."""
    calls = [identify(at, f"s{at:02d}", city=f"c{at}") for at in range(18)]
    calls.append(identify(0, "s00", who={"anonymousId": "a"}, city="c0"))
    calls.append(identify(20, "z", who={"anonymousId": "a"}, city="c20"))
    world = World(SHIPPED)
    for seed in range(8):
        records = written(calls)
        random.Random(seed).shuffle(records)
        made = world.play(records)
        found = shown(made)[profile_of("demo|user_id|u")].fields
        assert found["trait:city"] == "c15"
        assert [one["value"] for one in found["traits"]["city"]["conflicts"]] == [f"c{at}" for at in range(14, -1, -1)]
        assert "limit:traits" in {flag for one in flags(made) for flag in one}
        one_person(made, profile_of("demo|user_id|u"), 1, ["demo|user_id|u", "demo|anonymous_id|a"])
        found = shown(made)[profile_of("demo|user_id|u")].fields
        assert len(found["traits"]["city"]["conflicts"]) == 16, "limits act by node"


def test_a_node_keeps_the_last_eight_logs_of_a_source() -> None:
    calls = [identify(20 - at, "erp", order=1, log=f"day-{at:02d}", city=f"c{at}") for at in range(12)]
    world = World(SHIPPED)
    for seed in range(4):
        records = written(calls)
        random.Random(seed).shuffle(records)
        made = world.play(records)
        (found,) = shown(made).values()
        assert found.fields["trait:city"] == "c4", "the newest of the logs that are kept"
        check(made, world.judge(records))


def test_a_node_keeps_the_first_hundred_unlisted_traits() -> None:
    many = {f"t{number:03d}": number for number in range(105)}
    world = World(SHIPPED | {"traits": {"t104": {}, "z": {}}, "tenants": {"demo": {"t103": {}}}})
    parts = [identify(1, **dict(itertools.islice(many.items(), start, None, 3))) for start in range(3)]
    records = written([*parts, identify(2, t099=None, t050=None)])
    for arrived in in_any_order(records):
        made = world.play(arrived)
        (found,) = shown(made).values()
        kept = [name for name in many if name not in ("t050", "t099", "t100", "t101", "t102")]
        assert sorted(found.fields["traits"]) == kept, "what is taken back keeps its place"
        check(made, world.judge(records))


def test_a_node_keeps_its_fifty_newest_groups() -> None:
    calls = [group(at, f"g{at:02d}") for at in range(52)]
    for seed in range(3):
        records = written(calls)
        random.Random(seed).shuffle(records)
        made = World(SHIPPED).play(records)
        assert shown(made)[profile_of("demo|user_id|u")].fields["groups"] == {"account": [f"g{at:02d}" for at in range(2, 52)]}
        assert "limit:traits" in {flag for one in flags(made) for flag in one}


# Streams at random

MIXED: Written = {
    "default": {"survivorship": ["newest"]},
    "traits": {
        "email": {"survivorship": ["verified", "newest"], "verified_by": "emailVerified"},
        "code": {"survivorship": ["verified", "source"], "sources": ["erp", "server"], "verified_by": "codeVerified"},
        "city": {"survivorship": ["source", "longest"], "sources": ["server", "erp"]},
        "language": {"survivorship": ["most_frequent", "longest"]},
        "firstName": {"survivorship": ["longest", "most_frequent"]},
    },
    "tenants": {"demo": {"plan": {"survivorship": ["newest", "source"], "sources": ["erp"]}}},
}
VALUES: list[Any] = [
    "a", "b", " a ", "bcd", "ßß", "", "  ", None, None, 1, 1.0, 1.5, True, False, [], ["a", 1.0], ["a", 1], {}, {"b": 1, "a": [2.0]},
    {"a": [2], "b": 1}, {"a": None}, "1", "null", "ann@shop.org", "bob@shop.org",
]  # fmt: skip
NAMES = ["email", "emailVerified", "code", "codeVerified", "city", "language", "firstName", "first_name", "plan", "other"]
NO_PERSON = {"context": {"externalIds": [{"type": "account", "id": "acme"}]}}
"""The id of a group is nobody's identifier."""
WHO: list[Written] = [{"userId": "u"}, {"userId": "w"} | NO_PERSON, {"anonymousId": "a"}, {"userId": "u", "anonymousId": "a"}, EMAIL]
ORDERS: list[Any] = [None, None, None, 0, 1, 9, 10, "9", "b-10", "b-9", "2026-01-01T00:00:00Z", "16/B374D848"]
GROUPS: list[Written] = [
    {"groupId": "acme"}, {"groupId": " acme"}, {"groupId": "beta", "context": {"groupType": "account"}}, {"groupId": 7},
    {"groupId": "acme", "context": {"groupType": "household"}}, {"groupId": "acme", "context": {"groupType": "team"}}, {},
    {"groupId": "null"},
]  # fmt: skip


def joined(*parts: Written) -> Written:
    """A call of several parts; their contexts become one."""
    context = {name: value for part in parts for name, value in part.get("context", {}).items()}
    return {name: value for part in parts for name, value in part.items()} | {"context": context}


@st.composite
def calls(draw: st.DrawFn, *, apart: bool = False) -> list[Written]:
    """Calls of a few people under several identifiers, of several sources with and without an order.

    Args:
        draw: Hypothesis.
        apart: no two have a message id or an event time in common, and none is late.
    """
    found = []
    for number in range(draw(st.integers(1, 12))):
        at = number if apart else draw(st.integers(0, 3))
        traits: Written = draw(st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES), max_size=5))
        traits |= draw(st.sampled_from([{}, {}, {"emailVerified": True, "codeVerified": True}]))
        source, log = draw(st.sampled_from(["", "erp", "erp", "server", "tickets"])), draw(st.sampled_from([None, None, "x"]))
        call = identify(at, source, draw(st.sampled_from(ORDERS)), log, {}, **traits)
        call = joined(call, draw(st.sampled_from(WHO)))
        kind = draw(st.sampled_from(["identify"] * 4 + ["group"] * 3 + ["page"]))
        call = joined({"messageId": f"n{number}"}, call, {"type": kind}, draw(st.sampled_from(GROUPS)) if kind != "identify" else {})
        if not apart and draw(st.integers(0, 9)) == 0:
            call["timestamp"] = "2025-12-01T00:00:00.000Z"  # late
        if not apart and draw(st.integers(0, 5)) == 0:
            call["messageId"] = draw(st.sampled_from(["x", "y"]))
        found.append(call)
    return found + ([] if apart else draw(st.lists(st.sampled_from(found), max_size=3)))


@settings(max_examples=300, deadline=None)
@given(calls(), st.integers(0, 3))
def test_every_profile_is_the_oracles(told: list[Written], forget_every: int) -> None:
    records = written(told, 2)
    made = mixed().play(records, forget_every)
    check(made, mixed().judge(records))
    found = shown(made).values()
    event(f"conflicts: {any(trait['conflicts'] for one in found for trait in one.fields['traits'].values())}")
    event(f"groups: {any('kind' in one.fields for one in found)}")


@cache
def mixed() -> World:
    return World(MIXED)


@settings(max_examples=100, deadline=None)
@given(calls(), st.randoms(use_true_random=False))
def test_partitions_may_be_read_in_any_order(told: list[Written], dice: random.Random) -> None:
    """Of repetitions with one message id the one that is read first counts, so those are left out."""
    records = written(list({call["messageId"]: call for call in told}.values()), 2)
    read = list(records)
    dice.shuffle(read)
    check(mixed().play(read), mixed().judge(records))


@settings(max_examples=100, deadline=None)
@given(calls(apart=True), st.randoms(use_true_random=False))
def test_traits_do_not_depend_on_the_order_of_arrival(told: list[Written], dice: random.Random) -> None:
    """Within the bound of lateness; of records that are of one time the later one counts, so each has another time here."""
    other = list(told)
    dice.shuffle(other)
    ends = []
    for arrived in (told, other):
        records = written(arrived)
        made = mixed().play(records)
        check(made, mixed().judge(records))
        ends.append(shown(made))
    assert ends[0] == ends[1]


@settings(max_examples=150, deadline=None)
@given(calls(), steps, st.integers(0, 3))
def test_every_person_is_the_union_of_what_its_identifiers_were_told(told: list[Written], between: list[Steps], forget_every: int) -> None:
    town, records = Town(forget_every), written(told, 2)
    town.core = mixed().core(forget_every)
    people = ["demo|user_id|u", "demo|user_id|w", str(nodes().key("demo", "email", "ann@shop.org")), "demo|anonymous_id|a"]
    for record, more in zip(records, between, strict=False):
        town.core.record(record.value, record.topic, record.partition, record.offset, record.timestamp_ms)
        for step in more:
            town.step(*step, people)
    town.hear_links()
    town.words.settle(town.core)
    check(town.core, mixed().judge(records))
    event(f"several identifiers: {any(len(change.record['nodes']) > 1 for change in town.core.newest.values())}")


@settings(max_examples=100, deadline=None)
@given(calls(), steps, st.integers(0, 3))
def test_the_changes_add_up_to_the_whole_profile(told: list[Written], between: list[Steps], forget_every: int) -> None:
    """A trait that is gone leaves the store, and personal traits there are those of the newest change."""
    town = Town(forget_every)
    town.core = mixed().core(forget_every)
    for record, more in zip(written(told), between, strict=False):
        town.core.record(record.value, record.topic, record.partition, record.offset, record.timestamp_ms)
        for step in more:
            town.step(*step, ["demo|user_id|u", "demo|anonymous_id|a"])
    fields: dict[str, Written] = {}
    personal: dict[str, bytes] = {}
    for change in town.core.changes:
        patch, features = change.patch, json.loads(change.patch.features)
        whole = patch.whole or any(name not in features for name in patch.changed)
        if whole:
            fields[patch.profile_id] = features
        else:
            fields[patch.profile_id].update({name: features[name] for name in patch.changed})
        if patch.replaces_pii(0 if whole else patch.base_version):
            personal[patch.profile_id] = b"{}" if patch.merged_into else patch.pii
        assert fields[patch.profile_id] == features
        assert personal[patch.profile_id] == patch.pii


@pytest.mark.parametrize(
    ("calls_of_one_source", "stands"),
    [
        # An older version of a log that is told later, after its newest word was taken back by another log.
        ([({"city": "a"}, {"sourceOrder": 1}), ({"city": ""}, {}), ({"city": "a"}, {"sourceOrder": 0})], None),
        # An older `null` of a log that is told later than what another log says.
        ([({"city": ""}, {"sourceOrder": 1}), ({"city": "a"}, {}), ({"city": ""}, {"sourceOrder": 0})], "a"),
    ],
)
def test_an_older_version_that_is_told_later_changes_nothing(calls_of_one_source: list[tuple[dict, dict]], stands: str | None) -> None:
    told = [identify(at, **traits) | {"context": context} for at, (traits, context) in enumerate(calls_of_one_source)]
    records = written(told)
    made = World(SHIPPED).play(records)
    (found,) = shown(made).values()
    assert found.fields.get("trait:city") == stands
    check(made, World(SHIPPED).judge(records))
