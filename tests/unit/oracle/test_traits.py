"""Traits and groups: which word counts, what stands against it, and what limits leave out."""

import itertools
from typing import Any

import pytest

from tests.oracle import Profiles, Rulebook
from tests.oracle.identity import group_key
from tests.oracle.traits import is_personal, json_text
from tests.unit.oracle.cases import NODE, RULES, Writer, at

EIGHT = "demo|user_id|8"


def rules(**traits: dict[str, Any]) -> Rulebook:
    """The shipped configuration with these trait rules instead."""
    return RULES._replace(traits={"default": {"survivorship": ["newest"]}, "traits": traits, "tenants": {}})


NEWEST = rules()


def said(writer: Writer, days: float, traits: dict[str, Any], source: str = "", order: Any = None, log: str = "", **more: Any) -> None:
    context = {"source": source, "sourceOrder": order, "sourceLog": log or None}
    writer.call(days, "identify", traits=traits, context={name: value for name, value in context.items() if value}, **more)


def shown(writer: Writer, name: str, *nodes: str) -> tuple[Any, list[tuple[Any, str]]]:
    """The value of a trait, and who says what else."""
    fields = writer.profile(30, *nodes)
    conflicts = fields["traits"].get(name, {"conflicts": []})["conflicts"]
    return fields.get(f"trait:{name}"), [(one["value"], one["source"]) for one in conflicts]


def test_a_profile_of_which_nothing_is_said() -> None:
    writer = Writer(NEWEST)
    writer.call(1, "page", traits={"city": "Leeds"}, context={"traits": {"city": "York"}})
    fields = writer.profile(2)
    assert (fields["traits"], fields["groups"]) == ({}, {})
    assert not any(name.startswith("trait:") for name in fields)


def test_a_trait_with_who_said_it_and_when() -> None:
    writer = Writer(NEWEST)
    said(writer, 1, {"city": "Leeds"}, "erp")
    said(writer, 2, {"city": " York "}, "shop")
    fields = writer.profile(3)
    assert fields["trait:city"] == "York"
    against = {"value": "Leeds", "source": "erp", "at": at(1), "verified": False}
    assert fields["traits"] == {"city": {"source": "shop", "at": at(2), "verified": False, "conflicts": [against]}}


def test_a_source_has_one_word_and_takes_it_back_by_null_or_blanks() -> None:
    for nothing in (None, "", " \t"):
        writer = Writer(NEWEST)
        said(writer, 1, {"city": "Leeds"}, "erp")
        said(writer, 2, {"city": "York"}, "shop")
        said(writer, 3, {"city": "Hull"}, "shop")
        assert shown(writer, "city") == ("Hull", [("Leeds", "erp")])
        said(writer, 4, {"city": nothing}, "shop")
        assert shown(writer, "city") == ("Leeds", [])
        said(writer, 2.5, {"city": "Bath"}, "shop")
        assert shown(writer, "city") == ("Leeds", []), "it is older than what took it back"
        said(writer, 5, {"city": nothing}, "erp")
        assert shown(writer, "city") == (None, [])


def test_the_order_of_a_source_comes_before_its_times_and_is_compared_within_one_log() -> None:
    writer = Writer(NEWEST)
    said(writer, 1, {"city": "Leeds"}, "erp", 12)
    said(writer, 2, {"city": "York"}, "erp", 9)
    assert shown(writer, "city") == ("Leeds", [])
    said(writer, 3, {"city": "Hull"}, "erp", 1, "b")
    assert shown(writer, "city") == ("Hull", [])
    said(writer, 0, {"city": None}, "erp", 13)
    assert shown(writer, "city") == ("Hull", [])


@pytest.mark.parametrize(
    ("rule", "best"),
    [
        ({}, "Leeds"),
        ({"survivorship": ["source"], "sources": ["shop", "erp"]}, "York"),
        ({"survivorship": ["source"], "sources": ["erp"]}, "Leeds"),
        ({"survivorship": ["most_frequent"]}, "Ely"),
        ({"survivorship": ["longest"]}, "Canterbury"),
        ({"survivorship": ["verified"], "verified_by": "ok"}, "York"),
        ({"survivorship": ["most_frequent", "source"], "sources": ["files"]}, "Ely"),
    ],
)
def test_criteria(rule: dict[str, Any], best: str) -> None:
    words = [(1, "Ely", "files"), (1.5, "Ely", "server"), (2, "York", "shop"), (3, "Canterbury", "tickets"), (4, "Leeds", "erp")]
    for told in itertools.permutations(words):
        writer = Writer(rules(city=rule))
        for days, city, source in told:
            said(writer, days, {"city": city, "ok": source == "shop"}, source, logged=4)
        assert shown(writer, "city")[0] == best


