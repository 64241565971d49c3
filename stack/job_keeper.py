"""Keeps one Flink job running: submits it, watches it, and brings it back from its newest point when the cluster has lost it."""

import shutil
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

from stack import checkpoint_files, link_log, log_errors, offsets, requests, run_book, source, start_checks, submission
from stack.checkpoint_watch import CheckpointWatch
from stack.errors import RefusedError, StackError
from stack.flink_rest import TERMINAL, JobState, Rest
from stack.job_runs import STOP_WITHIN_S, JobRuns
from stack.jobs import Job
from stack.keeper import Bound, Keeper, Log, counted
from stack.reading_watch import ReadingWatch
from stack.requests import Answer, Request
from stack.run_book import Point, Run, RunBook, in_words
from stack.service_keeper import ServiceKeeper
from stack.settings import Settings

LOOP_S = 0.25
READY_LOOP_S = 0.5
CLEAN_EVERY_S = 30.0
SEAL_EVERY_S = 10.0
CANCEL_WITHIN_S = 30.0
GOING_DOWN_S = 60.0
REFUSED_AGAIN_S = 5.0
STALLS, STALLS_WITHIN_S = 3, 3600.0  # a job that stalls again and again does so for a reason that a restart does not mend
SUBMISSIONS = 3  # a submission that fails thrice in a row fails for a reason that time does not mend


