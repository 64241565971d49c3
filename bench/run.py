"""One run from an empty stack to a result: start, seed, burst, search, latency, state."""

import datetime as dt
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

from bench import cluster, cpu, events, facts, home, lag, stages
from bench.children import ChildError, Load, Probing
from bench.lag import Group, Watch
from bench.result import Cpu, Latency, Result, State
from bench.sustain import JOB_GROUP, Held, InvalidError, Search
from bench.table import Progress
from bench.workload import Workload
from config import loader
from demo.latency import percentiles
from pipelines.history.group import GROUP as HISTORY
from pipelines.history.tables import TABLES
from pipelines.serving.changes import GROUP as SERVE
from pipelines.serving.changes import TOPIC as CHANGES
from stack import board
from stack.checkpoint_files import checkpoint_id
from stack.errors import StackError
from stack.settings import Settings

START_WITHIN_S: Final = 600.0
SETTLED_WITHIN_S: Final = 60.0
SLOWEST_EVENTS_PER_S: Final = 50
DISTURBED: Final = 0.1
LEAST_US: Final = 0.3
_BOUNDS_MS: Final = (25, 50, 75, 100, 150, 200, 300, 500, 1000, 2000)


def run(workload: Workload, variant: str, keep: bool, rate: float = 0.0) -> Result:
    """Measure.

    Args:
        workload: what to send.
        variant: its name, empty for the standard one.
        keep: leave the stack's data on disk.
        rate: hold this one instead of searching for one; 0 to search.

    Raises:
        WorkloadError: the workload is not what it promises.
    """
    commit, dirty = home.commit()
    result = Result(dt.datetime.now(dt.UTC).isoformat(timespec="seconds"), commit, dirty, variant, workload=workload)
    result.mean_event_bytes = events.mean_bytes(workload)
    progress, began = Progress(), time.monotonic()
    try:
        with home.stack(keep) as settings:
            _Run(settings, result, workload, progress, began, rate).measure()
        result.valid = not result.problems
    except (StackError, InvalidError, ChildError, cluster.ClusterError, home.StoppedError) as error:
        result.problems.append(str(error))
    result.took_s = time.monotonic() - began
    return result