def test_a_verified_word_stays_beside_the_newest_one() -> None:
    rule = {"survivorship": ["verified"], "verified_by": "ok"}
    for with_criterion, expected in ((True, ("a", [("b", "shop")])), (False, ("b", []))):
        writer = Writer(rules(code=rule) if with_criterion else rules(code=rule | {"survivorship": ["newest"]}))
        said(writer, 1, {"code": "a", "ok": True}, "shop")
        said(writer, 2, {"code": "b", "ok": 1}, "shop")
        assert shown(writer, "code") == expected
        said(writer, 3, {"code": None}, "shop")
        assert shown(writer, "code") == (None, [])


def test_identifiers_of_a_person_are_one_voice_where_the_source_is_one() -> None:
    writer = Writer(NEWEST)
    said(writer, 1, {"city": "Leeds"}, "shop")
    said(writer, 2, {"city": "York"}, "shop", userId="8")
    assert [shown(writer, "city", *nodes) for nodes in ([NODE], [EIGHT], [NODE, EIGHT])] == [("Leeds", []), ("York", []), ("York", [])]
    said(writer, 3, {"city": None}, "shop", userId="8")
    assert [shown(writer, "city", *nodes) for nodes in ([NODE], [EIGHT], [NODE, EIGHT])] == [("Leeds", []), (None, []), (None, [])]


def test_personal_traits_are_apart() -> None:
    writer = Writer(NEWEST)
    said(writer, 1, {"First_Name": "Ann"}, "shop")
    said(writer, 2, {"First_Name": "Anne"}, "erp")
    fields = writer.profile(3)
    about = {"source": "shop", "at": at(1), "verified": False}
    assert fields["traits"] == {"First_Name": {"source": "erp", "at": at(2), "verified": False, "conflicts": [about], "personal": True}}
    assert "trait:First_Name" not in fields
    personal = Profiles(writer.log(), NEWEST).personal([NODE])
    assert personal == {"First_Name": {"value": "Anne", "conflicts": [{"value": "Ann", **about}]}}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("email", True),
        ("E-Mail", True),
        ("first.name", True),
        ("last name", True),
        ("emails", False),
        ("emailVerified", False),
        ("", False),
    ],
)
def test_names_of_personal_traits(name: str, expected: bool) -> None:
    assert is_personal(name, RULES.pii_traits) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5.0, "5"),
        (-0.0, "0"),
        (5.5, "5.5"),
        (True, "true"),
        ({"b": [1.0, {"d": 2.0, "c": None}], "a": "x "}, '{"a":"x ","b":[1,{"c":null,"d":2}]}'),
        ("Zoë", '"Zoë"'),
    ],
)
def test_json_text(value: Any, expected: str) -> None:
    assert json_text(value) == expected


def test_what_is_late_or_told_again_tells_nothing() -> None:
    writer = Writer(NEWEST)
    said(writer, 1, {"city": "Leeds"}, logged=9)
    said(writer, 2, {"city": "York"}, logged=9, messageId="m")
    said(writer, 2, {"city": "York"}, "erp", logged=9, messageId="m")
    said(writer, 3, {"city": "Hull"}, logged=9, messageId="m")
    assert [(judged.outcome, judged.code) for judged in writer.log().judged] == [
        ("applied", ""),
        ("applied", ""),
        ("duplicate", ""),
        ("rejected", "id_conflict"),
    ]
    assert shown(writer, "city") == ("York", [])


def test_names_and_values_that_are_too_long_say_nothing() -> None:
    writer = Writer(NEWEST)
    said(writer, 1, {"n" * 64: 1, "n" * 65: 1, "": 1, "fits": "x" * 1022, "not": "x" * 1023, "trimmed": " " + "x" * 1022})
    assert sorted(writer.profile(2)["traits"]) == ["fits", "n" * 64, "trimmed"]


