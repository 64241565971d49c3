"""Tenants, servers and limits: the types of `config/platform.yaml`."""

from typing import Annotated

import msgspec

Positive = Annotated[int, msgspec.Meta(ge=1)]


class Tenant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tenant: its currency (amounts are integers of `10 ** -minor_units`) and its tracking plan, empty for none."""

    currency: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}$")]
    minor_units: Annotated[int, msgspec.Meta(ge=0, le=4)] = 2
    plan: str = ""


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
