"""Public troubles with identifiers (tests/cases), posted to the collector: whose event it is, and what tells of a dropped one."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.wire import Rejected
from tests.posted import Posted, case


@pytest.fixture
def world(tmp_path: Path) -> Posted:
    return Posted(tmp_path)


def batch(*identifiers: dict[str, Any]) -> bytes:
    calls = [{"type": "track", "event": "Signed In", "messageId": f"m{number}"} | given for number, given in enumerate(identifiers)]
    return json.dumps({"batch": calls}).encode()


def external(kind: str, value: str) -> dict[str, Any]:
    return {"context": {"externalIds": [{"type": kind, "id": value}]}}


def test_15_placeholders_are_nobody_and_the_event_goes_to_its_next_identifier_and_says_so(world: Posted) -> None:
    assert set(world.post(case("15-nobody.json")).values()) == {"applied"}
    assert [world.event(f"c15-{letter}").node for letter in "abcdef"] == [f"demo|anonymous_id|dev-15-{one}" for one in "ababaa"]
    assert {tuple(world.event(f"c15-{letter}").flags) for letter in "abcdef"} == {("dropped_user_id",)}
    assert world.profile("user_id:[object Object]") is None
    assert world.profile("anonymous_id:dev-15-b") is not None


@pytest.mark.parametrize(
    "nobody",
    ["[Object object]", "%!s(<nil>)", "Optional(nil)", "\\N", "{{user.id}}", "undefined undefined", "null-null", "None/None/none",
     "null@null", "{00000000-0000-0000-0000-000000000000}", "[native code]", "\ufeffnull", "(not set)", "TRUE", "000", "'undefined'"],
)  # fmt: skip
def test_15_other_placeholders_are_nobody_too(nobody: str, world: Posted) -> None:
    assert world.post(batch({"userId": nobody, "anonymousId": "a1"}, {"userId": nobody})) == {"m0": "applied", "m1": "identifier_missing"}
    assert world.event("m0").node == "demo|anonymous_id|a1"


@pytest.mark.parametrize(
    "somebody", ["nullable", "none-such", "nil.armstrong", "undefined-behaviour", "Null", "1", "nan.goldin", "true.blue"]
)
def test_15_names_that_hold_such_a_word_are_somebody(somebody: str, world: Posted) -> None:
    expected = "identifier_missing" if somebody == "Null" else "applied"
    assert world.post(batch({"userId": somebody})) == {"m0": expected}


def test_16_one_name_in_two_encodings_is_one_profile(world: Posted) -> None:
    assert set(world.post(case("16-two-spellings.json")).values()) == {"applied"}
    assert len({world.event(f"c16-{letter}").node for letter in "ab"}) == 1
    assert len({world.event(f"c16-{letter}").node for letter in "cde"}) == 1
    assert len(world.core.newest) == 2
    assert world.profile("user_id:zoe\u0308.mu\u0308ller") == world.profile("user_id:zo\u00eb.m\u00fcller") is not None
    assert world.profile("email:zoe\u0308.mu\u0308ller@Example.org") is not None


def test_18_three_spellings_of_a_telephone_number_are_one_profile(world: Posted) -> None:
    assert set(world.post(case("18-zero-in-brackets.json")).values()) == {"applied"}
    assert len(world.core.newest) == 1
    assert world.profile("phone:+49 (0) 30 / 5555-0001") is not None


def test_17_rounded_numbers_never_make_one_profile_of_two_people(world: Posted) -> None:
    rounded = ["4.47701E+11", "4,47701e11", " 1.23E+15", "1E+15", "\u200b4.47701E+11"]
    outcomes = world.post(batch(*({"userId": one} for one in rounded), *(external("phone", one) for one in rounded)))
    assert set(outcomes.values()) == {"identifier_missing"}
    refused = world.decoded("m5")
    assert isinstance(refused, Rejected)
    assert "the phone is a number that a spreadsheet or program has rounded" in refused.rule


def test_a_telephone_number_without_country_is_read_in_that_of_its_tenant(world: Posted) -> None:
    given = ["020 7946 0958", "+44 20 7946 0958", "0044 (0)20 7946\u20110958", "442079460958.0"]
    assert set(world.post(batch(*(external("phone", one) for one in given))).values()) == {"applied"}
    assert len(world.core.newest) == 1


def test_people_behind_one_switchboard_stay_apart(world: Posted) -> None:
    world.post(batch(*(external("phone", "+44 20 7946 0958" + one) for one in ("", " ext. 5", "x5", ";ext=5", " #6"))))
    assert [world.event(f"m{number}").node for number in (1, 2)] == [world.event("m3").node] * 2
    assert len(world.core.newest) == 3


def test_23_a_number_as_user_id_is_refused_visibly_and_its_neighbours_applied(world: Posted) -> None:
    assert world.post(case("23-number-as-user.json")) == {"c23-a": "schema_violation", "c23-b": "applied", "12345": "schema_violation"}


def test_33_odd_characters_are_found_again_by_the_same_id(world: Posted) -> None:
    assert set(world.post(case("33-odd-ids.json")).values()) == {"applied"}
    for one in json.loads(case("33-odd-ids.json"))["batch"]:
        assert world.profile(f"user_id:{one['userId']}") is not None
    assert len(world.core.newest) == 2


def test_36_text_for_numbers_and_lower_case_currency_are_refused_or_read_as_meant(world: Posted) -> None:
    outcomes = world.post(case("36-lower-case-currency.json"))
    assert set(outcomes.values()) <= {"applied", "schema_violation", "quality_rule"}
    applied = [message_id for message_id, outcome in outcomes.items() if outcome == "applied"]
    counted = world.profile("user_id:c3601")
    orders = 0 if counted is None else counted["features"]["orders_lifetime"]
    assert orders == len(applied), "what is applied counts, what is not counts nowhere"


def test_two_identifiers_of_which_one_is_no_address(world: Posted) -> None:
    ids = [{"type": "email", "id": "see notes"}, {"type": "phone", "id": "none"}, {"type": "device_id", "id": "d1"}]
    world.post(batch({"context": {"externalIds": ids}}, {"context": {"externalIds": ids[:2]}}))
    assert world.event("m0").node == "demo|device_id|d1"
    assert world.event("m0").flags == ["dropped_phone", "dropped_email"]
    refused = world.decoded("m1")
    assert isinstance(refused, Rejected)
    assert refused.rule.endswith("(the phone is a placeholder; the email is no e-mail address)")
