"""Keeps one service running: starts it when its needs are ready, probes it, and starts it again when it dies or hangs, within bounds."""

import contextlib
import subprocess
import time

from stack import process, source
from stack.board import State
from stack.keeper import Keeper, Log, counted
from stack.log_errors import last_error
from stack.process import Identity, Record
from stack.service import Service
from stack.settings import Settings, child_environment

LOOP_S = 0.2
PROBE_EVERY_S = 5.0
REAP_WITHIN_S = 5.0


class ServiceKeeper(Keeper):
    """Keeps one service as it is wanted.

    Attributes:
        record: its process; read by the supervisor's main thread and by the keepers of services that need this one.
    """

    def __init__(self, service: Service, settings: Settings, peers: dict[str, "ServiceKeeper"], log: Log) -> None:
        super().__init__(service.name, settings, log)
        self.service = service
        self._spec = service.spec()
        self.record: Record | None = None
        self._peers = peers
        self._child: subprocess.Popen[bytes] | None = None
        self._condemned: Identity | None = None
        self._began = self._last_ok = self._last_probe = 0.0

    def renew(self, identity: Identity, reason: str) -> None:
        """Replace exactly this process; nothing happens when another one runs by now."""
        if self._condemned != identity:
            self._log(f"{self.name}: to be started anew: {reason}")
        self._condemned = identity

    def adopt(self) -> None:
        """Take over a process that an earlier supervisor started, if it was started with the same command and environment."""
        record = process.read_record(self.service.record(self._settings))
        if record is None:
            return
        self.record = record
        self._began = self._last_ok = time.monotonic()
        self._show("starting", "adopted")

    @property
    def _pause_s(self) -> float:
        return LOOP_S

    def _trouble(self, error: Exception) -> None:
        self._log(f"{self.name}: {type(error).__name__}: {error}")
        self._failed(str(error).splitlines()[0] if str(error) else type(error).__name__)

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
        super()._show(state, detail, keep)
        self.state.pid = self.record.identity.pid if self.record else 0
        self.state.started = self.record.spawned_at if self.record else 0.0


def _reason(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
