"""Contracts as they were: out of a commit of this repository, or out of a folder."""

import subprocess
import tempfile
from pathlib import Path

from schemas import contracts
from stack.errors import StackError
from stack.settings import PROJECT

_EVENTS = contracts.FOLDER.relative_to(PROJECT)


def earlier(version: str) -> dict[str, contracts.Contract]:
    """Read an earlier version of the contracts.

    Args:
        version: a folder, or what git calls a revision.

    Raises:
        StackError: neither.
    """
    if Path(version).is_dir():
        return contracts.load(Path(version))
    with tempfile.TemporaryDirectory() as folder:
        for name in _git("ls-tree", "--name-only", f"{version}:{_EVENTS}").split():
            (Path(folder) / name).write_text(_git("show", f"{version}:{_EVENTS}/{name}"))
        return contracts.load(Path(folder))


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=PROJECT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise StackError("git is not installed", "give `--against` a folder that holds the earlier contracts") from None
    if done.returncode:
        raise StackError(f"git {' '.join(arguments)}: {done.stderr.strip()}", "give `--against` a commit, a tag or a folder of contracts")
    return done.stdout
