"""What the supervisor needs to know about a service: how to start it, and how to tell that it serves."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from stack.settings import Settings


def nothing() -> None:
    """No preparation needed."""


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A server or worker process.

    Attributes:
        name: also the name of its log, its record and its line in `cdp status`.
        command: program and arguments.
        ports: configured port names it listens on; checked before it starts.
        needs: services that must be ready before it is started.
        tied_to: a service without whose very process this one is worth nothing: when that is replaced, this one is too.
        runs_our_code: its record remembers which version of the source it was started with.
        prepare: called before each start.
        probe: whether it serves; must return within about two seconds and may raise.
        when_ready: called once after each start, when `probe` has held.
        stop_within_s: patience after SIGTERM.
        env: additions to the environment every child gets.
    """

    name: str
    command: list[str]
    probe: Callable[[], bool]
    ports: list[str] = []
    needs: list[str] = []
    tied_to: str = ""
    runs_our_code: bool = False
    prepare: Callable[[], None] = nothing
    when_ready: Callable[[], None] = nothing
    stop_within_s: float = 10.0
    env: dict[str, str] = {}

    def spec(self) -> str:
        """Hash of what it is started with."""
        return hashlib.blake2b(msgspec.json.encode([self.command, self.env]), digest_size=8).hexdigest()

    def log(self, settings: Settings) -> Path:
        """File that takes its standard output and errors."""
        return settings.logs / f"{self.name}.log"

    def record(self, settings: Settings) -> Path:
        """File that says which process it is."""
        return settings.run / f"{self.name}.json"


def render(path: Path, text: str, private: bool = False) -> None:
    """Write a configuration file if it does not hold this text already.

    Args:
        path: file; its folder is made.
        text: content.
        private: nobody else may read it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.read_text() == text:
        return
    if private:
        path.unlink(missing_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    path.write_text(text)
