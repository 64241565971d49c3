"""No bare pid is ever trusted."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from stack import process
from stack.errors import StackError
from stack.keeper import Bound
from stack.process import Identity, Record

SLEEP = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)",
]


def start(command: list[str]) -> subprocess.Popen[bytes]:
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    return child


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    made = start(SLEEP)
    yield made
    made.kill()
    made.wait()


def identity_of(child: subprocess.Popen[bytes]) -> Identity:
    found = process.identify(child.pid)
    assert found is not None
    return found


def test_a_running_process_is_recognised_until_it_ends_even_as_a_zombie(child: subprocess.Popen[bytes]) -> None:
    identity = identity_of(child)
    assert process.is_alive(identity)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and not yet reaped
    assert process.identify(child.pid) is None
    assert not process.is_alive(identity)


@pytest.mark.parametrize("change", [{"started_ticks": 1}, {"boot": "another boot"}])
def test_a_pid_that_belongs_to_something_else_by_now_is_neither_alive_nor_signalled(
    child: subprocess.Popen[bytes], change: dict[str, object]
) -> None:
    stale = msgspec.structs.replace(identity_of(child), **change)
    assert not process.is_alive(stale)
    process.send(stale, signal.SIGKILL)
    process.stop([stale], 0.0)
    assert child.poll() is None


def test_records_that_are_missing_damaged_or_stale_count_as_no_process(child: subprocess.Popen[bytes], tmp_path: Path) -> None:
    path = tmp_path / "service.json"
    assert process.read_record(path) is None
    path.write_text('{"identity": {"pid"')
    assert process.read_record(path) is None
    record = Record(identity_of(child), 1.0, "spec")
    process.write_json(path, record)
    assert process.read_record(path) == record
    process.write_json(path, msgspec.structs.replace(record, identity=msgspec.structs.replace(record.identity, started_ticks=1)))
    assert process.read_record(path) is None


def test_stop_asks_first_and_kills_after_the_deadline() -> None:
    polite, stubborn = start(SLEEP), start(STUBBORN)
    process.stop([identity_of(polite), identity_of(stubborn)], 0.3)
    assert polite.wait(5) == -signal.SIGTERM
    assert stubborn.wait(5) == -signal.SIGKILL


def test_processes_are_found_by_the_mark_in_their_environment(tmp_path: Path) -> None:
    log = tmp_path / "log"
    _, ours = process.spawn(SLEEP, {"CDP_HOME": str(tmp_path), "CDP_SERVICE": "a"}, log, tmp_path / "a.json")
    _, others = process.spawn(SLEEP, {"CDP_HOME": f"{tmp_path}-other", "CDP_SERVICE": "a"}, log, tmp_path / "b.json")
    try:
        assert process.belonging_to(tmp_path) == {"a": [identity_of(ours)]}
    finally:
        for child in (ours, others):
            child.kill()
            child.wait()


def test_a_port_in_use_names_its_holder() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StackError, match=rf"port {port} \(redis\) is in use by process {os.getpid()}"):
            process.check_port("redis", port)
    process.check_port("redis", port)


def test_failures_are_counted_in_a_window_and_the_wait_grows() -> None:
    now = 0.0
    bound = Bound(restarts=3, within_s=600.0, now=lambda: now)
    waits = []
    for _ in range(3):
        bound.record()
        waits.append(bound.backoff_s)
    assert waits == [0.0, 0.5, 1.0]
    assert not bound.is_spent
    bound.record()
    assert bound.is_spent
    now = 601.0
    assert not bound.is_spent
    assert bound.backoff_s == 0.0


def test_the_wait_has_a_ceiling_and_failures_can_be_forgiven() -> None:
    bound = Bound(restarts=20, within_s=600.0, now=lambda: 0.0)
    for _ in range(20):
        bound.record()
    assert bound.backoff_s == 10.0
    bound.forgive()
    assert (bound.recent, bound.backoff_s) == (0, 0.0)
