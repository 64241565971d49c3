"""The whole platform as its operator has it: the command `cdp`, the servers' public interfaces, and signals to processes."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from config import loader
from demo import dataset
from demo.dataset import DAY_MS
from demo.pipeline_watch import Ends, PipelineWatch
from operations import raw_topics
from sinks.clickhouse import ClickHouse
from stack import jobs, offsets, run_book
from stack.flink_rest import Rest
from stack.settings import PROJECT
from tests.stacks import Stack, eventually, kill_nine

JOB = "profiles"
LINKS = "cdp.links"
BACK_WITHIN_S = 300.0
PROCESSED_WITHIN_S = 600.0
COMMAND_WITHIN_S = 930.0
_begun = time.monotonic()


def say(line: str) -> None:
    """Tell what happens (`pytest -s` shows it)."""
    print(f"[{time.monotonic() - _begun:6.1f} s] {line}", flush=True)


class Running:
    """A running platform.

    Args:
        stack: its servers; the process must be pointed at it.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.settings = stack.settings
        self.bootstrap = stack.settings.kafka
        self.rest = Rest(stack.settings)

    def cdp(self, *words: str, refuses: bool = False) -> str:
        """Run a command as anybody would; returns what it said.

        Args:
            words: the command line after `cdp`.
            refuses: whether it has to fail.
        """
        begun = time.monotonic()
        command = [sys.executable, "-m", "cli.main", *words]
        done = subprocess.run(
            command, cwd=PROJECT, env=os.environ | {"COLUMNS": "160"}, capture_output=True, text=True, timeout=COMMAND_WITHIN_S, check=False
        )
        said = (done.stdout + done.stderr).strip()
        say(f"$ cdp {' '.join(words)}   -> exit code {done.returncode} after {time.monotonic() - begun:.1f} s")
        assert (done.returncode != 0) == refuses, f"`cdp {' '.join(words)}` ended with {done.returncode}:\n{said}"
        return said

    def verify(self) -> None:
        """`cdp verify` finds nothing to complain about."""
        said = self.cdp("verify")
        print(said, flush=True)

    @property
    def raw_topics(self) -> list[str]:
        """Names of the raw topics."""
        return loader.topics().raw()

    @property
    def partitions(self) -> dict[str, int]:
        """Number of partitions of each raw topic."""
        topics = loader.topics()
        return {name: topics.partitions(name) for name in topics.raw()}

    def raw_ends(self) -> Ends:
        """End offsets of the raw partitions."""
        return self._watch().ends()

    def clock_ms(self) -> int:
        """Where the log's clock stands: the greatest record timestamp there is. In an empty log it stands where the shop's year begins."""
        return max(dataset.load().invoices[0].time_ms - DAY_MS, raw_topics.newest_ms(self.bootstrap, self.partitions))

    def run_id(self) -> str:
        """Flink's id of the job as it runs now."""
        return run_book.read(self.settings, JOB).runs[-1].job_id

    def restarts(self) -> tuple[str, int]:
        """The run and how often Flink has restarted it: unchanged as long as nothing failed."""
        run = self.run_id()
        return run, self.rest.restarts(run)

    def history_rows(self) -> int:
        """Events in ClickHouse."""
        return int(ClickHouse(loader.platform().clickhouse, answer_timeout_s=5.0).rows("SELECT count() AS n FROM events")[0]["n"])

    def await_processed(self, within_s: float = PROCESSED_WITHIN_S) -> None:
        """Until the job has committed everything that is in the raw topics now, and Redis holds what came of it."""
        watch = self._watch()
        ends: Ends = {}
        eventually(lambda: ends.update(watch.ends()) or ends, "Kafka tells the ends of the raw topics", within_s)
        wanted = sum(ends.values())
        eventually(lambda: watch.processed(ends) == wanted, f"all {wanted:,} raw records processed", within_s)
        eventually(self._is_resolved, "all links resolved", within_s)
        eventually(watch.is_served, "all changes in Redis", within_s)

    def _is_resolved(self) -> bool:
        """Has the job committed every record of the link log?"""
        found = offsets.positions(jobs.get(JOB), self.bootstrap)
        return found is not None and not offsets.waiting([one for one in found if one.topic == LINKS and one.behind], self.bootstrap)

    def hold_clock(self) -> None:
        """Let log time stand still, so that no timer changes a profile while it is being compared."""
        self.cdp("topics", "clock", "replay")

    def await_history(self, rows: int, within_s: float = BACK_WITHIN_S) -> None:
        """Until ClickHouse holds that many events."""
        eventually(lambda: self.history_rows() >= rows, f"{rows:,} events in ClickHouse", within_s)

    def pid(self, service: str) -> int:
        """Process of a service."""
        return self.stack.state(service).pid

    def task_manager_of(self, operator: str) -> str:
        """The TaskManager (a service's name) that runs an operator of the job, as Flink tells it."""
        run = self.run_id()
        vertices = {vertex["name"]: vertex["id"] for vertex in self._flink(f"/jobs/{run}")["vertices"]}
        mine = [place for name, place in vertices.items() if name.split(" -> ")[0].split("]")[-1].strip() == operator]
        assert len(mine) == 1, f"no operator {operator} among {sorted(vertices)}"
        hosts = {found["taskmanager-id"] for found in self._flink(f"/jobs/{run}/vertices/{mine[0]}/taskmanagers")["taskmanagers"]}
        assert len(hosts) == 1, hosts
        return hosts.pop()

    def kill(self, service: str) -> None:
        """Kill -9 a service and wait until the supervisor has it back, and the job runs."""
        before = self.pid(service)
        kill_nine(before)
        say(f"killed {service} (pid {before})")
        begun = time.monotonic()
        eventually(lambda: self._is_back(service, before), f"{service} is back", BACK_WITHIN_S)
        eventually(lambda: self.stack.state(JOB).state == "ready", f"job {JOB} runs", BACK_WITHIN_S)
        say(f"{service} is back (pid {self.pid(service)}) after {time.monotonic() - begun:.1f} s")

    def _is_back(self, service: str, before: int) -> bool:
        state = self.stack.state(service)
        return state.state == "ready" and state.pid != before

    @contextlib.contextmanager
    def away(self, service: str) -> Iterator[None]:
        """While it lasts, a service does not answer: it and all its children are stopped (SIGSTOP), their connections stay open."""
        family = [psutil.Process(self.pid(service))]
        family += family[0].children(recursive=True)
        for member in family:
            member.send_signal(signal.SIGSTOP)
        say(f"{service} is away")
        try:
            yield
        finally:
            for member in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    member.send_signal(signal.SIGCONT)
            say(f"{service} is there again")

    def _watch(self) -> PipelineWatch:
        return PipelineWatch(self.bootstrap, loader.platform().redis.url, self.partitions)

    def _flink(self, path: str) -> dict:
        found: dict = self.rest.get(path)
        assert found is not None, path
        return found


class Committed:
    """Counts the committed records of a topic, reading on from where it was.

    Args:
        bootstrap: Kafka; may go away and come back meanwhile.
        topic: which.
    """

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "system-tests",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 10,
                "log_level": 0,
            }
        )
        partitions = self._consumer.list_topics(topic, timeout=15.0).topics[topic].partitions
        self._consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
        self._count = 0

    def count(self) -> int:
        """Records seen so far; grows from call to call until the end is reached."""
        self._count += sum(message.error() is None for message in self._consumer.consume(50_000, 0.3))
        return self._count

    def await_more_than(self, count: int, what: str, within_s: float = BACK_WITHIN_S) -> None:
        """Until more than so many have been committed."""
        eventually(lambda: self.count() > count, f"{what}: more than {count:,} committed records", within_s)

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()
