"""What the stack's commands show on the terminal; plain lines where there is none."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from cli.terminal import plain_console
from stack import redis
from stack.board import ServiceState
from stack.errors import StackError
from stack.overview import Line
from stack.settings import Settings

COLOURS = {"ready": "green", "starting": "yellow", "waiting": "yellow", "fetching": "yellow", "failed": "red", "stopped": "dim"}


class UpView:
    """Live progress of `cdp up`: a table on a terminal, one line per change elsewhere."""

    def __init__(self) -> None:
        self._console = Console()
        self._began = time.monotonic()
        self._parts: dict[str, tuple[str, float]] = {}
        self._services: dict[str, ServiceState] = {}
        self._said: dict[str, str] = {}
        self._live = (
            Live(get_renderable=self._table, console=self._console, transient=True, refresh_per_second=8)
            if self._console.is_terminal
            else None
        )

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def part(self, name: str, state: str, seconds: float) -> None:
        """A download began or ended."""
        began = time.monotonic() if state == "fetching" else seconds
        self._parts[name] = (state, began)
        self._say(f"part {name}", state if state == "fetching" else f"fetched in {seconds:.1f} s")

    def services(self, states: Mapping[str, ServiceState]) -> None:
        """States of the services, as of now."""
        self._services = dict(states)
        for name, state in states.items():
            self._say(name, _words(state))

    def summary(self, states: Mapping[str, ServiceState], settings: Settings) -> None:
        """Last words: everything is up."""
        started = sum(1 for state in states.values() if state.started >= time.time() - (time.monotonic() - self._began))
        took = time.monotonic() - self._began
        said = f"up: {len(states)} services ready" + (f", {started} started, {took:.1f} s" if started else " already")
        print(said)
        addresses = {
            "kafka": ("Kafka", settings.kafka),
            "redis": ("Redis", f"127.0.0.1:{settings.ports.redis}"),
            "clickhouse": ("ClickHouse", f"http://127.0.0.1:{settings.ports.clickhouse_http}"),
            "jobmanager": ("Flink", settings.flink),
            "collector": ("collector", settings.collector),
        }
        for label, address in (found for name, found in addresses.items() if name in states):
            print(f"  {label:11} {address}")
        print("  passwords, and the certificate that Flink asks for: cdp secrets")
        if "redis" in states and (warning := redis.warnings(settings)):
            print(f"WARNING: {warning}")

    def _say(self, name: str, words: str) -> None:
        if not self._live and self._said.get(name) != words:
            self._said[name] = words
            print(shorten(f"{time.monotonic() - self._began:6.1f} s  {name:14} {words}"), flush=True)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, show_header=False)
        now = time.monotonic()
        for name, (state, seconds) in self._parts.items():
            shown = now - seconds if state == "fetching" else seconds
            table.add_row(f"part {name}", f"[{COLOURS[state]}]{state}[/]", f"{shown:.1f} s")
        for name, service in self._services.items():
            seconds = service.ready_after_s if service.state == "ready" else (time.time() - service.started if service.started else 0.0)
            table.add_row(name, f"[{COLOURS[service.state]}]{service.state}[/]", f"{seconds:.1f} s", service.detail)
        return table


def shorten(line: str, width: int = 80) -> str:
    """A line that fits; of a longer one the end is missing, at a comma where there is one."""
    if len(line) <= width:
        return line
    begun = line[: width - 5]
    return f"{begun[: begun.rindex(',') + 1] if ',' in begun else begun} ..."


def print_status(lines: Sequence[Line]) -> None:
    """The table of `cdp status`."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("service", "state"):
        table.add_column(column)
    for column in ("pid", "port", "memory MB", "CPU s", "restarts", "uptime"):
        table.add_column(column, justify="right")
    table.add_column("", overflow="fold")
    for line in lines:
        running = line.pid > 0
        table.add_row(
            line.service,
            f"[{COLOURS.get(line.state, 'white')}]{line.state}[/]",
            str(line.pid) if running else "",
            ",".join(str(port) for port in line.ports),
            f"{line.memory_mb:.0f}" if running else "",
            f"{line.cpu_s:.0f}" if running else "",
            str(line.restarts),
            duration(line.uptime_s) if running else "",
            line.detail,
        )
    plain_console().print(table)


def duration(seconds: float) -> str:
    """`12 s`, `5 min 12 s`, `3 h 20 min`, `2 d 4 h`."""
    whole = int(seconds)
    for unit, size, smaller, part in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // part} {smaller}"
    return f"{whole} s"


def print_log(folder: Path, service: str, lines: int, follow: bool) -> None:
    """The last lines of a log, then what is appended."""
    path = folder / f"{service}.log"
    if not path.exists():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.log"))) or "none yet"
        raise StackError(f"there is no log of `{service}`", f"logs: {known}")
    with path.open("rb") as file:
        for line in _tail(path, lines):
            print(line)
        file.seek(0, 2)
        while follow:
            if chunk := file.read():
                print(chunk.decode(errors="replace"), end="", flush=True)
            elif path.stat().st_size < file.tell():
                file.seek(0)  # the supervisor emptied it
            else:
                time.sleep(0.2)


def _tail(path: Path, lines: int) -> list[str]:
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 400 * lines - 4096))
        return file.read().decode(errors="replace").splitlines()[-lines:] if lines else []


def _words(state: ServiceState) -> str:
    if state.state == "ready":
        return f"ready after {state.ready_after_s:.1f} s"
    return f"{state.state} {state.detail}".strip()
