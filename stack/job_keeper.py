"""Keeps one Flink job running: submits it, watches it, and brings it back from its newest point when the cluster has lost it."""

import shutil
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from stack import checkpoint_files, flink, ledger, requests, source, start_checks, submission
from stack.board import ServiceState, State
from stack.checkpoint_watch import CheckpointWatch
from stack.errors import RefusedError, StackError
from stack.flink_rest import NO_REASON, TERMINAL, JobState, Rest
from stack.jobs import Job
from stack.keeper import Bound, Keeper, counted
from stack.ledger import Ledger, Manifest, Point, Run
from stack.requests import Answer, Request
from stack.settings import PROJECT, Settings, child_environment

LOOP_S = 0.25
READY_LOOP_S = 0.5
SUBMIT_WITHIN_S = 300.0
STOP_WITHIN_S = 300.0
CLEAN_EVERY_S = 30.0
SEAL_EVERY_S = 10.0
CANCEL_WITHIN_S = 30.0
GOING_DOWN_S = 60.0
REFUSED_AGAIN_S = 5.0
STALLS, STALLS_WITHIN_S = 3, 3600.0  # a job that stalls again and again does so for a reason that a restart does not mend
SUBMISSIONS = 3  # a submission that fails thrice in a row fails for a reason that time does not mend


