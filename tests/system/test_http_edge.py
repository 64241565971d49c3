"""From the HTTP edge to ClickHouse: whatever is killed while clients send, each event ends once, and what was injected is found again."""

import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import urllib3

from config import loader
from demo import dataset, stream
from demo.faults import Faults, inject
from demo.messages import Message, dice, iso
from operations.timed_stream import APPLIED, DUPLICATE, REJECTED, Record
from sinks.clickhouse import ClickHouse
from tests.stacks import eventually
from tests.system import shop
from tests.system.outcome import check_profiles, records_of
from tests.system.running import Running, say

PREFIX = "edge-"
PART = stream.Slice(days=5)
DUPLICATES, MALFORMED, CONFLICTS = 0.05, 0.02, 0.01
BATCH = 25
VICTIMS = ("collector", "kafka", "decode", "node", "history")
SENT_WITHIN_S = 600.0
WRITE_KEY = "demo-web-shop"
# Valid JSON, so that it can lie in a batch next to good events.
BROKEN: tuple[tuple[str, dict[str, Any]], ...] = (
    ("schema_violation", {"event": 5}),
    ("schema_violation", {"properties": []}),
    ("schema_violation", {"type": "poke"}),
    ("identifier_missing", {"event": "Cart Viewed", "userId": None, "anonymousId": "null"}),
    ("timestamp_out_of_range", {"timestamp": "1999-01-01T00:00:00Z"}),
    ("quality_rule", {"event": "Product Added", "properties": {"product_id": "p", "price": -1}}),
    ("size_violation", {"event": "Product Added", "properties": {"pad": "x" * 33_000}}),
)


class Client:
    """A client that sends batches one after the other and tries each again until it is acknowledged, as the SDKs do.

    Args:
        url: of the collector.
        batches: of JSON texts of events.
    """

    def __init__(self, url: str, batches: Sequence[list[bytes]]) -> None:
        self._url = url
        self._batches = batches
        self._http = urllib3.PoolManager(timeout=urllib3.Timeout(20.0), retries=False)
        self._allowed = threading.Semaphore(0)
        self._error: BaseException | None = None
        self.acknowledged = 0
        self.sent_again = 0
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def allow(self, batches: int) -> None:
        """Send so many more."""
        for _ in range(batches):
            self._allowed.release()

    def await_acknowledged(self, batches: int) -> None:
        """Until so many batches have been acknowledged."""
        eventually(lambda: self._alive() and self.acknowledged >= batches, f"{batches} batches acknowledged", SENT_WITHIN_S)

    def _alive(self) -> bool:
        if self._error is not None:
            raise AssertionError("the client failed") from self._error
        return True

    def _send(self) -> None:
        try:
            for batch in self._batches:
                self._allowed.acquire()
                while not self._once(batch):
                    self.sent_again += len(batch)
                    time.sleep(0.2)  # a client's back-off; nothing waits for it
                self.acknowledged += 1
        except BaseException as error:  # handed to the thread that waits
            self._error = error

    def _once(self, batch: list[bytes]) -> bool:
        head = json.dumps({"writeKey": WRITE_KEY, "sentAt": iso(stream.today_ms())}).encode()
        body = head[:-1] + b',"batch":[' + b",".join(batch) + b"]}"
        try:
            answer = self._http.request("POST", f"{self._url}/v1/batch", body=body, headers={"Content-Type": "application/json"})
        except urllib3.exceptions.HTTPError:
            return False
        assert answer.status in (200, 429, 503), (answer.status, answer.data[:200])
        return answer.status == 200


def broken(messages: Sequence[Message], count: int) -> Iterator[Record]:
    """Events that must be rejected, each next to a good one in time."""
    rng, tracked = dice("edge"), [message for message in messages if message.body["type"] == "track"]
    for number, (code, changes) in enumerate(itertools.islice(itertools.cycle(BROKEN), count)):
        near = rng.choice(tracked)
        body = near.body | {"messageId": f"{PREFIX}broken-{number}"} | changes
        yield Record(near.log_ms, near.topic, b"", json.dumps(body).encode(), REJECTED + code, f"{PREFIX}broken-{number}", "malformed")


def scripted() -> list[Record]:
    """Five days of the shop, ending yesterday, with the faults; an original always comes before its repetition."""
    data = dataset.load()
    shift = stream.days_until_yesterday(stream.select(data, PART), stream.today_ms())
    messages = [shop.renamed(message, PREFIX) for message in stream.events(data, PART, shift)]
    records = list(inject(messages, Faults(duplicates=DUPLICATES, conflicts=CONFLICTS), seed=11))
    records += broken(messages, round(MALFORMED * len(messages)))
    return sorted(records, key=lambda record: record.log_ms)


@pytest.mark.timeout(1800)
def test_what_is_injected_at_the_edge_is_found_in_clickhouse(live: Running) -> None:
    records = scripted()
    expected = Counter(record.outcome for record in records)
    texts = [record.value for record in records if record.value is not None]
    assert len(texts) == len(records)
    batches = [texts[at : at + BATCH] for at in range(0, len(texts), BATCH)]
    say(f"{len(records):,} events in {len(batches):,} batches: {dict(expected)}")
    client = Client(f"http://127.0.0.1:{live.settings.ports.collector}", batches)
    portion = len(batches) // (len(VICTIMS) + 1)
    for number, victim in enumerate(VICTIMS, 1):
        client.allow(portion)
        client.await_acknowledged((number - 1) * portion + portion // 4)
        live.kill(live.task_manager_of(victim) if victim in ("decode", "node") else victim)
    client.allow(len(batches))
    client.await_acknowledged(len(batches))
    say(f"all acknowledged; {client.sent_again:,} events were sent again")
    live.hold_clock()
    live.await_processed()
    live.verify()

    applied = [found for found in records_of("cdp.events") if found["message_id"].startswith(PREFIX)]
    assert Counter(found["message_id"] for found in applied).most_common(1)[0][1] == 1
    assert {found["message_id"] for found in applied} == {record.message_id for record in records if record.outcome == APPLIED}
    assert {found["origin"] for found in applied} == {"web-shop"}
    mine = f"FROM events WHERE startsWith(message_id, '{PREFIX}')"
    rows = ClickHouse(loader.platform().clickhouse).rows(f"SELECT count() AS n, uniqExact(message_id) AS ids {mine}")
    assert (int(rows[0]["n"]), int(rows[0]["ids"])) == (expected[APPLIED], expected[APPLIED])

    rejected = {(found["message_id"], found["code"]) for found in records_of("cdp.rejected") if found["message_id"].startswith(PREFIX)}
    assert rejected == {(record.message_id, record.outcome.removeprefix(REJECTED)) for record in records if REJECTED in record.outcome}

    duplicates = sum(found["message_id"].startswith(PREFIX) for found in records_of("cdp.duplicates"))
    say(f"{len(applied):,} applied, {len(rejected):,} distinct rejected, {duplicates:,} duplicates ({expected[DUPLICATE]:,} injected)")
    assert expected[DUPLICATE] <= duplicates <= expected[DUPLICATE] + client.sent_again
    assert check_profiles(live, f"demo|user_id|{PREFIX}") > 50
