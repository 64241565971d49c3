"""Before job `profiles` starts, the link log of each tenant begins with the limits that the job is about to read."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from operations import identity_limits
from operations.topics import TopicsAwayError
from stack import applied, jobs, link_log, settings
from stack.errors import StackError
from stack.jobs import Job
from stack.settings import PROJECT

PROFILES = Job(kind="flink", entry="jobs/profiles.py", reads=["raw", "cdp.links"])


def test_the_job_that_reads_the_log_is_the_one_it_is_begun_for() -> None:
    assert [name for name, job in jobs.load().items() if "cdp.links" in job.reads] == ["profiles"]


def test_it_begins_with_the_limits_that_were_applied_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = settings.load({"CDP_HOME": str(tmp_path / "home")})
    config = tmp_path / "config"
    shutil.copytree(PROJECT / "config", config, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    written = yaml.safe_load((config / "identity.yaml").read_text())
    written["graph"]["most_identifiers"] = 77
    (config / "identity.yaml").write_text(yaml.safe_dump(written))
    with monkeypatch.context() as patch:
        patch.setenv("CDP_CONFIG_DIR", str(config))
        applied.apply(home.run)
    asked: list[Any] = []
    monkeypatch.setattr(identity_limits, "begin", lambda *said: asked.append(said) or ["demo"])
    assert link_log.begin(home, PROFILES) == ["demo"]
    ((bootstrap, identity, tenants),) = asked
    assert (bootstrap, identity.graph.most_identifiers, "demo" in tenants) == (home.kafka, 77, True)
    assert link_log.begin(home, Job(kind="flink", entry="x.py", reads=["raw"])) == []
    assert len(asked) == 1


def test_kafka_that_does_not_answer_is_waited_for_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> list[str]:
        raise TopicsAwayError("Kafka at x does not answer")

    monkeypatch.setattr(identity_limits, "begin", away)
    with pytest.raises(StackError, match="for the link log to begin with its limits: Kafka at x does not answer") as error:
        link_log.begin(settings.load({"CDP_HOME": str(tmp_path)}), PROFILES)
    assert error.value.remedy
