"""One thread per service: starts it when its needs are ready, probes it, and starts it again when it dies or hangs, within bounds."""

import contextlib
import re
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from stack import process, source, submission
from stack.board import ServiceState, State
from stack.process import Identity, Record
from stack.service import Service
from stack.settings import Settings, child_environment

LOOP_S = 0.2
PROBE_EVERY_S = 5.0
MAX_BACKOFF_S = 10.0
REAP_WITHIN_S = 5.0
TAIL_BYTES = 8_000
TAIL_LINES = 20
ERROR_LINE = re.compile(r"\bERROR\b|^[\w.]*(Error|Exception|Problems)\b")


class Bound:
    """Counts failures in a sliding window; says how long to wait before the next try, or that there is none."""

    def __init__(self, restarts: int, within_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._restarts, self._within_s, self._now = restarts, within_s, now
        self._failures: deque[float] = deque()

    def record(self) -> None:
        """One more failure."""
        self._failures.append(self._now())

    def forgive(self) -> None:
        """Forget all failures."""
        self._failures.clear()

    @property
    def recent(self) -> int:
        """Failures inside the window."""
        while self._failures and self._failures[0] < self._now() - self._within_s:
            self._failures.popleft()
        return len(self._failures)

    @property
    def is_spent(self) -> bool:
        """Whether the service has failed too often to try again."""
        return self.recent > self._restarts

    @property
    def backoff_s(self) -> float:
        """Wait before the next start: none after the first failure, then 0.5 s, 1 s, 2 s, ... up to 10 s."""
        return 0.0 if self.recent <= 1 else min(MAX_BACKOFF_S, 0.5 * 2.0 ** (self.recent - 2))


class Keeper:
    """Keeps one service as it is wanted.

    `state` and `record` are read by the supervisor's main thread and by the keepers of services that need this one.
    """

    def __init__(self, service: Service, settings: Settings, peers: dict[str, "Keeper"], log: Callable[[str], None]) -> None:
        self.name = service.name
        self.service = service
        self._spec = service.spec()
        self.state = ServiceState(service.name)
        self.record: Record | None = None
        self._settings, self._peers, self._log = settings, peers, log
        self._child: subprocess.Popen[bytes] | None = None
        self._condemned: Identity | None = None
        self._generation = self._wanted_generation = 0
        self._halt = threading.Event()
        self._thread = threading.Thread(target=self._loop, name=service.name, daemon=True)
        supervision = settings.stack.supervision
        self._bound = Bound(supervision.restarts, supervision.within_s)
        self._began = self._last_ok = self._last_probe = self._not_before = 0.0

    def want(self, generation: int) -> None:
        """Say that the service shall run (a generation above 0) or not (0)."""
        self._wanted_generation = generation

    def renew(self, identity: Identity, reason: str) -> None:
        """Replace exactly this process; nothing happens when another one runs by now."""
        if self._condemned != identity:
            self._log(f"{self.name}: to be started anew: {reason}")
        self._condemned = identity

    def start(self) -> None:
        """Begin to keep it."""
        self._thread.start()

    def halt(self) -> None:
        """End the thread and leave the service as it is."""
        self._halt.set()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread's end."""
        self._thread.join(timeout_s)

    def _loop(self) -> None:
        while not self._halt.is_set():
            try:
                self._turn()
            except Exception as error:  # a keeper that dies would leave its service unwatched: say it, count it, go on
                self._log(f"{self.name}: {type(error).__name__}: {error}")
                self._failed(str(error).splitlines()[0] if str(error) else type(error).__name__)
            self._halt.wait(LOOP_S)

    def adopt(self) -> None:
        """Take over a process that an earlier supervisor started, if it was started with the same command and environment."""
        record = process.read_record(self.service.record(self._settings))
        if record is None:
            return
        self.record = record
        self._began = self._last_ok = time.monotonic()
        self._show("starting", "adopted")

    def _turn(self) -> None:
        if self._wanted_generation == 0:
            if self.record:
                self._stop()
            self._show("stopped")
            return
        if self._wanted_generation != self._generation:
            if self._generation and self.record:
                self._log(f"{self.name}: asked to start anew")
                self._stop()
            self._generation = self._wanted_generation
            self._bound.forgive()
            self._not_before = 0.0
        if self.record and (self._is_outdated(self.record) or self.record.identity == self._condemned):
            self._stop()
        if self.record and not process.is_alive(self.record.identity):
            self._died()
        if self.record:
            self._watch()
        elif self._bound.is_spent:
            self._show(
                "failed", f"{counted(self._bound.recent)}, see `cdp logs {self.name}`; `cdp up` tries again: {self.state.detail}", keep=True
            )
        elif time.monotonic() >= self._not_before:
            self._start()

    def _start(self) -> None:
        waiting_for = [name for name in self.service.needs if not self._is_ready(name)]
        if self.service.tied_to and self._partner() is None:
            waiting_for.append(self.service.tied_to)
        if waiting_for:
            self._show("waiting", f"for {', '.join(waiting_for)}")
            return
        partner = self._partner()
        self._show("starting", "preparing")
        self.service.prepare()
        env = child_environment(self._settings, self.name) | self.service.env
        path = self.service.record(self._settings)
        self.record, self._child = process.spawn(
            self.service.command,
            env,
            self.service.log(self._settings),
            path,
            spec=self._spec,
            partner=partner,
            code=source.fingerprint(self._settings) if self.service.runs_our_code else "",
        )
        self._began = self._last_ok = time.monotonic()
        self._last_probe = 0.0
        self._log(f"{self.name}: started, pid {self.record.identity.pid}")
        self._show("starting")

    def _watch(self) -> None:
        now = time.monotonic()
        starting = self.state.state != "ready"
        if not starting and now - self._last_probe < PROBE_EVERY_S:
            return
        self._last_probe = now
        problem = self._probe()
        now = time.monotonic()
        if not problem:
            self._last_ok = now
            if starting:
                self.service.when_ready()
                self.state.ready_after_s = now - self._began
                self._log(f"{self.name}: ready after {now - self._began:.1f} s")
                self._show("ready")
            return
        supervision = self._settings.stack.supervision
        patience_s = supervision.start_deadline_s if starting else supervision.hung_after_s
        if now - self._last_ok > patience_s:
            self._stop()
            self._failed(f"did not answer for {patience_s:.0f} s ({problem})")

    def _probe(self) -> str:
        try:
            return "" if self.service.probe() else "not ready"
        except Exception as error:  # whatever a client library raises while its server is not there
            return f"{type(error).__name__}: {error}".splitlines()[0][:200]

    def _died(self) -> None:
        code = self._child.poll() if self._child else None
        was = f"pid {self.record.identity.pid} " if self.record else ""
        self._forget()
        said = last_error(self.service.log(self._settings))
        self._failed(f"{was}ended" + (f" ({_reason(code)})" if code is not None else "") + (f": {said}" if said else ""))

    def _failed(self, detail: str) -> None:
        self._bound.record()
        self.state.restarts += 1
        self._not_before = time.monotonic() + self._bound.backoff_s
        self._log(f"{self.name}: {detail}; failure {self._bound.recent} of {self._settings.stack.supervision.restarts} allowed")
        self._show("waiting", detail)

    def _stop(self) -> None:
        if self.record:
            # A process that outlived its partner has nothing to put in order.
            patience_s = 0.0 if self._has_lost_its_partner(self.record) else self.service.stop_within_s
            process.stop([self.record.identity], patience_s)
            self._log(f"{self.name}: stopped")
        self._forget()

    def _forget(self) -> None:
        if self._child:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(REAP_WITHIN_S)
        self.record = self._child = None
        self.service.record(self._settings).unlink(missing_ok=True)

    def _is_outdated(self, record: Record) -> bool:
        return record.spec != self._spec or self._has_lost_its_partner(record)

    def _has_lost_its_partner(self, record: Record) -> bool:
        return bool(self.service.tied_to) and record.partner != self._partner()

    def _partner(self) -> Identity | None:
        peer = self._peers.get(self.service.tied_to)
        return peer.record.identity if peer and peer.record else None

    def _is_ready(self, name: str) -> bool:
        peer = self._peers.get(name)
        return peer is None or peer.state.state == "ready"

    def _show(self, state: State, detail: str = "", keep: bool = False) -> None:
        if state != self.state.state:
            self.state.since = time.time()
        elif keep:
            return
        self.state.state, self.state.detail = state, detail
        self.state.pid = self.record.identity.pid if self.record else 0
        self.state.started = self.record.spawned_at if self.record else 0.0


def last_error(log: Path) -> str:
    """The last line of a log that names an error, if it is among the last lines; empty for none."""
    try:
        lines = submission.said_since(log, max(0, log.stat().st_size - TAIL_BYTES)).splitlines()
    except OSError:
        return ""
    found = [line for line in lines[-TAIL_LINES:] if ERROR_LINE.search(line)]
    return found[-1].strip()[:300] if found else ""


def counted(failures: int) -> str:
    """`1 failure`, `2 failures`."""
    return f"{failures} failure{'' if failures == 1 else 's'}"


def _reason(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
