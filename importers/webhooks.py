"""Webhooks: a delivery is genuine or refused; a genuine one becomes events, whose ids a repeated delivery shares.

`receive` is all there is to it: the HTTP route, Kafka and the answer are the collector's.
"""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from config.sources import Ping, Source
from importers.envelope import Message, Origin, complete, completed
from importers.mapping import Failed, Mapped, MappingError, MappingRules, Skipped, load
from importers.mapping.document import hint
from importers.mapping.outcome import UNREADABLE, VALUE
from importers.pings import is_ping
from importers.signatures import Verifier
from importers.unmapped import unmapped
from schemas import json_text

RECORD_FIELDS: Final = ("headers", "body")
BAD_SIGNATURE: Final = "bad_signature"
UNMAPPED: Final = "unmapped"
PING: Final = "a ping"
"""What a delivery was skipped for when it only asks whether somebody is there."""
_ID_DIGITS: Final = 32


class WebhookMapping:
    """What makes events of a source's deliveries.

    Attributes:
        topic: raw topic its events go to.
        origin: source and tenant of its events.
        rules: the mapping.
        headers_read: names of the headers that the mapping looks at.
    """

    def __init__(self, name: str, config: Source, rules: MappingRules) -> None:
        self.topic, self.origin, self.rules = config.topic, Origin(name, config.tenant), rules
        self.headers_read = frozenset(path[1] for path in rules.reads() if len(path) > 1 and path[0] == "headers")

    def become(self, headers: Mapping[str, str], body: bytes) -> "Received | Failed":
        """Map a delivery that was found genuine. Pure: the same delivery gives the same messages, so a replayed one is a duplicate.

        Args:
            headers: by name, in lower case.
            body: as received, byte for byte.

        Returns:
            What it became, or why nothing: of the code `unreadable` when it is not JSON.
        """
        if b"\x00" in body[:4] or body[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return Failed(UNREADABLE, "", "the body is UTF-16 or UTF-32; JSON is sent in UTF-8")
        try:
            parsed = json_text.read(body, wide=True)
        except json_text.JsonTextError as error:
            if not error.is_json:
                return Failed(UNREADABLE, "", f"the body is not JSON: {error.rule}")
            return Failed(VALUE, f"body{error.path}", error.rule)  # its sender is not to blame: it is kept
        outcome = self.rules.apply({"headers": headers, "body": parsed})
        if isinstance(outcome, Skipped):
            return Received([], outcome.reason)
        if not isinstance(outcome, Mapped):
            return outcome
        digest = hashlib.sha256(body).hexdigest()
        messages = completed(outcome.events, lambda event: complete(event, self.origin, digest[:_ID_DIGITS], {"body_sha256": digest}))
        return messages if isinstance(messages, Failed) else Received(messages)


class WebhookSource:
    """An opened source.

    Attributes:
        mapping: makes events of its deliveries.
        verifier: tells which are genuine.
        pings: deliveries that are answered and become nothing.
    """

    def __init__(self, mapping: WebhookMapping, verifier: Verifier, pings: Sequence[Ping] = ()) -> None:
        self.mapping, self.verifier, self.pings = mapping, verifier, pings


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


def open_mapping(name: str, config: Source, folder: Path) -> WebhookMapping:
    """Read the mapping of a source.

    Args:
        name: of the source.
        config: the source, of kind `webhook`.
        folder: of the mapping files.

    Raises:
        MappingError: the mapping cannot be used for webhooks.
    """
    rules = load(folder / config.mapping)
    if rules.group_by is not None:
        raise MappingError(f"{config.mapping}: `group_by` is for files; a delivery is one record")
    outside = sorted({path[0] for path in rules.reads()} - set(RECORD_FIELDS))
    if outside:
        raise MappingError(f"{config.mapping}: reads `{outside[0]}`; a delivery has headers and body{hint(outside[0], RECORD_FIELDS)}")
    upper = sorted(path[1] for path in rules.reads() if path[0] == "headers" and len(path) > 1 and path[1] != path[1].lower())
    if upper:
        raise MappingError(f"{config.mapping}: reads the header `{upper[0]}`; names of headers are in lower case: `{upper[0].lower()}`")
    return WebhookMapping(name, config, rules)


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
    return WebhookSource(open_mapping(name, config, folder), Verifier(name, config.signature, environ), config.pings)


def receive(source: WebhookSource, headers: Mapping[str, str], body: bytes, now: dt.datetime) -> Received | Refused:
    """Take a delivery.

    Args:
        source: whose delivery it is.
        headers: by name, in any case.
        body: as received, byte for byte; the signature is over these.
        now: our time, with a zone.
    """
    named = {name.lower(): value for name, value in headers.items()}
    refusal = source.verifier.refusal(named, body, now)
    if is_ping(source.pings, named, body, signed=not refusal):
        return Received([], PING)
    if refusal:
        return Refused(401, BAD_SIGNATURE, refusal)
    found = source.mapping.become(named, body)
    if isinstance(found, Received):
        return found
    return Refused(400, UNREADABLE, found.rule) if found.code == UNREADABLE else _kept(source.mapping, named, body, found)


def _kept(mapping: WebhookMapping, headers: Mapping[str, str], body: bytes, failed: Failed) -> Refused:
    """Only the headers that the mapping reads are kept: others may hold credentials. Null says that one was not there."""
    digest = hashlib.sha256(body).hexdigest()
    position: dict[str, Any] = {"body_sha256": digest, "headers": {name: headers.get(name) for name in sorted(mapping.headers_read)}}
    origin = mapping.origin
    record = unmapped(origin.source, origin.tenant, position, failed, None, body)
    key = f"{origin.source}:{digest[:_ID_DIGITS]}".encode()
    return Refused(200, UNMAPPED, f"{failed.code} at {failed.field or 'the record'}: {failed.rule}", record, key)