def test_a_node_keeps_the_first_sixteen_sources_and_the_first_hundred_names() -> None:
    writer = Writer(rules(z={"survivorship": ["newest"]}))
    for number in range(17):
        said(writer, 2 + (number + 5) % 17 / 100, {"city": f"c{number:02d}"}, f"s{number}")
    said(writer, 3, {f"t{number:03d}": 1 for number in range(100)} | {"z": 1})
    value, conflicts = shown(writer, "city")
    assert (value, len(conflicts)) == ("c11", 15)
    assert "c09" not in dict(conflicts)
    names = set(writer.profile(4)["traits"])
    assert len(names) == 101
    assert {"city", "t098", "z"} <= names
    assert "t099" not in names
    said(writer, 2, {"city": "c09"}, "s9", userId="8")
    assert len(shown(writer, "city", NODE, EIGHT)[1]) == 16, "limits act by node"


def grouped(writer: Writer, days: float, group: Any, kind: str | None = None, **more: Any) -> None:
    writer.call(days, "group", groupId=group, context={} if kind is None else {"groupType": kind}, **more)


def test_groups_of_a_person() -> None:
    writer = Writer(NEWEST)
    for days, group, kind in (
        (1, "b", None),
        (2, " a ", "account"),
        (3, 7, "household"),
        (4, "c", "team"),
        (5, "NULL", None),
        (6, "", None),
    ):
        grouped(writer, days, group, kind)
    grouped(writer, 8, "late", logged=20)
    writer.call(9, "page", groupId="d")
    assert writer.profile(21)["groups"] == {"account": ["a", "b"], "household": ["7"]}
    grouped(writer, 21, "e", userId="8")
    assert writer.profile(22, NODE, EIGHT)["groups"] == {"account": ["a", "b", "e"], "household": ["7"]}


def test_a_node_keeps_its_fifty_newest_groups() -> None:
    writer = Writer(NEWEST)
    for number in range(51):
        grouped(writer, 1 + (number + 1) % 51 / 100, f"g{number:02d}")
    assert writer.profile(3)["groups"] == {"account": [f"g{number:02d}" for number in range(50)]}


def test_the_profile_of_a_group() -> None:
    writer = Writer(NEWEST)
    grouped(writer, 3, "acme", traits={"industry": "toys", "email": "a@acme.example"})
    grouped(writer, 2, "acme", traits={"industry": "games", "seats": 5.0}, anonymousId="x", logged=3)
    grouped(writer, 4, "acme", userId="8")
    grouped(writer, 5, "acme", userId="9", logged=30)
    said(writer, 6, {"industry": "of the user"}, logged=30)
    profiles = Profiles(writer.log(), NEWEST)
    assert profiles.groups() == {"demo|account|acme"}
    fields, personal = profiles.group("demo|account|acme")
    assert fields == {
        "kind": "account",
        "members": 2,
        "first_seen_at": at(2),
        "last_seen_at": at(4),
        "trait:industry": "toys",
        "trait:seats": 5,
        "traits": {
            "industry": {"source": "", "at": at(3), "verified": False, "conflicts": []},
            "seats": {"source": "", "at": at(2), "verified": False, "conflicts": []},
            "email": {"source": "", "at": at(3), "verified": False, "conflicts": [], "personal": True},
        },
    }
    assert personal == {"email": {"value": "a@acme.example", "conflicts": []}}
    assert writer.profile(31)["traits"] == {}


@pytest.mark.parametrize(
    ("kind", "raw", "expected"),
    [
        (None, "acme", "demo|account|acme"),
        ("household", "\u200bacme ", "demo|household|acme"),
        ("Household", "acme", ""),
        (None, "undefined", ""),
        (None, "4.47E+11", ""),
        (None, "0", ""),
        (None, "17850.0", "demo|account|17850.0"),
        (None, 17850, "demo|account|17850"),
        (None, -1, ""),
        (None, True, ""),
        (None, 1.5, ""),
        (None, None, ""),
        (None, "x" * 257, ""),
        (1, "acme", ""),
        (None, "test@test.com", "demo|account|test@test.com"),
    ],
)
def test_keys_of_groups(kind: Any, raw: Any, expected: str) -> None:
    assert group_key("demo", kind, raw, RULES) == expected


def test_message_ids_of_group_calls_are_compared_by_group_and_member() -> None:
    writer = Writer(NEWEST)
    for group, user in (("acme", "7"), ("acme", "7"), ("acme", "8"), ("beta", "7"), ("null", "7"), (None, "7")):
        grouped(writer, 1, group, messageId="m", userId=user)
    writer.call(2, "page", messageId="m")
    outcomes = [judged.code or judged.outcome for judged in writer.log().judged]
    assert outcomes == ["applied", "duplicate", "applied", "applied", "applied", "duplicate", "id_conflict"]