class JobKeeper(Keeper):
    """Keeps one Flink job as it is wanted, and carries out what people ask of it."""

    def __init__(self, name: str, job: Job, settings: Settings, peers: Mapping[str, ServiceKeeper], log: Log) -> None:
        super().__init__(name, settings, log)
        self._job, self._peers = job, peers
        self._rest = Rest(settings)
        self._runs = JobRuns(name, settings, self._rest, log)
        supervision = settings.stack.supervision
        late_s, stalled_s = supervision.checkpoint_late_s, supervision.checkpoint_stalled_s
        self._watch = CheckpointWatch(late_s, stalled_s)
        self._reading = ReadingWatch(late_s, stalled_s, lambda: offsets.positions(job), offsets.waiting)
        self._stalls = Bound(STALLS - 1, STALLS_WITHIN_S)
        self._last_clean = self._last_seal = 0.0
        self._sealed = ""
        self._suspended_until = 0.0
        self._began = time.monotonic()
        self._unsubmitted = 0
        self._is_awaited = False  # whether somebody has asked for it to start and waits
        self._seen = self._mourned = ""  # the run that was seen alive last, and the one whose end has been counted

    def adopt(self) -> None:
        """Nothing to take over: the run book says which run is the job's."""

    @property
    def _pause_s(self) -> float:
        return READY_LOOP_S if self.state.state == "ready" else LOOP_S

    def _trouble(self, error: Exception) -> None:
        if isinstance(error, StackError):
            self._show("waiting", error.problem)
            return
        self._log(f"{self.name}: {type(error).__name__}: {error}")
        self._show("waiting", f"{type(error).__name__}: {error}"[:200])

    def _turn(self) -> None:
        if self._wanted_generation == 0:
            self._show("stopped")
            return
        if self._wanted_generation != self._generation:
            self._generation = self._wanted_generation
            self._forgive()
        book = run_book.read(self._settings, self.name)
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

    def _look_after(self, book: RunBook) -> None:
        waiting_for = self._waiting_for()
        if waiting_for:
            self._forget_watches()
            self._show("waiting", f"for {', '.join(waiting_for)}")
            return
        run = book.runs[-1] if book.runs else None
        found = self._rest.job(run.job_id) if run else None
        if run and found and found.state not in TERMINAL:
            self._seen = run.job_id
            if found.is_running:
                self._judge(book, run, found)
            else:
                self._forget_watches()
                self._show("starting", found.state.lower())
            return
        if run and found and found.state in ("FINISHED", "CANCELED") and run.job_id != book.ended_by_us:
            # Somebody ended it through Flink itself: their will, and not an accident.
            self._log(f"{self.name}: {found.state.lower()} from outside")
            book.desired = "stopped"
            run_book.write(self._settings, self.name, book)
            return
        if run and run.job_id != self._mourned and (found or run.job_id == self._seen):
            self._mourned = run.job_id
            self._failed(f"failed: {self._rest.failure(run.job_id)}" if found else f"the cluster does not know run {run.job_id} any more")
        self._forget_watches()
        if self._bound.is_spent or self._unsubmitted >= SUBMISSIONS:
            self._show("failed", f"gave up after {counted(self._bound.recent)}: {self.state.detail}", keep=True)
        elif time.monotonic() >= self._not_before:
            try:
                self._go_on(book, run)
            except RefusedError as error:  # only a person can decide; but what is missing may come back by itself
                self._not_before = time.monotonic() + REFUSED_AGAIN_S
                self._show("failed", f"{error.problem}; {error.remedy}")

    def _go_on(self, book: RunBook, run: Run | None) -> None:
        """Submit the next run, from the newest point; what was allowed for a start holds until it has a point of its own."""
        point = run_book.choose(self._settings, self.name, book)
        again = run if run and point and run.start and point.path == run.start.path else None
        accepts_loss = bool(again and again.accepts_loss)
        book.topic_ids = start_checks.check(self._settings, self.name, self._job, book, point, accepts_loss)
        rewound = bool(again and again.rewound)
        self._submit(book, point, rewound, accepts_loss, run.parallelism if run else self._job.parallelism)

    def _judge(self, book: RunBook, run: Run, found: JobState) -> None:
        """All tasks of the job run: it is ready while its checkpoints complete and it reads; when not for long, it is started anew."""
        newest = run_book.newest_checkpoint(self._settings, run)
        health = self._watch.look(run.job_id, newest.checkpoint_id if newest else 0)
        waited = f"no checkpoint has completed for {self._watch.waited_s:.0f} s"
        if health == "healthy":
            health, waited = self._reading.look(), self._reading.says
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
            run_book.write(self._settings, self.name, book)
            self._rest.cancel(run.job_id, CANCEL_WITHIN_S)
            self._mourned = run.job_id
            self._stalls.record()
            self._forget_watches()
            self._failed(waited)

    def _forget_watches(self) -> None:
        self._watch.forget()
        self._reading.forget()

    def _carry_out(self, request: Request, book: RunBook) -> None:
        try:
            action = {"start": self._start, "stop": self._stop, "savepoint": self._savepoint, "suspend": self._suspend}[request.action]
            given = action(request, book)
        except StackError as error:
            given = Answer(id=request.id, problem=error.problem, remedy=error.remedy)
        except Exception as error:  # whoever asked waits for an answer
            self._log(f"{self.name}: {request.action}: {type(error).__name__}: {error}")
            given = Answer(id=request.id, problem=f"{type(error).__name__}: {error}", remedy="see `cdp logs supervisor`")
        requests.answer(self._settings, self.name, given)

    def _start(self, request: Request, book: RunBook) -> Answer:
        running = self._runs.running(book)
        if running:
            raise StackError(f"{self.name} runs already{self._runs.ailing(running)}", f"`cdp job stop {self.name}` stops it")
        point = run_book.choose(self._settings, self.name, book, request.path, request.rewind)
        book.topic_ids = start_checks.check(self._settings, self.name, self._job, book, point, request.accept_loss)
        # Written down before anything is submitted: a start that has to be tried again keeps its point.
        rewound = bool(request.path) and request.rewind
        parallelism = request.parallelism or (book.runs[-1].parallelism if book.runs else self._job.parallelism)
        book.desired = "running"
        book.runs.append(Run(uuid.uuid4().hex, time.time(), point, parallelism, rewound, request.accept_loss))
        run_book.write(self._settings, self.name, book)
        self._suspended_until = 0.0
        self._forgive()
        self._is_awaited = True
        self._show("waiting", "to be submitted")
        return Answer(id=request.id, said=f"starting from {in_words(point)}", path=point.path if point else "")

    def _stop(self, request: Request, book: RunBook) -> Answer:
        running = self._runs.running(book)
        if running is None:
            book.desired = "stopped"
            run_book.write(self._settings, self.name, book)
            self._show("stopped", "on purpose")
            return Answer(id=request.id, said="it was not running")
        made, said = self._runs.end(running, book, request.keep_savepoint)
        book.desired = "stopped"
        run_book.write(self._settings, self.name, book)
        self._show("stopped", "on purpose")
        return Answer(id=request.id, said=said, path=made.path if made else "")

    def _savepoint(self, request: Request, book: RunBook) -> Answer:
        running = self._runs.running(book)
        if running is None:
            raise StackError(f"{self.name} does not run", f"`cdp job start {self.name}` starts it")
        made = self._runs.savepoint(running, book, stop=False, within_s=STOP_WITHIN_S)
        run_book.write(self._settings, self.name, book)
        return Answer(id=request.id, said="savepoint made", path=made.path)

    def _suspend(self, request: Request, book: RunBook) -> Answer:
        running = self._runs.running(book)
        if running is None or self.state.state != "ready":
            raise StackError(f"{self.name} is {self.state.state}", "it goes on from its newest point")
        book.ended_by_us = running.job_id
        run_book.write(self._settings, self.name, book)
        made = self._runs.savepoint(running, book, stop=True, within_s=request.within_s)
        run_book.write(self._settings, self.name, book)
        self._suspended_until = time.monotonic() + GOING_DOWN_S  # should whoever takes the stack down die meanwhile, the job goes on
        self._show("stopped", "with a savepoint; the stack goes down")
        return Answer(id=request.id, said="stopped with a savepoint", path=made.path)

    def _waiting_for(self) -> list[str]:
        names = [*self._job.needs, "jobmanager", *(name for name in self._peers if name.startswith("taskmanager"))]
        return [name for name in names if name in self._peers and self._peers[name].state.state != "ready"]

    def _submit(self, book: RunBook, point: Point | None, rewound: bool, accepts_loss: bool, parallelism: int) -> None:
        if not self._has_current_code() or not self._has_slots(parallelism):
            return
        for tenant in link_log.begin(self._settings, self._job):
            self._log(f"{self.name}: the link log of {tenant} begins with the limits in force")
        number = run_book.next_number(book, time.time())
        run = Run(uuid.uuid4().hex, time.time(), point, parallelism, rewound, accepts_loss, number)
        book.runs.append(run)
        run_book.write(self._settings, self.name, book)
        self._log(f"{self.name}: submitting run {run.job_id}, parallelism {run.parallelism}, from {in_words(point)}")
        self._show("starting", f"submitting, from {in_words(point)}")
        self._began = began = time.monotonic()
        log = self._settings.logs / f"{self.name}.log"
        said_before = log.stat().st_size if log.exists() else 0
        code = submission.submit(self._settings, self.name, self._job.path, run, self._halt)
        if code:
            said = log_errors.said_since(log, said_before)
            # An error of the job's own program comes again however often it is tried, and somebody waits for it.
            is_told = self._is_awaited and log_errors.is_of_the_program(said)
            self._unsubmitted = SUBMISSIONS if is_told else self._unsubmitted + 1
            self._failed(f"the submission failed: {log_errors.of_submission(said) or f'see `cdp logs {self.name}`'}")
        else:
            self._unsubmitted = 0
            self._is_awaited = False
            self._log(f"{self.name}: submitted after {time.monotonic() - began:.1f} s")

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

    def _forgive(self) -> None:
        self._bound.forgive()
        self._stalls.forgive()
        self._not_before = 0.0
        self._unsubmitted = 0

    def _clean(self, book: RunBook) -> None:
        if time.monotonic() - self._last_clean < CLEAN_EVERY_S:
            return
        self._last_clean = time.monotonic()
        for folder in run_book.forget_earlier_runs(self._settings, book):
            shutil.rmtree(folder, ignore_errors=True)

    def _seal(self, newest: Point | None) -> None:
        """Now and then bring the newest checkpoint to disk; what a power cut may cost is what came after it."""
        if newest is None or newest.path == self._sealed or time.monotonic() - self._last_seal < SEAL_EVERY_S:
            return
        self._last_seal = time.monotonic()
        if checkpoint_files.seal(self._settings, self.name, Path(newest.path)):
            self._sealed = newest.path
