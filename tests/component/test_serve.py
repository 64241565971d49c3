"""Job `serve` on a real Kafka and a Redis that is killed, gets an older copy of its data back, or none."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import Producer

from config import loader
from demo.pipeline_watch import PipelineWatch
from profile_store import journal, layout
from profile_store.client import Client
from schemas import clean
from stack.settings import PROJECT
from tests.component.test_profile_store import Server
from tests.stacks import Stack, eventually, kill_nine

TOPIC = "cdp.profile.changes"
TENANT = "serving"
CUSTOMERS = 40


class World:
    """The job, its Redis, and what that has to hold."""

    def __init__(self, folder: Path) -> None:
        self.redis = Server(folder / "redis")
        self.log = folder / "serve.log"
        self.bootstrap = loader.platform().kafka.bootstrap
        self.producer = Producer({"bootstrap.servers": self.bootstrap, "transactional.id": "serving", "log_level": 0})
        self.producer.init_transactions(30)
        self.incarnation = 1
        self.versions: dict[int, int] = {}
        self.expected: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {}
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "jobs.serve", "--gap", "60", "--retry-for", "30"]
        with self.log.open("ab") as output:
            self.job = subprocess.Popen(
                command, cwd=PROJECT, env=os.environ | {"CDP_REDIS": self.redis.url, "CDP_REDIS_PASSWORD": ""}, stderr=output, stdout=output
            )

    def publish(self, count: int, take_back: bool = False) -> None:
        """Changes of some customers in one transaction; those that are taken back are replaced by others of a newer incarnation."""
        self.producer.begin_transaction()
        before = dict(self.versions)
        for number in range(count):
            self._change(number % CUSTOMERS, number)
        self.producer.flush(30)
        if take_back:
            self.producer.abort_transaction(30)
            self.producer.begin_transaction()
            self.versions, self.incarnation = before, self.incarnation + 1
            for number in range(count):
                self._change(number % CUSTOMERS, number + 1000)
            self.producer.flush(30)
        self.producer.commit_transaction(30)

    def _change(self, customer: int, value: int) -> None:
        base = self.versions.get(customer, 0)
        version = self.versions[customer] = base + 1
        profile, node = f"{customer:016x}", f"{TENANT}|user_id|{customer}"
        fields: dict[str, Any] = {"value": value, "always": customer, **({"odd": value} if value % 2 else {})}
        pii: dict[str, Any] = {}
        if told := value // 100 % 3:  # most changes do not concern what sources say about a person; some take all of it back
            fields["traits"] = {"email": {"at": told}}
            pii["email"] = {"value": f"sealed:{told}", "conflicts": []}
        changed = ["value", "odd", *(["traits"] if self.expected.get(profile, ("", {}, {}))[2] != pii else [])]
        record = {"tenant": TENANT, "profile_id": profile, "incarnation": self.incarnation, "version": version, "at": version}
        record |= {"cause": "event", "message_id": "m", "tags_entered": [], "tags_exited": [], "nodes": {node: version}, "epochs": {}}
        record |= {"features": orjson.dumps(fields).decode(), "base_version": base, "changed": changed}
        record["pii"] = orjson.dumps(pii).decode()
        self.producer.produce(TOPIC, clean.encode("profile_change", record), key=profile)
        self.expected[profile] = layout.version(self.incarnation, version), fields, pii

    def holds_all(self) -> bool:
        found = {}
        for profile in self.expected:
            stored = self.redis.redis.hgetall(layout.profile_key(TENANT, profile))
            pii = layout.decode_fields(self.redis.redis.hgetall(layout.pii_key(TENANT, profile)))
            found[profile] = stored.get(b"_v", b"").decode(), layout.decode_fields(stored), pii
        there = [name for name, profile in self.identifiers().items() if profile is not None]
        return found == self.expected and len(there) == len(self.expected)

    def identifiers(self) -> dict[str, object]:
        return dict(Client(self.redis.url, TENANT).get_many([f"user_id:{int(profile, 16)}" for profile in self.expected]))

    def await_all(self, what: str) -> None:
        eventually(self.holds_all, what, 60.0)

    def is_served(self) -> bool:
        return PipelineWatch(self.bootstrap, self.redis.url, {}).is_served()


@pytest.fixture(scope="module")
def world(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("serve")
    (folder / "redis").mkdir()
    made = World(folder)
    yield made
    made.job.kill()
    made.job.wait()
    made.redis.kill()


def test_changes_are_served_before_their_transaction_ends_and_those_taken_back_are_overcome(world: World) -> None:
    world.producer.begin_transaction()
    world._change(1, 7)
    world.producer.flush(30)
    world.await_all("a change of a transaction that is open")
    world.producer.commit_transaction(30)
    world.publish(200, take_back=True)
    world.await_all("what replaced the changes that were taken back")
    eventually(world.is_served, "the journal at the end of the topic, behind the marker of the transaction")


@pytest.mark.parametrize("data", ["an older copy", "none"])
def test_a_redis_that_lost_data_is_filled_again_by_itself(world: World, data: str, tmp_path: Path) -> None:
    world.publish(100)
    world.await_all("everything, before the loss")
    shutil.copytree(world.redis.folder, tmp_path / "copy")
    world.publish(300)
    world.await_all("everything, with what the copy lacks")
    world.redis.kill()
    shutil.rmtree(world.redis.folder)
    if data == "none":
        world.redis.folder.mkdir()
    else:
        shutil.copytree(tmp_path / "copy", world.redis.folder)
    world.redis.start()
    world.await_all("everything, although nobody was seen again")
    eventually(world.is_served, "no gap")
    assert world.job.poll() is None
    assert "reading again what it lacks" in world.log.read_text()


def test_a_job_that_is_killed_goes_on_where_redis_is(world: World) -> None:
    world.publish(50)
    kill_nine(world.job.pid)
    world.job.wait()
    world.publish(50, take_back=True)
    world.start()
    world.await_all("what was published while the job was away")


def test_a_redis_that_is_flushed_under_the_job_is_filled_again(world: World) -> None:
    world.publish(50)
    world.await_all("everything")
    world.redis.redis.flushall()
    assert not journal.read(world.redis.redis, "x")
    world.await_all("everything again")
