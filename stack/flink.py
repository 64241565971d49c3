"""Flink: a JobManager, TaskManagers with one slot each, and the client that submits jobs.

The JVMs are started directly, without Flink's shell scripts, which spend two more JVMs per process on working out the memory that
`config/stack.yaml` spells out. The class path holds what the scripts would have found in `lib/`.
"""

import shutil
import sys
from functools import cache
from pathlib import Path
from typing import Final

import yaml

from stack import parts, rest_certificate
from stack.errors import StackError
from stack.flink_rest import Rest
from stack.service import Service, render
from stack.settings import HOST, Settings

# One file per process takes log and standard output alike; the supervisor keeps it short.
LOGGING = """status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd HH:mm:ss,SSS} %-5p %c{1} - %m%n
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = console
logger.kafka.name = org.apache.kafka
logger.kafka.level = WARN
logger.checkpoints.name = org.apache.flink.runtime.checkpoint.CheckpointCoordinator
logger.checkpoints.level = WARN
logger.alignment.name = org.apache.flink.runtime.source.coordinator.SourceCoordinator
logger.alignment.level = WARN
"""
PROBE_S: Final = 2.0
# JVMs that no record passes through: the second compiler costs more than it gives (1.5 s of CPU until ready instead of 3.2 s).
LIGHT = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]


def services(settings: Settings) -> list[Service]:
    """How to run the JobManager and the TaskManagers."""
    return [
        job_manager(settings),
        *(task_manager(settings, f"taskmanager-{index + 1}") for index in range(settings.stack.flink.task_managers)),
    ]


def job_manager(settings: Settings) -> Service:
    """How to run the JobManager."""
    memory = settings.stack.flink.job_manager
    command = [
        *_java(settings),
        *LIGHT,
        f"-Xmx{memory.heap_mb}m",
        f"-Xms{memory.heap_mb}m",
        f"-XX:MaxMetaspaceSize={memory.metaspace_mb}m",
        *_classes(settings),
        "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint",
        *("--configDir", str(conf_dir(settings)), "--executionMode", "cluster"),
    ]
    return Service(
        name="jobmanager",
        command=command,
        ports=["flink_rest", "flink_rpc"],
        env=environment(settings),
        prepare=lambda: _prepare(settings, "jobmanager"),
        probe=lambda: Rest(settings, PROBE_S).get("/overview") is not None,
    )


def task_manager(settings: Settings, name: str) -> Service:
    """How to run one TaskManager. It is worth nothing without the JobManager it registered with: what ran there is gone with it."""
    memory = settings.stack.flink.task_manager
    predecessor = ""

    def prepare() -> None:
        nonlocal predecessor
        _prepare(settings, name)
        predecessor = _address(settings, name)

    def probe() -> bool:
        # The JobManager may still list the process that was killed: a new one has another address.
        return _address(settings, name) not in ("", predecessor)

    command = [
        *_java(settings),
        "-XX:+UseG1GC",
        f"-Xmx{memory.heap_mb}m",
        f"-Xms{memory.heap_mb}m",
        f"-XX:MaxDirectMemorySize={memory.off_heap_mb + memory.network_mb}m",
        f"-XX:MaxMetaspaceSize={memory.metaspace_mb}m",
        *_classes(settings),
        "org.apache.flink.runtime.taskexecutor.TaskManagerRunner",
        *("--configDir", str(conf_dir(settings))),
        *("-D", f"taskmanager.resource-id={name}", "-D", f"io.tmp.dirs={_scratch(settings, name)}"),
    ]
    return Service(
        name=name,
        command=command,
        tied_to="jobmanager",
        runs_our_code=True,
        env=environment(settings),
        prepare=prepare,
        probe=probe,
    )


def environment(settings: Settings) -> dict[str, str]:
    """What Flink's own code expects in the environment, of servers and of the submitting client."""
    home = parts.flink_home()
    return {
        "FLINK_HOME": str(home),
        "FLINK_LIB_DIR": str(home / "lib"),
        "FLINK_OPT_DIR": str(home / "opt"),
        "FLINK_BIN_DIR": str(home / "bin"),
        "FLINK_PLUGINS_DIR": str(home / "plugins"),
        "FLINK_CONF_DIR": str(conf_dir(settings)),
        "FLINK_LOG_DIR": str(settings.logs),
    }


def client_command(settings: Settings, arguments: list[str]) -> list[str]:
    """The command line of Flink's client, e.g. with `["run", "-d", "-py", "jobs/profiles.py"]`."""
    return [*_java(settings), *LIGHT, "-Xmx256m", *_classes(settings), "org.apache.flink.client.cli.CliFrontend", *arguments]


