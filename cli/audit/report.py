"""What a verification found, for people and for programs."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

SHOWN: Final = 20
OK: Final = "ok"
DIFFERENT: Final = "different"
UNKNOWN: Final = "unknown"


class Check(msgspec.Struct):
    """One check.

    Attributes:
        name: what is compared, in a few words.
        expected: how many there should be.
        found: how many there are.
        differences: one line each: key and what is wrong with it.
        note: what else a reader wants to know; why, when it could not be determined.
        known: could it be determined?
    """

    name: str
    expected: int = 0
    found: int = 0
    differences: list[str] = []
    note: str = ""
    known: bool = True

    @property
    def verdict(self) -> str:
        """`ok`, `different` or `unknown`."""
        if self.differences:
            return DIFFERENT
        return OK if self.known else UNKNOWN


class Report:
    """The checks made so far."""

    def __init__(self) -> None:
        self.checks: list[Check] = []

    def add(self, checks: Iterator[Check]) -> None:
        """Take checks as they are made."""
        self.checks.extend(checks)

    @property
    def exit_code(self) -> int:
        """0 all well, 1 something differs, 2 something could not be determined."""
        verdicts = {check.verdict for check in self.checks}
        if DIFFERENT in verdicts:
            return 1
        return 2 if UNKNOWN in verdicts or not verdicts else 0

    def as_json(self) -> bytes:
        """Everything, every difference included."""
        checks: list[dict[str, Any]] = [{**msgspec.to_builtins(check), "verdict": check.verdict} for check in self.checks]
        verdict = {0: OK, 1: DIFFERENT, 2: UNKNOWN}[self.exit_code]
        return msgspec.json.format(msgspec.json.encode({"verdict": verdict, "checks": checks}), indent=1)

    def show(self, console: Console) -> None:
        """A table, and the first differences of each check below it."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in ("check", "expected", "found", "verdict", "note"):
            table.add_column(column, justify="right" if column in ("expected", "found") else "left", no_wrap=column != "note")
        colours = {OK: "green", DIFFERENT: "bold red", UNKNOWN: "yellow"}
        for check in self.checks:
            verdict = f"[{colours[check.verdict]}]{check.verdict}[/]"
            if check.differences:
                verdict += f" ({len(check.differences)})"
            table.add_row(check.name, f"{check.expected:,}", f"{check.found:,}", verdict, Text(check.note))
        console.print(table)
        for check in self.checks:
            for line in check.differences[:SHOWN]:
                console.print(f"  {check.name}: {line}", markup=False, highlight=False)
            if len(check.differences) > SHOWN:
                console.print(f"  {check.name}: and {len(check.differences) - SHOWN} more; --json lists them all", markup=False)
