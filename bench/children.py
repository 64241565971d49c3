"""The benchmark's own processes beside the stack. They end by themselves: the generator with its input, the probe with its work."""

import subprocess
import sys
from types import TracebackType
from typing import Self

import msgspec

from bench.generator import Order, Report
from bench.probe import Measured
from stack.settings import PROJECT, Settings, child_environment


class ChildError(RuntimeError):
    """A process of the benchmark ended by itself; the message says where it wrote why."""


class Load:
    """The load generator, held by its standard input.

    Args:
        settings: stack it writes to.
        variant: of the workload.
    """

    def __init__(self, settings: Settings, variant: str) -> None:
        self._log = settings.logs / "generator.log"
        self._child = _start(settings, "generator", [variant])
        self._decode = msgspec.json.Decoder(Report).decode

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._child.terminate()
        self._child.wait(10)

    def tell(self, order: Order) -> Report:
        """Give a command and wait until it is carried out.

        Raises:
            ChildError: the generator has died.
        """
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        try:
            self._child.stdin.write(msgspec.json.encode(order) + b"\n")
            self._child.stdin.flush()
            line = self._child.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            raise ChildError(f"the load generator ended: see {self._log}")
        return self._decode(line)

    def seed(self) -> Report:
        """One event for each profile."""
        return self.tell(Order("seed"))

    def burst(self, events: int) -> Report:
        """So many events as fast as possible."""
        return self.tell(Order("burst", events=events))

    def rate(self, per_s: float) -> Report:
        """From now on, so many a second."""
        return self.tell(Order("rate", per_s=per_s))

    def report(self) -> Report:
        """How far it is."""
        return self.tell(Order("report"))


class Probing:
    """The probe at work.

    Args:
        settings: stack it looks at.
        events: to send.
        per_s: mean rate.
    """

    def __init__(self, settings: Settings, events: int, per_s: float) -> None:
        self._log = settings.logs / "probe.log"
        self._child = _start(settings, "probe", [str(events), str(per_s)])

    @property
    def is_done(self) -> bool:
        """Whether it has ended."""
        return self._child.poll() is not None

    def measured(self) -> Measured:
        """What it found.

        Raises:
            ChildError: it failed.
        """
        assert self._child.stdout is not None
        said = self._child.stdout.read()
        if self._child.wait() or not said:
            raise ChildError(f"the latency probe failed: see {self._log}")
        return msgspec.json.decode(said, type=Measured)


def _start(settings: Settings, name: str, arguments: list[str]) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", f"bench.{name}", *arguments]
    env, pipe = child_environment(settings, name), subprocess.PIPE
    del env["CDP_SERVICE"]  # the supervisor would stop what it does not know
    with (settings.logs / f"{name}.log").open("ab") as log:
        return subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, stderr=log, start_new_session=True, cwd=PROJECT)
