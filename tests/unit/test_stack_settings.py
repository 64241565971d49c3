"""Where the stack lives and listens, and how the environment moves it."""

import stat
from pathlib import Path

import pytest

from config import loader
from config.platform import Platform
from stack import catalogue, settings
from stack.errors import StackError
from stack.settings import PROJECT, Ports


def test_without_an_environment_the_home_is_in_the_project_and_ports_are_those_of_platform_yaml() -> None:
    chosen = settings.load({})
    platform = loader.read("platform.yaml", Platform)
    assert (chosen.home, chosen.parts) == (PROJECT / ".cdp", PROJECT / ".cdp" / "parts")
    assert chosen.kafka == platform.kafka.bootstrap
    assert chosen.flink == platform.flink.rest
    assert chosen.collector == platform.collector.url
    assert (chosen.ports.clickhouse_tcp, chosen.ports.clickhouse_http) == (platform.clickhouse.tcp_port, platform.clickhouse.http_port)
    assert settings.environment(chosen)["CDP_REDIS"] == platform.redis.url


def test_a_port_base_hands_out_neighbours_and_a_single_port_wins_over_it() -> None:
    ports = settings.load({"CDP_PORT_BASE": "25000", "CDP_PORT_REDIS": "26000"}).ports
    assert [getattr(ports, name) for name in Ports.__struct_fields__] == [25000, 25001, 26000, 25003, 25004, 25005, 25006, 25007]


@pytest.mark.parametrize("text", ["", "abc", "80", "70000", "-1"])
def test_what_is_no_port_is_refused_by_name(text: str) -> None:
    with pytest.raises(StackError, match="CDP_PORT_KAFKA"):
        settings.load({"CDP_PORT_KAFKA": text})


def test_the_environment_of_children_survives_another_round(tmp_path: Path) -> None:
    chosen = settings.load({"CDP_HOME": str(tmp_path), "CDP_PORT_BASE": "25000"})
    again = settings.load(settings.environment(chosen))
    assert again == chosen


def test_children_get_their_mark_and_nothing_that_would_bend_python_or_flink(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    monkeypatch.setenv("FLINK_CONF_DIR", "/nowhere")
    env = settings.child_environment(settings.load({"CDP_HOME": str(tmp_path)}), "kafka")
    assert (env["CDP_SERVICE"], env["CDP_HOME"]) == ("kafka", str(tmp_path))
    assert "PYTHONHOME" not in env
    assert "FLINK_CONF_DIR" not in env
    assert env["PYTHONPATH"].startswith(str(PROJECT))


def test_what_the_environment_says_already_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDP_KAFKA", "elsewhere:9092")
    settings.apply_environment(settings.load({}))
    import os

    assert os.environ["CDP_KAFKA"] == "elsewhere:9092"


@pytest.mark.parametrize(("variable", "size"), [("CDP_HMAC_KEY_FILE", 32), ("CDP_PII_KEY_FILE", 64)])
def test_a_key_is_made_once_and_for_its_owner_only(tmp_path: Path, variable: str, size: int) -> None:
    chosen = settings.load({"CDP_HOME": str(tmp_path)})
    settings.prepare_home(chosen)
    key = Path(settings.environment(chosen)[variable])
    first = key.read_bytes()
    settings.prepare_home(chosen)
    assert key.read_bytes() == first
    assert len(first) == size
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert key.parent == chosen.secrets


def test_what_a_service_needs_comes_along(tmp_path: Path) -> None:
    chosen = settings.load({"CDP_HOME": str(tmp_path)})
    assert catalogue.select(chosen, ["ticker"]) == ["kafka", "ticker"]
    assert catalogue.select(chosen, ["servers"])[:4] == ["kafka", "redis", "clickhouse", "jobmanager"]
    with pytest.raises(StackError, match="there is no service `kafak`"):
        catalogue.select(chosen, ["kafak"])


def test_there_are_as_many_task_managers_as_the_jobs_take_slots(tmp_path: Path) -> None:
    chosen = settings.load({"CDP_HOME": str(tmp_path)})
    assert chosen.stack.flink.task_managers >= sum(job.slots * job.parallelism for job in catalogue.flink_jobs().values())
