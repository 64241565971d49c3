"""Measure the collector on this machine: `python -m bench.collector`.

A Kafka of its own is started in `.cdp/bench`, confined with everything else to two cores, and stopped at the end. *Batches*: eight
connections send batches of 100 events of 900 bytes as fast as they are answered. *Singles*: 500 `track` calls a second at fixed moments;
latency counts from the moment a call was due until its answer, which comes when Kafka has acknowledged the event. CPU time is the
collector's own, from /proc; *events a second and core* is its inverse. `foreign` is the share of the machine that processes outside this
benchmark took: with more than a few percent of it, latency is the machine's and not the collector's.
"""

import argparse
import contextlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
from rich.console import Console
from rich.table import Table

from bench import cpu, home
from bench.collector_load import BATCH, HOST, WRITE_KEY, Load
from stack import control, process
from stack.errors import StackError
from stack.settings import PROJECT, Settings

SOURCE = (
    f"bench: {{kind: http, tenant: demo, topic: cdp.raw.clickstream, write_key: {WRITE_KEY}, enrich: {{ip: true, user_agent: true}}}}\n"
)
START_WITHIN_S = 20.0
SINGLES_PER_S = 500.0


class Round(msgspec.Struct, frozen=True):
    """One load and what it cost."""

    what: str
    load: Load
    spent: cpu.Spent
    generator_s: float

    def percentile(self, share: float) -> float:
        """Latency in ms that this share of the requests did not exceed."""
        ordered = sorted(self.load.latency_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    @property
    def foreign(self) -> float:
        """Share of the machine that neither collector nor Kafka nor the generator took."""
        return max(0.0, self.spent.foreign - self.generator_s / (self.spent.seconds * (os.cpu_count() or 1)))

    @property
    def us_per_event(self) -> float:
        """Microseconds of the collector's CPU time per event."""
        return self.spent.stages["collector"] / self.load.events * 1e6


@contextlib.contextmanager
def collector(settings: Settings, workers: int) -> Iterator[tuple[int, int]]:
    """A collector without limits; its process id and port."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config"
        shutil.copytree(PROJECT / "config", config, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        (config / "sources.yaml").write_text(SOURCE)
        command = [sys.executable, "-m", "api.collector", "--port", str(settings.ports.collector), "--workers", str(workers)]
        child = subprocess.Popen(command, cwd=PROJECT, env=os.environ | {"CDP_CONFIG_DIR": str(config)}, stderr=subprocess.DEVNULL)
        try:
            _await(settings.ports.collector)
            yield child.pid, settings.ports.collector
        finally:
            child.terminate()
            child.wait(30.0)


def measure(what: str, port: int, pids: dict[str, list[int]], seconds: float) -> Round:
    """Apply a load from a process of its own."""
    command = [sys.executable, "-m", "bench.collector_load", what, str(port), str(seconds), str(SINGLES_PER_S)]
    before, own_before = cpu.usage(pids), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, check=True, timeout=seconds + 60)
    after, own = cpu.usage(pids), resource.getrusage(resource.RUSAGE_CHILDREN)
    generator_s = own.ru_utime + own.ru_stime - own_before.ru_utime - own_before.ru_stime
    return Round(what, msgspec.json.decode(done.stdout, type=Load), cpu.spent(before, after), generator_s)


def show(rounds: list[Round], memory_mb: float) -> None:
    """Print what was found."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("load")
    for column in (
        "events/s",
        "failed",
        "us/event",
        "events/s/core",
        "Kafka us/event",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "max ms",
        "foreign",
    ):
        table.add_column(column, justify="right")
    for found in rounds:
        table.add_row(
            f"batches of {BATCH}" if found.what == "batches" else f"{SINGLES_PER_S:.0f} singles/s",
            f"{found.load.events / found.load.seconds:,.0f}",
            str(found.load.failed),
            f"{found.us_per_event:.1f}",
            f"{1e6 / found.us_per_event:,.0f}",
            f"{found.spent.stages['kafka'] / found.load.events * 1e6:.1f}",
            *(f"{found.percentile(share):.2f}" for share in (0.5, 0.99, 0.999, 1.0)),
            f"{found.foreign:.0%}",
        )
    Console(width=150).print(table)
    print(f"memory of the collector: {memory_mb:.0f} MB")


def _await(port: int) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{HOST}:{port}/ready", timeout=2.0):
            return
        time.sleep(0.1)
    raise StackError("the collector does not start", "run `python -m api.collector` to see why")


def main() -> int:
    """Entry point."""
    raw = argparse.RawDescriptionHelpFormatter
    words = argparse.ArgumentParser(prog="python -m bench.collector", description=__doc__, formatter_class=raw)
    words.add_argument("--seconds", type=float, default=15.0, help="of each round")
    words.add_argument("--rounds", type=int, default=3, help="of each load")
    words.add_argument("--workers", type=int, default=1, help="processes of the collector")
    said = words.parse_args()
    rounds: list[Round] = []
    with home.stack(keep=False) as settings:
        home.start_kafka(settings, control.ignore)
        kafka = process.read_record(settings.run / "kafka.json")
        assert kafka is not None
        with collector(settings, said.workers) as (pid, port):
            parent, children = cpu.family(pid)
            pids = {"collector": [parent, *children], "kafka": [kafka.identity.pid]}
            measure("batches", port, pids, 3.0)  # warm-up
            for _ in range(said.rounds):
                rounds += [measure(what, port, pids, said.seconds) for what in ("batches", "singles")]
            memory_mb = sum(psutil.Process(one).memory_info().rss for one in pids["collector"]) / 2**20
    show(sorted(rounds, key=lambda found: found.what), memory_mb)
    return 1 if any(found.load.failed for found in rounds) else 0


if __name__ == "__main__":
    sys.exit(main())
