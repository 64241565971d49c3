"""Stacks of real servers for tests: each has its own `CDP_HOME` and ports, and shares the project's downloads."""

import contextlib
import os
import random
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import psutil
import yaml
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient
from redis import Redis

from config import loader
from sinks.clickhouse import ClickHouse
from stack import board, control, process, settings, topics
from stack.settings import PROJECT, Settings
from tests import kafka_groups

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 0.5
MENDED_WITHIN_S = 180.0


def kill_nine(pid: int) -> None:
    """SIGKILL to one process. A service that is down shows pid 0, and a signal to 0 goes to the test run itself."""
    assert pid > 1, "there is no process to kill"
    os.kill(pid, signal.SIGKILL)


class Stack:
    """A stack that a test owns.

    Attributes:
        settings: addresses and folders.
        env: the variables that point any process at it.
    """

    def __init__(self, home: Path, config: Path | None = None) -> None:
        parts = os.environ.get("CDP_PARTS") or str(PROJECT / ".cdp" / "parts")
        self._own = {"CDP_HOME": str(home), "CDP_PARTS": parts, "CDP_PORT_BASE": str(free_ports(len(settings.Ports.__struct_fields__)))}
        me = process.identify(os.getpid())
        assert me is not None
        self._own["CDP_OWNER"] = f"{me.pid}:{me.started_ticks}"
        if config:
            self._own["CDP_CONFIG_DIR"] = str(config)
        with self.pointed_at():
            self.settings: Settings = settings.load()
            self.env = settings.environment(self.settings)

    @contextlib.contextmanager
    def pointed_at(self) -> Iterator[None]:
        """While it lasts, this process and its children use this stack and no other."""
        before = {key: value for key, value in os.environ.items() if key.startswith("CDP_")}
        for key in before:
            del os.environ[key]
        os.environ.update(self._own)
        settings.apply_environment()
        _forget_configuration()
        try:
            yield
        finally:
            for key in [key for key in os.environ if key.startswith("CDP_")]:
                del os.environ[key]
            os.environ.update(before)
            _forget_configuration()

    def up(self, *only: str) -> dict[str, board.ServiceState]:
        """Start services (and what they need); all when none is named."""
        return control.up(self.settings, only)

    def down(self) -> int:
        """Stop all of it."""
        return control.down(self.settings)

    def mend(self, *only: str) -> None:
        """See to it that these services run and are ready, and no others, whatever a test did to the stack."""

        def is_whole() -> bool:
            states = self.up(*only)
            wanted = board.read_wanted(self.settings).services
            board.write_wanted(self.settings, board.Wanted({name: generation for name, generation in wanted.items() if name in states}))
            alive = all(process.identify(state.pid) for state in states.values())
            return alive and all(self.state(name).state == "stopped" for name in self._others(states))

        eventually(is_whole, f"{', '.join(only)} are ready, everything else is stopped", MENDED_WITHIN_S)

    def _others(self, states: dict[str, board.ServiceState]) -> list[str]:
        status = board.read_status(self.settings)
        return [name for name in (status.services if status else {}) if name not in states]

    @contextlib.contextmanager
    def without(self, service: str) -> Iterator[None]:
        """While it lasts, a service is stopped, and nobody starts it again."""
        wanted = board.read_wanted(self.settings)
        board.write_wanted(self.settings, board.Wanted({name: on for name, on in wanted.services.items() if name != service}))
        eventually(lambda: self.state(service).state == "stopped", f"{service} is stopped")
        try:
            yield
        finally:
            board.write_wanted(self.settings, wanted)
            eventually(lambda: self.state(service).state == "ready", f"{service} is back", MENDED_WITHIN_S)

    def empty(self) -> None:
        """Make Kafka's topics, ClickHouse's database and Redis as new: no record, offsets from 0, the live clock, nobody's progress."""
        admin = AdminClient({"bootstrap.servers": self.settings.kafka, "log_level": 0})
        names = [name for name in admin.list_topics(timeout=15.0).topics if not name.startswith("__")]
        for future in (admin.delete_topics(names, operation_timeout=15.0) if names else {}).values():
            future.result(15.0)
        eventually(lambda: not set(names) & admin.list_topics(timeout=15.0).topics.keys(), "the topics are gone")
        kafka_groups.forget(self.settings.kafka, admin)
        topics.create(self.settings.kafka)
        address = loader.platform()
        root = ClickHouse(address.clickhouse, database="")
        root.command(f"DROP DATABASE IF EXISTS `{address.clickhouse.database}` SYNC")
        root.command(f"CREATE DATABASE `{address.clickhouse.database}`")
        Redis.from_url(address.redis.url).flushall()

    def state(self, service: str) -> board.ServiceState:
        """What the supervisor says about a service."""
        status = board.read_status(self.settings)
        return status.services[service] if status else board.ServiceState(service)


