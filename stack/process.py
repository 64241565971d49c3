"""Processes that outlive their parent: start, recognise and stop them without ever trusting a bare pid.

A process is identified by pid, start time (clock ticks since boot) and boot id, written to `run/<service>.json`. A record whose process
is gone, or whose pid belongs to something else by now, counts as no process. `CDP_SERVICE` and `CDP_HOME` in a process's environment
find those that have no record because their starter was killed in between, and the helpers they forked.
"""

import contextlib
import errno
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import msgspec
import psutil

from stack.errors import StackError
from stack.settings import HOST, PROJECT

POLL_S = 0.05


class Identity(msgspec.Struct, frozen=True):
    """What makes a process this one and no other."""

    pid: int
    started_ticks: int
    boot: str


class Record(msgspec.Struct, frozen=True):
    """`run/<service>.json`: a started process.

    Attributes:
        identity: the process.
        spawned_at: wall clock, seconds.
        spec: hash of what it was started with; another hash means it has to be replaced.
        partner: the process it was started for (a TaskManager's JobManager); when that one is replaced, so is this one.
        code: fingerprint of the source when it was started, where that matters.
    """

    identity: Identity
    spawned_at: float
    spec: str = ""
    partner: Identity | None = None
    code: str = ""


@cache
def boot_id() -> str:
    """Identity of this boot of the machine: pids and ticks start over with the next one."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def identify(pid: int) -> Identity | None:
    """The identity of a running process, or None when there is none with this pid.

    A zombie counts as none, unless some of its threads are still at it: a killed JVM holds its ports until the last one is gone.
    """
    try:
        # The command name in field 2 may hold spaces and brackets: count fields after its last bracket.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    is_gone = fields[0] == "X" or (fields[0] == "Z" and int(fields[17]) <= 1)
    return None if is_gone else Identity(pid, int(fields[19]), boot_id())


def is_alive(identity: Identity) -> bool:
    """Whether exactly this process still runs."""
    return identify(identity.pid) == identity


def read_record(path: Path) -> Record | None:
    """The record of a running process, or None: no file, an unreadable one, or one whose process is gone."""
    try:
        record = msgspec.json.decode(path.read_bytes(), type=Record)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    return record if is_alive(record.identity) else None


def write_json(path: Path, value: object, durable: bool = True) -> None:
    """Replace a file as a whole: a reader sees the old content or the new one, after a power cut too.

    Args:
        path: the file.
        value: what it shall hold.
        durable: on disk before this returns; not needed of what means nothing once its processes are gone.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    with draft.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n")
        if durable:
            file.flush()
            os.fsync(file.fileno())
    draft.replace(path)
    if durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to disk: a new or renamed file is lost by a power cut before that."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def spawn(
    command: Sequence[str | Path],
    env: Mapping[str, str],
    log: Path,
    record: Path,
    *,
    spec: str = "",
    partner: Identity | None = None,
    code: str = "",
) -> tuple[Record, "subprocess.Popen[bytes]"]:
    """Start a process in a session of its own and write its record (see `Record` for what goes into it).

    Raises:
        StackError: the program cannot be started.
    """
    with log.open("ab") as output:
        try:
            words = [str(word) for word in command]
            child = subprocess.Popen(
                words, env=dict(env), stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd=PROJECT
            )
        except OSError as error:
            raise StackError(f"{command[0]} cannot be started: {error.strerror}", "run `make setup`") from error
    identity = identify(child.pid) or Identity(child.pid, 0, boot_id())
    made = Record(identity=identity, spawned_at=time.time(), spec=spec, partner=partner, code=code)
    write_json(record, made)
    return made, child


def send(identity: Identity, number: signal.Signals) -> None:
    """Signal exactly this process; nothing happens when it is gone."""
    with contextlib.suppress(ProcessLookupError):
        if is_alive(identity):
            os.kill(identity.pid, number)


def stop(identities: Iterable[Identity], deadline_s: float) -> None:
    """SIGTERM to all, SIGKILL to those that are still there after the deadline; returns when none is left.

    Raises:
        StackError: a process survived SIGKILL for ten seconds.
    """
    alive = [identity for identity in identities if is_alive(identity)]
    for number, patience_s in ((signal.SIGTERM, deadline_s), (signal.SIGKILL, 10.0)):
        for identity in alive:
            send(identity, number)
        alive = _wait_gone(alive, patience_s)
        if not alive:
            return
    raise StackError(f"process {alive[0].pid} does not end", "it hangs inside the kernel: look at its disk; a reboot ends it")


def _wait_gone(identities: list[Identity], patience_s: float) -> list[Identity]:
    deadline = time.monotonic() + patience_s
    alive = identities
    while alive and time.monotonic() < deadline:
        time.sleep(POLL_S)
        alive = [identity for identity in alive if is_alive(identity)]
    return alive


def belonging_to(home: Path) -> dict[str, list[Identity]]:
    """Every process that carries this home's mark in its environment, by service; this process itself is left out."""
    found: dict[str, list[Identity]] = {}
    for pid in psutil.pids():
        if pid == os.getpid():
            continue
        try:
            variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue  # gone meanwhile, or another user's
        if f"CDP_HOME={home}".encode() not in variables:
            continue
        service = next((entry[12:].decode() for entry in variables if entry.startswith(b"CDP_SERVICE=")), None)
        identity = identify(pid)
        if service and identity:
            found.setdefault(service, []).append(identity)
    return found


def check_port(name: str, port: int, patience_s: float = 3.0) -> None:
    """Make sure that nobody listens on a port.

    Args:
        name: of the port, as in `config/stack.yaml`.
        port: its number.
        patience_s: how long to wait for it: the kernel takes a moment to clear away a killed process with much memory.

    Raises:
        StackError: somebody listens there; says who, as far as this user may know.
    """
    deadline = time.monotonic() + patience_s
    while not _is_free(port):
        holder = _holder(port)
        if holder or time.monotonic() > deadline:
            remedy = f"stop it, or choose another port: CDP_PORT_{name.upper()}=... (or CDP_PORT_BASE=... for all of them)"
            raise StackError(f"port {port} ({name}) is in use by {holder or 'another process'}", remedy)
        time.sleep(POLL_S)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
    return True


def _holder(port: int) -> str:
    """Who listens on a port; empty when nobody does any more, or when this user may not know."""
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            is_it = connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN
            if is_it and connection.pid:
                with contextlib.suppress(psutil.Error):
                    return f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
    return ""
