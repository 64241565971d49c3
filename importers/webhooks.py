"""Webhooks: a delivery is genuine or refused; a genuine one becomes events, whose ids a repeated delivery shares.

`receive` is all there is to it: the HTTP route, Kafka and the answer are the collector's.
"""

import datetime as dt
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson

from config.sources import Source
from importers.envelope import Message, Origin, complete, too_large
from importers.mapping import Failed, Mapped, MappingError, MappingRules, Skipped, load
from importers.mapping.document import hint
from importers.signatures import Verifier
from importers.unmapped import unmapped

RECORD_FIELDS: Final = ("headers", "body")
BAD_SIGNATURE: Final = "bad_signature"
UNREADABLE: Final = "unreadable"
UNMAPPED: Final = "unmapped"
_ID_DIGITS: Final = 32


class WebhookSource:
    """An opened source.

    Attributes:
        name: of the source.
        topic: raw topic its events go to.
    """

    def __init__(self, name: str, config: Source, rules: MappingRules, verifier: Verifier) -> None:
        self.name, self.topic = name, config.topic
        self.origin = Origin(name, config.tenant)
        self.rules, self.verifier = rules, verifier
        self.headers_read = frozenset(path[1] for path in rules.reads() if len(path) > 1 and path[0] == "headers")


class Received(msgspec.Struct, frozen=True):
    """A delivery was taken: answer 200 once Kafka has acknowledged the messages.

    Attributes:
        messages: for the source's topic; none when a skip rule holds.
        skipped: its reason.
    """

    messages: list[Message]
    skipped: str = ""


class Refused(msgspec.Struct, frozen=True):
    """A delivery became no event.

    Attributes:
        status: of the answer. 401: not genuine, and not looked at. 400: not JSON. 200: genuine and readable, but the mapping cannot map it;
            the sender is not to blame and must not repeat it, so `kept` goes to `cdp.unmapped` before the answer.
        code: `bad_signature`, `unreadable` or `unmapped`.
        says: for the answer and the log; no personal values.
        kept: the record for `cdp.unmapped`; empty for the others.
        key: its key.
    """

    status: int
    code: str
    says: str
    kept: bytes = b""
    key: bytes = b""


def open_source(name: str, config: Source, folder: Path, environ: Mapping[str, str] | None = None) -> WebhookSource:
    """Read mapping and secrets of a source.

    Args:
        name: of the source.
        config: the source, of kind `webhook`.
        folder: of the mapping files.
        environ: where `env:` secrets are looked for; by default the process's environment.

    Raises:
        MappingError: the mapping cannot be used for webhooks.
        importers.signatures.SecretError: a secret is not there, or the scheme leaves something unsigned.
    """
    assert config.signature is not None, "checked when the sources are read"
    rules = load(folder / config.mapping)
    if rules.group_by is not None:
        raise MappingError(f"{config.mapping}: `group_by` is for files; a delivery is one record")
    outside = sorted({path[0] for path in rules.reads()} - set(RECORD_FIELDS))
    if outside:
        raise MappingError(f"{config.mapping}: reads `{outside[0]}`; a delivery has headers and body{hint(outside[0], RECORD_FIELDS)}")
    upper = sorted(path[1] for path in rules.reads() if path[0] == "headers" and len(path) > 1 and path[1] != path[1].lower())
    if upper:
        raise MappingError(f"{config.mapping}: reads the header `{upper[0]}`; names of headers are in lower case: `{upper[0].lower()}`")
    return WebhookSource(name, config, rules, Verifier(name, config.signature, environ))


def receive(source: WebhookSource, headers: Mapping[str, str], body: bytes, now: dt.datetime) -> Received | Refused:
    """Take a delivery. Pure: the same delivery gives the same messages, so a replayed one is a duplicate.

    Args:
        source: whose delivery it is.
        headers: by name, in any case.
        body: as received, byte for byte; the signature is over these.
        now: our time, with a zone.
    """
    named = {name.lower(): value for name, value in headers.items()}
    refusal = source.verifier.refusal(named, body, now)
    if refusal:
        return Refused(401, BAD_SIGNATURE, refusal)
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return Refused(400, UNREADABLE, f"the body is not JSON: {error}")
    outcome = source.rules.apply({"headers": named, "body": parsed})
    if isinstance(outcome, Skipped):
        return Received([], outcome.reason)
    if not isinstance(outcome, Mapped):
        return _kept(source, named, body, outcome)
    digest = hashlib.sha256(body).hexdigest()
    lineage = {"body_sha256": digest}
    messages = [complete(event, source.origin, digest[:_ID_DIGITS], lineage) for event in outcome.events]
    large = too_large(messages)
    return Received(messages) if large is None else _kept(source, named, body, large)


def _kept(source: WebhookSource, headers: Mapping[str, str], body: bytes, failed: Failed) -> Refused:
    """Only the headers that the mapping reads are kept: others may hold credentials."""
    digest = hashlib.sha256(body).hexdigest()
    position: dict[str, Any] = {
        "body_sha256": digest,
        "headers": {name: headers[name] for name in sorted(source.headers_read & headers.keys())},
    }
    record = unmapped(source.name, source.origin.tenant, position, failed, None, body)
    key = f"{source.name}:{digest[:_ID_DIGITS]}".encode()
    return Refused(200, UNMAPPED, f"{failed.code} at {failed.field or 'the record'}: {failed.rule}", record, key)
