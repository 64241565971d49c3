"""docker-compose.yml is valid Compose, and says the same as the local stack: ports, settings, images, topics.

`schemas/compose-spec.json` is the JSON schema of the Compose Specification (Apache License 2.0), as shipped in the npm package
dclint 3.1.0.
"""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from api.collector import server
from config import loader
from config.platform import Platform
from stack import container, flink, jobs, kafka, parts, settings
from stack.settings import PROJECT

COMPOSE = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (PROJECT / "Dockerfile").read_text()
LOCAL = settings.load({"CDP_HOME": "/var/lib/cdp"})


def test_it_is_valid_compose() -> None:
    schema = json.loads((Path(__file__).parent / "schemas" / "compose-spec.json").read_text())
    schema["$schema"] = "http://json-schema.org/draft-07/schema#"
    jsonschema.validate(COMPOSE, schema)


def test_the_schema_would_find_a_mistake() -> None:
    schema = json.loads((Path(__file__).parent / "schemas" / "compose-spec.json").read_text())
    schema["$schema"] = "http://json-schema.org/draft-07/schema#"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"services": {"kafka": {"imag": "apache/kafka"}}}, schema)


def test_the_host_sees_the_ports_of_the_local_stack_on_the_loopback_address_only() -> None:
    published = {mapping for service in SERVICES.values() for mapping in service.get("ports", [])}
    ports = LOCAL.ports
    assert published == {
        f"127.0.0.1:{ports.kafka}:{ports.kafka}",
        f"127.0.0.1:{ports.redis}:6379",
        f"127.0.0.1:{ports.clickhouse_tcp}:9000",
        f"127.0.0.1:{ports.clickhouse_http}:8123",
        f"127.0.0.1:{ports.flink_rest}:8081",
        f"127.0.0.1:{ports.collector}:8080",
    }


def test_the_broker_has_the_same_settings() -> None:
    given = {
        name[6:].lower().replace("_", "."): value for name, value in SERVICES["kafka"]["environment"].items() if name.startswith("KAFKA_")
    }
    # Addresses and folders differ between one machine and containers.
    ours = {
        key: value
        for key, value in kafka.properties(LOCAL).items()
        if "listener" not in key and key not in ("log.dirs", "controller.quorum.voters")
    }
    assert {key: given.get(key) for key in ours} == ours
    heap_mb = LOCAL.stack.kafka.heap_mb
    assert given["heap.opts"] == f"-Xmx{heap_mb}m -Xms{heap_mb}m"


def test_redis_writes_its_file_as_often() -> None:
    command = SERVICES["redis"]["command"][2].split()
    assert command[command.index("--maxmemory") + 1] == f"{LOCAL.stack.redis.maxmemory_mb}mb"
    assert command[command.index("--appendonly") + 1] == "yes"
    assert command[command.index("--appendfsync") + 1] == LOCAL.stack.redis.appendfsync


def test_images_have_the_versions_of_the_local_parts() -> None:
    kafka_version = LOCAL.stack.parts.kafka.rpartition(":")[2]
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{kafka_version}"
    (flink_version,) = re.findall(r'"apache-flink==([\d.]+)"', (PROJECT / "pyproject.toml").read_text())
    assert f"FROM flink:{flink_version}-java17 AS flink" in DOCKERFILE
    assert f"-Dartifact={LOCAL.stack.parts.flink_kafka_connector} " in DOCKERFILE
    (version,) = re.findall(r'(?m)^version = "([\d.]+)"', (PROJECT / "pyproject.toml").read_text())
    ours = {service["image"] for service in SERVICES.values() if "build" in service}
    assert ours == {f"open-cdp:{version}"}


def test_our_processes_get_the_addresses_of_the_other_containers() -> None:
    given = SERVICES["jobs"]["environment"]
    inside = settings.load(given | {"CDP_HOME": "/var/lib/cdp"})
    wanted = settings.environment(inside)
    named = {key: value for key, value in wanted.items() if key not in ("CDP_HOME", "CDP_PARTS", "CDP_CONFIG_DIR")}
    assert {key: given[key] for key in named} == named
    assert all(service["environment"] == given for service in SERVICES.values() if "build" in service)


def test_flink_binds_to_the_network_between_containers_and_keeps_state_in_the_shared_volume() -> None:
    inside = settings.load(SERVICES["jobs"]["environment"] | {"CDP_HOME": "/var/lib/cdp"})
    configuration = flink.configuration(inside)
    assert configuration["jobmanager.rpc.address"] == "jobmanager"
    assert configuration["jobmanager.bind-host"] == configuration["taskmanager.bind-host"] == "0.0.0.0"
    assert "taskmanager.host" not in configuration
    assert configuration["execution.checkpointing.dir"] == "file:///var/lib/cdp/data/checkpoints"
    assert all("cdp-data:/var/lib/cdp/data" in SERVICES[name]["volumes"] for name in ("jobmanager", "taskmanager", "jobs"))
    same = {key: value for key, value in flink.configuration(LOCAL).items() if key in LOCAL.stack.flink.options or "memory" in key}
    assert {key: configuration[key] for key in same} == same


def test_every_service_of_the_local_stack_is_there() -> None:
    assert SERVICES["taskmanager"]["deploy"]["replicas"] == LOCAL.stack.flink.task_managers
    for name, job in jobs.load().items():
        if job.kind == "process":
            assert SERVICES[name]["command"][:3] == ["python", "-m", job.module]
    assert SERVICES["ticker"]["command"] == ["python", "-m", "stack.ticker"]
    roles = {
        service["command"][3] for service in SERVICES.values() if service.get("command", [])[:3] == ["python", "-m", "stack.container"]
    }
    assert roles == {"setup", "jobmanager", "taskmanager", "jobs"}
    assert callable(container.main)


def test_what_others_wait_for_or_talk_to_has_a_health_check() -> None:
    checked = {name for name, service in SERVICES.items() if "healthcheck" in service}
    assert checked == {"kafka", "redis", "clickhouse", "jobmanager", "collector"}


def test_the_collector_is_reached_from_outside_its_container_and_may_finish_its_requests() -> None:
    service = SERVICES["collector"]
    assert service["command"][3:] == ["--host", "0.0.0.0"]
    assert service["stop_grace_period"] == f"{server.END_WITHIN_S + 10}s"


def test_the_image_holds_what_the_stack_looks_for() -> None:
    assert "COPY --from=connector /flink-connector /opt/cdp-parts/flink-connector" in DOCKERFILE
    assert "CDP_PARTS=/opt/cdp-parts" in DOCKERFILE
    assert parts.flink_jars(settings.load({"CDP_HOME": "/x", "CDP_PARTS": "/opt/cdp-parts"}))[-1].name.startswith("flink-dist")
    assert SERVICES["clickhouse"]["environment"]["CLICKHOUSE_DB"] == loader.read("platform.yaml", Platform).clickhouse.database
