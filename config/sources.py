"""Sources of events: the types of `config/sources.yaml` and what must hold between them."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Literal

import msgspec

from schemas.documents import Mistake, meant

Kind = Literal["http", "file", "cdc", "webhook", "kafka"]
UNAVAILABLE = "__debezium_unavailable_value"
"""Debezium's own `unavailable.value.placeholder`."""
Decimals = Literal["", "precise", "string", "double"]
"""Debezium's `decimal.handling.mode`; empty: not said."""
DECIMALS: tuple[Decimals, ...] = ("", "precise", "string", "double")
_PLACEHOLDER = re.compile(r"hex:(?:[0-9a-fA-F]{2})+|(?!hex:).+")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_WRITE_KEY = re.compile(r"[A-Za-z0-9._-]{4,128}")
_ORIGIN = re.compile(r"\*|https?://[^/\s]+")


class Enrich(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the collector fills in from the connection where a client left it out."""

    ip: bool = False
    user_agent: bool = False


class Rate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A limit: `events_per_s` in the long run, `burst` events at once."""

    events_per_s: float
    burst: float


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a sender of webhooks signs.

    Attributes:
        header: holds the signature.
        secrets: where the secrets are, `env:NAME` or `file:/path`; several while one is being replaced by another.
        encoding: of the signature.
        prefix: in front of it, e.g. `sha256=`.
        field: where the header is a list such as `t=1700000000,v1=5257a8...`, the field with the signature (`v1`); it may be there twice.
        signs: what is signed: `{body}` with other headers or fields, e.g. `{t}.{body}` or `{x-zendesk-webhook-signature-timestamp}{body}`.
        time: the header or field with the sender's time, which must be among what is signed; empty: none, then only ids tell a replay.
        tolerance_s: how far that time may be from ours.
    """

    header: str
    secrets: list[str]
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = ""
    field: str = ""
    signs: str = "{body}"
    time: str = ""
    tolerance_s: float = 300.0


class Ping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A delivery that only asks whether somebody is there, as senders make when a webhook is set up: answered 200, and becomes no event.

    All that is given has to hold. What is not signed is looked at only as far as `PING_BYTES`.

    Attributes:
        form: the fields of the body, a form, and no others: name -> regular expression of the whole value.
        headers: name -> regular expression of the whole value.
        body: members of the body, a JSON object: name -> regular expression of the whole value as text.
        signed: whether it has to be signed like any delivery.
    """

    form: dict[str, str] = {}
    headers: dict[str, str] = {}
    body: dict[str, str] = {}
    signed: bool = False


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where events come from.

    Attributes:
        kind: how they enter.
        tenant: whose they are.
        topic: raw topic they are written to.
        write_key: what an HTTP client shows to write here; empty for other kinds.
        origins: web origins that may send, `*` for any; none by default.
        enrich: what is filled in from the connection.
        rate: limit by events; None for no limit.
        freshness_s: bar for the time from the source to the log, seconds; 0 for none.
        plan: name of a tracking plan; empty for none.
        issuer: whose numbers orders, refunds, tickets and leads have that come by it; empty: the tenant's own (docs/objects.md).
        mapping: of a webhook or file: mapping file below `config/mappings`.
        signature: of a webhook: how deliveries are signed.
        pings: of a webhook: deliveries that are answered and become nothing.
        tables: of a cdc source: topic of Debezium -> mapping file below `config/mappings`; empty: the bridge leaves it alone.
        schema_changes: of a cdc source: Debezium's schema-change topic; empty: not watched.
        decimals: of a cdc source: the connector's `decimal.handling.mode`; empty: not said, then what may be of two forms is refused.
        unavailable: of a cdc source: the connector's `unavailable.value.placeholder`.
        owner: who answers for it.
        says: what it is, in a few words.
    """

    kind: Kind
    tenant: str
    topic: str
    write_key: str = ""
    origins: list[str] = []
    enrich: Enrich = Enrich()
    rate: Rate | None = None
    freshness_s: float = 0.0
    plan: str = ""
    issuer: Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[^|]*$")] = ""
    mapping: str = ""
    signature: Signature | None = None
    pings: list[Ping] = []
    tables: dict[str, str] = {}
    schema_changes: str = ""
    decimals: Decimals = ""
    unavailable: str = UNAVAILABLE
    owner: str = ""
    says: str = ""


def mistakes(sources: Mapping[str, Source], tenants: Collection[str], raw_topics: Collection[str]) -> Iterator[Mistake]:
    """What is wrong with the sources, in the order of the file."""
    holders: dict[str, str] = {}
    for name, source in sources.items():
        if not _NAME.fullmatch(name):
            yield Mistake((name,), "a name is lower case letters, digits, `-` and `_`, at most 64")
        if source.tenant not in tenants:
            yield Mistake((name, "tenant"), f"unknown tenant `{source.tenant}`", meant(source.tenant, tenants))
        if source.topic not in raw_topics:
            yield Mistake((name, "topic"), f"`{source.topic}` is no raw topic of topics.yaml", meant(source.topic, raw_topics))
        if source.kind == "http" and not _WRITE_KEY.fullmatch(source.write_key):
            yield Mistake((name, "write_key"), "an http source needs a write_key: 4 to 128 letters, digits, `.`, `_` and `-`")
        if source.kind != "http" and (source.write_key or source.origins or source.rate):
            yield Mistake((name, "kind"), f"write_key, origins and rate belong to http sources, this one is {source.kind}")
        if source.write_key and (holder := holders.setdefault(source.write_key, name)) != name:
            yield Mistake((name, "write_key"), f"has the write_key of source `{holder}`; each needs its own")
        for index, origin in enumerate(source.origins):
            if not _ORIGIN.fullmatch(origin):
                yield Mistake((name, "origins", index), f"`{origin}` is no origin: write https://shop.example (no path), or *")
        if source.rate and not (source.rate.events_per_s > 0 and source.rate.burst >= 1):
            yield Mistake((name, "rate"), "events_per_s must be above 0 and burst at least 1")
        if source.kind == "webhook" and not (source.mapping and source.signature):
            what = "a webhook needs a `mapping` and a `signature`: what is not signed could come from anybody (docs/importing.md)"
            yield Mistake((name,), what)
        if source.kind != "webhook" and source.signature:
            yield Mistake((name, "signature"), f"a signature belongs to a webhook, this one is {source.kind}")
        if source.kind != "webhook" and source.pings:
            yield Mistake((name, "pings"), f"pings belong to a webhook, this one is {source.kind}")
        for ping in source.pings:
            yield from (Mistake((name, "pings"), problem) for problem in _ping_problems(ping))
        if source.kind != "cdc" and (source.tables or source.schema_changes or source.decimals or source.unavailable != UNAVAILABLE):
            what = f"tables, schema_changes, decimals and unavailable belong to cdc sources, this one is {source.kind}"
            yield Mistake((name, "kind"), what)
        if not _PLACEHOLDER.fullmatch(source.unavailable):
            what = "the connector's `unavailable.value.placeholder`: not empty, or `hex:` and its bytes in hex"
            yield Mistake((name, "unavailable"), what)
        if source.freshness_s < 0:
            yield Mistake((name, "freshness_s"), "freshness_s must not be negative")


def _ping_problems(ping: Ping) -> Iterator[str]:
    patterns = [*ping.form.items(), *ping.headers.items(), *ping.body.items()]
    if not patterns:
        yield "a ping needs at least one of form, headers and body, or every delivery would be one"
    if ping.form and ping.body:
        yield "a ping is a form or a JSON object, not both"
    for name, pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            yield f"ping: `{pattern}` of `{name}` is no regular expression: {error}"
