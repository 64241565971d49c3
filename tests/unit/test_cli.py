"""The command line: quick to start, and plain about errors."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stack.settings import PROJECT


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    variables = {key: value for key, value in os.environ.items() if not key.startswith("CDP_")} | {"COLUMNS": "200"} | env
    command = [sys.executable, "-m", "cli.main", *arguments]
    return subprocess.run(command, cwd=PROJECT, env=variables, capture_output=True, text=True, timeout=60, check=False)


def test_every_command_says_what_it_does() -> None:
    said = run("--help")
    assert said.returncode == 0
    for command in ("up", "down", "status", "logs", "topics", "jobs", "job"):
        line = next(line for line in said.stdout.splitlines() if line.split()[1:2] == [command])
        assert len(line.split()) > 4


def test_an_error_is_two_lines_and_no_traceback(tmp_path: Path) -> None:
    said = run("logs", "nothing", CDP_HOME=str(tmp_path))
    assert said.returncode == 1
    assert said.stderr.splitlines() == ["error: there is no log of `nothing`", "logs: none yet"]
    assert "Traceback" in run("logs", "nothing", CDP_HOME=str(tmp_path), CDP_DEBUG="1").stderr


@pytest.mark.parametrize("command", [("down",), ("status",), ("jobs",)])
def test_looking_at_a_stack_that_is_not_there_is_no_error_and_makes_nothing(tmp_path: Path, command: tuple[str, ...]) -> None:
    home = tmp_path / "home"
    said = run(*command, CDP_HOME=str(home))
    assert (said.returncode, said.stderr) == (0, "")
    assert not home.exists()


def test_a_job_of_a_stack_that_is_down_says_what_to_do(tmp_path: Path) -> None:
    said = run("job", "stop", "profiles", CDP_HOME=str(tmp_path))
    assert said.stderr.splitlines() == ["error: the stack is not up", "start it with `cdp up`"]


def test_help_needs_none_of_the_slow_libraries() -> None:
    code = "import sys; sys.argv = ['cdp', 'up', '--help']; import cli.main; print([name for name in SLOW if name in sys.modules])"
    slow = ["pyflink", "pandas", "pyarrow", "numpy", "confluent_kafka", "redis", "clickhouse_driver"]
    said = subprocess.run(
        [sys.executable, "-c", f"SLOW = {slow}; {code}"], cwd=PROJECT, capture_output=True, text=True, timeout=60, check=True
    )
    assert said.stdout.strip() == "[]"
