"""The real Debezium for tests: its embedded engine with the Postgres connector, in one Java process that writes to Kafka."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from config import loader
from stack import parts, settings
from stack.settings import PROJECT
from tests.postgres import Postgres
from tests.stacks import kill_nine

VERSION: Final = "3.6.1.Final"
COORDINATES: Final = [
    *(f"io.debezium:debezium-{name}:{VERSION}" for name in ("api", "embedded", "connector-postgres")),
    "org.eclipse.jdt:ecj:3.33.0",  # a compiler: what CI installs is a Java without one
]
_PROGRAM: Final = PROJECT / "tests" / "debezium" / "DebeziumToKafka.java"
_MEMORY: Final = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class Debezium:
    """An engine for each of several settings; goes on after `kill` from where it was.

    Args:
        folder: for the compiled program, offsets and log.
        database: what is captured.
        engines: settings beyond the common ones, one engine each; `topic.prefix` has to be among them.
    """

    def __init__(self, folder: Path, database: Postgres, engines: Sequence[dict[str, str]]) -> None:
        folder.mkdir(parents=True)
        part = parts.Part("debezium", " ".join(COORDINATES), lambda target: parts.maven(COORDINATES, target))
        parts.ensure_parts(settings.load(), [part], lambda *_: None)
        jars = settings.load().parts / part.name
        self._classes, self._log = f"{folder}{os.pathsep}{jars}/*", folder / "log"
        (compiler,) = jars.glob("ecj-*.jar")
        jars_listed = os.pathsep.join(map(str, sorted(jars.glob("*.jar"))))
        command = [parts.java(), "-jar", compiler, "-17", "-nowarn", "-proc:none", "-cp", jars_listed, "-d", folder, _PROGRAM]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        self._files = [folder / f"{engine['topic.prefix']}.properties" for engine in engines]
        for file, engine in zip(self._files, engines, strict=True):
            told = _common(database) | {"offset.storage.file.filename": str(file.with_suffix(".offsets"))} | engine
            file.write_text("".join(f"{name}={value}\n" for name, value in told.items()))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it is ready when its records are there."""
        arguments = [loader.platform().kafka.bootstrap, *map(str, self._files)]
        with self._log.open("ab") as log:
            command = [str(parts.java()), *_MEMORY, "-cp", self._classes, _PROGRAM.stem, *arguments]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def check(self) -> None:
        """Fail when it has ended."""
        assert self._process
        assert self._process.poll() is None, self._log.read_text()[-3000:]

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            kill_nine(self._process.pid)
            self._process.wait()
            self._process = None


def _common(database: Postgres) -> dict[str, str]:
    return {
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "database.hostname": "127.0.0.1",
        "database.port": str(database.port),
        "database.user": "postgres",
        "database.password": "none",
        "plugin.name": "pgoutput",
        "schema.include.list": "public",
        "skipped.operations": "none",
        "provide.transaction.metadata": "true",
        "heartbeat.interval.ms": "1000",
        "offset.storage": "org.apache.kafka.connect.storage.FileOffsetBackingStore",
        "offset.flush.interval.ms": "0",
    }
