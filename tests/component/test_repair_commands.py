"""What an operator does by hand after a crash, on the command line: ending an orphaned transaction, going on behind a log that was cut."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from typer.testing import CliRunner, Result

from cli.main import app
from config import loader
from importers.cdc import progress
from importers.cdc.consumer import GROUP as CDC
from importers.cdc.progress import Progress, ResetError
from pipelines.history import marks
from pipelines.history.group import GROUP as HISTORY
from pipelines.history.group import LogError, topic_ids
from pipelines.history.plan import Partition, Range, planned
from sinks.clickhouse import ClickHouse
from stack import run_book
from stack.errors import RefusedError, StackError
from stack.process import write_json
from tests.stacks import Stack, config_copy, eventually

ORPHAN = "cdp-nobody-cdp.pokes-0-78"
OF_A_JOB = "cdp-profiles-cdp.pokes-0-79"


def cdp(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "160"})


def said(*arguments: str) -> str:
    done = cdp(*arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


@pytest.fixture
def opened(stack: Stack) -> Iterator[Callable[[str], Producer]]:
    """Makes sinks that died with their transaction open."""
    made: list[Producer] = []

    def open_one(name: str) -> Producer:
        producer = Producer({"bootstrap.servers": stack.settings.kafka, "transactional.id": name, "log_level": 0})
        producer.init_transactions(10.0)
        producer.begin_transaction()
        producer.produce("cdp.pokes", b"x", key=b"k", partition=0)
        assert producer.flush(10.0) == 0
        made.append(producer)
        return producer

    yield open_one
    for producer in made:
        with contextlib.suppress(KafkaException):  # a test may have ended it
            producer.abort_transaction(10.0)


def test_an_orphan_is_listed_and_aborted_by_its_name(opened: Callable[[str], Producer]) -> None:
    producer = opened(ORPHAN)
    (line,) = [line for line in said("transactions", "list").splitlines() if ORPHAN in line]
    assert "Ongoing" in line
    assert line.endswith("cdp.pokes/0")
    assert said("transactions", "abort", ORPHAN) == f"{ORPHAN} is aborted; readers of committed records go on\n"
    assert ORPHAN not in said("transactions", "list")
    assert "Ongoing" not in next(line for line in said("transactions", "list", "--all").splitlines() if ORPHAN in line)
    with pytest.raises(KafkaException):
        producer.commit_transaction(10.0)
    again = cdp("transactions", "abort", ORPHAN).exception
    assert isinstance(again, RefusedError)
    assert "it is not open" in again.problem


def test_what_a_job_will_commit_itself_and_what_is_not_there_is_refused(
    stack: Stack, opened: Callable[[str], Producer], request: pytest.FixtureRequest
) -> None:
    missing = cdp("transactions", "abort", "cdp-nothing-0-1").exception
    assert isinstance(missing, StackError)
    assert missing.remedy == "`cdp transactions list --all` shows them"
    opened(OF_A_JOB)
    file = run_book.path(stack.settings, "profiles")
    file.parent.mkdir(parents=True, exist_ok=True)
    request.addfinalizer(lambda: file.unlink())
    write_json(file, run_book.RunBook(runs=[run_book.Run("a" * 32, 1.0)]))
    wanted = cdp("transactions", "abort", OF_A_JOB).exception
    assert isinstance(wanted, RefusedError)
    assert "stop it first: `cdp job stop profiles`" in wanted.problem
    assert OF_A_JOB in said("transactions", "list")
    write_json(file, run_book.RunBook(desired="stopped", runs=[run_book.Run("a" * 32, 1.0)]))
    assert "is aborted" in said("transactions", "abort", OF_A_JOB)


@pytest.fixture
def admin(stack: Stack) -> AdminClient:
    return AdminClient({"bootstrap.servers": stack.settings.kafka, "log_level": 0})


def put(admin: AdminClient, group: str, topic: str, partition: int, offset: int) -> None:
    wanted = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, partition, offset)])
    (answer,) = admin.alter_consumer_group_offsets([wanted])[group].result(10.0).topic_partitions
    assert answer.error is None


def held(stack: Stack, group: str, topic: str, partition: int) -> int:
    consumer = Consumer({"bootstrap.servers": stack.settings.kafka, "group.id": group, "log_level": 0})
    try:
        (found,) = consumer.committed([TopicPartition(topic, partition)], timeout=10.0)
        return int(found.offset)
    finally:
        consumer.close()


def test_history_goes_on_from_the_end_of_a_log_that_was_cut_and_only_there(emptied: Stack, admin: AdminClient) -> None:
    assert said("offsets", "reset", "history") == "no log was cut: nothing to do\n", "also where it never ran"
    producer = Producer({"bootstrap.servers": emptied.settings.kafka})
    for _ in range(3):
        producer.produce("cdp.objects", b"x", partition=0)
        producer.produce("cdp.objects", b"x", partition=1)
    assert producer.flush(10.0) == 0
    server = ClickHouse(loader.platform().clickhouse)
    ids = topic_ids(emptied.settings.kafka, ["cdp.objects"])
    marks.write(server, {Partition("cdp.objects", 0): planned(Range(900, 950))}, ids)
    put(admin, HISTORY, "cdp.objects", 0, 900)
    put(admin, HISTORY, "cdp.objects", 1, 2)
    (line,) = [line for line in said("offsets", "show", "history").splitlines() if line.split()[:2] == ["cdp.objects", "0"]]
    assert line.split()[2:6] == ["900", "0", "3", "0"]
    assert line.endswith("the log was cut")
    assert said("offsets", "reset", "history") == "cdp.objects partition 0: from 950 to 3\n"
    assert (held(emptied, HISTORY, "cdp.objects", 0), held(emptied, HISTORY, "cdp.objects", 1)) == (3, 2)
    mark = marks.read(server, ids)[Partition("cdp.objects", 0)]
    assert (mark.offset, mark.plan, mark.mend_until) == (3, None, 950), "rows below 950 are looked for before they are inserted"
    assert said("offsets", "reset", "history") == "no log was cut: nothing to do\n"


@contextlib.contextmanager
def member(stack: Stack, group: str, topic: str) -> Iterator[None]:
    """While it lasts, somebody reads a topic as a member of a group, as a running job does."""
    reader = Consumer({"bootstrap.servers": stack.settings.kafka, "group.id": group, "log_level": 0})
    reader.subscribe([topic])
    try:
        eventually(lambda: reader.poll(0.1) or reader.assignment(), "it is a member of the group")
        yield
    finally:
        reader.close()


def test_a_reset_is_refused_while_the_job_runs(emptied: Stack, admin: AdminClient) -> None:
    put(admin, HISTORY, "cdp.objects", 1, 70)
    with member(emptied, HISTORY, "cdp.objects"):
        refused = cdp("offsets", "reset", "history").exception
    assert isinstance(refused, LogError)
    assert "stop job history first" in str(refused)
    assert said("offsets", "reset", "history") == "cdp.objects partition 1: from 70 to 3\n"
    other = cdp("offsets", "reset", "profiles").exception
    assert isinstance(other, StackError)
    assert "a Flink job's are in its checkpoint" in other.remedy


@pytest.fixture
def tables(emptied: Stack, admin: AdminClient, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A topic of Debezium's that a source of the configuration names, beside one that Debezium has not made yet."""
    name = "cut.public.orders"
    folder = config_copy(tmp_path / "config")
    sources = yaml.safe_load((folder / "sources.yaml").read_text())
    sources["erp"] |= {"tables": {name: "cdc/orders.yaml", "cut.public.later": "cdc/stock.yaml"}}
    (folder / "sources.yaml").write_text(yaml.safe_dump(sources))
    monkeypatch.setenv("CDP_CONFIG_DIR", str(folder))
    loader.sources.cache_clear()
    admin.create_topics([NewTopic(name, 2, 1)])[name].result(10.0)
    yield name
    loader.sources.cache_clear()


def test_cdc_goes_on_from_the_end_of_a_log_that_was_cut(emptied: Stack, admin: AdminClient, tables: str) -> None:
    assert said("offsets", "reset", "cdc") == "no log was cut: nothing to do\n"
    producer = Producer({"bootstrap.servers": emptied.settings.kafka})
    producer.produce(tables, b"x", partition=0)
    assert producer.flush(10.0) == 0
    Progress(emptied.settings.kafka, CDC).keep({(tables, 0): 40, (tables, 1): 0})
    put(admin, CDC, tables, 0, 30)
    with member(emptied, CDC, tables):
        refused = cdp("offsets", "reset", "cdc").exception
    assert isinstance(refused, ResetError)
    assert "stop job cdc first" in str(refused)
    assert said("offsets", "reset", "cdc") == f"{tables} partition 0: from 40 to 1\n"
    assert held(emptied, CDC, tables, 0) == 1
    assert progress.Progress(emptied.settings.kafka, CDC).read([tables]) == {(tables, 0): 1, (tables, 1): 0}
    assert said("offsets", "reset", "cdc") == "no log was cut: nothing to do\n"
