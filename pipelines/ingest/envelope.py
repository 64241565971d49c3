"""The shape of the envelope as msgspec structs: what is declared here is checked at once."""

import datetime as dt
from typing import Annotated, Any, Final, Literal

import msgspec

from schemas.validators import Name

CallType = Literal["track", "page", "screen", "identify", "group", "alias"]
MAX_EXTERNAL_IDS: Final = 50
"""Each makes a node key and a link: an event must not become hundreds of records."""
CHANNELS = frozenset({"web", "mobile_app", "mini_program", "store", "call_centre", "community", "email"})


class Envelope(msgspec.Struct, rename="camel"):
    """The Segment envelope without its objects: properties, traits and context."""

    type: CallType
    message_id: str
    event: Name | None = None
    tenant: str | None = None
    user_id: Name | None = None
    anonymous_id: Name | None = None
    previous_id: Name | None = None
    group_id: Any = None
    timestamp: dt.datetime | None = None
    original_timestamp: dt.datetime | None = None
    sent_at: dt.datetime | None = None
    received_at: dt.datetime | None = None


class ExternalId(msgspec.Struct):
    """One entry of `context.externalIds`."""

    type: Name
    id: Name


class Context(msgspec.Struct, rename="camel"):
    """The parts of `context` that the platform reads."""

    channel: str | None = None
    timezone: str | None = None
    external_ids: Annotated[list[ExternalId], msgspec.Meta(max_length=MAX_EXTERNAL_IDS)] | None = None
    source_order: int | str | None = None
    source_log: Name | None = None
    group_type: Any = None
