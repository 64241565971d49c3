"""From a mapped event to the record that goes to Kafka: message id, tenant, source and lineage."""

import hashlib
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from importers.mapping.outcome import TOO_LARGE, VALUE, Event, Failed
from schemas import json_text

MAX_BYTES: Final = 2_000_000
"""Of a message: Kafka's limit, with room for the record's own fields. What the platform applies is much less (docs/contracts.md)."""
MAX_ID: Final = 100
"""Characters of a `messageId` (docs/contracts.md)."""
_HASH_DIGITS: Final = 32


class Origin(msgspec.Struct, frozen=True):
    """Where events come from: the source's name and the tenant they belong to."""

    source: str
    tenant: str


class Message(msgspec.Struct, frozen=True):
    """What goes to Kafka."""

    message_id: str
    key: bytes
    value: bytes
    envelope: dict[str, Any]


def bounded(message_id: str) -> str:
    """A message id that fits: one that is too long keeps its beginning and gets a digest of the whole."""
    if len(message_id) <= MAX_ID:
        return message_id
    digest = hashlib.blake2b(message_id.encode(), digest_size=_HASH_DIGITS // 2).hexdigest()
    return f"{message_id[: MAX_ID - _HASH_DIGITS - 1]}:{digest}"


def message_id_of(event: Event, source: str, position: str) -> str:
    """`<source>:<business key>`, else the id that was copied, else `<source>:<position>`.

    A record's second event and those after it get their number behind the position.
    """
    if event.key:
        return bounded(f"{source}:{event.key}")
    copied = event.envelope.get("messageId")
    if isinstance(copied, str) and copied:
        return copied
    return bounded(f"{source}:{position}" + (f":{event.number}" if event.number else ""))


def complete(event: Event, origin: Origin, position: str, lineage: dict[str, Any], order: dict[str, str] | None = None) -> Message:
    """Make a mapped event a message.

    Args:
        event: is not changed.
        origin: becomes `tenant` and `context.source`.
        position: where the record stands in its source, for events without a business key.
        lineage: becomes `context.lineage`.
        order: `sourceOrder` and `sourceLog` for `context`, of a source that has an order of its own; what the mapping says goes before it.

    Raises:
        JsonTextError: it holds what JSON cannot, or a whole number beyond 64 bits.
    """
    message_id = message_id_of(event, origin.source, position)
    context = event.envelope.get("context")
    named = {"source": origin.source, "lineage": lineage}
    context = {**(order or {}), **context} if isinstance(context, dict) else order
    envelope = {
        **event.envelope,
        "messageId": message_id,
        "tenant": origin.tenant,
        "context": {**context, **named} if isinstance(context, dict) else named,
    }
    return Message(message_id, kafka_key(envelope), json_text.write(envelope), envelope)


def completed(events: Iterable[Event], complete_one: Callable[[Event], Message]) -> list[Message] | Failed:
    """Make the events of one record messages, or say why one of them cannot be sent: then none is.

    Args:
        events: of the record.
        complete_one: calls `complete`.
    """
    messages = []
    for event in events:
        try:
            messages.append(complete_one(event))
        except json_text.JsonTextError as error:
            return Failed(VALUE, f"events[{event.number}]{error.path}", error.rule)
    largest = max(len(message.value) for message in messages)
    return Failed(TOO_LARGE, "", f"events of at most {MAX_BYTES:,} bytes; one has {largest:,}") if largest > MAX_BYTES else messages


def kafka_key(envelope: dict[str, Any]) -> bytes:
    """The record's key: an identifier, so that one customer's events keep their order; else the message id."""
    for name in ("userId", "anonymousId"):
        value = envelope.get(name)
        if isinstance(value, str) and value:
            return value.encode()
    context = envelope.get("context")
    external = context.get("externalIds") if isinstance(context, dict) else None
    if isinstance(external, list) and external and isinstance(external[0], dict):
        return f"{external[0].get('type')}:{external[0].get('id')}".encode()
    return str(envelope.get("messageId", "")).encode()