class JobKeeper:
    """Looks like a `Keeper` to the supervisor. All that touches the job happens on its one thread."""

    def __init__(self, name: str, job: Job, settings: Settings, peers: dict[str, Keeper], log: Callable[[str], None]) -> None:
        self.name = name
        self.state = ServiceState(name)
        self._job, self._settings, self._peers, self._log = job, settings, peers, log
        self._rest = Rest(settings)
        supervision = settings.stack.supervision
        self._bound = Bound(supervision.restarts, supervision.within_s)
        self._halt = threading.Event()
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self._watch = CheckpointWatch(supervision.checkpoint_late_s, supervision.checkpoint_stalled_s)
        self._stalls = Bound(STALLS - 1, STALLS_WITHIN_S)
        self._generation = self._wanted_generation = 0
        self._not_before = self._last_clean = self._last_seal = 0.0
        self._sealed = ""
        self._suspended_until = 0.0
        self._began = time.monotonic()
        self._unsubmitted = 0
        self._is_awaited = False  # whether somebody has asked for it to start and waits
        self._seen = self._mourned = ""  # the run that was seen alive last, and the one whose end has been counted

    def want(self, generation: int) -> None:
        """Say that the job shall be looked after (a generation above 0) or not (0)."""
        self._wanted_generation = generation

    def adopt(self) -> None:
        """Nothing to take over: the ledger says which run is the job's."""

    def start(self) -> None:
        """Begin to look after it."""
        self._thread.start()

    def halt(self) -> None:
        """End the thread and leave the job as it is."""
        self._halt.set()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread's end."""
        self._thread.join(timeout_s)

    def _loop(self) -> None:
        while not self._halt.is_set():
            try:
                self._turn()
            except StackError as error:
                self._show("waiting", error.problem)
            except Exception as error:  # whatever it is: say it, and keep looking after the job
                self._log(f"{self.name}: {type(error).__name__}: {error}")
                self._show("waiting", f"{type(error).__name__}: {error}"[:200])
            self._halt.wait(READY_LOOP_S if self.state.state == "ready" else LOOP_S)

    def _turn(self) -> None:
        if self._wanted_generation == 0:
            self._show("stopped")
            return
        if self._wanted_generation != self._generation:
            self._generation = self._wanted_generation
            self._forgive()
        book = ledger.read(self._settings, self.name)
        request = requests.take(self._settings, self.name)
        if request:
            self._carry_out(request, book)
            return
        if time.monotonic() < self._suspended_until:
            self._show("stopped", "with a savepoint; the stack goes down")
            return
        if book.desired == "stopped":
            self._show("stopped", f"on purpose; `cdp job start {self.name}` starts it")
            return
        self._look_after(book)

    def _look_after(self, book: Ledger) -> None:
        waiting_for = self._waiting_for()
        if waiting_for:
            self._watch.forget()
            self._show("waiting", f"for {', '.join(waiting_for)}")
            return
        run = book.runs[-1] if book.runs else None
        found = self._rest.job(run.job_id) if run else None
        if run and found and found.state not in TERMINAL:
            self._seen = run.job_id
            if found.is_running:
                self._judge(book, run, found)
            else:
                self._watch.forget()
                self._show("starting", found.state.lower())
            return
        if run and found and found.state in ("FINISHED", "CANCELED") and run.job_id != book.ended_by_us:
            # Somebody ended it through Flink itself: their will, and not an accident.
            self._log(f"{self.name}: {found.state.lower()} from outside")
            book.desired = "stopped"
            ledger.write(self._settings, self.name, book)
            return
        if run and run.job_id != self._mourned and (found or run.job_id == self._seen):
            self._mourned = run.job_id
            self._failed(f"failed: {self._rest.failure(run.job_id)}" if found else f"the cluster does not know run {run.job_id} any more")
        self._watch.forget()
        if self._bound.is_spent or self._unsubmitted >= SUBMISSIONS:
            self._show("failed", f"gave up after {counted(self._bound.recent)}: {self.state.detail}", keep=True)
        elif time.monotonic() >= self._not_before:
            try:
                self._go_on(book, run)
            except RefusedError as error:  # only a person can decide; but what is missing may come back by itself
                self._not_before = time.monotonic() + REFUSED_AGAIN_S
                self._show("failed", f"{error.problem}; {error.remedy}")

    def _go_on(self, book: Ledger, run: Run | None) -> None:
        """Submit the next run, from the newest point; what was allowed for a start holds until it has a point of its own."""
        point = ledger.choose(self._settings, self.name, book)
        again = run if run and point and run.start and point.path == run.start.path else None
        accepts_loss = bool(again and again.accepts_loss)
        book.topic_ids = start_checks.check(self._settings.kafka, self.name, self._job, book, point, accepts_loss)
        rewound = bool(again and again.rewound)
        self._submit(book, point, rewound, accepts_loss, run.parallelism if run else self._job.parallelism)

    def _judge(self, book: Ledger, run: Run, found: JobState) -> None:
        """All tasks of the job run: it is ready while its checkpoints complete; when they do not for long, it is started anew."""
        newest = ledger.newest_checkpoint(self._settings, run)
        health = self._watch.look(run.job_id, newest.checkpoint_id if newest else 0)
        waited = f"no checkpoint has completed for {self._watch.waited_s:.0f} s"
        if health == "healthy":
            if self.state.state != "ready":
                self.state.started = found.since
                self.state.ready_after_s = time.monotonic() - self._began
            self._show("ready")
            self._clean(book)
            self._seal(newest)
        elif health == "starting":
            self._show("starting", "its first checkpoint")
        elif health == "late" or self._stalls.is_spent:
            given_up = self._stalls.is_spent and health == "stalled"
            self._show("failed" if given_up else "waiting", f"{waited}{f', {STALLS} restarts did not help' if given_up else ''}")
        else:
            self._log(f"{self.name}: {waited}: ending run {run.job_id}, the next one starts from its newest checkpoint")
            book.ended_by_us = run.job_id
            ledger.write(self._settings, self.name, book)
            self._rest.cancel(run.job_id, CANCEL_WITHIN_S)
            self._mourned = run.job_id
            self._stalls.record()
            self._watch.forget()
            self._failed(waited)

    def _carry_out(self, request: Request, book: Ledger) -> None:
        try:
            action = {"start": self._start, "stop": self._stop, "savepoint": self._savepoint, "suspend": self._suspend}[request.action]
            given = action(request, book)
        except StackError as error:
            given = Answer(id=request.id, problem=error.problem, remedy=error.remedy)
        except Exception as error:
            given = Answer(id=request.id, problem=f"{type(error).__name__}: {error}", remedy="see `cdp logs supervisor`")
        requests.answer(self._settings, self.name, given)

    def _start(self, request: Request, book: Ledger) -> Answer:
        running = self._running(book)
        if running:
            raise StackError(f"{self.name} runs already{self._ailing(running)}", f"`cdp job stop {self.name}` stops it")
        point = ledger.choose(self._settings, self.name, book, request.path, request.rewind)
        book.topic_ids = start_checks.check(self._settings.kafka, self.name, self._job, book, point, request.accept_loss)
        # Written down before anything is submitted: a start that has to be tried again keeps its point.
        rewound = bool(request.path) and request.rewind
        parallelism = request.parallelism or (book.runs[-1].parallelism if book.runs else self._job.parallelism)
        book.desired = "running"
        book.runs.append(Run(uuid.uuid4().hex, time.time(), point, parallelism, rewound, request.accept_loss))
        ledger.write(self._settings, self.name, book)
        self._suspended_until = 0.0
        self._forgive()
        self._is_awaited = True
        self._show("waiting", "to be submitted")
        return Answer(id=request.id, said=f"starting from {_words(point)}", path=point.path if point else "")

    def _stop(self, request: Request, book: Ledger) -> Answer:
        running = self._running(book)
        if running is None:
            book.desired = "stopped"
            ledger.write(self._settings, self.name, book)
            self._show("stopped", "on purpose")
            return Answer(id=request.id, said="it was not running")
        made, said = self._end(running, book, request.keep_savepoint)
        book.desired = "stopped"
        ledger.write(self._settings, self.name, book)
        self._show("stopped", "on purpose")
        return Answer(id=request.id, said=said, path=made.path if made else "")

    def _end(self, running: Run, book: Ledger, keep_savepoint: bool) -> tuple[Point | None, str]:
        """End a run, with a savepoint if it can make one; for one that fails again and again its newest checkpoint has to do."""
        ailing = self._ailing(running) if keep_savepoint else ""
        if keep_savepoint and not ailing:
            restarts = self._rest.restarts(running.job_id)
            try:
                return self._make_savepoint(running, book, stop=True, within_s=STOP_WITHIN_S), "stopped"
            except StackError as error:
                ailing = self._ailing(running, restarts)
                if not ailing:
                    remedy = f"{error.remedy}; `cdp job stop {self.name} --no-savepoint` stops it, its newest checkpoint is kept"
                    raise StackError(error.problem, remedy) from error
        self._rest.cancel(running.job_id, STOP_WITHIN_S)
        point = ledger.newest(self._settings, book)
        goes_on = f"`cdp job start {self.name}` goes on from {_words(point)}"
        return None, f"stopped without a savepoint{ailing}; {goes_on}" if ailing else f"stopped; {goes_on}"

    def _ailing(self, run: Run, restarts_before: int | None = None) -> str:
        """Why a run that has not ended is not well, as the end of a sentence; empty when it is."""
        found = self._rest.job(run.job_id)
        is_restarting = found is not None and not found.is_running and found.state in ("RESTARTING", "FAILING", "CREATED", "RUNNING")
        has_restarted = restarts_before is not None and self._rest.restarts(run.job_id) > restarts_before
        why = self._rest.failure(run.job_id) if is_restarting or has_restarted else ""
        return f": it fails and is restarted ({why})" if why and why != NO_REASON else ""

    def _savepoint(self, request: Request, book: Ledger) -> Answer:
        running = self._running(book)
        if running is None:
            raise StackError(f"{self.name} does not run", f"`cdp job start {self.name}` starts it")
        made = self._make_savepoint(running, book, stop=False, within_s=STOP_WITHIN_S)
        ledger.write(self._settings, self.name, book)
        return Answer(id=request.id, said="savepoint made", path=made.path)

    def _suspend(self, request: Request, book: Ledger) -> Answer:
        running = self._running(book)
        if running is None or self.state.state != "ready":
            raise StackError(f"{self.name} is {self.state.state}", "it goes on from its newest point")
        book.ended_by_us = running.job_id
        ledger.write(self._settings, self.name, book)
        made = self._make_savepoint(running, book, stop=True, within_s=request.within_s)
        ledger.write(self._settings, self.name, book)
        self._suspended_until = time.monotonic() + GOING_DOWN_S  # should whoever takes the stack down die meanwhile, the job goes on
        self._show("stopped", "with a savepoint; the stack goes down")
        return Answer(id=request.id, said="stopped with a savepoint", path=made.path)

    def _make_savepoint(self, run: Run, book: Ledger, stop: bool, within_s: float) -> Point:
        folder = self._settings.savepoints / self.name
        self._log(f"{self.name}: {'stopping with a savepoint' if stop else 'making a savepoint'}")
        made, number = self._rest.savepoint(run.job_id, folder, stop, within_s)
        checkpoint_files.seal(self._settings, self.name, made)
        now = time.time()
        version = metadata.version("open-cdp")
        ledger.write_manifest(made, Manifest(self.name, version, ledger.EXECUTION_MODE, now, run.job_id, number, run.parallelism))
        point = Point(str(made), "savepoint", run.job_id, number, now)
        book.savepoints.append(point)
        self._log(f"{self.name}: savepoint {made}")
        return point

    def _running(self, book: Ledger) -> Run | None:
        if not book.runs:
            return None
        found = self._rest.job(book.runs[-1].job_id)
        return book.runs[-1] if found and found.state not in TERMINAL else None

    def _waiting_for(self) -> list[str]:
        names = [*self._job.needs, "jobmanager", *(name for name in self._peers if name.startswith("taskmanager"))]
        return [name for name in names if name in self._peers and self._peers[name].state.state != "ready"]

    def _submit(self, book: Ledger, point: Point | None, rewound: bool, accepts_loss: bool, parallelism: int) -> None:
        if not self._has_current_code() or not self._has_slots(parallelism):
            return
        number = ledger.next_number(book, time.time())
        run = Run(uuid.uuid4().hex, time.time(), point, parallelism, rewound, accepts_loss, number)
        book.runs.append(run)
        ledger.write(self._settings, self.name, book)
        self._log(f"{self.name}: submitting run {run.job_id}, parallelism {run.parallelism}, from {_words(point)}")
        self._show("starting", f"submitting, from {_words(point)}")
        self._began = began = time.monotonic()
        log = self._settings.logs / f"{self.name}.log"
        said_before = log.stat().st_size if log.exists() else 0
        code = self._call_client(run)
        if code:
            said = submission.said_since(log, said_before)
            # An error of the job's own program comes again however often it is tried, and somebody waits for it.
            is_told = self._is_awaited and submission.is_of_the_program(said)
            self._unsubmitted = SUBMISSIONS if is_told else self._unsubmitted + 1
            self._failed(f"the submission failed: {submission.error(said) or f'see `cdp logs {self.name}`'}")
        else:
            self._unsubmitted = 0
            self._is_awaited = False
            self._log(f"{self.name}: submitted after {time.monotonic() - began:.1f} s")

    def _call_client(self, run: Run) -> int:
        arguments = ["run", "-d", "-t", "remote", f"-D$internal.pipeline.job-id={run.job_id}", "-p", str(run.parallelism)]
        arguments += ["-s", run.start.path, "-D", "execution.state-recovery.claim-mode=NO_CLAIM"] if run.start else []
        arguments += ["-py", str(self._job.path)]
        env = child_environment(self._settings, f"submit-{self.name}") | flink.environment(self._settings)
        env |= {"CDP_JOB": self.name, "CDP_JOB_PARALLELISM": str(run.parallelism), "CDP_JOB_REWOUND": "1" if run.rewound else ""}
        env |= {"CDP_JOB_RUN": str(run.number)}
        with (self._settings.logs / f"{self.name}.log").open("ab") as output:
            command = flink.client_command(self._settings, arguments)
            child = subprocess.Popen(
                command, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd=PROJECT
            )
            deadline = time.monotonic() + SUBMIT_WITHIN_S
            while child.poll() is None:
                if self._halt.wait(0.05) or time.monotonic() > deadline:
                    child.kill()
                    child.wait()
            return child.returncode

    def _has_current_code(self) -> bool:
        """Whether TaskManagers and other jobs run the code and read the definitions as they are now; if not they are started anew first."""
        now = source.fingerprint(self._settings)
        stale = [(peer, record) for peer in self._peers.values() if (record := peer.record) and record.code not in ("", now)]
        for peer, record in stale:
            peer.renew(record.identity, "the code has changed")
        if stale:
            self._show("waiting", "for processes with the current code")
        return not stale

    def _has_slots(self, parallelism: int) -> bool:
        needed, free = parallelism * self._job.slots, self._rest.free_slots()
        if free < needed:
            self._show("waiting", f"for {needed} free slots, there are {free} (config/stack.yaml: flink.task_managers)")
        return free >= needed

    def _failed(self, detail: str) -> None:
        self._bound.record()
        self.state.restarts += 1
        self._not_before = time.monotonic() + self._bound.backoff_s
        self._log(f"{self.name}: {detail}; failure {self._bound.recent} of {self._settings.stack.supervision.restarts} allowed")
        self._show("waiting", detail)

    def _forgive(self) -> None:
        self._bound.forgive()
        self._stalls.forgive()
        self._not_before = 0.0
        self._unsubmitted = 0

    def _clean(self, book: Ledger) -> None:
        if time.monotonic() - self._last_clean < CLEAN_EVERY_S:
            return
        self._last_clean = time.monotonic()
        for folder in ledger.forget_earlier_runs(self._settings, book):
            shutil.rmtree(folder, ignore_errors=True)

    def _seal(self, newest: Point | None) -> None:
        """Now and then bring the newest checkpoint to disk; what a power cut may cost is what came after it."""
        if newest is None or newest.path == self._sealed or time.monotonic() - self._last_seal < SEAL_EVERY_S:
            return
        self._last_seal = time.monotonic()
        if checkpoint_files.seal(self._settings, self.name, Path(newest.path)):
            self._sealed = newest.path

    def _show(self, state: State, detail: str = "", keep: bool = False) -> None:
        if state != self.state.state:
            self.state.since = time.time()
        elif keep:
            return
        self.state.state, self.state.detail = state, detail


def _words(point: Point | None) -> str:
    return f"{point.kind} {point.path}" if point else "the beginning"
