"""Two customers who were one profile for more than 30 days and are parted again have what each would have had without the merge."""

from collections import Counter
from typing import Any

import orjson

from bench.core import MapStore
from config import loader
from demo.dataset import DAY_MS
from demo.replay import Options
from demo.stream import Slice
from pipelines.identity.graph import Graph
from pipelines.identity.link_log import Link, LogRecord, Unbind
from tests.in_process import InProcess
from tests.oracle import RawRecord
from tests.oracle.compare import differences
from tests.unit.pipelines.test_core_against_oracle import raw_records
from tests.words import Words

TOGETHER_DAY, PARTED_DAY = 15, 50


class Shop(InProcess):
    """The pure core with the graph of its tenant; what the graph says arrives at once."""

    def __init__(self) -> None:
        super().__init__(forget_every=7)
        self.graph, self.words, self.epoch = Graph(loader.identity(), "demo", MapStore()), Words(), 0

    def say(self, record: LogRecord) -> None:
        self.epoch += 1
        self.words.say(self.graph.take(record, self.epoch))
        self.words.settle(self)

    def play(self, records: list[RawRecord], moments: dict[int, LogRecord]) -> None:
        """Feed records; at the moments (ms) something is said of the two."""
        waiting = sorted(moments.items())
        for record in records:
            while waiting and record.timestamp_ms >= waiting[0][0]:
                self.say(waiting.pop(0)[1])
            self.record(record.value, record.topic, record.partition, record.offset, record.timestamp_ms)
        self.pass_time(records[-1].timestamp_ms + 1)

    def of(self, node: str) -> dict[str, Any]:
        """The newest fields of the profile that a node is in."""
        for profile_id, fields in self.fields():
            if node in self.newest[profile_id].record["nodes"]:
                return fields | {"nodes": sorted(self.newest[profile_id].record["nodes"])}
        raise AssertionError(f"{node} is nobody's")


def call(kind: str, user: str, day_ms: int, number: int, **more: Any) -> RawRecord:
    said = {"type": kind, "userId": user, "messageId": f"{kind} {number}", **more}
    return RawRecord("cdp.raw.service", 1, 1_000_000 + number, day_ms, orjson.dumps(said))


def test_both_get_their_own_back() -> None:
    records = raw_records(Options(part=Slice(days=75, customers=25), seed=2))
    begun = records[0].timestamp_ms
    orders = Counter(
        said["userId"].removesuffix(".0")
        for record in records
        if (said := orjson.loads(record.value)).get("event") == "Order Completed" and "userId" in said
    )
    (a, _), (b, _) = orders.most_common(2)
    one, other = f"demo|user_id|{a}", f"demo|user_id|{b}"
    days = {day: begun + day * DAY_MS for day in (5, 20, 30, 40, 60)}
    shared = {"order_id": "shared-1", "total": 50.0, "currency": "GBP", "products": [{"product_id": "P", "quantity": 1, "price": 50.0}]}
    extra = [
        call("identify", a, days[5], 1, traits={"city": "Leeds", "firstName": "Ann"}),
        call("identify", b, days[20], 2, traits={"city": "York", "tier": "gold"}),
        call("track", b, days[30], 3, event="Order Completed", properties=shared),
        call("track", a, days[40], 4, event="Order Refunded", properties={"order_id": "shared-1", "refund_id": "r1", "total": 20.0}),
        call("group", a, days[40], 5, groupId="acme", traits={"size": 7}),
        call("identify", a, days[60], 6, traits={"city": "Hull"}),
    ]
    mixed = sorted([*records, *extra], key=lambda record: record.timestamp_ms)

    apart, parted, together = Shop(), Shop(), Shop()
    bound = Link("demo", begun, a=one, b=other, rule="bind")
    moments: dict[int, LogRecord] = {begun + TOGETHER_DAY * DAY_MS: bound}
    apart.play(mixed, {})
    together.play(mixed, moments)
    parted.play(mixed, moments | {begun + PARTED_DAY * DAY_MS: Unbind("demo", begun, a=one, b=other)})

    assert together.of(one)["nodes"] == sorted([one, other])
    union = {name: apart.of(one)[name] + apart.of(other)[name] for name in ("orders_lifetime", "gross_lifetime", "net_lifetime")}
    assert {name: round(together.of(one)[name], 2) for name in union} == {name: round(value, 2) for name, value in union.items()}
    assert together.of(other)["trait:city"] == "Hull"
    for node in (one, other):
        assert differences(apart.of(node), parted.of(node)) == {}
        assert parted.of(node)["nodes"] == [node]
    assert parted.of(other)["trait:city"] == "York"
    assert len(differences(apart.of(other), together.of(other))) > 10  # so that there was something to take back
