"""What `cdp status` tells about the processes: their state, and what they use."""

import time

import msgspec
import psutil

from stack import board, catalogue, offsets, process, redis, run_book, topics, watch
from stack import jobs as catalogue_jobs
from stack.board import ServiceState, State
from stack.flink_rest import Rest
from stack.settings import Settings


class Line(msgspec.Struct, frozen=True):
    """One service. Memory is the resident set of the process and its children, in MiB."""

    service: str
    state: str
    pid: int
    ports: list[int]
    memory_mb: float
    cpu_s: float
    restarts: int
    uptime_s: float
    detail: str


def services(settings: Settings) -> list[Line]:
    """All services, the supervisor first."""
    status = board.live_status(settings)
    record = process.read_record(settings.run / "supervisor.json")
    pid = record.identity.pid if record else 0
    lines = [_line("supervisor", "ready" if pid else "stopped", pid, [], 0, record.spawned_at if record else 0.0, "")]
    for service in catalogue.services(settings):
        ports = [getattr(settings.ports, name) for name in service.ports]
        state = status.services.get(service.name, ServiceState(service.name)) if status else _unsupervised(settings, service.name)
        detail = state.detail or (_remark(settings, service.name) if state.state == "ready" else "")
        lines.append(_line(service.name, state.state, state.pid, ports, state.restarts, state.started, detail))
    for name in catalogue.flink_jobs():
        state = status.services.get(name, ServiceState(name)) if status else ServiceState(name)
        lines.append(_line(name, state.state, 0, [], state.restarts, state.started, state.detail or "Flink job, see `cdp jobs`"))
    return lines


def _remark(settings: Settings, service: str) -> str:
    if service == "redis":
        return redis.warnings(settings)
    if service == "kafka":
        return "; ".join(alarm.says for alarm in watch.alarms(settings.alarms) if alarm.kind != "redis")
    return ""


def _unsupervised(settings: Settings, name: str) -> ServiceState:
    record = process.read_record(settings.run / f"{name}.json")
    if record is None:
        return ServiceState(name)
    running: State = "ready"
    return ServiceState(
        name, running, record.identity.pid, started=record.spawned_at, detail="nobody watches it: `cdp up` starts the supervisor again"
    )


def _line(name: str, state: str, pid: int, ports: list[int], restarts: int, started: float, detail: str) -> Line:
    memory_mb = cpu_s = 0.0
    for member in _family(pid):
        try:
            with member.oneshot():
                memory_mb += member.memory_info().rss / 2**20
                times = member.cpu_times()
                cpu_s += times.user + times.system
        except psutil.Error:
            continue  # ended meanwhile
    return Line(
        name, state, pid, ports, round(memory_mb, 1), round(cpu_s, 1), restarts, round(time.time() - started, 1) if pid else 0.0, detail
    )


def _family(pid: int) -> list[psutil.Process]:
    if not pid:
        return []
    try:
        parent = psutil.Process(pid)
        # The supervisor's children are services of their own.
        return [parent, *parent.children(recursive=True)] if _leads_a_session(parent) else [parent]
    except psutil.Error:
        return []


def _leads_a_session(parent: psutil.Process) -> bool:
    return "stack.supervisor" not in parent.cmdline()


class JobLine(msgspec.Struct, frozen=True):
    """One job. `checkpoint` is a phrase; `lag` counts records between the committed offsets and the end, None where nobody commits."""

    job: str
    kind: str
    state: str
    since: float
    restarts: int
    checkpoint: str
    lag: int | None
    detail: str


def jobs(settings: Settings) -> list[JobLine]:
    """All jobs of `config/jobs.yaml`."""
    status = board.live_status(settings)
    rest = Rest(settings, timeout_s=2.0)
    # Where Kafka is not a service of this supervisor (containers) it is taken to be up.
    kafka_is_up = status is not None and status.services.get("kafka", ServiceState("kafka", "ready")).state == "ready"
    lines = []
    for name, job in catalogue_jobs.load().items():
        state = status.services.get(name, ServiceState(name)) if status else ServiceState(name)
        restarts, checkpoint = state.restarts, ""
        if job.kind == "flink":
            book = run_book.read(settings, name)
            checkpoint = _newest_words(run_book.newest(settings, book))
            if state.state == "ready" and book.runs:
                run = book.runs[-1].job_id
                restarts += rest.restarts(run)
                if found := rest.checkpoint(run):
                    checkpoint = (
                        f"{found.id}: {max(0.0, time.time() - found.at):.1f} s ago, {found.size / 2**20:.1f} MB, took {found.took_s:.1f} s"
                    )
        detail = state.detail if job.is_there else f"there is no {job.entry}"
        read = offsets.positions(job) if kafka_is_up else None
        lag = sum(position.behind for position in read) if read is not None else None
        if job.tells and kafka_is_up and not detail:
            detail = "; ".join(topics.remarks(job.group))
        lines.append(JobLine(name, job.kind, state.state, state.since, restarts, checkpoint, lag, detail))
    return lines


def _newest_words(point: run_book.Point | None) -> str:
    return (
        f"{point.checkpoint_id}: {point.kind} of {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(point.taken_at))}" if point else "none"
    )
