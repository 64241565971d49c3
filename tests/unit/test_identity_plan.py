"""Other limits: what they would change is worked out on a copy, and what is written then does exactly that."""

from typing import Any

import msgspec
from hypothesis import event, given, settings
from hypothesis import strategies as st

from operations.identity import People, Placed
from operations.identity_limits import InForce, in_force
from operations.identity_plan import Asked, Plan, plan
from pipelines.identity.limits import Change, TenantLimits, read_limits
from pipelines.identity.link_log import Link, LogRecord, Release, Settle
from tests.unit.pipelines.test_identity_graph import DAY, SPACES, World, about, changed, link, logs, loose, rules, tight, turned, unbind

IDENTITY = World().identity
ASKED = Asked("t", 60 * DAY, "c-1", "ann: why")


def placed(*records: dict[str, Any]) -> list[Placed]:
    return [Placed(epoch, msgspec.convert(record, LogRecord)) for epoch, record in enumerate(records, 1)]


def limits(most: int = 6, **spaces: dict[str, int]) -> TenantLimits:
    return read_limits(rules(most, **spaces)["body"])


def planned(log: list[Placed], wanted: TenantLimits) -> Plan:
    return plan(People(IDENTITY, "t", log), in_force(IDENTITY, "t", log), wanted, ASKED)


def after(log: list[Placed], found: Plan, many: int | None = None) -> list[Placed]:
    """The log with a plan's records, or the first of them."""
    more = ([found.rules] if found.rules else []) + found.records[:many]
    return log + [Placed(len(log) + number, record) for number, record in enumerate(more, 1)]


@given(st.one_of(logs, turned), st.one_of(changed, tight, loose))
@settings(max_examples=300, deadline=None)
def test_what_is_written_does_what_was_shown_and_leaves_nothing_to_do(log: list[dict[str, Any]], other: dict[str, Any]) -> None:
    before, wanted = placed(*log), read_limits(other["body"])
    found = planned(before, wanted)
    then = after(before, found)
    assert People(IDENTITY, "t", before).compare(People(IDENTITY, "t", then)) == found.past.differs
    assert in_force(IDENTITY, "t", then).limits == wanted or not found.changed
    again = planned(then, wanted)
    assert (again.changed, again.rules, again.records, again.past.differs.moved) == ([], None, [], 0)
    event(f"settled: {found.past.settled > 0}")
    event(f"released: {found.past.released > 0}")
    event(f"proposed: {found.past.proposed > 0}")
    event(f"nothing to do: {not found.records and not found.rules}")


@given(st.one_of(logs, turned), st.one_of(changed, tight, loose), st.integers(0, 4))
@settings(max_examples=150, deadline=None)
def test_what_was_interrupted_is_finished_by_the_next_run(log: list[dict[str, Any]], other: dict[str, Any], many: int) -> None:
    before, wanted = placed(*log), read_limits(other["body"])
    half = after(before, planned(before, wanted), many)
    rest = planned(half, wanted)
    assert rest.rules is None
    assert planned(after(half, rest), wanted).records == []


@given(logs)
@settings(max_examples=100, deadline=None)
def test_a_copy_is_of_its_own(log: list[dict[str, Any]]) -> None:
    before = placed(*log)
    people = People(IDENTITY, "t", before)
    plan(people, in_force(IDENTITY, "t", before), limits(2), ASKED)
    assert people.compare(People(IDENTITY, "t", before)).concerned == 0


LOG = [
    link("user_id|1", "anonymous_id|1"),
    link("user_id|2", "anonymous_id|1"),
    link("user_id|3", "email|1"),
    link("user_id|3", "email|2"),
]
FULL = [
    link(f"user_id|{user}", f"{space}|{number}", "bind") for user, space in ((0, "open_id"), (3, "anonymous_id")) for number in range(3)
]
TOO_MANY = [*FULL, link("anonymous_id|0", "open_id|0", "bind")]
"""Two persons by statements, and a weaker statement that would make them one of eight identifiers, which are too many."""


