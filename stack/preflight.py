"""What is checked before anything is started or stopped: all definitions, and the files of the stack itself."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from config import loader
from definitions.check import check
from definitions.files import Files
from schemas.documents import Mistake, Problem, meant
from stack.errors import StackError
from stack.jobs import Job
from stack.settings import PROJECT, Ports, Stack

SERVERS = ("kafka", "redis", "clickhouse")
"""What a job may need by name; a Flink job needs Flink anyway."""


def problems(folder: Path | None = None, events: Path | None = None) -> list[Problem]:
    """Every mistake in every file that people write, with file, line, column and remedy; empty when all can be used.

    Args:
        folder: of the configuration; by default the one in force.
        events: folder of the event contracts; by default the one in force.
    """
    files = Files(folder or loader.folder())
    stack = files.read("stack.yaml", Stack)
    if stack:
        files.found("stack.yaml", _of_stack(stack))
    jobs = files.read("jobs.yaml", dict[str, Job])
    if jobs is not None:
        files.found("jobs.yaml", _of_jobs(jobs, stack))
    return sorted({*check(files.folder, events), *files.problems})


def require(what: str) -> None:
    """Refuse to go on when a definition is wrong.

    Args:
        what: what is not done then, e.g. `nothing was stopped`.

    Raises:
        StackError: there is a mistake; the message has a line for each.
    """
    found = problems()
    if found:
        count = "1 mistake" if len(found) == 1 else f"{len(found)} mistakes"
        raise StackError(
            f"{count} in the definitions, {what}:\n" + "\n".join(f"  {problem}" for problem in found),
            "mend the files (`cdp check` looks again); what runs goes on by the definitions it was started with",
        )


def _of_stack(stack: Stack) -> Iterator[Mistake]:
    seen: dict[int, str] = {}
    for name in Ports.__struct_fields__:
        port = getattr(stack.ports, name)
        if not 1024 <= port <= 65_535:
            yield Mistake(("ports", name), f"{port} is not a port", "give a number from 1024 to 65535")
        elif port in seen:
            yield Mistake(("ports", name), f"port {port} is taken by `{seen[port]}`", "each needs its own")
        seen[port] = name
    if stack.flink.task_managers < 1:
        yield Mistake(("flink", "task_managers"), "at least one TaskManager is needed")
    memory = {
        ("kafka", "heap_mb"): stack.kafka.heap_mb,
        ("flink", "job_manager", "heap_mb"): stack.flink.job_manager.heap_mb,
        ("flink", "task_manager", "heap_mb"): stack.flink.task_manager.heap_mb,
    }
    for steps, size in memory.items():
        if size < 1:
            yield Mistake(steps, f"{size} MiB is no memory")
    for name in ("within_s", "start_deadline_s", "hung_after_s"):
        if getattr(stack.supervision, name) <= 0:
            yield Mistake(("supervision", name), "must be above 0 seconds")
    if stack.supervision.restarts < 0:
        yield Mistake(("supervision", "restarts"), "cannot be negative")


def _of_jobs(jobs: Mapping[str, Job], stack: Stack | None) -> Iterator[Mistake]:
    for name, job in jobs.items():
        if not job.is_there:
            there = sorted(str(path.relative_to(PROJECT)) for path in (PROJECT / "jobs").glob("*.py"))
            yield Mistake((name, "entry"), f"there is no file `{job.entry}`", meant(job.entry, there))
        for index, need in enumerate(job.needs):
            if need not in SERVERS and need not in jobs:
                yield Mistake((name, "needs", index), f"there is no service `{need}`", meant(need, (*SERVERS, *jobs)))
        if job.port and job.port not in Ports.__struct_fields__:
            yield Mistake((name, "port"), f"stack.yaml has no port `{job.port}`", meant(job.port, Ports.__struct_fields__))
        if job.parallelism < 1 or job.slots < 1:
            yield Mistake((name,), "parallelism and slots are at least 1")
        elif stack and job.kind == "flink" and job.parallelism * job.slots > stack.flink.task_managers:
            needed = job.parallelism * job.slots
            what = f"needs {needed} slots, there are {stack.flink.task_managers} (stack.yaml: flink.task_managers, one slot each)"
            yield Mistake((name, "parallelism"), what, f"task_managers: {needed}, or a smaller parallelism")
