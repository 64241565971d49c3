"""The background process that owns the servers: `python -m stack.supervisor`, started by `cdp up`.

It holds a lock, so that there is one per `CDP_HOME`; takes over what an earlier supervisor left running; keeps what `run/wanted.json`
names; and publishes `run/status.json`. SIGTERM ends the supervisor alone: `cdp down` then stops the servers itself, by the same
records.
"""

import fcntl
import os
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from operations.process import told_to_stop
from stack import board, catalogue, control, process, source
from stack.board import ServiceState
from stack.job_keeper import JobKeeper
from stack.keeper import Keeper
from stack.service_keeper import ServiceKeeper
from stack.settings import Settings, apply_environment, load

LOOP_S = 0.2
LOCK_WITHIN_S = 5.0
LOG_LIMIT_BYTES = 64 * 1024 * 1024


def main() -> None:
    """Supervise until SIGTERM."""
    settings = load()
    apply_environment(settings)
    lock = (settings.run / "supervisor.lock").open("w")
    if not _takes(lock):
        return  # another one is at work
    identity = process.identify(os.getpid())
    assert identity is not None
    spec = source.supervisor_fingerprint(settings)
    process.write_json(settings.run / "supervisor.json", process.Record(identity, time.time(), spec))
    halt = told_to_stop()
    shutil.rmtree(settings.run / "requests", ignore_errors=True)  # to a supervisor that is gone; who asked has given up or will
    log(f"supervisor: started, pid {identity.pid}")
    supervise(settings, identity, halt)
    if halt.is_set():
        log("supervisor: ended, services left as they are")
    else:
        log(f"supervisor: the process it works for is gone, {control.stop_services(settings)} services stopped")


def supervise(settings: Settings, identity: process.Identity, halt: threading.Event) -> None:
    """Keep everything as wanted until told to halt, or until the owner is gone."""
    owner = _owner()
    processes: dict[str, ServiceKeeper] = {}
    for service in catalogue.services(settings):
        processes[service.name] = ServiceKeeper(service, settings, processes, log)
    jobs = {name: JobKeeper(name, job, settings, processes, log) for name, job in catalogue.flink_jobs().items()}
    keepers: dict[str, Keeper] = {**processes, **jobs}
    _stop_strangers(settings, set(processes))
    for keeper in keepers.values():
        keeper.adopt()
    _apply_wanted(settings, keepers)
    for keeper in keepers.values():
        keeper.start()
    last_shown: dict[str, ServiceState] = {}
    last_write = 0.0
    while not halt.wait(LOOP_S) and (owner is None or process.is_alive(owner)):
        _apply_wanted(settings, keepers)
        shown = {name: _copy(keeper.state) for name, keeper in keepers.items()}
        if shown != last_shown or time.monotonic() - last_write > 1.0:
            board.write_status(settings, identity, shown)
            last_shown, last_write = shown, time.monotonic()
            for file in settings.logs.glob("*.log"):
                _shorten(file)
    for keeper in keepers.values():
        keeper.halt()
    for keeper in keepers.values():
        keeper.join(5.0)


def _takes(lock: IO[str]) -> bool:
    """Whether this process gets the lock. A killed supervisor holds it until its last thread is gone, hence the patience."""
    deadline = time.monotonic() + LOCK_WITHIN_S
    while time.monotonic() < deadline:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(LOOP_S)
        else:
            return True
    return False


def _owner() -> process.Identity | None:
    """The process named by `CDP_OWNER` (`pid:start ticks`): tests that are killed must not leave servers behind."""
    pid, _, ticks = os.environ.get("CDP_OWNER", "").partition(":")
    return process.Identity(int(pid), int(ticks), process.boot_id()) if pid and ticks else None


def log(line: str) -> None:
    """One line in `logs/supervisor.log`, which is this process's standard output."""
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}", flush=True)


def _apply_wanted(settings: Settings, keepers: Mapping[str, Keeper]) -> None:
    wanted = board.read_wanted(settings).services
    for name, keeper in keepers.items():
        keeper.want(wanted.get(name, 0))


def _stop_strangers(settings: Settings, known: set[str]) -> None:
    """Stop what an earlier supervisor left and nobody would look after.

    That is a service the configuration no longer has, and a submission under way: finished behind our back, it would be a second run
    of its job.
    """
    found = {name: identities for name, identities in process.belonging_to(settings.home).items() if name not in known | {"supervisor"}}
    for name, identities in found.items():
        log(f"{name}: not one of ours any more")
        process.stop(identities, control.STOP_WITHIN_S)
        (settings.run / f"{name}.json").unlink(missing_ok=True)


def _copy(state: ServiceState) -> ServiceState:
    return ServiceState(**{field: getattr(state, field) for field in ServiceState.__struct_fields__})


def _shorten(file: Path) -> None:
    """Keep a log below its limit. Its writer has it open for appending, so the file is copied and emptied, not renamed."""
    if file.stat().st_size > LOG_LIMIT_BYTES:
        shutil.copyfile(file, file.with_suffix(".log.1"))
        os.truncate(file, 0)


if __name__ == "__main__":
    main()
