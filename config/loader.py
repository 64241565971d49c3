"""Read and check `config/*.yaml`. The only place that knows the files' names and the environment variables that override them."""

import datetime as dt
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import msgspec

from config import identity as identities
from config import passwords
from config import traits as trait_rules
from config.definitions import Definitions, Features, Rfm, Rule
from config.identity import Identity
from config.platform import ClickHouse, Collector, Flink, Kafka, Platform, Redis, SchemaRegistry
from config.sources import Source, mistakes
from config.topics import Topics
from config.traffic import TrafficRule
from config.traits import Traits
from schemas import documents, registry, shapes
from schemas.documents import Document, Mistake
from schemas.plans import Plan


class ConfigError(ValueError):
    """A configuration file is missing, unreadable or does not say what it should; the message names file and field."""


Rates = dict[str, dict[dt.date, float]]
"""Currency -> day from which a rate holds -> what one unit is worth in the tenant's currency."""


def folder() -> Path:
    """The folder the configuration is read from: `CDP_CONFIG_DIR`, else the one this file lies in."""
    return Path(os.environ.get("CDP_CONFIG_DIR") or Path(__file__).parent)


T = TypeVar("T")


def read(name: str, kind: type[T], where: Path | None = None) -> T:
    """Read one file into its type.

    Args:
        name: file name without the folder, e.g. `topics.yaml`.
        kind: the type it must have.
        where: the folder; by default `folder()`.

    Raises:
        ConfigError: the file is missing, is not YAML, or has the wrong shape; every mistake with its line and column.
    """
    return placed(name, kind, where)[1]


def placed(name: str, kind: type[T], where: Path | None = None) -> tuple[Document, T]:
    """Read one file into its type, and where each of its values stands; see `read`."""
    path = (where or folder()) / name
    try:
        document = documents.read(path)
        return document, shapes.convert(document, kind)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); set CDP_CONFIG_DIR to the folder that holds it") from error
    except documents.Problems as error:
        raise ConfigError(str(error)) from error


def refuse(document: Document, found: Iterable[Mistake]) -> None:
    """Raise when there is a mistake.

    Raises:
        ConfigError: there is at least one; the message has a line for each.
    """
    wrong = sorted(document.place(mistake) for mistake in found)
    if wrong:
        raise ConfigError("\n".join(map(str, wrong)))


@cache
def platform() -> Platform:
    """`platform.yaml` with the environment's overrides."""
    loaded = read("platform.yaml", Platform)
    if loaded.default_tenant not in loaded.tenants:
        known = ", ".join(loaded.tenants)
        raise ConfigError(f"{folder() / 'platform.yaml'}: default_tenant `{loaded.default_tenant}` is not among tenants; there are {known}")
    env = os.environ
    house = loaded.clickhouse
    return msgspec.structs.replace(
        loaded,
        kafka=Kafka(env.get("CDP_KAFKA", loaded.kafka.bootstrap)),
        redis=Redis(_with_password(env.get("CDP_REDIS", loaded.redis.url), passwords.read("redis"))),
        flink=Flink(env.get("CDP_FLINK", loaded.flink.rest)),
        collector=Collector(env.get("CDP_COLLECTOR", loaded.collector.url), loaded.collector.limits),
        clickhouse=ClickHouse(
            env.get("CDP_CLICKHOUSE_HOST", house.host),
            int(env.get("CDP_CLICKHOUSE_TCP", house.tcp_port)),
            int(env.get("CDP_CLICKHOUSE_HTTP", house.http_port)),
            env.get("CDP_CLICKHOUSE_DATABASE", house.database),
            env.get("CDP_CLICKHOUSE_USER", house.user),
            passwords.read("clickhouse") or house.password,
        ),
        schema_registry=SchemaRegistry(env.get(registry.VARIABLE, loaded.schema_registry.url)),
    )


def _with_password(url: str, password: str) -> str:
    """A Redis URL with the password, unless it names one itself."""
    scheme, mark, rest = url.partition("://")
    return f"{scheme}{mark}:{quote(password, safe='')}@{rest}" if password and "@" not in rest else url


def schema_registry_url() -> str:
    """URL of the schema registry, empty for none. Unlike `platform`, remembers nothing: the environment may still be in the making."""
    given = os.environ.get(registry.VARIABLE)
    return read("platform.yaml", Platform).schema_registry.url if given is None else given


def topics() -> Topics:
    """`topics.yaml`."""
    return read("topics.yaml", Topics)


@cache
def sources() -> dict[str, Source]:
    """`sources.yaml`: the sources of events by name.

    Raises:
        ConfigError: the file is missing or has the wrong shape, a source names an unknown tenant or topic, or two share a write key.
    """
    document, loaded = placed("sources.yaml", dict[str, Source])
    refuse(document, mistakes(loaded, platform().tenants, topics().raw()))
    return loaded


def identity(file: Path | None = None) -> Identity:
    """`identity.yaml`, or another file of its kind.

    Args:
        file: the other one.

    Raises:
        ConfigError: the file is missing or has the wrong shape, or a rule in it cannot be followed.
    """
    document, loaded = placed(file.name, Identity, file.parent) if file else placed("identity.yaml", Identity)
    refuse(document, identities.mistakes(loaded, platform().tenants, sources()))
    return loaded


def traits(where: Path | None = None) -> Traits:
    """`traits.yaml`.

    Args:
        where: the folder; by default `folder()`.

    Raises:
        ConfigError: the file is missing or has the wrong shape, or a rule in it cannot be followed.
    """
    document, loaded = placed(trait_rules.FILE, Traits, where)
    refuse(document, trait_rules.mistakes(loaded, platform().tenants, sources()))
    return loaded


def currencies() -> dict[str, Rates]:
    """`currencies.yaml`: tenant -> rates."""
    return read("currencies.yaml", dict[str, Rates])


def plans() -> dict[str, Plan]:
    """The tracking plans of `plans/*.yaml`, by file name without the ending."""
    return {path.stem: read(f"plans/{path.name}", Plan) for path in sorted((folder() / "plans").glob("*.yaml"))}


def traffic() -> list[TrafficRule]:
    """`traffic.yaml`."""
    return read("traffic.yaml", list[TrafficRule])


def definitions(where: Path | None = None) -> Definitions:
    """Features, RFM, segments, tags and traits, read together; names are checked where rules are compiled.

    Args:
        where: the folder; by default `folder()`.
    """
    return Definitions(
        features=read("features.yaml", Features, where),
        rfm=read("rfm.yaml", Rfm, where),
        segments=read("segments.yaml", list[Rule], where),
        tags=read("tags.yaml", list[Rule], where),
        traits=traits(where),
    )
