"""Two versions of the platform, measured in turn on one machine within the hour: `make bench-pair REF=<commit>`.

    python -m bench.pair REF [--rounds 3] [--quick]

These machines differ threefold from day to day: figures of two days say nothing about two versions, a pair taken in turn does. Each round
runs both versions from an empty stack, in alternating order, with a calibration before each run (`bench/calibrate.py`); the medians are
compared. The other version is checked out below `.cdp/pair`, with an environment of its own; this version's benchmark and workload measure
both where the other can run them, and what differs is said. The last line holds the ratios, this version over the other: `cpu_per_event`
and `p99` are better below 1, `events_per_s` above.
"""

import argparse
import datetime as dt
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from bench import checkout
from bench.calibrate import Calibration, calibrate
from bench.checkout import CheckoutError, Version

RUN_WITHIN_S: Final = 7_200
DRIFT: Final = 0.1
FIGURES: Final = ("cpu_per_event", "events_per_s", "p99")


class Figures(msgspec.Struct, frozen=True):
    """What one run found; 0 is unknown.

    Attributes:
        cpu_per_event: microseconds, all processes together, at the sustained rate.
        events_per_s: sustained.
        p50: ms from the producer to Redis, at half of that rate; so are the others.
        p95: ms.
        p99: ms.
        valid: whether the run had nothing to complain about.
        problems: what it complained about.
    """

    cpu_per_event: float = 0.0
    events_per_s: float = 0.0
    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    valid: bool = False
    problems: list[str] = []


class Run(msgspec.Struct, frozen=True):
    """One run of one version, and how fast the machine was just before."""

    version: str
    calibration: Calibration
    figures: Figures


class _Cpu(msgspec.Struct):
    us_per_event: dict[str, float] = {}


class _Result(msgspec.Struct):
    """The part of a result that every version of the benchmark writes."""

    cpu: _Cpu = msgspec.field(default_factory=_Cpu)
    valid: bool = False
    problems: list[str] = []
    events_per_s: float = 0.0
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    p99_ms: float = 0.0


def read(data: bytes) -> Figures:
    """The figures of a result, of whichever version."""
    found = msgspec.json.decode(data, type=_Result)
    cpu = sum(found.cpu.us_per_event.values())
    return Figures(cpu, found.events_per_s, found.p50_ms, found.p95_ms, found.p99_ms, found.valid, found.problems)


def medians(runs: Sequence[Run], version: str) -> dict[str, float]:
    """Medians of a version's figures and calibrations; a figure that no run found is 0."""
    mine = [run for run in runs if run.version == version]
    pairs = {name: [getattr(run.figures, name) for run in mine] for name in (*FIGURES, "p50", "p95")}
    pairs |= {name: [getattr(run.calibration, name) for run in mine] for name in Calibration.__struct_fields__}
    return {name: statistics.median(known) if (known := [one for one in found if one]) else 0.0 for name, found in pairs.items()}


def ratio_line(ours: dict[str, float], theirs: dict[str, float]) -> str:
    """`ratio: cpu_per_event 0.82 events_per_s 1.19 p99 0.9`; a figure that one of them does not have is `unknown`."""
    words = [f"{name} {ours[name] / theirs[name]:.3g}" if ours[name] and theirs[name] else f"{name} unknown" for name in FIGURES]
    return f"ratio: {' '.join(words)}"


def drift(ours: dict[str, float], theirs: dict[str, float]) -> str:
    """What to say when the machine was not the same for both; empty when it was."""
    changed = {name: ours[name] / theirs[name] for name in Calibration.__struct_fields__ if theirs[name]}
    told = ", ".join(f"{name} {change:.2f}" for name, change in changed.items() if abs(change - 1) > DRIFT)
    return f"the machine changed between the runs of the two versions ({told}): take more rounds" if told else ""


