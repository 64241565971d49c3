"""A real PostgreSQL for tests: the one that is installed, else Debian's packages unpacked; runs without root and without a service."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from stack import parts, settings
from tests.stacks import free_ports

VERSION: Final = "15"
PACKAGES: Final = (
    "postgresql-15", "postgresql-client-15", "libpq5", "libicu72", "libldap-2.5-0", "libsasl2-2", "libxml2", "libgssapi-krb5-2",
    "libkrb5-3", "libk5crypto3", "libkrb5support0", "libkeyutils1", "libreadline8",
)  # fmt: skip
"""Debian 12: the server, its client, and the libraries that a small system may lack."""
_INSTALLED: Final = Path("/usr/lib/postgresql", VERSION)
_NOBODY: Final = 65534


def _download(folder: Path) -> None:
    command = ["apt-get", "download", "-qq", *PACKAGES]
    if subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode:
        subprocess.run(["apt-get", "update", "-qq"], capture_output=True, check=False)  # the lists are missing, or older than the packages
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"PostgreSQL is needed (Debian: apt-get install postgresql-15): {done.stderr[-500:]}"


class Postgres:
    """A server that a test owns, with logical decoding switched on. PostgreSQL refuses root, so root runs it as nobody. A context manager.

    Attributes:
        port: on the loopback interface; user `postgres` needs no password.
    """

    def __init__(self) -> None:
        self.port = free_ports(1)
        self._folder = Path(tempfile.mkdtemp(prefix="cdp-postgres-"))  # not pytest's: nobody else may enter that
        self._root = Path("/")
        if not (_INSTALLED / "bin" / "postgres").exists():
            self._root = self._unpacked()
        self._bin = self._root / _INSTALLED.relative_to("/") / "bin"
        self._user = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        if self._user:
            os.chown(self._folder, _NOBODY, _NOBODY)
        self._folder.chmod(0o755)

    def __enter__(self) -> "Postgres":
        data = self._folder / "data"
        options = "-c listen_addresses=127.0.0.1 -c wal_level=logical -c fsync=off -c max_replication_slots=8 -c max_wal_senders=8"
        try:
            self._run("initdb", "-D", str(data), "-A", "trust", "-U", "postgres", "-N", "-E", "UTF8", "--locale=C")
            flags = f"-p {self.port} -k {self._folder} {options}"
            self._run("pg_ctl", "-D", str(data), "-w", "-l", str(self._folder / "log"), "-o", flags, "start")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if (self._folder / "data" / "postmaster.pid").exists():
            self._run("pg_ctl", "-D", str(self._folder / "data"), "-m", "immediate", "stop")
        shutil.rmtree(self._folder)

    def sql(self, statements: str, database: str = "postgres") -> str:
        """Run statements; what they print, fields apart by `|`."""
        address = ("-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", database)
        return self._run("psql", *address, "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statements)

    def _unpacked(self) -> Path:
        mine = settings.load()
        part = parts.Part("postgresql-packages", " ".join(PACKAGES), _download)
        parts.ensure_parts(mine, [part], lambda *_: None)
        root = self._folder / "root"
        for package in (mine.parts / part.name).glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, root], check=True)
        return root

    def _run(self, program: str, *arguments: str) -> str:
        libraries = [str(path) for path in (self._root / "usr/lib").glob("*-linux-gnu")] if self._root != Path("/") else []
        env = {"PATH": "/usr/bin:/bin", "HOME": str(self._folder), "LC_ALL": "C", "LD_LIBRARY_PATH": ":".join(libraries)}
        with tempfile.TemporaryFile("w+") as said:  # no pipe: the server would inherit it and nobody see its end
            command = [str(self._bin / program), *arguments]
            done = subprocess.run(command, env=env, cwd="/", stdin=subprocess.DEVNULL, stdout=said, stderr=said, check=False, **self._user)
            said.seek(0)
            text = said.read()
        assert done.returncode == 0, f"{program}: {text[-2000:]}"
        return text.strip()
