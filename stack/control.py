"""Bring the stack up and down: what `cdp up` and `cdp down` do, callable from tests and from other commands."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from stack import applied, board, catalogue, parts, preflight, process, requests, source, topics
from stack.board import ServiceState
from stack.errors import StackError
from stack.process import Identity
from stack.service import Service
from stack.settings import Settings, child_environment, prepare_home

LAST = ("kafka", "redis", "clickhouse")  # stopped after everything that talks to them
STOP_WITHIN_S = 20.0
LAUNCH_WITHIN_S = 15.0
ANSWER_WITHIN_S = 5.0
Watcher = Callable[[dict[str, ServiceState]], None]


def ignore(_states: dict[str, ServiceState]) -> None:
    """A watcher that shows nothing."""


def ignore_part(_part: str, _state: str, _seconds: float) -> None:
    """A progress that shows nothing."""


def up(
    settings: Settings, only: Sequence[str] = (), watch: Watcher = ignore, progress: parts.Progress = ignore_part, deadline_s: float = 600.0
) -> dict[str, ServiceState]:
    """Start what does not run yet and wait until all of it is ready.

    Args:
        settings: which stack.
        only: services to start, with what they need; all when empty. Those that run already go on.
        watch: called with the states of the chosen services whenever it may have changed.
        progress: told about downloads.
        deadline_s: how long to wait.

    Raises:
        StackError: a definition is wrong (nothing is started then), a port is taken, a prerequisite is missing, a service failed, or the
            deadline passed.
    """
    preflight.require("nothing was started")
    chosen = catalogue.select(settings, list(only))
    prepare_home(settings)
    applied.apply(settings.run)
    parts.ensure(settings, catalogue.parts_of(settings, chosen), progress)
    _retire_outdated_supervisor(settings)
    status = board.live_status(settings)
    running = status.services if status else {}
    for service in catalogue.services(settings):
        if service.name in chosen and process.read_record(service.record(settings)) is None:
            _check_ports(settings, service)
    # What ran under a supervisor that is gone goes on; after a reboot nothing does, and what was wanted then is forgotten.
    wanted = board.read_wanted(settings) if status or _ours(settings) else board.Wanted()
    for name in chosen:
        generation = wanted.services.get(name, 0)
        failed = name in running and running[name].state == "failed"
        wanted.services[name] = generation + 1 if failed or not generation else generation
    if "kafka" in chosen and "kafka" in running and running["kafka"].state == "ready":
        topics.create(settings.kafka)  # those that were added to the file since Kafka came up
    asked = time.time()
    board.write_wanted(settings, wanted)
    return _wait_ready(settings, chosen, asked, watch, deadline_s)


def down(settings: Settings, say: Callable[[str], None] = lambda _line: None, savepoint_within_s: float = 0.0) -> int:
    """Stop everything that belongs to this home; returns the number of processes that ran.

    Args:
        settings: which stack.
        say: told what happens.
        savepoint_within_s: how long a Flink job may take to save its state and to commit what it has written; 0: it is not asked to. It
            then goes on from its newest checkpoint, and what that counts as written waits in open transactions (sinks/kafka.py).

    Raises:
        StackError: a process cannot be stopped.
    """
    if savepoint_within_s:
        _suspend_jobs(settings, say, savepoint_within_s)
    count = 0
    supervisor = process.read_record(settings.run / "supervisor.json")
    if supervisor:
        process.stop([supervisor.identity], 10.0)
        count += 1
    return count + stop_services(settings, say)


def _suspend_jobs(settings: Settings, say: Callable[[str], None], within_s: float) -> None:
    status = board.live_status(settings)
    for name in catalogue.flink_jobs():
        if status is None or status.services.get(name, ServiceState(name)).state in ("stopped", "failed"):
            continue
        say(f"{name}: saving its state, {within_s:.0f} s at most")
        try:
            path = requests.ask(settings, name, requests.new("suspend", within_s=within_s), within_s + ANSWER_WITHIN_S).path
            say(f"{name}: savepoint {path}")
        except StackError as error:
            say(f"{name}: no savepoint ({error.problem}); it will go on from its newest checkpoint, if it is back within days")


def wipe(settings: Settings) -> bool:
    """Delete the data of a stack that is down; returns whether there was any.

    Raises:
        StackError: the stack is running.
    """
    if process.read_record(settings.run / "supervisor.json"):
        raise StackError("the stack is running, its data cannot be deleted", "`cdp down` first")
    found = settings.data.exists()
    shutil.rmtree(settings.data, ignore_errors=True)
    return found


def stop_services(settings: Settings, say: Callable[[str], None] = lambda _line: None) -> int:
    """Stop all processes of this home but the calling one, workers before servers; nobody may restart them meanwhile."""
    count = 0
    (settings.run / "wanted.json").unlink(missing_ok=True)
    for last in (False, True):
        wave = [identity for name, identity in _ours(settings) if (name in LAST) == last]
        if wave:
            say(f"stopping {len(wave)} process{'es' if len(wave) > 1 else ''}")
        process.stop(wave, STOP_WITHIN_S)
        count += len(wave)
    for path in settings.run.glob("*.json"):
        path.unlink(missing_ok=True)
    return count


def _retire_outdated_supervisor(settings: Settings) -> None:
    """End a supervisor of other source or configuration: the next one adopts what has not changed, and replaces what has."""
    record = process.read_record(settings.run / "supervisor.json")
    if record and record.spec != source.supervisor_fingerprint(settings):
        process.stop([record.identity], STOP_WITHIN_S)


def _ours(settings: Settings) -> list[tuple[str, Identity]]:
    """Processes with a record, and those that carry this home's mark (children without a record included)."""
    found = {(path.stem, record.identity) for path in settings.run.glob("*.json") if (record := process.read_record(path))}
    found = {(name, identity) for name, identity in found if identity.pid != os.getpid()}
    found |= {(name, identity) for name, identities in process.belonging_to(settings.home).items() for identity in identities}
    return sorted(found, key=lambda pair: pair[1].pid)


