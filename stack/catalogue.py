"""Everything the stack runs, in the order in which `cdp status` shows it."""

import sys
import urllib.request

from stack import clickhouse, flink, jobs, kafka, redis, redis_binary, run_book
from stack.errors import StackError
from stack.service import Service
from stack.settings import HOST, Settings

PARTS = {"kafka": ["kafka"], "clickhouse": ["clickhouse"], "jobmanager": ["flink-connector"]}


def services(settings: Settings) -> list[Service]:
    """Every process: the servers, the ticker, and the jobs that are plain processes."""
    return [*servers(settings), ticker(), *(process_job(settings, name, job) for name, job in jobs.load().items() if job.kind == "process")]


def servers(settings: Settings) -> list[Service]:
    """The servers."""
    return [kafka.service(settings), redis.service(settings), clickhouse.service(settings), *flink.services(settings)]


def ticker() -> Service:
    """The process that makes time pass where nobody writes."""
    return Service(name="ticker", command=[sys.executable, "-m", "stack.ticker"], needs=["kafka"], probe=lambda: True)


def process_job(settings: Settings, name: str, job: jobs.Job) -> Service:
    """A job that is a plain process; with a port it is ready when it answers there."""
    return Service(
        name=name,
        command=[sys.executable, "-m", job.module],
        ports=[job.port] if job.port else [],
        needs=job.needs,
        runs_our_code=True,
        probe=(lambda: _is_healthy(getattr(settings.ports, job.port))) if job.port else (lambda: True),
        stop_within_s=30.0,
    )


def _is_healthy(port: int) -> bool:
    with urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=2.0) as answer:
        return bool(answer.status == 200)


def flink_jobs() -> dict[str, jobs.Job]:
    """The jobs that run on Flink."""
    return {name: job for name, job in jobs.load().items() if job.kind == "flink"}


def select(settings: Settings, only: list[str]) -> list[str]:
    """The names of what shall run: the named ones and all they need, or everything.

    Args:
        settings: which stack.
        only: names of services and jobs; `flink` stands for the JobManager and its TaskManagers, `servers` for all servers. Empty:
            everything, except jobs that were stopped on purpose.

    Raises:
        StackError: there is nothing of that name.
    """
    needs = {service.name: service.needs for service in services(settings)}
    on_flink = [service.name for service in flink.services(settings)]
    needs |= {name: [*job.needs, *on_flink] for name, job in flink_jobs().items()}
    groups = {"flink": on_flink, "servers": [service.name for service in servers(settings)]}
    if only:
        todo = [name for word in only for name in groups.get(word, [word])]
    else:
        stopped = {name for name, job in jobs.load().items() if not job.is_there or run_book.read(settings, name).desired == "stopped"}
        todo = [name for name in needs if name not in stopped]
    chosen: set[str] = set()
    while todo:
        name = todo.pop()
        if name not in needs:
            raise StackError(f"there is no service `{name}`", f"choose from: {', '.join([*groups, *needs])}")
        if name not in chosen:
            chosen.add(name)
            todo += needs[name]
    return [name for name in needs if name in chosen]


def parts_of(settings: Settings, names: list[str]) -> list[str]:
    """Downloads that services need."""
    needed = [part for name in names for part in PARTS.get(name, [])]
    return [*needed, redis_binary.PART] if "redis" in names and redis_binary.is_needed(settings) else needed
