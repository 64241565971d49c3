"""Where the processor's time goes: by stage, by thread, and how much of it was not ours."""

import contextlib
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
import psutil

TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
CORES: Final = 2
OWN_PID: Final = os.getpid()
# Threads of one kind differ by a number at the end.
_NUMBER: Final = re.compile(r"[-#:.\s]*\d+\W*$")


class Usage(msgspec.Struct, frozen=True):
    """CPU seconds at one moment.

    Attributes:
        at: monotonic seconds.
        process: stage -> CPU seconds so far.
        threads: stage -> kind of thread -> CPU seconds so far.
        machine_s: seconds that the machine's cores have worked, for whomever; `stolen_s`: that the hypervisor gave to others.
    """

    at: float
    process: dict[str, float]
    threads: dict[str, dict[str, float]]
    machine_s: float
    stolen_s: float


class Spent(msgspec.Struct, frozen=True):
    """CPU time between two moments.

    Attributes:
        seconds: of the clock.
        stages: stage -> CPU seconds.
        threads: stage -> kind of thread -> CPU seconds.
        ours: share of the cores' time that the stack and the benchmark took.
        foreign: share that other processes took; `stolen`: that the hypervisor took.
    """

    seconds: float
    stages: dict[str, float]
    threads: dict[str, dict[str, float]]
    ours: float
    foreign: float
    stolen: float

    def us_per_event(self, events: int) -> dict[str, float]:
        """Microseconds of CPU per event, by stage."""
        return {stage: seconds / events * 1e6 for stage, seconds in self.stages.items()} if events else {}


def family(pid: int) -> tuple[int, list[int]]:
    """A process and its descendants."""
    with contextlib.suppress(psutil.Error):
        return pid, [child.pid for child in psutil.Process(pid).children(recursive=True)]
    return pid, []


def usage(stages: Mapping[str, list[int]]) -> Usage:
    """Read the counters.

    Args:
        stages: stage -> process ids.
    """
    process = {stage: sum((_cpu_s(Path(f"/proc/{pid}")) for pid in pids), 0.0) for stage, pids in stages.items()}
    threads = {stage: _threads(pids) for stage, pids in stages.items()}
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    user, nice, system, _, _, irq, soft, stolen = fields
    return Usage(time.monotonic(), process, threads, (user + nice + system + irq + soft) / TICKS_PER_S, stolen / TICKS_PER_S)


def spent(before: Usage, after: Usage) -> Spent:
    """The difference of two readings."""
    seconds = after.at - before.at
    stages = {stage: after.process[stage] - before.process.get(stage, 0.0) for stage in after.process}
    threads = {
        stage: {kind: round(cpu_s - before.threads.get(stage, {}).get(kind, 0.0), 2) for kind, cpu_s in kinds.items()}
        for stage, kinds in after.threads.items()
    }
    machine = (os.cpu_count() or 1) * seconds
    ours = sum(stages.values())
    foreign = max(0.0, after.machine_s - before.machine_s - ours)
    return Spent(seconds, stages, threads, ours / (CORES * seconds), foreign / machine, (after.stolen_s - before.stolen_s) / machine)


def _cpu_s(folder: Path) -> float:
    try:
        # The command in field 2 may hold spaces and brackets: count after its last bracket.
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def _threads(pids: list[int]) -> dict[str, float]:
    kinds: dict[str, float] = {}
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for folder in Path(f"/proc/{pid}/task").iterdir():
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    name = (folder / "comm").read_text().strip()
                    kind = _NUMBER.sub("", name).rstrip("-") or name
                    kinds[kind] = kinds.get(kind, 0.0) + _cpu_s(folder)
    return kinds