def test_looser_limits_bring_in_what_was_kept_out_with_its_own_cause() -> None:
    log = placed(*LOG)
    log[1] = Placed(2, msgspec.structs.replace(log[1].record, cause="m-2"))
    found = planned(log, limits(user_id={"most": 2}))
    assert found.changed == [Change("most:user_id", 1, 2), Change("shared_after:user_id", 3, None)]
    assert found.records == [
        Link("t", ASKED.at, "m-2", "proposed again by other limits; ann: why", "t|user_id|2", "t|anonymous_id|1", "seen")
    ]
    differs = found.past.differs
    assert (differs.people, differs.people_then, differs.concerned, differs.moved) == (3, 2, 2, 3)
    assert differs.joined == [[["t|anonymous_id|1", "t|user_id|1"], ["t|user_id|2"]]]


def test_tighter_limits_part_whom_they_do_not_allow() -> None:
    found = planned(placed(*LOG), limits(email={"most": 1}))
    assert [type(record) for record in found.records] == [Settle]
    assert found.past.differs.parted == [[["t|email|1", "t|user_id|3"], ["t|email|2"]]]
    assert found.past.differs.concerned == 1


def test_an_identifier_that_was_shared_by_the_limits_of_before_is_released_and_linked() -> None:
    log = placed(*(link(f"user_id|{number}", "anonymous_id|1") for number in range(4)))
    found = planned(log, limits(anonymous_id={"most": 3, "shared_after": 9}))
    assert [type(record) for record in found.records] == [Release, Link]
    then = People(IDENTITY, "t", after(log, found))
    assert then.explain("t|user_id|0", "t|anonymous_id|1").is_one


def test_an_identifier_with_too_many_refused_partners_is_shared_by_tighter_limits() -> None:
    log = placed(*(link(f"user_id|{number}", "anonymous_id|1") for number in range(3)))
    found = planned(log, limits(anonymous_id={"shared_after": 2}))
    assert found.records == [Settle("t", ASKED.at, "c-1", "judged anew by other limits; ann: why", "t|anonymous_id|1")]
    person = People(IDENTITY, "t", after(log, found)).find("t|anonymous_id|1")
    assert person is not None
    assert person.status == {"t|anonymous_id|1": "shared"}


def test_what_somebody_has_unbound_or_blocked_is_not_proposed_again() -> None:
    log = placed(
        link("user_id|1", "email|1"),
        unbind("user_id|1", "email|1"),
        link("user_id|2", "email|2"),
        about("block", "email|2"),
        about("release", "email|2"),
        *TOO_MANY,
        unbind("anonymous_id|0", "open_id|0"),  # to state again what was refused would take this back
    )
    assert planned(log, limits(100, user_id={}, email={})).records == []


def test_a_statement_is_proposed_again_as_what_it_was() -> None:
    (record,) = planned(placed(*TOO_MANY), limits(100)).records
    assert isinstance(record, Link)
    assert record.rule == "bind"


def test_the_same_limits_are_no_change_unless_the_log_has_none() -> None:
    same = limits(**{space["name"]: {key: value for key, value in space.items() if key != "name"} for space in SPACES})
    first = planned(placed(*LOG), same)
    assert (first.changed, first.rules is None, first.records) == ([], False, [])
    again = planned(placed(rules(), *LOG), same)
    assert (again.changed, again.rules, again.records) == ([], None, [])


def test_the_limits_in_force_are_the_newest_that_were_others() -> None:
    log = placed(rules(at=1), rules(7, at=2), {**rules(7, at=3), "reason": "again"}, {**rules(9), "tenant": "x"})
    assert in_force(IDENTITY, "t", log) == InForce(limits(7), 2, 2)
    assert in_force(IDENTITY, "t", []).epoch == 0
