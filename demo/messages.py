"""The unit the generator works with: one event with its place in the log, and how it becomes bytes."""

import random
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import orjson

CLICKSTREAM: Final = "cdp.raw.clickstream"
ORDERS: Final = "cdp.raw.orders"
SERVICE: Final = "cdp.raw.service"
TENANT: Final = "demo"
SEED: Final = 20101201


class Message(NamedTuple):
    """An event to be written: `log_ms` becomes the record's timestamp, `key` its key, `body` its JSON."""

    log_ms: int
    topic: str
    key: str
    body: dict[str, Any]


def iso(time_ms: int) -> str:
    """ISO 8601 with milliseconds, UTC."""
    seconds, millis = divmod(time_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{millis:03d}Z"


def render(body: dict[str, Any]) -> bytes:
    """The bytes that go to Kafka."""
    return orjson.dumps(body)


def dice(*parts: object) -> random.Random:
    """A source of randomness that depends on nothing but its arguments and the fixed seed: any slice of the data gives the same events."""
    return random.Random("|".join(map(str, (SEED, *parts))))


def message(
    topic: str, time_ms: int, message_id: str, kind: str, *, user: str, device: str, context: dict[str, Any], **rest: Any
) -> Message:
    """Build one event whose event time is its log time.

    Args:
        topic: raw topic.
        time_ms: event time.
        message_id: unique and deterministic.
        kind: `page`, `identify`, or the name of a `track` event.
        user: user id as in the source, empty when not logged in.
        device: anonymous id, empty when there is none.
        context: channel and origin.
        **rest: `properties`, `traits`, `groupId`.
    """
    call = {"type": kind} if kind.islower() else {"type": "track", "event": kind}
    who = {name: value for name, value in (("userId", user), ("anonymousId", device)) if value}
    stamp = iso(time_ms)
    body = {**call, "messageId": message_id, "tenant": TENANT, **who, "timestamp": stamp, "sentAt": stamp, "context": context, **rest}
    return Message(time_ms, topic, user or device, body)