class _Run:
    """The steps of a run; each leaves what it finds in `result`."""

    def __init__(self, settings: Settings, result: Result, workload: Workload, progress: Progress, began: float, rate: float) -> None:
        self._settings, self._result, self._workload = settings, result, workload
        self._progress, self._plan, self._began, self._rate = progress, workload.plan, began, rate

    def measure(self) -> None:
        settings, result, say = self._settings, self._result, self._progress.say
        with Load(settings, result.variant) as load, ThreadPoolExecutor(1) as pool:
            home.start_kafka(settings, self._progress.services)
            seeding = pool.submit(load.seed)  # while the rest starts
            home.start(settings, self._progress.services, START_WITHIN_S)
            seeded = seeding.result()
            result.start_s = time.monotonic() - self._began
            result.machine = facts.machine(settings, home.CORES)
            self._cluster = cluster.Cluster(settings)
            self._vertices = self._cluster.vertices()
            raw = Group(JOB_GROUP, tuple(loader.topics().raw()), committed=False)
            history, serve = Group(HISTORY, tuple(TABLES), committed=True), Group(SERVE, (CHANGES,), committed=False)
            with Watch(settings.kafka, [raw, history, serve]) as watch:
                self._watch = watch
                say(f"everything is up; one event for each of {seeded.sent} profiles waits")
                result.seed_events_per_s = self._drained(seeded.sent)
                say(f"profiles made at {result.seed_events_per_s:.0f} events/s")
                after_seed = self._cluster.state_size(self._vertices)
                result.burst_events_per_s = self._burst(load, seeded.sent)
                say(f"a burst was worked off at {result.burst_events_per_s:.0f} events/s")
                held = self._sustained(load)
                self._latency(load, (held.events_per_s if held else result.tries[-1].events_per_s) / 2)
                self._state(load, after_seed)

    def _drained(self, total: int, since: int = 0) -> float:
        """Wait until the job has confirmed so many events; the rate of the middle part."""
        begun = time.monotonic()
        deadline = begun + (total - since) / SLOWEST_EVENTS_PER_S + 60.0
        low, high = since + (total - since) // 10, total - (total - since) // 20
        while time.monotonic() < deadline:
            sample = self._watch.last(JOB_GROUP)
            if sample and sample.done >= high:
                middle = [one for one in self._watch.since(JOB_GROUP, 0.0) if low <= one.done <= high]
                return lag.rate(middle, of="done") if len(middle) > 1 else (total - since) / (time.monotonic() - begun)
            if trouble := self._cluster.trouble():
                raise InvalidError(trouble)
            time.sleep(lag.EVERY_S)
        done = sample.done if sample else 0
        raise InvalidError(f"the job was not done with {total} waiting events in time: it has confirmed {done}; see .cdp/bench/logs")

    def _burst(self, load: Load, sent: int) -> float:
        burst = max(10_000, int(self._plan.burst_s * self._result.seed_events_per_s))
        report = load.burst(burst)
        return self._drained(report.sent, sent)

    def _sustained(self, load: Load) -> Held | None:
        search = Search(self._plan, load, self._watch, self._cluster, self._vertices, self._processes(load), self._progress.say)
        first = self._rate or self._result.burst_events_per_s * self._plan.first_try
        search.drain(first, time.monotonic() + SETTLED_WITHIN_S)
        held = search.find(first, only=bool(self._rate))
        self._result.tries = search.tries
        if held is None:
            self._result.problems.append("no rate was sustained: see the rates tried")
            if search.broken_off and search.broken_off.events:
                self._result.remarks.append("the CPU figures are those of a rate that was not sustained")
                self._note_load(search.broken_off)
            return None
        self._result.events_per_s = held.events_per_s
        self._note_load(held)
        return held

    def _note_load(self, held: Held) -> None:
        spent = held.spent
        self._result.busy = held.busy
        threads = {
            stage: {kind: seconds / held.events * 1e6 for kind, seconds in kinds.items() if seconds / held.events * 1e6 >= LEAST_US}
            for stage, kinds in spent.threads.items()
        }
        self._result.cpu = Cpu(spent.us_per_event(held.events), threads, spent.ours, spent.foreign, spent.stolen)
        if spent.foreign + spent.stolen > DISTURBED:
            share = f"{spent.foreign + spent.stolen:.0%} of its time while the rate was held"
            self._result.remarks.append(f"the machine was not quiet: others took {share}; a quiet machine does better")

    def _processes(self, load: Load) -> dict[str, list[int]]:
        """Processes by stage."""
        status = board.live_status(self._settings)
        if status is None:
            raise InvalidError("the supervisor has ended")
        pids = {name: state.pid for name, state in status.services.items() if state.pid}
        found: dict[str, list[int]] = {"producer": [load.pid]}
        at_work = {vertex.task_manager: vertex.stage for vertex in self._vertices if vertex.stage}
        for name, pid in pids.items():
            own, children = cpu.family(pid)
            stage = at_work.get(name) or {"kafka": "brokers"}.get(name, name)
            found[stage] = [own, *children]
        found["supervisor"] = [status.supervisor.pid]
        found["bench"] = [cpu.OWN_PID]
        return found

    def _latency(self, load: Load, rate: float) -> None:
        plan = self._plan
        self._progress.say(f"latency at {rate:.0f} events/s, {plan.probes} probes")
        load.rate(rate)
        until = time.monotonic() + SETTLED_WITHIN_S
        time.sleep(plan.settle_s)
        self._await(lambda: all((one := self._watch.last(name)) is None or one.lag < 4 * rate for name in self._watch.names), until)
        probing = Probing(self._settings, plan.probes, plan.probes_per_s)
        self._await(lambda: probing.is_done, time.monotonic() + 2 * plan.probes / plan.probes_per_s + 60.0)
        if not probing.is_done:
            raise InvalidError("the latency probe did not end")
        found = probing.measured()
        if trouble := self._cluster.trouble():
            raise InvalidError(trouble)
        if found.missing:
            self._result.problems.append(f"{found.missing} of {plan.probes} probes were not in Redis after half a minute")
        if not found.latencies_ms:
            raise InvalidError("no probe was seen in Redis")
        summary = percentiles(found.latencies_ms)
        self._result.p50_ms, self._result.p95_ms, self._result.p99_ms = summary.p50, summary.p95, summary.p99
        self._result.latency = Latency(rate, len(found.latencies_ms), found.missing, summary.longest, _histogram(found.latencies_ms))

    def _state(self, load: Load, after_seed: cluster.StateSize) -> None:
        load.rate(0)
        sent = load.report().sent
        self._await(lambda: (one := self._watch.last(JOB_GROUP)) is not None and one.lag < 100, time.monotonic() + 20.0)
        self._result.checkpoints = self._cluster.checkpoints()
        newest = self._cluster.state_size(self._vertices)
        made = self._cluster.rest.savepoint(self._cluster.job_id, self._settings.savepoints / "bench", stop=False, deadline_s=60.0)
        number = checkpoint_id(made)
        self._await(lambda: self._cluster.knows(number), time.monotonic() + 20.0)
        saved = self._cluster.state_size(self._vertices, number)
        profiles = self._workload.profiles
        further = (sent - profiles) * (1 - self._workload.duplicates)
        self._result.state = State(
            profiles=profiles,
            remembered_ids=int(profiles + further),
            savepoint=saved.bytes,
            checkpoint_after_seed=after_seed.bytes,
            checkpoint=newest.bytes,
            per_profile=sum(saved.bytes.values()) / profiles,
            per_profile_of_one_event=sum(after_seed.bytes.values()) / profiles,
            per_further_event=(sum(newest.bytes.values()) - sum(after_seed.bytes.values())) / further,
            encoded=stages.state_sizes(msgspec.structs.replace(self._workload, profiles=2_000)),
        )

    @staticmethod
    def _await(holds: Callable[[], bool], until: float) -> None:
        while not holds() and time.monotonic() < until:
            time.sleep(0.2)


def _histogram(latencies_ms: list[float]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for latency in latencies_ms:
        bound = next((f"<= {bound}" for bound in _BOUNDS_MS if latency <= bound), f"> {_BOUNDS_MS[-1]}")
        counts[bound] = counts.get(bound, 0) + 1
    order = [*(f"<= {bound}" for bound in _BOUNDS_MS), f"> {_BOUNDS_MS[-1]}"]
    return {bound: counts[bound] for bound in order if bound in counts}
