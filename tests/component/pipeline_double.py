"""A stand-in for job `profiles`: writes raw records, and what the job would make of them, straight into the topics and Redis."""

import os
import random
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import KafkaError, Message, Producer

from cli.audit.evidence import TICK
from config import loader
from pipelines.identity.nodes import profile_of
from pipelines.ingest.sealing import Sealer
from profile_store.patch import Patch, from_record
from profile_store.writer import ProfileWriter
from schemas import clean

BASE_MS = 1_700_000_000_000
DAY_MS = 86_400_000
ALWAYS = ("views_lifetime", "orders_lifetime", "gross_lifetime", "orders_365d", "last_order_at", "tag:loyal", "top_products")


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
        self.epoch = seed * 1_000_000
        self.versions: dict[int, int] = {}
        self.orders: dict[int, int] = {}

    def produce(self, records: int, abort: bool = False) -> None:
        """Write raw records and let them come out.

        Args:
            records: how many raw records, ticks among them.
            abort: let them come out twice, the first time in vain, as with a job that dies before its checkpoint.
        """
        topic = "cdp.raw.orders"
        landed: list[tuple[int, int]] = []

        def note(_error: KafkaError | None, message: Message) -> None:
            if message.value() != TICK:
                landed.append((message.partition() or 0, message.offset() or 0))

        for number in range(records):
            # Named, not left to the client: that one sends whole batches to one partition.
            value = TICK if number % 10 == 0 else orjson.dumps({"number": number})
            self.raw.produce(topic, value, partition=number // 3 % 2, on_delivery=note)
        self.raw.flush(30)
        self.clean.begin_transaction()
        before = dict(self.orders)
        patches = [patch for position in landed for patch in self._come_out(topic, *position)]
        self.clean.flush(30)
        if abort:
            self.clean.abort_transaction(30)
            self.orders = before
            self.clean.begin_transaction()
            patches += [patch for position in landed for patch in self._come_out(topic, *position)]
            self.clean.flush(30)
        self.store.write(patches)
        self.clean.commit_transaction(30)

    def _come_out(self, source: str, partition: int, offset: int) -> list[Patch]:
        customer = self.rng.randrange(self.customers)
        node = f"demo|user_id|{customer}"
        at = BASE_MS + self.rng.randrange(390) * DAY_MS
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
        orders = self.orders[customer] = self.orders.get(customer, 0) + 1
        event = {
            "tenant": "demo",
            "node": node,
            "profile_id": profile_of(node),
            "seq": version,
            "type": "track",
            "name": "Order Completed",
        }
        properties = f'{{"order_id":"o{partition}-{offset}","products":[{{"product_id":"p","quantity":1,"price":10.5}}],"total":10.5}}'
        event |= {"message_id": f"m{partition}-{offset}", "event_time": at, "channel": "web", "late": False, "identifiers": [node]}
        order = f"o{partition}-{offset}"
        event |= {"object": f"order||{order}"}
        self._send("cdp.events", "event", {**event, **where, "properties": properties, "traits": "{}", "context": "{}"})
        about = {"tenant": "demo", "kind": "order", "issuer": "", "object_id": order, "version": 1, "node": node, "stages": {"placed": at}}
        self._send("cdp.objects", "object", {**about, "message_id": event["message_id"], "log_time": at})
        if self.rng.random() < 0.1:
            # A statement that changes nobody's profile.
            device, who = f"demo|device_id|d{partition}-{offset}", {"tenant": "demo", "a": "", "b": ""}
            self._send("cdp.links", "link", {**where, **who, "a": device, "message_id": "m", "kind": "release"}, key="demo")
            self.epoch += 1
            decided = {"epoch": self.epoch, "number": 0, "what": "released", "rule": "", "profile_id": "", "other_profile": ""}
            update = {**who, **decided, "a": device, "cause": "m", "reason": "", "log_time": at}
            self._send("cdp.identity.updates", "identity_update", update, key="demo")
        fields: dict[str, Any] = {
            "views_lifetime": version,
            "orders_lifetime": orders,
            "gross_lifetime": 10.5 * orders,
            "refunded_lifetime": 0.0,
            "orders_365d": version,
            "net_365d": 10.5 * customer,
        }
        fields |= {"first_order_at": BASE_MS, "last_order_at": BASE_MS + version * DAY_MS, "r_score": 5, "f_score": 1, "m_score": 1}
        fields |= {"rfm_segment": "new", "rfm_version": 0, "tag:loyal": version % 2, "top_products": [["p", version]]}
        # A source says something new about the person with each third version.
        told = version - version % 3
        fields |= {"trait:city": f"city {told}", "traits": {"city": _words(told), "email": _words(told) | {"personal": True}}}
        pii = {"email": {"value": self._sealed(f"{customer}-{told}@example.com"), "conflicts": []}}
        features = orjson.dumps(fields)
        change = {"tenant": "demo", "profile_id": profile_of(node), "incarnation": self.incarnation, "version": version, "at": at}
        change |= {
            "cause": "event",
            "message_id": "m",
            "tags_entered": [],
            "tags_exited": [],
            "nodes": {node: version},
            "features": features.decode(),
            "base_version": version - 1,
            "changed": [*ALWAYS, *(["trait:city", "traits"] if version == told else [])],
            "epochs": {},
            "pii": orjson.dumps(pii).decode(),
        }
        self._send("cdp.profile.changes", "profile_change", change)
        return [from_record(change)]

    def _sealed(self, value: str) -> str:
        return Sealer(Path(os.environ["CDP_PII_KEY_FILE"]).read_bytes()).seal("demo", "email", orjson.dumps(value).decode())

    def _send(self, topic: str, subject: clean.Subject, record: dict[str, Any], key: str = "") -> None:
        self.clean.produce(topic, clean.encode(subject, record), key=key or str(record.get("node") or record.get("profile_id") or ""))
        self.clean.poll(0)


def _words(at: int) -> dict[str, Any]:
    return {"source": "crm", "at": at, "verified": False, "conflicts": []}
