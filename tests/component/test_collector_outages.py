"""Whatever is killed or stopped: what the collector answered with 200 is in the topic, and nobody waits for ever."""

import contextlib
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import urllib3
from segment.analytics.client import Client

from tests.collectors import TOPIC, Running, records, running
from tests.stacks import Stack, eventually, kill_nine, read_all

SENDERS = 6
BATCH = 50
# A request waits at most eight seconds for Kafka.
PATIENCE_S = 10.0


@pytest.fixture
def own(emptied: Stack, breakable: Stack) -> Stack:
    return breakable


class Senders:
    """Threads that send batches for as long as the block lasts, and remember which ids were acknowledged."""

    def __init__(self, collector: Running, name: str) -> None:
        self.acknowledged: set[str] = set()
        self.statuses: list[int] = []
        self._collector, self._name = collector, name
        self._halt = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(SENDERS)]

    def __enter__(self) -> "Senders":
        for thread in self._threads:
            thread.start()
        eventually(lambda: len(self.acknowledged) > 20 * BATCH, "the load flows")
        return self

    def __exit__(self, *_error: object) -> None:
        self._halt.set()
        for thread in self._threads:
            thread.join(60.0)

    def _send(self, number: int) -> None:
        turn = 0
        while not self._halt.is_set():
            names = [f"{self._name}-{number}-{turn}-{index}" for index in range(BATCH)]
            turn += 1
            batch = [{"type": "track", "event": "X", "userId": f"u{number}", "messageId": name} for name in names]
            try:
                status = self._collector.post("/v1/batch", {"batch": batch}, key="server-key").status
            except urllib3.exceptions.HTTPError:
                self._halt.wait(0.05)  # the collector is gone
                continue
            self.statuses.append(status)
            if status == 200:
                self.acknowledged.update(names)


def assert_nothing_acknowledged_is_lost(senders: Senders) -> None:
    missing = senders.acknowledged - set(records())
    assert not missing, f"{len(missing)} of {len(senders.acknowledged)} acknowledged events are not in the topic"


def test_an_orderly_end_under_load_answers_what_it_took_and_exits_with_0(own: Stack, tmp_path: Path) -> None:
    with running(tmp_path / "one") as collector, Senders(collector, "term") as senders:
        assert collector.end(signal.SIGTERM, PATIENCE_S) == 0
    assert set(senders.statuses) == {200}
    assert_nothing_acknowledged_is_lost(senders)
    assert "did not acknowledge" not in collector.log.read_text()


def test_a_killed_collector_has_lost_nothing_it_acknowledged(own: Stack, tmp_path: Path) -> None:
    with running(tmp_path / "one") as collector, Senders(collector, "kill") as senders:
        kill_nine(collector.process.pid)
        collector.process.wait(PATIENCE_S)
    assert_nothing_acknowledged_is_lost(senders)


def test_a_killed_kafka_costs_no_acknowledged_event_and_goes_on_by_itself(own: Stack, tmp_path: Path) -> None:
    with running(tmp_path / "one") as collector, Senders(collector, "broker") as senders:
        before = own.state("kafka").pid
        kill_nine(before)
        eventually(lambda: own.state("kafka").state == "ready" and own.state("kafka").pid != before, "Kafka is back", 180.0)
        so_far = len(senders.acknowledged)
        eventually(lambda: len(senders.acknowledged) > so_far + 20 * BATCH, "the load flows again")
    assert set(senders.statuses) <= {200, 503}
    assert_nothing_acknowledged_is_lost(senders)