def exposed_listeners(home: Path) -> list[str]:
    """What processes of a stack, and their children, listen on that others than this machine can reach."""
    found = []
    for name, identities in process.belonging_to(home).items():
        for identity in identities:
            with contextlib.suppress(psutil.NoSuchProcess):
                parent = psutil.Process(identity.pid)
                for member in (parent, *parent.children(recursive=True)):
                    open_ones = [one for one in member.net_connections("inet") if one.status == psutil.CONN_LISTEN]
                    found += [f"{name} ({member.pid}): {one.laddr}" for one in open_ones if not _is_loopback(one.laddr.ip)]
    return found


def _is_loopback(text: str) -> bool:
    return ip_address(text.removeprefix("::ffff:")).is_loopback


def free_ports(count: int) -> int:
    """First of `count` neighbouring ports that nobody listens on, out of a range that no other worker of this test run looks at."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = 20_000 + 2_000 * (worker % 5)
    while True:
        base = random.randrange(first, first + 2_000 - count)
        if all(_is_free(base + index) for index in range(count)):
            return base


def config_copy(folder: Path, jobs: dict[str, object] | None = None, **stack: dict[str, object]) -> Path:
    """A copy of `config/*.yaml` with other jobs, and other values in sections of `stack.yaml` (`flink={"task_managers": 1}`)."""
    shutil.copytree(PROJECT / "config", folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    if jobs is not None:
        (folder / "jobs.yaml").write_text(yaml.safe_dump(jobs))
    file = folder / "stack.yaml"
    written = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump(_merged(written, stack)))
    return folder


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    return below | {key: _merged(below[key], value) if isinstance(value, dict) and key in below else value for key, value in above.items()}


def eventually(holds: Callable[[], object], what: str, deadline_s: float = 60.0) -> None:
    """Wait for a condition; fail with its description when the deadline passes. An exception counts as not yet.

    Looks are rarer the longer it takes: many of them read a whole topic, which keeps from working who is waited for.
    """
    deadline, pause_s = time.monotonic() + deadline_s, FIRST_PAUSE_S
    last: object = None
    while time.monotonic() < deadline:
        try:
            last = holds()
            if last:
                return
        except Exception as error:
            last = error
        time.sleep(pause_s)
        pause_s = min(LONGEST_PAUSE_S, pause_s * 1.2)
    raise AssertionError(f"not within {deadline_s:.0f} s: {what} (last: {last!r})")


def read_all(topic: str, *, committed: bool = True) -> list[Message]:
    """Every record that a topic holds at this moment; with `committed` those of aborted and open transactions are left out."""
    consumer = Consumer(
        {
            "bootstrap.servers": loader.platform().kafka.bootstrap,
            "group.id": f"read-all-{time.monotonic_ns()}",
            "enable.auto.commit": False,
            "log_level": 0,
        }
        # A broker holds a fetch at the end of a partition back for half a second, in case there will be more.
        | {
            "isolation.level": "read_committed" if committed else "read_uncommitted",
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 10,
        }
    )
    found: list[Message] = []
    try:
        partitions = consumer.list_topics(topic, timeout=10.0).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
        open_ends = set(partitions)
        while open_ends:
            for message in consumer.consume(10_000, 0.1):
                if (error := message.error()) is None:
                    found.append(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    open_ends.discard(message.partition())
                else:
                    raise KafkaException(error)
    finally:
        consumer.close()
    return found


def _forget_configuration() -> None:
    loader.platform.cache_clear()
    loader.sources.cache_clear()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
