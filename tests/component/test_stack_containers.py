"""The roles that containers play (`stack.container`), run as plain processes, with Flink reached by host name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stack import board, control, job_control, parts, process, settings
from stack.flink_rest import Rest
from stack.settings import PROJECT
from tests.component.test_stack_jobs import JOB, JOBS, Counted
from tests.stacks import Stack, config_copy, eventually


@pytest.fixture
def servers(emptied: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    monkeypatch.setenv("CDP_CONFIG_DIR", str(config_copy(tmp_path / "config", JOBS)))
    parts.ensure(emptied.settings, ["flink-connector"], control.ignore_part)  # in an image it is part of the image
    return emptied


def test_the_roles_of_the_containers_make_a_cluster_that_runs_a_job(servers: Stack, tmp_path: Path) -> None:
    inside = servers.env | {"CDP_HOME": str(tmp_path / "inside"), "CDP_HOST_FLINK": "localhost", "CDP_FLINK": ""}
    inside["CDP_CONFIG_DIR"] = os.environ["CDP_CONFIG_DIR"]
    env = {key: value for key, value in os.environ.items() if not key.startswith("CDP_")} | inside
    chosen = settings.load(inside)
    assert chosen.flink == f"https://localhost:{servers.settings.ports.flink_rest}"

    def start(role: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "stack.container", role]
        with (tmp_path / f"{role}.log").open("wb") as output:
            return subprocess.Popen(command, env=env, cwd=PROJECT, stdout=output, stderr=output)

    assert start("setup").wait(60) == 0
    assert (chosen.data / "secrets" / "hmac.key").stat().st_size == 32
    assert (chosen.data / "secrets" / "pii.key").stat().st_size == 64
    running = [start("jobmanager"), start("taskmanager"), start("jobs")]
    try:
        eventually(lambda: Rest(chosen).free_slots() >= 0 and _state(chosen) == "ready", "the job runs", 180.0)
        counted = Counted(servers, tmp_path / "config")
        counted.feed()
        counted.await_exact()
        assert Path(job_control.stop(chosen, JOB)).is_dir()
    finally:
        identities = [identity for child in running if (identity := process.identify(child.pid))]
        process.stop(identities, 10.0)
        for child in running:
            child.wait()
        for found in process.belonging_to(chosen.home).values():
            process.stop(found, 10.0)


def _state(chosen: settings.Settings) -> str:
    status = board.live_status(chosen)
    return status.services[JOB].state if status else "not there"
