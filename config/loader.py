"""Read and check `config/*.yaml`. The only place that knows the files' names and the environment variables that override them."""

import datetime as dt
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from urllib.parse import quote

import msgspec

from config import identity as identities
from config import passwords
from config.identity import Identity as Identity
from config.sources import Source, mistakes
from schemas import documents, registry, shapes
from schemas.documents import Document, Mistake
from schemas.plans import Plan

DAY_S = 86_400
Positive = Annotated[int, msgspec.Meta(ge=1)]


class ConfigError(ValueError):
    """A configuration file is missing, unreadable or does not say what it should; the message names file and field."""


class Tenant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tenant: its currency (amounts are integers of `10 ** -minor_units`) and its tracking plan, empty for none."""

    currency: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}$")]
    minor_units: Annotated[int, msgspec.Meta(ge=0, le=4)] = 2
    plan: str = ""


Rates = dict[str, dict[dt.date, float]]
"""Currency -> day from which a rate holds -> what one unit is worth in the tenant's currency."""


class Kafka(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Brokers, `host:port` separated by commas."""

    bootstrap: str


class Redis(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Profile store, `redis://host:port/db`; the password, if there is one, is put in when the file is read."""

    url: str

    def __repr__(self) -> str:
        return "Redis(...)"  # whoever prints the configuration must not print the password


class ClickHouse(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """History: native and HTTP port of one server, and who we are there."""

    host: str
    tcp_port: int
    http_port: int
    database: str
    user: str = "default"
    password: str = ""

    def __repr__(self) -> str:
        return f"ClickHouse({self.user}@{self.host}:{self.http_port}/{self.database})"


class Flink(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Address of the JobManager's REST interface."""

    rest: str


class CollectorLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What strangers may take of a process of the collector before their key is checked (docs/collector.md).

    Attributes:
        connections: open at once.
        connections_per_address: of these, from one address.
        header_bytes: of a request's first line and headers.
        header_s: until they are complete; also for a connection that says nothing.
        body_s: from then on until the body is complete.
        held_bytes: of bodies in memory.
        held_bytes_per_address: of these, from one address.
        rest_bytes: of a body that are read and thrown away behind its answer.
    """

    connections: int = 2000
    connections_per_address: int = 256
    header_bytes: int = 16_384
    header_s: float = 10.0
    body_s: float = 15.0
    held_bytes: int = 67_108_864
    held_bytes_per_address: int = 8_388_608
    rest_bytes: int = 2_097_152


class Collector(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Address of the HTTP collector, without a path, and its bounds."""

    url: str
    limits: CollectorLimits = CollectorLimits()


class SchemaRegistry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where ids of Avro schemas come from: a registry's URL, empty for the files in `schemas/avro`."""

    url: str = ""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Public limits; none acts in silence."""

    request_bytes: Positive
    request_events: Positive
    event_bytes: Positive
    order_bytes: Positive
    message_id_chars: Positive
    nesting: Positive
    max_future_s: Positive
    lateness_s: Positive
    dedupe_s: Positive
    drift_s: Positive = 86_400
    clock_ahead_s: Positive = 3_600


class Platform(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`platform.yaml`: tenants, servers, limits."""

    default_tenant: str
    tenants: dict[str, Tenant]
    kafka: Kafka
    redis: Redis
    clickhouse: ClickHouse
    flink: Flink
    collector: Collector
    limits: Limits
    schema_registry: SchemaRegistry = SchemaRegistry()


class Topic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One topic: partitions, replication and broker settings; `raw` topics are sources of job `profiles`."""

    raw: bool = False
    partitions: int = 0
    replication: int = 0
    config: dict[str, str] = msgspec.field(default_factory=dict)


class TopicDefaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a topic has that says nothing else."""

    partitions: Positive
    replication: Positive


class Topics(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`topics.yaml`."""

    defaults: TopicDefaults
    topics: dict[str, Topic]

    def raw(self) -> list[str]:
        """Names of the raw topics, in the order of the file."""
        return [name for name, topic in self.topics.items() if topic.raw]

    def partitions(self, name: str) -> int:
        """Number of partitions a topic is created with."""
        return self.topics[name].partitions or self.defaults.partitions

    def replication(self, name: str) -> int:
        """Replication factor a topic is created with."""
        return self.topics[name].replication or self.defaults.replication


class Series(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a series gets its entries from: event names, call types, or the order ledger (`orders`, `refunds`)."""

    events: list[str] = []
    types: list[str] = []
    ledger: Literal["", "orders", "refunds"] = ""


class Feature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A windowed feature: a measure of a series, or the difference of two features.

    `minus` subtracts the first window from a longer one.
    """

    name: str
    windows: list[str]
    series: str = ""
    measure: Literal["", "count", "amount"] = ""
    difference: list[str] = []
    minus: dict[str, str] = {}


class Features(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`features.yaml`."""

    windows: dict[str, Positive]
    tile_hop_min: dict[str, Positive]
    exact_entries: Positive
    session_gap_s: Positive
    refresh_s: Positive
    series: dict[str, Series]
    features: list[Feature]


class CutPoints(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Four ascending cut points for each of R (days), F (orders) and M (major units), with the version that scores name."""

    version: int
    recency: list[float]
    frequency: list[float]
    monetary: list[float]


class Rfm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`rfm.yaml`."""

    recency: str
    frequency: str
    monetary: str
    quantiles: list[float]
    tolerance: float
    initial: CutPoints


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A named condition of `tags.yaml` or `segments.yaml`."""

    name: str
    when: str
    says: str = ""


class TrafficRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule of `traffic.yaml`: what is caught is flagged by the rule's name.

    Two forms: a repetition (`same` and `within_ms`) or a burst (`more_than` and `within_s`).

    Attributes:
        name: flag.
        says: what it is about.
        events: names it watches.
        types: call types it watches.
        same: properties that make two events of one name the same act.
        within_ms: how close to the one before, by event time, a repetition is.
        more_than: events of one node in a stretch of `within_s` that still count.
        within_s: length of the stretches, seconds; they begin at multiples of it.
        exclude: keep what is caught out of the features; it stays in history in any case.
    """

    name: str
    says: str
    events: list[str] = []
    types: list[str] = []
    same: list[str] = []
    within_ms: Annotated[int, msgspec.Meta(ge=0)] = 0
    more_than: Annotated[int, msgspec.Meta(ge=0)] = 0
    within_s: Annotated[int, msgspec.Meta(ge=0)] = 0
    exclude: bool = False


class Definitions(msgspec.Struct, frozen=True):
    """Everything that says what a profile holds; travels with a job's submission."""

    features: Features
    rfm: Rfm
    segments: list[Rule]
    tags: list[Rule]


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
        raise ConfigError(f"{folder() / 'platform.yaml'}: default_tenant `{loaded.default_tenant}` is not among tenants")
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


def identity() -> Identity:
    """`identity.yaml`.

    Raises:
        ConfigError: the file is missing or has the wrong shape, or a rule in it cannot be followed.
    """
    document, loaded = placed("identity.yaml", Identity)
    refuse(document, identities.mistakes(loaded, platform().tenants, sources()))
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
    """Features, RFM, segments and tags, read together; names are checked where rules are compiled.

    Args:
        where: the folder; by default `folder()`.
    """
    return Definitions(
        features=read("features.yaml", Features, where),
        rfm=read("rfm.yaml", Rfm, where),
        segments=read("segments.yaml", list[Rule], where),
        tags=read("tags.yaml", list[Rule], where),
    )