def timed(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


@contextlib.contextmanager
def scouting(collector: Running, body: dict[str, str]) -> Iterator[None]:
    """Somebody else asks again and again, so that another request seldom is the one that has to wait."""
    halt = threading.Event()

    def ask() -> None:
        while not halt.wait(0.01):
            collector.post("/v1/page", body)

    scout = threading.Thread(target=ask)
    scout.start()
    try:
        yield
    finally:
        halt.set()
        scout.join()


def test_without_kafka_requests_are_refused_in_bounded_time_and_with_it_taken_again(own: Stack, tmp_path: Path) -> None:
    sent = {"type": "page", "userId": "u", "messageId": "away"}
    with running(tmp_path / "one") as collector:
        assert collector.post("/v1/page", sent | {"messageId": "before"}).status == 200
        with own.without("kafka"):
            answers = []
            assert timed(lambda: answers.append(collector.post("/v1/page", sent))) < PATIENCE_S
            assert (answers[0].status, int(answers[0].headers["Retry-After"]) >= 1) == (503, True)
            assert collector.ask("GET", "/health").status == 200
            assert collector.ask("GET", "/ready").status == 503
            # From now on one request at a time finds out whether Kafka is back, and the others are told at once.
            with scouting(collector, sent | {"messageId": "scout"}):
                eventually(lambda: timed(lambda: answers.append(collector.post("/v1/page", sent))) < 1.0, "told at once")
            assert answers[-1].json()["message"] == "not acknowledged: Kafka is away"
        began = time.monotonic()
        eventually(lambda: collector.post("/v1/page", sent | {"messageId": f"after-{time.monotonic_ns()}"}).status == 200, "taken again")
        assert time.monotonic() - began < PATIENCE_S
        assert collector.ask("GET", "/ready").status == 200
        assert collector.metric('cdp_collector_refused_events_total{reason="away",source="page"}') >= 2
        assert collector.log.read_text().count("Kafka does not acknowledge") == 1
        assert collector.log.read_text().count("Kafka acknowledges again") == 1
    assert "before" in {name for name in records()}


def test_an_sdk_delivers_later_what_it_could_not_while_kafka_was_away(own: Stack, tmp_path: Path) -> None:
    errors: list[object] = []
    with running(tmp_path / "one") as collector:
        client = Client("page-key", host=collector.url, upload_interval=0.1, on_error=lambda error, _batch: errors.append(error))
        with own.without("kafka"):
            for index in range(50):
                client.track("u", "X", message_id=f"sdk-{index}")
            eventually(
                lambda: collector.metric('cdp_collector_requests_total{call="batch",code="503",source="page"}') >= 1, "refused", 30.0
            )
        client.shutdown()
    assert errors == []
    assert {f"sdk-{index}" for index in range(50)} <= {json.loads(message.value() or b"{}").get("messageId") for message in read_all(TOPIC)}


def test_a_collector_that_starts_before_kafka_waits_for_it(own: Stack, tmp_path: Path) -> None:
    with own.without("kafka"), running(tmp_path / "one") as collector:
        assert collector.ask("GET", "/ready").status == 503
        answers: list[int] = []
        waiting = threading.Thread(target=lambda: answers.append(collector.post("/v1/page", {"userId": "u", "messageId": "early"}).status))
        waiting.start()
        waiting.join(PATIENCE_S + 5)
        assert answers == [503]
        assert collector.end(signal.SIGTERM, 30.0) == 0, "nothing is owed: what was refused is not waited for"


def test_the_stack_keeps_a_collector_and_starts_a_killed_one_again(own: Stack) -> None:
    own.up("collector")
    before = own.state("collector")
    pool = urllib3.PoolManager()
    url = own.env["CDP_COLLECTOR"]
    headers = urllib3.make_headers(basic_auth="demo-server:")
    assert pool.request("POST", f"{url}/v1/page", json={"userId": "u", "messageId": "supervised"}, headers=headers).status == 200
    kill_nine(before.pid)
    eventually(lambda: own.state("collector").state == "ready" and own.state("collector").pid != before.pid, "the collector is back")
    assert pool.request("GET", f"{url}/health").status == 200
    assert any(b'"supervised"' in (message.value() or b"") for message in read_all("cdp.raw.orders"))