def conf_dir(settings: Settings) -> Path:
    """Folder of the rendered `config.yaml`."""
    return settings.run / "flink"


def render_configuration(settings: Settings) -> None:
    """Write `config.yaml` and the logging configuration to where every process of Flink looks for them."""
    options = configuration(settings) | rest_certificate.configuration(settings.secrets)
    render(conf_dir(settings) / "log4j.properties", LOGGING)
    render(conf_dir(settings) / "config.yaml", yaml.safe_dump(options, width=10_000), private=True)


def configuration(settings: Settings) -> dict[str, str]:
    """Flink's configuration: addresses and folders of this stack, memory, and the options of `config/stack.yaml`; without secrets.

    On one machine everything is bound to the loopback address. Between containers the JobManager has a host name, and every process is
    reached by the address it finds for itself.
    """
    host = settings.hosts.flink
    bind = HOST if host == HOST else "0.0.0.0"
    own_host = {"taskmanager.host": HOST} if host == HOST else {}
    ports, flink = settings.ports, settings.stack.flink
    job, task = flink.job_manager, flink.task_manager
    return (
        {
            "env.java.opts.all": _shipped_java_options(),
            "jobmanager.rpc.address": host,
            "jobmanager.bind-host": bind,
            "jobmanager.rpc.port": str(ports.flink_rpc),
            "rest.address": host,
            "rest.bind-address": bind,
            "rest.port": str(ports.flink_rest),
            "rest.bind-port": str(ports.flink_rest),
            "taskmanager.bind-host": bind,
            "taskmanager.numberOfTaskSlots": "1",
            "jobmanager.memory.heap.size": f"{job.heap_mb}m",
            "jobmanager.memory.off-heap.size": f"{job.off_heap_mb}m",
            "jobmanager.memory.jvm-metaspace.size": f"{job.metaspace_mb}m",
            "jobmanager.memory.jvm-overhead.min": f"{job.overhead_mb}m",
            "jobmanager.memory.jvm-overhead.max": f"{job.overhead_mb}m",
            "taskmanager.cpu.cores": "1.0",
            "taskmanager.memory.framework.heap.size": "128m",
            "taskmanager.memory.task.heap.size": f"{task.heap_mb - 128}m",
            "taskmanager.memory.framework.off-heap.size": f"{task.off_heap_mb}m",
            "taskmanager.memory.task.off-heap.size": "0m",
            "taskmanager.memory.managed.size": f"{task.managed_mb}m",
            "taskmanager.memory.network.min": f"{task.network_mb}m",
            "taskmanager.memory.network.max": f"{task.network_mb}m",
            "taskmanager.memory.jvm-metaspace.size": f"{task.metaspace_mb}m",
            "taskmanager.memory.jvm-overhead.min": f"{task.overhead_mb}m",
            "taskmanager.memory.jvm-overhead.max": f"{task.overhead_mb}m",
            "python.executable": sys.executable,
            "python.client.executable": sys.executable,
            "execution.checkpointing.dir": f"file://{settings.checkpoints}",
            "execution.checkpointing.savepoint-dir": f"file://{settings.savepoints}",
            "io.tmp.dirs": str(_scratch(settings, "jobmanager")),
            "web.tmpdir": str(_scratch(settings, "jobmanager")),
        }
        | own_host
        | flink.options
    )


def _java(settings: Settings) -> list[str]:
    logging = conf_dir(settings) / "log4j.properties"
    return [str(parts.java()), *_shipped_java_options().split(), f"-Dlog4j.configurationFile=file:{logging}"]


@cache
def _shipped_java_options() -> str:
    """The `--add-opens` options of the `config.yaml` that Flink ships with."""
    shipped = yaml.safe_load((parts.flink_home() / "conf" / "config.yaml").read_text())
    return str(shipped["env"]["java"]["opts"]["all"])


def _classes(settings: Settings) -> list[str]:
    return ["-classpath", ":".join(str(jar) for jar in parts.flink_jars(settings))]


def _scratch(settings: Settings, name: str) -> Path:
    return settings.run / "scratch" / name


def _prepare(settings: Settings, name: str) -> None:
    render_configuration(settings)
    shutil.rmtree(_scratch(settings, name), ignore_errors=True)  # a killed TaskManager leaves its local RocksDB there
    _scratch(settings, name).mkdir(parents=True)


def _address(settings: Settings, name: str) -> str:
    """Where the JobManager believes a TaskManager to be; empty when it knows none of this name, or does not answer itself."""
    try:
        return str((Rest(settings, PROBE_S).get(f"/taskmanagers/{name}") or {}).get("path", ""))
    except StackError:
        return ""
