"""Open transactions of ours are seen with what they hold back, ended on request, and an ended one that a checkpoint needs is noticed."""

from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaException, Producer

from stack import topics, transactions
from stack.transactions import Committable, Transaction
from tests.stacks import Stack, eventually

NAME = "cdp-profiles-cdp.pokes-0-77"
TOPIC = "cdp.pokes"


@pytest.fixture
def writer(stack: Stack) -> Iterator[Producer]:
    """A sink that died with its transaction open."""
    producer = Producer({"bootstrap.servers": stack.settings.kafka, "transactional.id": NAME, "log_level": 0})
    producer.init_transactions(10.0)
    producer.begin_transaction()
    for number in range(3):
        producer.produce(TOPIC, b"x", key=b"k", partition=1, headers={"n": str(number)})
    assert producer.flush(10.0) == 0
    yield producer
    for one in transactions.ours(stack.settings.kafka):
        if one.id == NAME and one.is_open:
            transactions.abort(stack.settings, one)


def find(stack: Stack) -> Transaction:
    (found,) = [one for one in transactions.ours(stack.settings.kafka) if one.id == NAME]
    return found


def uncommitted() -> int:
    (state,) = [state for state in topics.describe() if state.name == TOPIC]
    return state.uncommitted


def test_an_orphan_is_seen_with_what_it_holds_back_and_can_be_ended(stack: Stack, writer: Producer) -> None:
    orphan = find(stack)
    assert (orphan.state, orphan.partitions, orphan.is_open) == ("Ongoing", [(TOPIC, 1)], True)
    assert 0 <= orphan.age_s < 60
    assert uncommitted() == 3
    transactions.abort(stack.settings, orphan)
    assert not find(stack).is_open
    assert uncommitted() == 0
    with pytest.raises(KafkaException):
        writer.commit_transaction(10.0)


def test_a_transaction_that_was_ended_before_its_checkpoint_could_commit_it_is_a_hole(stack: Stack, writer: Producer) -> None:
    orphan = find(stack)
    promised = [Committable(NAME, orphan.producer_id, orphan.epoch)]
    assert transactions.holes(promised, [orphan]) == [], "it waits to be committed"
    transactions.abort(stack.settings, orphan)
    assert transactions.holes(promised, [find(stack)], transactions._aborted(stack.settings)) == [f"{NAME} (aborted by hand)"]


def test_a_transaction_that_the_broker_ended_for_its_age_is_a_hole_until_its_id_is_used_again(stack: Stack) -> None:
    name = "cdp-profiles-cdp.pokes-0-78"
    servers = {"bootstrap.servers": stack.settings.kafka, "transactional.id": name, "log_level": 0}
    producer = Producer(servers | {"transaction.timeout.ms": 1000, "message.timeout.ms": 1000})
    producer.init_transactions(10.0)
    producer.begin_transaction()
    producer.produce(TOPIC, b"x", key=b"k", partition=1)
    assert producer.flush(10.0) == 0

    def known() -> Transaction:
        (found,) = [one for one in transactions.ours(stack.settings.kafka) if one.id == name]
        return found

    promised = [known().as_committable]
    eventually(lambda: known().state == "CompleteAbort", "the broker ends it", 60.0)
    assert transactions.holes(promised, [known()]) == [f"{name} (CompleteAbort)"]
    again = Producer(servers)
    again.init_transactions(10.0)
    assert transactions.holes(promised, [known()]) == [], "who begins another one has seen to the checkpoint before"


def test_a_transaction_that_was_committed_is_none(stack: Stack, writer: Producer) -> None:
    orphan = find(stack)
    writer.commit_transaction(10.0)
    assert find(stack).state in ("CompleteCommit", "PrepareCommit")
    assert transactions.holes([Committable(NAME, orphan.producer_id, orphan.epoch)], [find(stack)]) == []
