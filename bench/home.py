"""The benchmark's own stack: its own folder, ports and processes, empty at the start, gone at the end."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from types import FrameType

from config import loader
from stack import catalogue, control, parts, process, settings, source, topics
from stack.board import ServiceState
from stack.settings import HOST, PROJECT, Settings

HOME = PROJECT / ".cdp" / "bench"
FIRST_PORT, LAST_PORT = 31_000, 32_000
CORES = 2


class StoppedError(RuntimeError):
    """Somebody asked the benchmark to stop."""


@contextlib.contextmanager
def stack(keep: bool) -> Iterator[Settings]:
    """An empty stack that is not up yet; whatever happens, none of its processes is left when the block ends.

    Args:
        keep: leave its data and logs on disk.
    """
    pin()
    _listen_to_signals()
    for name in [name for name in os.environ if name.startswith("CDP_") and name != "CDP_PARTS"]:
        del os.environ[name]
    downloads = os.environ.get("CDP_PARTS") or str(PROJECT / ".cdp" / "parts")
    me = process.identify(os.getpid())
    assert me is not None
    os.environ |= {"CDP_HOME": str(HOME), "CDP_PARTS": downloads, "CDP_PORT_BASE": str(_free_ports(len(settings.Ports.__struct_fields__)))}
    os.environ["CDP_OWNER"] = f"{me.pid}:{me.started_ticks}"  # should this process be killed, the supervisor stops everything
    chosen = settings.load()
    settings.apply_environment(chosen)
    loader.platform.cache_clear()
    control.down(chosen)  # of a run that was killed
    shutil.rmtree(HOME, ignore_errors=True)
    settings.prepare_home(chosen)
    try:
        yield chosen
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # nothing may come between us and the end of the processes
        control.down(chosen)
        if not keep:
            shutil.rmtree(chosen.data, ignore_errors=True)


def start_kafka(chosen: Settings, watch: control.Watcher) -> None:
    """Start Kafka alone: the first events can be written while the rest starts."""
    # The supervisor looks for everything's jars when it starts, so all downloads have to be there.
    parts.ensure(chosen, catalogue.parts_of(chosen, catalogue.select(chosen, [])), control.ignore_part)
    control.up(chosen, ["kafka"], watch)
    clocks = set(topics.clocks(loader.topics().raw(), chosen.kafka).values())
    assert clocks == {topics.CLOCKS["live"]}, clocks


def start(chosen: Settings, watch: control.Watcher, deadline_s: float) -> dict[str, ServiceState]:
    """Start everything."""
    return control.up(chosen, (), watch, deadline_s=deadline_s)


def pin() -> None:
    """Confine this process, and so everything it starts, to as many cores as the figures are for."""
    cores = sorted(os.sched_getaffinity(0))[:CORES]
    os.sched_setaffinity(0, cores)


def commit() -> tuple[str, bool]:
    """Short name of the commit, and whether the code that is measured differs from it."""
    rooms = [*source.ROOMS, "api", "stack", "bench"]
    short = _git("rev-parse", "--short", "HEAD") or "unknown"
    return short, bool(_git("status", "--porcelain", "--untracked-files=no", "--", *rooms))


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=PROJECT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def _listen_to_signals() -> None:
    def stop(number: int, _frame: FrameType | None) -> None:
        raise StoppedError(f"stopped by {signal.Signals(number).name}")

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


def _free_ports(count: int) -> int:
    """First of so many neighbouring ports that nobody listens on."""
    for base in range(FIRST_PORT, LAST_PORT, count):
        if all(_is_free(base + index) for index in range(count)):
            return base
    raise StoppedError(f"no {count} free ports between {FIRST_PORT} and {LAST_PORT}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
