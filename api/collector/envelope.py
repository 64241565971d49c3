"""Shape what a client sent into the raw envelope of docs/contracts.md: pure functions from bytes to bytes.

Nothing is checked here: an event that is wrong goes to the raw topic as it came, and the job `profiles` rejects it with a code. Values the
collector has no say in keep their very bytes.
"""

import datetime as dt
from collections.abc import Callable

import msgspec

from schemas import json_parts
from schemas.json_parts import Members, text
from schemas.json_text import JsonTextError

KEY_CHARS = 256  # as long as an identifier may be

_NULL = msgspec.Raw(b"null")
_encode: Callable[[object], bytes] = msgspec.json.Encoder().encode


class Stamp(msgspec.Struct, frozen=True):
    """What a request and its source say about each event in it, as JSON.

    Attributes:
        tenant: the source's; replaces the event's.
        source: name of the source; replaces `context.source`.
        received_at: when the request arrived; replaces the event's.
        type: the call the endpoint stands for; None for a batch.
        sent_at: the batch's.
        context: the batch's; an event's own members win.
        connection: `ip` and `userAgent`, as far as switched on; an event's own members win.
    """

    tenant: msgspec.Raw
    source: msgspec.Raw
    received_at: msgspec.Raw
    type: msgspec.Raw | None = None
    sent_at: msgspec.Raw | None = None
    context: Members = {}
    connection: Members = {}


def raw(value: str) -> msgspec.Raw:
    """A text as JSON."""
    return msgspec.Raw(_encode(value))


def iso(moment: dt.datetime) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    return moment.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def shape(event: bytes, stamp: Stamp, new_id: Callable[[], str]) -> tuple[bytes | None, bytes]:
    """Key and value of the Kafka record of one event.

    Args:
        event: its JSON as the client sent it.
        stamp: what the request adds.
        new_id: makes a message id for an event that has none.

    Returns:
        The key (None for what has no identifier) and the value: the shaped event, or the very bytes of what is no object.
    """
    found = _object(event)
    if found is None:
        return None, bytes(event)
    found.pop("writeKey", None)  # a credential has no business in a topic
    if stamp.type is not None and _absent(found, "type"):
        found["type"] = stamp.type
    if _absent(found, "messageId"):
        found["messageId"] = raw(new_id())
    if stamp.sent_at is not None and _absent(found, "sentAt"):
        found["sentAt"] = stamp.sent_at
    _move_timestamp(found)
    context = _context(found, stamp)
    if context is not None:
        found["context"] = context
    found["tenant"] = stamp.tenant
    found["receivedAt"] = stamp.received_at
    return _key(found), _encode(found)


def _object(data: bytes) -> Members | None:
    try:
        return json_parts.members(data, broken=False)
    except JsonTextError:
        return None


def _absent(found: Members, name: str) -> bool:
    return found.get(name, _NULL) == _NULL


def _move_timestamp(found: Members) -> None:
    """A client's `timestamp` is its own clock's: as `originalTimestamp` it is corrected by `sentAt`, and a retry does not change it."""
    if "timestamp" in found and _absent(found, "originalTimestamp"):
        moved = found.pop("timestamp")
        if moved != _NULL:
            found["originalTimestamp"] = moved


def _context(found: Members, stamp: Stamp) -> msgspec.Raw | None:
    """The event's context with what the request adds; None when it is something else than an object: that stays, to be rejected."""
    own: Members = {}
    if not _absent(found, "context"):
        given = {} if _is_empty_array(found["context"]) else _object(found["context"])
        if given is None:
            return None
        own = given
    return msgspec.Raw(_encode({**stamp.connection, **stamp.context, **own, "source": stamp.source}))


def _is_empty_array(data: bytes) -> bool:
    """What PHP makes of an empty object."""
    return bytes(data).translate(None, b" \t\n\r") == b"[]"


def _key(found: Members) -> bytes | None:
    for name in ("userId", "anonymousId", "messageId"):
        if name in found and (value := text(found[name])):
            return value[:KEY_CHARS].encode()
    return None
