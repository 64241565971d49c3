"""Flink's REST interface, as far as the stack needs it."""

import time
from pathlib import Path
from typing import Any

import msgspec
import urllib3

from stack import rest_certificate
from stack.errors import StackError
from stack.settings import Settings

TERMINAL = {"FAILED", "FINISHED", "CANCELED"}
NO_REASON = "no reason given"


class JobState(msgspec.Struct, frozen=True):
    """A job as the JobManager sees it. `is_running`: every task of it runs."""

    state: str
    is_running: bool
    since: float


class Checkpoint(msgspec.Struct, frozen=True):
    """The latest completed checkpoint. Times in seconds, size in bytes."""

    id: int
    at: float
    size: int
    took_s: float


class Rest:
    """A client of the JobManager of one stack.

    Args:
        settings: which stack.
        timeout_s: how long one request may take.
    """

    def __init__(self, settings: Settings, timeout_s: float = 5.0) -> None:
        self._settings, self._timeout_s = settings, timeout_s

    def get(self, path: str) -> Any:
        """What the interface says at a path, decoded; None for 404.

        Raises:
            StackError: no JobManager answers, or it refuses.
        """
        return self._call("GET", path)

    def job(self, job_id: str) -> JobState | None:
        """State of a job, or None when the JobManager does not know it.

        Raises:
            StackError: no JobManager answers.
        """
        found = self._call("GET", f"/jobs/{job_id}")
        if found is None:
            return None
        tasks = [task["status"] for task in found["vertices"]]
        is_running = found["state"] == "RUNNING" and all(task in ("RUNNING", "FINISHED") for task in tasks)
        return JobState(found["state"], is_running, found["timestamps"].get(found["state"], 0) / 1000)

    def failure(self, job_id: str) -> str:
        """The first line that tells why a job failed."""
        found = self._call("GET", f"/jobs/{job_id}/exceptions?maxExceptions=1") or {}
        entries = found.get("exceptionHistory", {}).get("entries", [])
        lines = [line.strip() for line in entries[0]["stacktrace"].splitlines()] if entries else []
        causes = [line for line in lines if line.startswith("Caused by:")]
        return (causes[-1] if causes else lines[0] if lines else NO_REASON)[:300]

    def free_slots(self) -> int:
        """Slots that no job holds."""
        return int((self._call("GET", "/overview") or {}).get("slots-available", 0))

    def checkpoint(self, job_id: str) -> Checkpoint | None:
        """The latest completed checkpoint of a job, or None."""
        found = ((self._call("GET", f"/jobs/{job_id}/checkpoints") or {}).get("latest") or {}).get("completed")
        if not found:
            return None
        return Checkpoint(found["id"], found["latest_ack_timestamp"] / 1000, found["state_size"], found["end_to_end_duration"] / 1000)

    def restarts(self, job_id: str) -> int:
        """How often Flink itself has restarted a job."""
        found: Any = self._call("GET", f"/jobs/{job_id}/metrics?get=numRestarts") or []
        return int(found[0]["value"]) if found else 0

    def cancel(self, job_id: str, deadline_s: float) -> None:
        """Cancel a job and wait for its end."""
        self._call("PATCH", f"/jobs/{job_id}?mode=cancel")
        self._await_end(job_id, deadline_s)

    def savepoint(self, job_id: str, folder: Path, stop: bool, deadline_s: float) -> Path:
        """Make a savepoint; with `stop`, end the job with it, so that nothing comes after it.

        Returns:
            Its folder. Its id is in its files (`checkpoint_files.checkpoint_id`): what Flink's REST interface says of checkpoints is up
            to three seconds old (`web.refresh-interval`), and then of the savepoint before.

        Raises:
            StackError: Flink could not make it; the job then goes on.
        """
        # The two requests spell the folder differently, and ignore what they do not know.
        place: dict[str, object] = (
            {"targetDirectory": f"file://{folder}", "drain": False} if stop else {"target-directory": f"file://{folder}"}
        )
        body = place | {"formatType": "CANONICAL"}
        asked = self._call("POST", f"/jobs/{job_id}/{'stop' if stop else 'savepoints'}", body)
        if asked is None:
            raise StackError(f"Flink does not know job {job_id}", "see `cdp jobs`")
        deadline = time.monotonic() + deadline_s
        while time.monotonic() < deadline:
            found = self._call("GET", f"/jobs/{job_id}/savepoints/{asked['request-id']}") or {}
            if found.get("status", {}).get("id") == "COMPLETED":
                operation = found["operation"]
                if "location" not in operation:
                    reason = str(operation.get("failure-cause", {}).get("class", "unknown"))
                    raise StackError(f"Flink could not make the savepoint: {reason}", "see `cdp logs jobmanager`; the job goes on")
                if stop:
                    self._await_end(job_id, deadline - time.monotonic())
                return Path(operation["location"].removeprefix("file:"))
            time.sleep(0.1)
        raise StackError(f"no savepoint after {deadline_s:.0f} s", "see `cdp logs jobmanager`")

    def _await_end(self, job_id: str, deadline_s: float) -> None:
        deadline = time.monotonic() + deadline_s
        while time.monotonic() < deadline:
            state = self.job(job_id)
            if state is None or state.state in TERMINAL:
                return
            time.sleep(0.1)
        raise StackError(f"job {job_id} did not end within {deadline_s:.0f} s", "see `cdp logs jobmanager`")

    def _call(self, method: str, path: str, body: dict[str, object] | None = None) -> dict[str, Any] | None:
        """One request; None for 404."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            answer = rest_certificate.connections(self._settings.secrets).request(
                method,
                f"{self._settings.flink}{path}",
                body=msgspec.json.encode(body) if body is not None else None,
                headers=headers,
                timeout=self._timeout_s,
                retries=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise StackError("Flink's JobManager does not answer", "see `cdp status`") from error
        if answer.status == 404:
            return None
        if answer.status >= 400:
            raise StackError(f"Flink refused {method} {path}: {answer.data.decode(errors='replace')[:300]}", "see `cdp logs jobmanager`")
        found: dict[str, Any] = answer.json()
        return found
