"""What a run shows on the terminal."""

import sys
import time
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from bench.result import Result
from stack.board import ServiceState

WIDE = 140  # where no terminal says how wide it is
CONSOLE = Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)


class Progress:
    """Says what is going on, with the seconds since the start."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._ready: set[str] = set()

    def say(self, line: str) -> None:
        """One line."""
        print(f"{time.monotonic() - self._began:6.1f} s  {line}", flush=True, file=sys.stderr)

    def services(self, states: Mapping[str, ServiceState]) -> None:
        """Name the services that have become ready."""
        ready = {name for name, state in states.items() if state.state == "ready"}
        if fresh := sorted(ready - self._ready):
            self.say(f"ready: {', '.join(fresh)}")
        self._ready = ready


def show(result: Result) -> None:
    """The tables."""
    commit = result.commit + ("+" if result.dirty else "")
    head = Table(title=f"{'valid' if result.valid else '[red]NOT VALID[/red]'}  {result.date}  {commit}  {result.variant}")
    for name in ("events/s", "p50 ms", "p95 ms", "p99 ms", "CPU us/event", "state B/profile"):
        head.add_column(name, justify="right")
    state = f"{result.state.per_profile:.0f}" if result.state else ""
    total = sum(result.cpu.us_per_event.values())
    latencies = (f"{value:.1f}" for value in (result.p50_ms, result.p95_ms, result.p99_ms))
    head.add_row(f"{result.events_per_s:.0f}", *latencies, f"{total:.0f}", state)
    CONSOLE.print(head)
    if result.cpu.us_per_event:
        CONSOLE.print(_cpu(result))
    if result.tries:
        CONSOLE.print(_tries(result))
    for problem in result.problems:
        CONSOLE.print(f"[red]problem:[/red] {problem}")
    for remark in result.remarks:
        CONSOLE.print(f"[yellow]remark:[/yellow] {remark}")


def _cpu(result: Result) -> Table:
    table = Table(title="CPU at the sustained rate")
    for name in ("stage", "us/event", "busy", "largest threads (us/event)"):
        table.add_column(name, justify="left" if name.startswith(("stage", "largest")) else "right")
    for stage, cost in sorted(result.cpu.us_per_event.items(), key=lambda pair: -pair[1]):
        busy = result.busy.get(stage)
        threads = sorted(result.cpu.threads_us_per_event.get(stage, {}).items(), key=lambda pair: -pair[1])[:4]
        words = ", ".join(f"{name} {spent:.1f}" for name, spent in threads)
        table.add_row(stage, f"{cost:.1f}", f"{busy.busy:.0%}" if busy else "", words)
    cpu = result.cpu
    table.caption = f"of the cores' time: {cpu.ours:.0%} ours, {cpu.foreign:.0%} other processes, {cpu.stolen:.0%} stolen by the hypervisor"
    return table


def _tries(result: Result) -> Table:
    table = Table(title="rates tried")
    for name in ("events/s", "held s", "lag grew by (s of input)", "behind by (s of input)", "verdict"):
        table.add_column(name)
    for one in result.tries:
        growth, behind = (", ".join(f"{group} {value:.2f}" for group, value in found.items()) for found in (one.growth_s, one.behind_s))
        table.add_row(f"{one.events_per_s:.0f}", f"{one.held_s:.0f}", growth, behind, one.verdict)
    return table
