"""A stand-in for job `profiles`: writes raw records, and what the job would make of them, straight into the topics and Redis."""

import random
from itertools import count
from typing import Any

import orjson
from confluent_kafka import Producer

from cli.audit.evidence import TICK
from config import loader
from profile_store.patch import Patch
from profile_store.writer import ProfileWriter
from schemas import clean

BASE_MS = 1_700_000_000_000


class PipelineDouble:
    """Makes events, duplicates, rejections, links and profile changes by fixed shares, each group of records in one transaction.

    Args:
        seed: of the transactional id and of the choices.
        customers: number of profiles.
    """

    def __init__(self, seed: int, customers: int = 50) -> None:
        self.rng = random.Random(seed)
        platform = loader.platform()
        servers = {"bootstrap.servers": platform.kafka.bootstrap, "log_level": 0}
        self.raw = Producer(servers)
        self.clean = Producer({**servers, "transactional.id": f"double-{seed}"})
        self.clean.init_transactions(30)
        self.store = ProfileWriter(platform.redis.url)
        self.customers = customers
        self.incarnation = 1_000 + seed
        self.versions: dict[int, int] = {}
        self.delivered: list[tuple[int, int, bytes]] = []

    def produce(self, records: int, abort: bool = False, seen_by_redis: bool = True) -> None:
        """Write raw records and let them come out.

        Args:
            records: how many raw records, ticks among them.
            abort: take back what came out, as a job does that dies before its checkpoint; the caller then calls again with `retry`.
            seen_by_redis: also write the profiles.
        """
        topic = "cdp.raw.orders"
        landed: list[tuple[int, int]] = []
        for number in range(records):
            value = TICK if number % 10 == 0 else orjson.dumps({"number": number})
            self.raw.produce(topic, value, on_delivery=lambda _, message: landed.append((message.partition() or 0, message.offset() or 0)))
        self.raw.flush(30)
        self.clean.begin_transaction()
        patches = [patch for number, position in enumerate(landed) if number % 10 for patch in self._come_out(topic, *position)]
        self.clean.flush(30)
        if abort:
            self.clean.abort_transaction(30)
            self.clean.begin_transaction()
            for position in landed:
                if position not in self._ticks(landed):
                    patches += self._come_out(topic, *position)
            self.clean.flush(30)
        if seen_by_redis:
            self.store.write(patches)
        self.clean.commit_transaction(30)

    @staticmethod
    def _ticks(landed: list[tuple[int, int]]) -> set[tuple[int, int]]:
        return set(landed[::10])

    def _come_out(self, source: str, partition: int, offset: int) -> list[Patch]:
        customer = self.rng.randrange(self.customers)
        node = f"demo|user_id|{customer}"
        at = BASE_MS + self.rng.randrange(390) * 86_400_000
        where = {"source": source, "partition": partition, "offset": offset, "log_time": at}
        kind = self.rng.random()
        if kind < 0.05:
            why = {"code": "quality_rule", "field": "$.x", "rule": "x > 0", "tenant": "demo", "message_id": "m", "original": b"\xff\0"}
            self._send("cdp.rejected", "rejected", {**where, **why})
            return []
        if kind < 0.1:
            self._send("cdp.duplicates", "duplicate", {**where, "tenant": "demo", "node": node, "message_id": "m"})
            return []
        version = self.versions[customer] = self.versions.get(customer, 0) + 1
        event = {"tenant": "demo", "node": node, "profile_id": f"{customer:016x}", "seq": version, "type": "track", "name": "Product Viewed"}
        event |= {"message_id": f"m{partition}-{offset}", "event_time": at, "channel": "web", "late": False, "identifiers": [node]}
        self._send("cdp.events", "event", {**event, **where, "properties": "{}", "traits": "{}", "context": "{}"})
        if self.rng.random() < 0.1:
            self._send("cdp.links", "link", {**where, "tenant": "demo", "a": node, "b": "demo|anonymous_id|x", "message_id": "m"})
        features = orjson.dumps({"views_lifetime": version, "orders_lifetime": 0, "rfm_segment": "new", "tag:loyal": version % 2, "top_products": []})
        change = {"tenant": "demo", "profile_id": f"{customer:016x}", "incarnation": self.incarnation, "version": version, "at": at}
        change |= {"cause": "event", "message_id": "m", "tags_entered": [], "tags_exited": [], "nodes": {node: version}, "features": features.decode()}
        self._send("cdp.profile.changes", "profile_change", change)
        changed = ["views_lifetime", "tag:loyal"]
        nodes = [("user_id", str(customer), 0)] if version == 1 else []
        key = ("demo", f"{customer:016x}", self.incarnation)
        return [Patch(*key, version, version - 1, at, features, changed, nodes)]

    def _send(self, topic: str, subject: clean.Subject, record: dict[str, Any]) -> None:
        self.clean.produce(topic, clean.encode(subject, record), key=str(record.get("node") or record.get("profile_id") or ""))
        self.clean.poll(0)