def measure(version: Version, quick: bool, out: Path) -> Figures:
    """Run the benchmark of a version.

    Args:
        version: which.
        quick: the small workload.
        out: where this version's benchmark writes its result.

    Raises:
        CheckoutError: it found nothing at all; the message says why.
    """
    command = [str(version.python), "-m", "bench", *(["--quick"] if quick else [])]
    command += ["--out", str(out)] if version.instrument != "its own" else []
    done = subprocess.run(
        command, cwd=version.folder, env=version.environment(), stdout=subprocess.PIPE, text=True, check=False, timeout=RUN_WITHIN_S
    )
    lines = done.stdout.strip().splitlines()
    path = out if version.instrument != "its own" else version.folder / (lines[-1] if lines else "-")
    if done.returncode not in (0, 1) or not path.is_file():
        raise CheckoutError(f"the benchmark of {version.name} ended with {done.returncode} and without a result")
    found = read(path.read_bytes())
    if not found.cpu_per_event:
        raise CheckoutError(f"the benchmark of {version.name} found no figures: {'; '.join(found.problems)}")
    return found


def compare(ours: Version, theirs: Version, rounds: int, quick: bool, folder: Path) -> tuple[list[Run], Version]:
    """Measure both in turn.

    Returns:
        The runs, and the other version as it was measured in the end: by its own benchmark if this version's cannot do it.
    """
    runs: list[Run] = []
    for number in range(rounds):
        for position in (0, 1):
            is_ours = (number + position) % 2 == 0
            version, found = (ours if is_ours else theirs), calibrate()
            speed = f"loop {found.loop_ns:.0f} ns, read {found.read_ns:.0f} ns, JSON {found.json_ns:.0f} ns"
            say(f"round {number + 1} of {rounds}: {version.name} ({speed})")
            out = folder / f"{number + 1}-{'this' if is_ours else 'other'}.json"
            try:
                figures = measure(version, quick, out)
            except CheckoutError as error:
                if is_ours or theirs.instrument == "its own":
                    raise
                theirs = checkout.own_instrument(theirs, str(error))
                figures = measure(theirs, quick, out)
            runs.append(Run(version.name, found, figures))
            shown = f"{figures.cpu_per_event:.0f} us an event, {figures.events_per_s:.0f} events/s, p99 {figures.p99:.0f} ms"
            say(f"  {shown}{'' if figures.valid else '; not valid: ' + '; '.join(figures.problems)}")
    return runs, theirs


def say(line: str) -> None:
    """One line for whoever waits."""
    print(line, file=sys.stderr, flush=True)


def show(ours: dict[str, float], theirs: dict[str, float], names: tuple[str, str]) -> None:
    """The medians side by side."""
    print(f"{'median':<16}{names[0]:>12}{names[1]:>12}{'ratio':>8}")
    for name in ours:
        change = f"{ours[name] / theirs[name]:.2f}" if ours[name] and theirs[name] else "-"
        print(f"{name:<16}{ours[name]:>12.4g}{theirs[name]:>12.4g}{change:>8}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point. Exit codes: 0 compared, 2 could not be compared."""
    parser = argparse.ArgumentParser(prog="python -m bench.pair", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference", metavar="REF", help="commit to compare with")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each version (default: 3)")
    parser.add_argument(
        "--quick", action="store_true", help="the small workload, four minutes a run: shows that it works, no figures to quote"
    )
    chosen = parser.parse_args(arguments)
    folder = checkout.FOLDER / "results" / time.strftime("%Y-%m-%dT%H-%M-%S")
    try:
        ours, theirs = checkout.this(), checkout.other(chosen.reference)
        if ours.name == theirs.name:
            ours = msgspec.structs.replace(ours, name=f"{ours.name} (this)")
        folder.mkdir(parents=True)
        runs, theirs = compare(ours, theirs, max(1, chosen.rounds), chosen.quick, folder)
    except CheckoutError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    mine, others = medians(runs, ours.name), medians(runs, theirs.name)
    summary = {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "this": mine,
        "other": others,
        "runs": runs,
        "remarks": theirs.remarks,
    }
    (folder / "pair.json").write_bytes(msgspec.json.format(msgspec.json.encode(summary), indent=1) + b"\n")
    show(mine, others, (ours.name, theirs.name))
    for remark in [*theirs.remarks, drift(mine, others)]:
        if remark:
            print(f"remark: {remark}")
    print(f"runs: {folder / 'pair.json'}")
    print(ratio_line(mine, others))
    return 0


if __name__ == "__main__":
    sys.exit(main())
