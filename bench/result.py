"""What a run found: `bench/results/<date>-<commit>.json`."""

from pathlib import Path
from typing import Final

import msgspec

from bench.cluster import Busy, Checkpoints
from bench.facts import Machine
from bench.workload import Workload

FOLDER: Final = Path(__file__).with_name("results")


class Try(msgspec.Struct, frozen=True):
    """One rate that was tried.

    Attributes:
        events_per_s: asked of the generator.
        held_s: how long it was held after the warm-up.
        growth_s: consumer group -> by how much its lag grew at worst, in seconds of its input.
        behind_s: consumer group -> median lag, in seconds of its input.
        verdict: `sustained`, or why not.
    """

    events_per_s: float
    held_s: float
    growth_s: dict[str, float]
    behind_s: dict[str, float]
    verdict: str


class Cpu(msgspec.Struct, frozen=True):
    """CPU time while the sustained rate was held.

    Attributes:
        us_per_event: stage -> microseconds.
        threads_us_per_event: stage -> kind of thread -> microseconds, the largest ones.
        ours, foreign, stolen: shares of the cores' time: stack and benchmark, other processes of the machine, the hypervisor.
    """

    us_per_event: dict[str, float] = {}
    threads_us_per_event: dict[str, dict[str, float]] = {}
    ours: float = 0.0
    foreign: float = 0.0
    stolen: float = 0.0


class Latency(msgspec.Struct, frozen=True):
    """From the send call to a value that an independent reader sees in Redis, in ms, at `events_per_s`."""

    events_per_s: float
    probes: int
    missing: int
    longest_ms: float
    histogram_ms: dict[str, int]


class State(msgspec.Struct, frozen=True):
    """How large the state is, in bytes.

    Attributes:
        profiles: number of profiles.
        remembered_ids: message ids remembered at the end.
        savepoint: stage -> bytes of a canonical savepoint at the end (every entry once).
        checkpoint_after_seed: stage -> full size of a RocksDB checkpoint, each profile having one event.
        checkpoint: stage -> the same at the end.
        per_profile: savepoint / profiles.
        per_profile_of_one_event: checkpoint after the seed / profiles.
        per_further_event: growth of the checkpoint / further events: id, series entry, ledger.
        encoded: sizes found by encoding the pure core's state in process.
    """

    profiles: int
    remembered_ids: int
    savepoint: dict[str, int]
    checkpoint_after_seed: dict[str, int]
    checkpoint: dict[str, int]
    per_profile: float
    per_profile_of_one_event: float
    per_further_event: float
    encoded: dict[str, float]


class Result(msgspec.Struct):
    """A run. Figures are 0 as long as they are unknown; a run that is not valid says why in `problems`."""

    date: str
    commit: str
    dirty: bool
    variant: str
    valid: bool = False
    problems: list[str] = []
    remarks: list[str] = []
    events_per_s: float = 0.0
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    p99_ms: float = 0.0
    mean_event_bytes: float = 0.0
    seed_events_per_s: float = 0.0
    burst_events_per_s: float = 0.0
    tries: list[Try] = []
    latency: Latency | None = None
    cpu: Cpu = msgspec.field(default_factory=Cpu)
    busy: dict[str, Busy] = {}
    state: State | None = None
    checkpoints: Checkpoints | None = None
    start_s: float = 0.0
    took_s: float = 0.0
    workload: Workload | None = None
    machine: Machine | None = None


def write(result: Result, path: Path | None = None) -> Path:
    """Save a result, by default in `bench/results`, where an earlier one of the same day, commit and variant is replaced."""
    FOLDER.mkdir(exist_ok=True)
    variant = f"-{result.variant}" if result.variant else ""
    path = path or FOLDER / f"{result.date[:10]}-{result.commit}{variant}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(rounded(msgspec.to_builtins(result))), indent=1) + b"\n")
    return path


def rounded(value: object) -> object:
    """Floats with four significant digits: more would be noise."""
    if isinstance(value, float):
        return float(f"{value:.4g}") if abs(value) < 1000 else round(value)
    if isinstance(value, dict):
        return {name: rounded(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    return value
