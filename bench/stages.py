"""The pure core under a microscope, without servers: microseconds per step, a profile of its functions, bytes of its state.

    python -m bench.stages [--events N] [--profiles N] [--cached N] [--profile decode|node|profile|all]

The same workload as `python -m bench`. Every profile gets one event first; then the figures are taken. What the engine costs on top is the
difference to the figures of the whole stack.
"""

import argparse
import cProfile
import pstats
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
import orjson
from rich.table import Table

from bench import events, workload
from bench.core import Clock, Core
from bench.events import Events, Sent
from bench.table import CONSOLE
from demo.messages import CLICKSTREAM, iso

CACHED: Final = 50_000
BATCH: Final = 500
HOUR_MS: Final = 3_600_000
TOP: Final = 25
FEW: Final = 31
STAGES: Final = ("decode", "node", "profile", "serve")


def measure(load: workload.Workload, count: int, cached: int, only: str = "") -> tuple[Clock, Core, float, cProfile.Profile | None]:
    """Send the workload through the core.

    Args:
        load: the workload.
        count: events measured, after one event for each profile.
        cached: nodes and profiles kept decoded.
        only: also profile the functions of this stage (or `all`).

    Returns:
        The times, the core with its state, seconds in all, and the profile.
    """
    stream, core = Events(load), Core(Clock(), cached)
    now_ms = int(time.time() * 1000)
    _feed(core, stream.seeds(iter(range(load.profiles))), now_ms)
    clock = core.restart()
    batches = [stream.batch(min(BATCH, count - start), now_ms + start) for start in range(0, count, BATCH)]
    profiler = clock.profile(only) if only else None
    begun = time.thread_time()
    for number, batch in enumerate(batches):
        _feed(core, batch, now_ms + number * BATCH)
    took_s = time.thread_time() - begun
    return clock, core, took_s, profiler


def _feed(core: Core, batch: Iterable[Sent], log_ms: int) -> None:
    for topic, _, value in batch:
        core.record(topic, value, log_ms)


def state_sizes(load: workload.Workload, count: int = 20_000) -> dict[str, float]:
    """Bytes of the encoded state.

    Args:
        load: the workload; few profiles suffice.
        count: events.

    Returns:
        Mean bytes of a node's head, its ledger and of a profile, and what one more remembered message id takes in the head and in the map
        state (8 bytes of key and 8 of value, without RocksDB's own).
    """
    _, core, _, _ = measure(load, count, CACHED)
    nodes = len(core.heads)
    ledger = sum(len(key) + len(value) for store in core.ledgers.values() for key, value in store.records.items())
    spilled = sum(len(store.records) for store in core.ids.values())
    return {
        "events": float(load.profiles + count),
        "profiles": float(nodes),
        "head": sum(map(len, core.heads.values())) / nodes,
        "ledger": ledger / nodes,
        "profile": sum(map(len, core.profiles.values())) / len(core.profiles),
        "spilled_ids": float(spilled),
        "per_inline_id": _per_inline_id(),
        "per_spilled_id": 16.0,
    }


def _per_inline_id() -> float:
    """What a message id takes in a node's head: by how much events that move nothing else make it grow."""
    core, now_ms = Core(Clock(), CACHED), int(time.time() * 1000)
    sizes = []
    for number in range(FEW + 1):
        body = {"type": "track", "event": "Nothing Counted", "messageId": f"m{number:08d}", "userId": "u", "timestamp": iso(now_ms)}
        core.record(CLICKSTREAM, orjson.dumps(body), now_ms)
        sizes.append(sum(map(len, core.heads.values())))
    return (sizes[-1] - sizes[0]) / FEW


def show(clock: Clock, count: int, took_s: float) -> None:
    """The table: what a step costs when it happens, and per event of the workload."""
    table = Table(title=f"pure core, {count} events: {took_s / count * 1e6:.1f} us an event")
    for name in ("step", "us a call", "calls an event", "us an event"):
        table.add_column(name, justify="left" if name == "step" else "right")
    for stage in STAGES:
        steps = sorted(step for step in clock.calls if step.partition(":")[0] == stage)
        for step in steps:
            share = clock.calls[step] / count
            table.add_row(step, f"{clock.us(step):.2f}", f"{share:.3f}", f"{clock.us(step) * share:.2f}")
        total = sum(clock.us(step) * clock.calls[step] / count for step in steps)
        table.add_row(f"[bold]{stage}", "", "", f"[bold]{total:.2f}", end_section=True)
    for step in sorted(step for step in clock.calls if step.startswith("refresh")):
        table.add_row(step, f"{clock.us(step):.2f}", "hourly", "")
    CONSOLE.print(table)


def main(arguments: Sequence[str] | None = None) -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m bench.stages", description=__doc__, formatter_class=raw)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--profiles", type=int, default=20_000)
    parser.add_argument("--cached", type=int, default=CACHED, help=f"nodes and profiles kept decoded (default: {CACHED}, as in the job)")
    functions = "also show the functions that take the time"
    parser.add_argument("--profile", choices=["decode", "node", "profile", "all"], default="", help=functions)
    chosen = parser.parse_args(arguments)
    load = msgspec.structs.replace(workload.read(), profiles=chosen.profiles)
    events.mean_bytes(load)
    clock, core, took_s, _ = measure(load, chosen.events, chosen.cached)
    core.expire(int(time.time() * 1000) + 2 * HOUR_MS)
    show(clock, chosen.events, took_s)
    sizes = state_sizes(msgspec.structs.replace(load, profiles=2_000))
    CONSOLE.print("state, bytes: " + ", ".join(f"{name} {value:.1f}" for name, value in sizes.items()))
    if chosen.profile:  # once more: the profiler slows down what it looks at
        _, _, _, profiler = measure(load, chosen.events, chosen.cached, chosen.profile)
        pstats.Stats(profiler, stream=sys.stdout).sort_stats("tottime").print_stats(TOP)


if __name__ == "__main__":
    main()
