"""A job as a process of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from stack.settings import PROJECT


class JobProcess:
    """Starts a job; whoever does kills it in the end.

    Args:
        module: of the job, e.g. `jobs.history`.
        log: file that what it says is added to.
        arguments: behind the module's name.
        environment: what differs from ours.
        program: Python to run instead of the module.
    """

    def __init__(
        self, module: str, log: Path, arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None, program: str = ""
    ) -> None:
        how = ["-c", program] if program else ["-m", module]
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, *how, *arguments], cwd=PROJECT, env=os.environ | (environment or {}), stderr=output, stdout=output
            )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """End it in good order; returns its exit code."""
        self.process.terminate()
        return self.process.wait(30)
