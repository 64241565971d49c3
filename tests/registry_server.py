"""A real schema registry for tests: Apicurio Registry with its Confluent-compatible API, one Java process with a database in a file."""

import os
import signal
import subprocess
import tarfile
import urllib.request
from pathlib import Path
from typing import Final

from stack import parts, settings
from tests.stacks import eventually, free_ports

COORDINATE: Final = "io.apicurio:apicurio-registry-app:2.6.13.Final:tar.gz:all"
_MEMORY: Final = ("-Xmx256m", "-Xss512k", "-XX:MaxMetaspaceSize=192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


def _fetch(folder: Path) -> None:
    parts.maven([COORDINATE], folder, transitive=False)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    archive.unlink()


class RegistryServer:
    """A registry that a test owns; it comes back after `kill` with what it had.

    Args:
        folder: for its database and log.

    Attributes:
        url: of its Confluent-compatible API.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._port = free_ports(1)
        self.url = f"http://127.0.0.1:{self._port}/apis/ccompat/v7"
        self._process: subprocess.Popen[bytes] | None = None
        self._settings = settings.load()
        part = parts.Part("apicurio-registry", COORDINATE, _fetch)
        parts.ensure_parts(self._settings, [part], lambda *_: None)

    def start(self) -> "RegistryServer":
        """Start it and wait until it answers."""
        (jar,) = (self._settings.parts / "apicurio-registry").glob("*-runner.jar")
        options = (f"-Dquarkus.http.port={self._port}", "-Dquarkus.http.host=127.0.0.1", "-Dquarkus.log.level=WARN")
        env = os.environ | {"REGISTRY_DATASOURCE_URL": f"jdbc:h2:file:{self._folder / 'database'};WRITE_DELAY=0"}
        with (self._folder / "log").open("ab") as log:
            command = [parts.java(), *_MEMORY, *options, "-jar", jar]
            self._process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        eventually(self._answers, f"the registry answers; see {self._folder / 'log'}", 90)
        return self

    def kill(self) -> None:
        """SIGKILL; what it has acknowledged is on disk."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """It keeps its connections and answers nothing."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        assert self._process
        assert self._process.poll() is None, f"the registry has ended with {self._process.returncode}; see {self._folder / 'log'}"
        with urllib.request.urlopen(f"{self.url}/subjects", timeout=2) as answer:
            return bool(answer.status == 200)
