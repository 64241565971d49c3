"""`workload.yaml`: what is sent, and how long each part of a run takes."""

from pathlib import Path
from typing import Any

import msgspec
import yaml

FILE = Path(__file__).with_name("workload.yaml")


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Lengths (seconds) and limits of the parts of a run; see the file."""

    burst_s: float
    first_try: float
    step: float
    close: float
    warm_up_s: float
    hold_s: float
    growth_s: float
    search_s: float
    settle_s: float
    probes: int
    probes_per_s: float


class Workload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fixed workload.

    Attributes:
        profiles: number of users.
        zipf: exponent of their popularity.
        duplicates: share of events sent again.
        least_mean_bytes: the mean event must be at least so long.
        seed: of all randomness.
        templates: bodies per kind of event.
        seed_spread_s: how far back the first events lie.
        mix: event name -> share.
        plan: how it is run.
    """

    profiles: int
    zipf: float
    duplicates: float
    least_mean_bytes: int
    seed: int
    templates: int
    seed_spread_s: float
    mix: dict[str, float]
    plan: Plan


class WorkloadError(ValueError):
    """`workload.yaml` does not describe a workload; the message says why."""


def read(variant: str = "") -> Workload:
    """Read the file.

    Args:
        variant: `quick` or `large`; empty for the standard workload.

    Raises:
        WorkloadError: the file is wrong, or has no such variant.
    """
    loaded: dict[str, Any] = yaml.safe_load(FILE.read_text())
    variants: dict[str, dict[str, Any]] = loaded.pop("variants", {})
    if variant:
        if variant not in variants:
            raise WorkloadError(f"{FILE.name}: no variant `{variant}`; there are {', '.join(variants)}")
        change = variants[variant]
        loaded |= change | {"plan": loaded["plan"] | change.get("plan", {})}
    try:
        workload = msgspec.convert(loaded, Workload)
    except msgspec.ValidationError as error:
        raise WorkloadError(f"{FILE.name}: {error}") from error
    if abs(sum(workload.mix.values()) - 1.0) > 1e-9:
        raise WorkloadError(f"{FILE.name}: the shares of `mix` add up to {sum(workload.mix.values()):g}, not to 1")
    return workload
