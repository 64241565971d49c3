"""The machine and the versions a result belongs to."""

import platform as python_platform
import re
from importlib import metadata
from pathlib import Path
from typing import Final

import msgspec
import psutil
from redis import Redis

from config import loader
from sinks.clickhouse import ClickHouse
from stack import parts
from stack.settings import Settings

_PACKAGES: Final = ("apache-flink", "confluent-kafka", "fastavro", "msgspec", "orjson", "redis")


class Machine(msgspec.Struct, frozen=True):
    """What it ran on. `cores`: of the machine; everything ran on `cores_used` of them."""

    cpu: str
    cores: int
    cores_used: int
    memory_gib: float
    kernel: str
    versions: dict[str, str]


def machine(settings: Settings, cores_used: int) -> Machine:
    """Look at the machine and at the running servers.

    Args:
        settings: of the running stack.
        cores_used: to how many cores the run is confined.
    """
    said = Path("/proc/cpuinfo").read_text()
    model, clock = _first(r"model name\s*:\s*(.+)", said), _first(r"cpu MHz\s*:\s*(.+)", said)
    family, stepping = _first(r"cpu family\s*:\s*(.+)", said), _first(r"model\s*:\s*(\d+)", said)
    cpu = f"{model} (family {family}, model {stepping}, {float(clock or 0) / 1000:.1f} GHz)"
    memory_gib = round(psutil.virtual_memory().total / 2**30, 1)
    return Machine(cpu, psutil.cpu_count() or 0, cores_used, memory_gib, python_platform.release(), versions(settings))


def versions(settings: Settings) -> dict[str, str]:
    """Versions of what runs."""
    found = {name: metadata.version(name) for name in _PACKAGES} | {"python": python_platform.python_version()}
    release = parts.java().resolve().parent.parent / "release"
    found["java"] = _first(r'JAVA_VERSION="([^"]+)"', release.read_text()) if release.exists() else "unknown"
    found["kafka"] = settings.stack.parts.kafka.rpartition(":")[2]
    found["flink-connector-kafka"] = settings.stack.parts.flink_kafka_connector.rpartition(":")[2]
    platform = loader.platform()
    info: dict[str, object] = Redis.from_url(platform.redis.url).info("server")  # type: ignore[assignment]
    found["redis-server"] = str(info["redis_version"])
    found["clickhouse"] = str(ClickHouse(platform.clickhouse, database="").rows("SELECT version() AS version")[0]["version"])
    return dict(sorted(found.items()))


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1].strip() if found else ""
