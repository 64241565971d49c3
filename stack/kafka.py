"""The broker: one node that is broker and controller (KRaft), its storage formatted once."""

import base64
import subprocess
import uuid
from pathlib import Path

from confluent_kafka.admin import AdminClient

from stack import parts, topics
from stack.errors import StackError
from stack.service import Service, render
from stack.settings import HOST, Settings, child_environment

LOGGING = """status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd HH:mm:ss,SSS} %-5p %c{1} - %m%n
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = console
"""


def service(settings: Settings) -> Service:
    """How to run the broker."""
    folder = settings.run / "kafka"
    heap_mb = settings.stack.kafka.heap_mb
    command = [
        str(parts.java()),
        f"-Xmx{heap_mb}m",
        f"-Xms{heap_mb}m",
        "-XX:+UseG1GC",
        "-XX:MaxGCPauseMillis=20",
        "-XX:+ExitOnOutOfMemoryError",
        f"-Dlog4j2.configurationFile=file:{folder / 'log4j2.properties'}",
        "-cp",
        parts.kafka_jars(settings),
        "kafka.Kafka",
        str(folder / "server.properties"),
    ]
    return Service(
        name="kafka",
        command=command,
        ports=["kafka", "kafka_controller"],
        prepare=lambda: _prepare(settings, folder),
        probe=lambda: _serves(settings),
        when_ready=lambda: _create_topics(settings),
        stop_within_s=20.0,
    )


def properties(settings: Settings) -> dict[str, str]:
    """The broker's configuration."""
    ports = settings.ports
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{HOST}:{ports.kafka_controller}",
        "listeners": f"PLAINTEXT://{HOST}:{ports.kafka},CONTROLLER://{HOST}:{ports.kafka_controller}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{ports.kafka}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(_data(settings)),
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
    } | settings.stack.kafka.options


def _data(settings: Settings) -> Path:
    return settings.data / "kafka"


def _prepare(settings: Settings, folder: Path) -> None:
    render(folder / "log4j2.properties", LOGGING)
    render(folder / "server.properties", "".join(f"{key}={value}\n" for key, value in properties(settings).items()))
    if (_data(settings) / "meta.properties").exists():
        return
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
    if cluster.startswith("-"):
        cluster = f"A{cluster[1:]}"  # the tool would take it for an option
    # A JVM that lives for a second: the first compiler alone starts faster.
    tool = [
        str(parts.java()),
        "-Xmx128m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-cp",
        parts.kafka_jars(settings),
        "kafka.tools.StorageTool",
    ]
    format_once = [*tool, "format", "--ignore-formatted", "-t", cluster, "-c", str(folder / "server.properties")]
    done = subprocess.run(format_once, capture_output=True, text=True, check=False, env=child_environment(settings, "kafka"), timeout=120)
    if done.returncode:
        raise StackError(
            f"Kafka's storage could not be formatted: {(done.stderr or done.stdout).strip()[-500:]}", f"look at {_data(settings)}"
        )


def _create_topics(settings: Settings) -> None:
    for difference in topics.create(settings.kafka):
        print(f"kafka: {difference}", flush=True)  # into the supervisor's log


def _serves(settings: Settings) -> bool:
    admin = AdminClient({"bootstrap.servers": settings.kafka, "socket.timeout.ms": 2000, "log_level": 0})
    return bool(admin.list_topics(timeout=2.0).brokers)
