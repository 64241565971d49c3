"""Where the stack lives and listens: `config/stack.yaml`, overridden by the environment.

`CDP_HOME` and `CDP_PARTS` are folders; `CDP_PORT_BASE` and `CDP_PORT_<NAME>` are ports; `CDP_HOST_<SERVER>` names the host of a server
that runs in a container of its own.
"""

import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from config import loader, passwords
from pipelines.ingest import sealing
from schemas import registry
from stack import applied, rest_certificate
from stack.errors import StackError

PROJECT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
CLICKHOUSE_USER = "cdp"


class Ports(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ports on the loopback address, in the order in which `CDP_PORT_BASE` hands them out."""

    kafka: int
    kafka_controller: int
    redis: int
    clickhouse_tcp: int
    clickhouse_http: int
    flink_rest: int
    flink_rpc: int
    collector: int


class Hosts(msgspec.Struct, frozen=True):
    """Hosts of the servers: this machine, except between containers."""

    kafka: str = HOST
    redis: str = HOST
    clickhouse: str = HOST
    flink: str = HOST
    collector: str = HOST


class Parts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is downloaded: Maven coordinates, and npm packages for ClickHouse and the browser SDK."""

    kafka: str
    kafka_logging: str
    flink_kafka_connector: str
    clickhouse: str
    browser_sdk: str


class Kafka(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The broker: size of its heap in MiB, and options as `server.properties` has them."""

    heap_mb: int
    options: dict[str, str]


class Redis(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often its append-only file reaches the disk, and how much memory it may take for data, in MiB: beyond that it refuses writes."""

    appendfsync: str
    maxmemory_mb: int


class ClickHouse(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings as on its command line."""

    options: dict[str, str]


class JobManager(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Memory of the JobManager's JVM, in MiB."""

    heap_mb: int
    off_heap_mb: int
    metaspace_mb: int
    overhead_mb: int


class TaskManager(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Memory of one TaskManager's JVM, in MiB; `managed_mb` is RocksDB's."""

    heap_mb: int
    managed_mb: int
    network_mb: int
    off_heap_mb: int
    metaspace_mb: int
    overhead_mb: int


class Flink(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Number and sizes of Flink's processes, and options as `config.yaml` has them."""

    task_managers: int
    job_manager: JobManager
    task_manager: TaskManager
    options: dict[str, str]


class Supervision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long the supervisor waits and how often it tries.

    Attributes:
        restarts: failures within `within_s` after which a service or job is left alone.
        within_s: see `restarts`.
        start_deadline_s: how long a service may take to become ready.
        hung_after_s: how long a ready service may stay without an answer.
        checkpoint_late_s: a Flink job without a completed checkpoint for that long is not ready.
        checkpoint_stalled_s: after that long without one it is restarted from its newest; longer than Flink's time-out of a checkpoint.
    """

    restarts: int
    within_s: float
    start_deadline_s: float
    hung_after_s: float
    checkpoint_late_s: float
    checkpoint_stalled_s: float


class Stack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`stack.yaml`."""

    ports: Ports
    parts: Parts
    kafka: Kafka
    redis: Redis
    clickhouse: ClickHouse
    flink: Flink
    supervision: Supervision


class Settings(msgspec.Struct, frozen=True):
    """The stack's file, its folders, and its ports after the environment had its say."""

    stack: Stack
    home: Path
    parts: Path
    ports: Ports
    hosts: Hosts = Hosts()

    @property
    def data(self) -> Path:
        """What must survive: logs of Kafka, tables, Redis' append-only file, checkpoints, secrets, run books of jobs."""
        return self.home / "data"

    @property
    def logs(self) -> Path:
        """One file per service."""
        return self.home / "logs"

    @property
    def run(self) -> Path:
        """Process records, rendered configuration, the status file; worthless once everything is down."""
        return self.home / "run"

    @property
    def secrets(self) -> Path:
        """Files of mode 0600: passwords, the keys of personal identifiers and traits, the certificate of Flink's REST interface."""
        return self.data / "secrets"

    @property
    def alarms(self) -> Path:
        """What the ticker sees that is wrong now, see `stack.watch`."""
        return self.run / "alarms.json"

    @property
    def kafka(self) -> str:
        """Bootstrap address."""
        return f"{self.hosts.kafka}:{self.ports.kafka}"

    @property
    def flink(self) -> str:
        """Address of Flink's REST interface."""
        return f"https://{self.hosts.flink}:{self.ports.flink_rest}"

    @property
    def collector(self) -> str:
        """Address of the HTTP collector."""
        return f"http://{self.hosts.collector}:{self.ports.collector}"

    @property
    def checkpoints(self) -> Path:
        """Root of the checkpoints: `<Flink job id>/chk-N`."""
        return self.data / "checkpoints"

    @property
    def savepoints(self) -> Path:
        """Root of the savepoints: `<job name>/savepoint-...`."""
        return self.data / "savepoints"


def load(env: Mapping[str, str] | None = None) -> Settings:
    """Read `stack.yaml` and apply the environment.

    Raises:
        config.loader.ConfigError: the file is missing or has the wrong shape.
        StackError: a variable does not hold what it should.
    """
    env = os.environ if env is None else env
    stack = loader.read("stack.yaml", Stack)
    home = Path(env.get("CDP_HOME") or PROJECT / ".cdp").expanduser().absolute()
    parts = Path(env.get("CDP_PARTS") or home / "parts").expanduser().absolute()
    hosts = Hosts(**{name: env[f"CDP_HOST_{name.upper()}"] for name in Hosts.__struct_fields__ if env.get(f"CDP_HOST_{name.upper()}")})
    return Settings(stack=stack, home=home, parts=parts, ports=_ports(stack.ports, env), hosts=hosts)


def _ports(ports: Ports, env: Mapping[str, str]) -> Ports:
    base = env.get("CDP_PORT_BASE")
    chosen = {}
    for index, name in enumerate(Ports.__struct_fields__):
        variable = f"CDP_PORT_{name.upper()}"
        if variable in env:
            chosen[name] = _port(variable, env[variable])
        elif base:
            chosen[name] = _port("CDP_PORT_BASE", base) + index
        else:
            chosen[name] = getattr(ports, name)
    return Ports(**chosen)


def _port(variable: str, text: str) -> int:
    if not text.isdigit() or not 1024 <= int(text) <= 65_000:
        raise StackError(f"{variable}={text} is not a port", "give a number from 1024 to 65000")
    return int(text)


def environment(settings: Settings | None = None) -> dict[str, str]:
    """The variables every process of the platform gets, so that all of them use the same addresses and folders."""
    settings = settings or load()
    ports = settings.ports
    return {
        "CDP_HOME": str(settings.home),
        "CDP_PARTS": str(settings.parts),
        "CDP_CONFIG_DIR": str(loader.folder().absolute()),
        "CDP_KAFKA": settings.kafka,
        "CDP_REDIS": f"redis://{settings.hosts.redis}:{ports.redis}/0",
        "CDP_CLICKHOUSE_HOST": settings.hosts.clickhouse,
        "CDP_CLICKHOUSE_TCP": str(ports.clickhouse_tcp),
        "CDP_CLICKHOUSE_HTTP": str(ports.clickhouse_http),
        "CDP_FLINK": settings.flink,
        "CDP_COLLECTOR": settings.collector,
        registry.VARIABLE: loader.schema_registry_url(),
        "CDP_CLICKHOUSE_USER": CLICKHOUSE_USER,
        "CDP_HMAC_KEY_FILE": str(settings.data / "secrets" / "hmac.key"),
        "CDP_PII_KEY_FILE": str(settings.data / "secrets" / "pii.key"),
        **{f"{passwords.variable(store)}_FILE": str(passwords.file_of(store, settings.home)) for store in passwords.STORES},
    } | {f"CDP_PORT_{name.upper()}": str(getattr(ports, name)) for name in Ports.__struct_fields__}


def child_environment(settings: Settings, service: str) -> dict[str, str]:
    """The environment of a process of this stack; `CDP_SERVICE` marks it as ours."""
    site_packages = Path(msgspec.__file__).resolve().parent.parent
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("FLINK_", "PYTHON", "JAVA_TOOL"))}
    return (
        inherited
        | environment(settings)
        | applied.environment(settings.run)
        | {
            "CDP_SERVICE": service,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYTHONPATH": f"{PROJECT}{os.pathsep}{site_packages}",
            "PYTHONUNBUFFERED": "1",
        }
    )


def apply_environment(settings: Settings | None = None) -> None:
    """Point this process at the stack (`config.loader.platform()` reads these variables); what is set already stays."""
    for key, value in environment(settings).items():
        os.environ.setdefault(key, value)


def prepare_home(settings: Settings) -> None:
    """Make the folders and, once, the secrets.

    They are the key with which personal identifiers are hashed, the one with which personal traits are encrypted, the passwords of the
    stores, and the certificate of Flink's REST interface.

    Raises:
        StackError: the certificate is not for this stack's host, or has expired.
    """
    for folder in (settings.data, settings.logs, settings.run, settings.checkpoints, settings.savepoints, settings.data / "jobs"):
        folder.mkdir(parents=True, exist_ok=True)
    passwords.create_secret(settings.secrets / "hmac.key", secrets.token_bytes(32))
    passwords.create_secret(settings.secrets / "pii.key", secrets.token_bytes(sealing.KEY_BYTES))
    rest_certificate.make(settings.secrets, sorted({HOST, "localhost", settings.hosts.flink}))
    for store in passwords.STORES:
        passwords.make(store, settings.home)
    loader.platform.cache_clear()  # it holds them
