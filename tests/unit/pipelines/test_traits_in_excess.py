"""What strangers send too much of by traits stays small, and never stops anybody."""

import orjson
import pytest

from config.identity import PersonalNames
from pipelines.identity import link_log
from pipelines.identity.nodes import profile_of
from pipelines.traits.claims import MAX_PACKED
from pipelines.traits.golden import MAX_SHOWN
from pipelines.wire import Alias, Roster
from tests.in_process import InProcess

AT_MS = 1_767_225_600_000
USER = "demo|user_id|u"
BROKER_BYTES = 4_194_304


def told(core: InProcess, **call: object) -> None:
    number = len(core.outcomes)
    said = {"type": "identify", "messageId": f"m{number}"} | call
    core.record(orjson.dumps(said), "cdp.raw.service", 0, number, AT_MS + number)


def test_a_person_of_many_full_identifiers_is_published_in_one_record() -> None:
    core = InProcess()
    browsers = [f"demo|anonymous_id|b{number}" for number in range(40)]
    for number in range(40):
        for part in range(12):
            told(core, anonymousId=f"b{number}", traits={f"t{part}{more}": "\U0001f600" * 500 for more in range(6)})
    for epoch, node in enumerate([USER, *browsers], 1):
        core.alias(Alias(node, "demo", profile_of(USER), epoch))
    core.roster(Roster("demo", profile_of(USER), 41, [USER, *browsers]))
    record = core.newest[profile_of(USER)].record

    assert len(record["nodes"]) == 41
    assert len(record["features"]) + len(record["pii"]) < 2 * MAX_SHOWN
    assert max(len(change.record["features"].encode()) for change in core.changes) < BROKER_BYTES / 4
    flagged = [event for event in core.applied if "limit:traits" in event.flags]
    assert flagged
    assert all(len(update.traits) <= MAX_PACKED for update in core._live_nodes.values())


def test_names_of_which_nothing_is_said_take_nobodys_place() -> None:
    core = InProcess()
    told(core, userId="u", traits={"language": "de"})
    told(core, userId="u", traits={f"a{number:03d}": None for number in range(100)})
    told(core, userId="u", traits={f"b{number:03d}": None for number in range(100)})
    fields = orjson.loads(core.newest[profile_of(USER)].record["features"])
    assert fields["trait:language"] == "de"


def test_a_word_without_a_log_is_kept_beside_those_of_many_logs() -> None:
    core = InProcess()
    for number in range(12):
        told(core, userId="u", traits={"city": f"c{number}"}, context={"source": "erp", "sourceLog": f"l{number:02d}", "sourceOrder": 1})
    told(core, userId="u", traits={"city": None}, context={"source": "erp"})
    assert "trait:city" not in orjson.loads(core.newest[profile_of(USER)].record["features"])


def test_a_trait_with_something_personal_inside_is_personal() -> None:
    core = InProcess()
    told(core, userId="u", traits={"contact": {"e-mail": "ann@x.org"}, "people": [{"First_Name": "Ann"}], "plain": {"a": [1]}})
    record = core.newest[profile_of(USER)].record
    assert "ann@x.org" not in record["features"] + record["pii"] + core.applied[0].traits
    assert sorted(orjson.loads(record["pii"])) == ["contact", "people"]
    assert orjson.loads(record["features"])["trait:plain"] == {"a": [1]}


def test_long_names_are_not_remembered() -> None:
    names = PersonalNames(["email"])
    assert [names["x" * 1000 + str(number)] for number in range(10)] == [False] * 10
    assert not names
    assert names["E-Mail"]


def test_groups_are_no_people() -> None:
    said = {
        "tenant": "demo",
        "kind": "link",
        "rule": "bind",
        "a": "demo|account|acme",
        "b": USER,
        "message_id": "m",
        "log_time": 1,
        "reason": "",
    }
    with pytest.raises(link_log.LinkLogError, match="group"):
        link_log.read(said, ["account"])
