"""What Flink itself says: where the operators run, how busy they are, how large their state is."""

import re
from typing import Any

import msgspec

from stack import run_book
from stack.flink_rest import Rest
from stack.settings import Settings

JOB = "profiles"
STAGES = ("decode", "node", "profile")
# A task's name chains those of its operators: `Source: read -> (decode, ...)`.
_SEPARATORS = re.compile(r"->|[(),\[\]]")
_LOAD = ("busyTimeMsPerSecond", "backPressuredTimeMsPerSecond", "idleTimeMsPerSecond")


class ClusterError(RuntimeError):
    """The job is not where or what it should be."""


class Vertex(msgspec.Struct, frozen=True):
    """A task of the job: its id, name, stage (the operator of ours in it, else empty) and the TaskManager it runs in."""

    id: str
    name: str
    stage: str
    task_manager: str


class Busy(msgspec.Struct, frozen=True):
    """Shares of a task's time."""

    busy: float
    back_pressured: float
    idle: float


class StateSize(msgspec.Struct, frozen=True):
    """Bytes of state by stage, in one checkpoint or savepoint."""

    id: int
    bytes: dict[str, int]


class Checkpoints(msgspec.Struct, frozen=True):
    """Counts since the job's start, and how long the last ones took."""

    completed: int
    failed: int
    mean_s: float
    longest_s: float


class Cluster:
    """The job `profiles` on its cluster.

    Args:
        settings: which stack.

    Raises:
        ClusterError: the job has not been submitted.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.rest = Rest(settings, timeout_s=20.0)
        runs = run_book.read(settings, JOB).runs
        if not runs:
            raise ClusterError(f"job {JOB} was never submitted")
        self.job_id = runs[-1].job_id

    def trouble(self) -> str:
        """Why figures taken until now are worth nothing: the job was restarted, or does not run; empty when all is well."""
        runs = [run.job_id for run in run_book.read(self._settings, JOB).runs]
        if runs[-1] != self.job_id:
            return f"job {JOB} was submitted again during the run"
        state = self.rest.job(self.job_id)
        if state is None or state.state != "RUNNING":
            return f"job {JOB} is {state.state.lower() if state else 'gone'}: {self.rest.failure(self.job_id) if state else ''}"
        restarts = self.rest.restarts(self.job_id)
        return f"job {JOB} was restarted {restarts} times during the run: {self.rest.failure(self.job_id)}" if restarts else ""

    def vertices(self) -> list[Vertex]:
        """The job's tasks.

        Raises:
            ClusterError: a stage is missing.
        """
        found = []
        for vertex in self._get("")["vertices"]:
            subtasks = self._get(f"/vertices/{vertex['id']}")["subtasks"]
            names = {part.strip() for part in _SEPARATORS.split(vertex["name"])}
            stage = next((stage for stage in STAGES if stage in names), "")
            found.append(Vertex(vertex["id"], vertex["name"], stage, subtasks[0]["taskmanager-id"]))
        missing = set(STAGES) - {vertex.stage for vertex in found}
        if missing:
            raise ClusterError(f"no task of job {JOB} holds {', '.join(sorted(missing))}: {[vertex.name for vertex in found]}")
        return found

    def busy(self, vertex: Vertex) -> Busy:
        """How busy a task is, as of its last second."""
        metrics = self._get(f"/vertices/{vertex.id}/subtasks/metrics?get={','.join(_LOAD)}&agg=avg")
        by_name = {metric["id"]: float(metric["avg"]) / 1000 for metric in metrics}
        return Busy(*(by_name.get(name, 0.0) for name in _LOAD))

    def state_size(self, vertices: list[Vertex], number: int = 0) -> StateSize:
        """Full size of the state in a checkpoint or savepoint, by stage.

        Args:
            vertices: the job's tasks.
            number: its id; 0 for the newest completed checkpoint.
        """
        if not number:
            number = self._get("/checkpoints")["latest"]["completed"]["id"]
        tasks = self._get(f"/checkpoints/details/{number}")["tasks"]
        sizes = {vertex.stage: int(tasks[vertex.id]["state_size"]) for vertex in vertices if vertex.stage and vertex.id in tasks}
        return StateSize(number, sizes)

    def knows(self, number: int) -> bool:
        """Whether Flink's REST interface, which lags by some seconds, shows a checkpoint or savepoint yet."""
        return self.rest.get(f"/jobs/{self.job_id}/checkpoints/details/{number}") is not None

    def checkpoints(self) -> Checkpoints:
        """How checkpoints go."""
        found = self._get("/checkpoints")
        done = [entry for entry in found["history"] if entry["status"] == "COMPLETED" and not entry["is_savepoint"]]
        took = [entry["end_to_end_duration"] / 1000 for entry in done]
        counts = found["counts"]
        return Checkpoints(counts["completed"], counts["failed"], sum(took) / len(took) if took else 0.0, max(took, default=0.0))

    def _get(self, path: str) -> Any:
        found = self.rest.get(f"/jobs/{self.job_id}{path}")
        if found is None:
            raise ClusterError(f"Flink does not know {path or 'the job'}")
        return found
