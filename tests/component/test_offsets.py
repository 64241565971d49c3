"""How far a job is counts the topics it reads, all of them and no others; a log that does not reach that far is noticed."""

import uuid
from collections.abc import Callable

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from stack import offsets, topics
from stack.errors import RefusedError
from stack.jobs import Job
from tests.stacks import Stack, eventually


@pytest.fixture
def admin(stack: Stack) -> AdminClient:
    return AdminClient({"bootstrap.servers": stack.settings.kafka})


@pytest.fixture
def topic(stack: Stack, admin: AdminClient) -> Callable[[int], str]:
    """Makes topics of one partition with so many records."""

    def make(records: int) -> str:
        name = f"test.offsets.{uuid.uuid4().hex[:8]}"
        fill(stack, admin, name, records)
        return name

    return make


def fill(stack: Stack, admin: AdminClient, name: str, records: int) -> None:
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(10.0)
    producer = Producer({"bootstrap.servers": stack.settings.kafka})
    for number in range(records):
        producer.produce(name, str(number).encode(), partition=0)
    assert producer.flush(10.0) == 0


def commit(stack: Stack, group: str, **at: int) -> None:
    consumer = Consumer({"bootstrap.servers": stack.settings.kafka, "group.id": group})
    consumer.commit(offsets=[TopicPartition(name, 0, offset) for name, offset in at.items()], asynchronous=False)
    consumer.close()


def job(group: str, *reads: str) -> Job:
    return Job(kind="process", entry="x.py", group=group, reads=list(reads))


def test_what_a_job_no_longer_reads_does_not_count_and_what_it_has_not_begun_to_read_does(
    stack: Stack, topic: Callable[[int], str]
) -> None:
    read, left, new = topic(10), topic(500), topic(7)
    group = f"group-{read}"
    assert offsets.positions(job(group, read)) is None, "it never committed"
    commit(stack, group, **{read: 8, left: 1})
    found = offsets.positions(job(group, read, new))
    assert found is not None
    assert {position.topic: position.behind for position in found} == {read: 2, new: 7}


def test_offsets_beyond_the_logs_end_are_refused(stack: Stack, topic: Callable[[int], str]) -> None:
    name = topic(10)
    group = f"group-{name}"
    commit(stack, group, **{name: 10})
    offsets.refuse_cut("count", offsets.positions(job(group, name)))
    commit(stack, group, **{name: 11})
    with pytest.raises(RefusedError, match="partition 0 ends at 10, read up to 11") as caught:
        offsets.refuse_cut("count", offsets.positions(job(group, name)))
    assert "backup" in caught.value.remedy


def test_a_topic_made_anew_under_its_old_name_is_another_one(stack: Stack, admin: AdminClient, topic: Callable[[int], str]) -> None:
    name = topic(3)
    known = offsets.topic_ids([name, "test.missing"])
    assert list(known) == [name]
    offsets.refuse_made_anew("count", known, offsets.topic_ids([name]))
    admin.delete_topics([name])[name].result(10.0)
    eventually(lambda: not offsets.topic_ids([name]), "the topic is gone")
    fill(stack, admin, name, 3)
    with pytest.raises(RefusedError, match="made anew since job count last ran"):
        offsets.refuse_made_anew("count", known, offsets.topic_ids([name]))


def test_the_words_of_jobs_yaml_stand_for_topics() -> None:
    assert offsets.topics_of(job("g", "raw", "cdp.pokes"))[-2:] == ["cdp.raw.service", "cdp.pokes"]
    assert "cdp.events" in offsets.topics_of(job("g", "clean"))


def test_only_records_that_a_job_may_read_wait_for_it(stack: Stack, topic: Callable[[int], str]) -> None:
    """Marks of transactions are no records, and what is not committed is not there yet."""
    name = topic(3)
    group = f"group-{name}"

    def waiting(committed: int) -> list[int]:
        commit(stack, group, **{name: committed})
        found = offsets.positions(job(group, name))
        assert found is not None
        return [position.committed for position in offsets.waiting([one for one in found if one.behind])]

    assert (waiting(3), waiting(2)) == ([], [2])
    writer = Producer({"bootstrap.servers": stack.settings.kafka, "transactional.id": name})
    writer.init_transactions(30)
    for ends in (writer.abort_transaction, writer.commit_transaction):
        writer.begin_transaction()
        writer.produce(name, b"x", partition=0)
        writer.flush(10)
        assert waiting(3) == []
        ends(30)
    assert waiting(3) == [3], "offset 5, which comes after the record and the mark of a transaction that was given up"
    assert waiting(6) == [], "behind it only its mark"


def test_records_of_a_topic_that_is_held_do_not_wait(emptied: Stack) -> None:
    day_ms = 86_400_000
    topics.set_clock("replay", emptied.settings.kafka)
    producer = Producer({"bootstrap.servers": emptied.settings.kafka})
    for name, at_ms in (("cdp.raw.orders", 10 * day_ms), ("cdp.raw.service", day_ms)):
        producer.produce(name, b"x", partition=0, timestamp=at_ms)
    assert producer.flush(10.0) == 0
    behind = [offsets.Position(name, 0, 0, 0, 1) for name in ("cdp.raw.orders", "cdp.raw.service")]
    assert [position.topic for position in offsets.waiting(behind)] == ["cdp.raw.service"]
