"""The runs of a Flink job on the cluster: which one is there, whether it is well, its savepoints, and its end."""

import time
from importlib import metadata

from stack import checkpoint_files, run_book
from stack.errors import StackError
from stack.flink_rest import NO_REASON, TERMINAL, Rest
from stack.keeper import Log
from stack.run_book import Manifest, Point, Run, RunBook, in_words
from stack.settings import Settings

STOP_WITHIN_S = 300.0


class JobRuns:
    """What can be asked and done about the runs of one job.

    Args:
        job: its name.
        settings: which stack.
        rest: of the JobManager.
        log: takes a line for people.
    """

    def __init__(self, job: str, settings: Settings, rest: Rest, log: Log) -> None:
        self._job, self._settings, self._rest, self._log = job, settings, rest, log

    def end(self, running: Run, book: RunBook, keep_savepoint: bool) -> tuple[Point | None, str]:
        """End a run, with a savepoint if it can make one; for one that fails again and again its newest checkpoint has to do.

        Returns:
            The savepoint, if one was made, and what happened, in words.

        Raises:
            StackError: a run that is well could not make its savepoint; it goes on.
        """
        ailing = self.ailing(running) if keep_savepoint else ""
        if keep_savepoint and not ailing:
            restarts = self._rest.restarts(running.job_id)
            try:
                return self.savepoint(running, book, stop=True, within_s=STOP_WITHIN_S), "stopped"
            except StackError as error:
                ailing = self.ailing(running, restarts)
                if not ailing:
                    remedy = f"{error.remedy}; `cdp job stop {self._job} --no-savepoint` stops it, its newest checkpoint is kept"
                    raise StackError(error.problem, remedy) from error
        self._rest.cancel(running.job_id, STOP_WITHIN_S)
        point = run_book.newest(self._settings, book)
        goes_on = f"`cdp job start {self._job}` goes on from {in_words(point)}"
        return None, f"stopped without a savepoint{ailing}; {goes_on}" if ailing else f"stopped; {goes_on}"

    def ailing(self, run: Run, restarts_before: int | None = None) -> str:
        """Why a run that has not ended is not well, as the end of a sentence; empty when it is."""
        found = self._rest.job(run.job_id)
        is_restarting = found is not None and not found.is_running and found.state in ("RESTARTING", "FAILING", "CREATED", "RUNNING")
        has_restarted = restarts_before is not None and self._rest.restarts(run.job_id) > restarts_before
        why = self._rest.failure(run.job_id) if is_restarting or has_restarted else ""
        return f": it fails and is restarted ({why})" if why and why != NO_REASON else ""

    def savepoint(self, run: Run, book: RunBook, stop: bool, within_s: float) -> Point:
        """Make a savepoint, bring it to disk and enter it in the run book, which the caller writes; with `stop` it is the run's end.

        Raises:
            StackError: Flink could not make it within the time, and the run goes on; or what it made cannot be read.
        """
        folder = self._settings.savepoints / self._job
        self._log(f"{self._job}: {'stopping with a savepoint' if stop else 'making a savepoint'}")
        made = self._rest.savepoint(run.job_id, folder, stop, within_s)
        number = checkpoint_files.checkpoint_id(made)
        checkpoint_files.seal(self._settings, self._job, made)
        now = time.time()
        version = metadata.version("open-cdp")
        run_book.write_manifest(made, Manifest(self._job, version, run_book.EXECUTION_MODE, now, run.job_id, number, run.parallelism))
        point = Point(str(made), "savepoint", run.job_id, number, now)
        book.savepoints.append(point)
        self._log(f"{self._job}: savepoint {made}")
        return point

    def running(self, book: RunBook) -> Run | None:
        """The run that the cluster has not ended; None when there is none."""
        if not book.runs:
            return None
        found = self._rest.job(book.runs[-1].job_id)
        return book.runs[-1] if found and found.state not in TERMINAL else None
