"""`config/jobs.yaml`: the jobs of the platform."""

from pathlib import Path
from typing import Literal

import msgspec

from config import loader
from stack.errors import StackError
from stack.settings import PROJECT


class Job(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One job.

    Attributes:
        kind: `flink` (submitted to the cluster) or `process` (a Python module, supervised like a server).
        entry: its file, relative to the project.
        parallelism: of a Flink job.
        slots: slots a Flink job takes per unit of parallelism (its slot sharing groups).
        needs: services that must be ready before it starts; a Flink job needs Flink anyway.
        group: consumer group whose committed offsets tell how far it is; empty when there is none.
        reads: topics it reads, for which the group counts; `raw` stands for all raw topics, `clean` for those that history has tables for,
            `tables` for those of the sources of kind cdc.
        tells: whether it writes beside its offsets, in words, what is out of the ordinary.
        port: of `stack.yaml`, on which a process answers HTTP; empty when it answers nobody.
    """

    kind: Literal["flink", "process"]
    entry: str
    parallelism: int = 1
    slots: int = 1
    needs: list[str] = []
    group: str = ""
    reads: list[str] = []
    tells: bool = False
    port: str = ""

    @property
    def module(self) -> str:
        """The entry as a module name; a package is run by its `__main__.py`."""
        return self.entry.removesuffix("/__main__.py").removesuffix(".py").replace("/", ".")

    @property
    def path(self) -> Path:
        """The entry as a file."""
        return PROJECT / self.entry

    @property
    def is_there(self) -> bool:
        """Whether its file exists."""
        return self.path.exists()


def load() -> dict[str, Job]:
    """All jobs by name.

    Raises:
        config.loader.ConfigError: the file is missing or has the wrong shape.
    """
    return loader.read("jobs.yaml", dict[str, Job])


def get(name: str) -> Job:
    """One job.

    Raises:
        StackError: there is none of this name.
    """
    jobs = load()
    if name not in jobs:
        raise StackError(f"there is no job `{name}`", f"jobs: {', '.join(jobs)} (config/jobs.yaml)")
    return jobs[name]