def _check_ports(settings: Settings, service: Service) -> None:
    for name in service.ports:
        process.check_port(name, getattr(settings.ports, name))


def _start_supervisor(settings: Settings) -> None:
    """Start it in a session of its own, with an intermediate parent that ends at once, so that it is nobody's child.

    Should another one be starting up already, the new one finds its lock taken and ends.
    """
    log = settings.logs / "supervisor.log"
    launch = "import subprocess, sys; subprocess.Popen([sys.executable, '-m', 'stack.supervisor'], start_new_session=True)"
    with log.open("ab") as output:
        subprocess.run(
            [sys.executable, "-c", launch],
            env=child_environment(settings, "supervisor"),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=True,
        )


def _wait_ready(settings: Settings, names: list[str], asked: float, watch: Watcher, deadline_s: float) -> dict[str, ServiceState]:
    """Wait, and see to it that there is a supervisor: the one that ran a moment ago may have been on its way out."""
    deadline = time.monotonic() + deadline_s
    states: dict[str, ServiceState] = {}
    launched = -LAUNCH_WITHIN_S
    while time.monotonic() < deadline:
        status = board.live_status(settings)
        if status is None and time.monotonic() > launched + LAUNCH_WITHIN_S:
            launched = time.monotonic()
            _start_supervisor(settings)
        if status and status.at >= asked:
            states = {name: status.services[name] for name in names}
            watch(states)
            failed = [state for state in states.values() if state.state == "failed"]
            if failed:
                raise StackError(f"{failed[0].name} failed: {failed[0].detail}", f"see `cdp logs {failed[0].name}`")
            if all(state.state == "ready" for state in states.values()):
                return states
        time.sleep(0.1)
    late = [state for state in states.values() if state.state != "ready"] or [ServiceState("supervisor")]
    said = "; ".join(f"{state.name} is {state.state} {state.detail}".strip() for state in late)
    raise StackError(
        f"not ready after {deadline_s:.0f} s: {said}", f"see `cdp logs {late[0].name}`; `cdp up` goes on waiting, `cdp down` gives up"
    )
