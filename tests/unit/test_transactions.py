"""Which transactions a checkpoint has to commit, which of them can no longer be, and which open ones nobody will."""

from pathlib import Path

import pytest

from stack.checkpoint_files import MAGIC
from stack.transactions import Committable, Transaction, committables, holes, job_of, refusal

EVENTS, CHANGES = "cdp-profiles-cdp.events-0-4", "cdp-profiles-cdp.profile.changes-0-4"
# Bytes of a real checkpoint (Flink 2.3.0, connector 5.0.0): what the committer has to commit, and the state of the writer, which names the
# same transaction and is no promise.
COMMITTER = (
    b"\x00\x00\x00'\x00\x00\x00\x00\x00\x00\x00\x00\x00\x11\x00\x1bcdp-profiles-cdp.events-0-4\x00\x00\x00\x00\x00\x00\x00\x00\x01"
    b"\x00\x00\x000\x00\x00\x00\x00\x00\x00\x00\x00\x00\x15\x00$cdp-profiles-cdp.profile.changes-0-4\x00\x00\x00\x00"
)
WRITER = (
    b"\x00\x00\x00V\x00\x00\x00\x02\x00\x00\x00N\x00\x17cdp-profiles-cdp.events\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00"
    b"\x00\x00\x00\x01\x00\x1bcdp-profiles-cdp.events-0-4\x00\x00\x00\x00\x00\x00\x00\x04"
)


def known(name: str, state: str, producer_id: int, epoch: int = 0) -> Transaction:
    return Transaction(name, state, producer_id, epoch, 5.0, 600.0, [("cdp.events", 0)])


def test_what_a_checkpoint_has_to_commit_is_read_from_its_metadata(tmp_path: Path) -> None:
    (tmp_path / "_metadata").write_bytes(MAGIC + b"\0\0\0\5" + WRITER + COMMITTER + WRITER)
    assert committables(tmp_path) == [Committable(EVENTS, 0x11, 0), Committable(CHANGES, 0x15, 0)]


@pytest.mark.parametrize(
    ("state", "epoch", "is_lost"),
    [
        ("Ongoing", 0, False),
        ("PrepareCommit", 0, False),
        ("CompleteCommit", 1, False),
        ("CompleteAbort", 1, True),
        ("PrepareAbort", 1, True),
        ("PrepareEpochFence", 1, True),
        ("Empty", 2, False),  # committed, and taken out of the pool again
        ("Ongoing", 2, False),
        ("CompleteAbort", 3, False),  # that later one was ended
    ],
)
def test_a_transaction_that_the_broker_ended_leaves_a_hole(state: str, epoch: int, is_lost: bool) -> None:
    lost = holes([Committable(EVENTS, 17, 0)], [known(EVENTS, state, 17, epoch), known(CHANGES, "CompleteAbort", 21)])
    assert lost == ([f"{EVENTS} ({state})"] if is_lost else [])


def test_a_transaction_that_was_aborted_by_hand_leaves_a_hole_whatever_its_id_is_used_for_later() -> None:
    promised = Committable(EVENTS, 17, 4)
    assert holes([promised], [known(EVENTS, "Ongoing", 17, 8)], [promised]) == [f"{EVENTS} (aborted by hand)"]
    assert holes([promised], [known(EVENTS, "Ongoing", 17, 8)], [Committable(EVENTS, 17, 2)]) == []


def test_what_kafka_does_not_know_any_more_is_no_hole() -> None:
    assert holes([Committable(EVENTS, 17, 0)], []) == []
    assert holes([Committable(EVENTS, 17, 0)], [known(EVENTS, "Empty", 900)]) == [], "its id expired and was given away anew"


def test_only_a_transaction_that_nobody_will_commit_may_be_aborted() -> None:
    orphan = known(EVENTS, "Ongoing", 17)
    assert "job profiles commits or aborts it" in refusal(orphan, "profiles", True, [])
    assert "still has to commit it" in refusal(orphan, "profiles", False, [Committable(EVENTS, 17, 0)])
    assert "not open" in refusal(known(EVENTS, "CompleteCommit", 17), "", False, [])
    assert refusal(orphan, "profiles", False, [Committable(CHANGES, 21, 0)]) == ""
    assert refusal(orphan, "profiles", False, [Committable(EVENTS, 16, 0)]) == "", "an earlier one of the same id"
    assert refusal(orphan, "", True, []) == "", "its job is not there any more"


def test_a_transaction_belongs_to_the_job_of_the_longest_name() -> None:
    assert job_of(EVENTS, ["profiles", "profile", "count"]) == "profiles"
    assert job_of("cdp-other-x-0-1", ["profiles"]) == ""
