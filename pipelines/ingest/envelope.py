"""Shapes of raw records as msgspec structs: what is declared here is checked while the JSON is parsed, once."""

import datetime as dt
from typing import Annotated, Final, Literal

import msgspec

MAX_NAME: Final = 256
"""Identifiers, names and business keys may have this many characters: they become keys of topics, state and tables."""

Name = Annotated[str, msgspec.Meta(max_length=MAX_NAME)]
Key = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME)]

CallType = Literal["track", "page", "screen", "identify", "group", "alias"]
CHANNELS = frozenset({"web", "mobile_app", "mini_program", "store", "call_centre", "community", "email"})


class Envelope(msgspec.Struct, rename="camel"):
    """The Segment envelope; properties, traits and context stay raw until they are needed."""

    type: CallType
    message_id: str
    event: Name | None = None
    tenant: str | None = None
    user_id: Name | None = None
    anonymous_id: Name | None = None
    timestamp: dt.datetime | None = None
    original_timestamp: dt.datetime | None = None
    sent_at: dt.datetime | None = None
    received_at: dt.datetime | None = None
    properties: msgspec.Raw = msgspec.Raw(b"{}")
    traits: msgspec.Raw = msgspec.Raw(b"{}")
    context: msgspec.Raw = msgspec.Raw(b"{}")


class ExternalId(msgspec.Struct):
    """One entry of `context.externalIds`."""

    type: Name
    id: Name


class Context(msgspec.Struct, rename="camel"):
    """The parts of `context` that the platform reads."""

    channel: str | None = None
    external_ids: list[ExternalId] | None = None


class Product(msgspec.Struct):
    """`Product Viewed`, `Product Added`."""

    product_id: Key
    price: float | None = None
    quantity: float | None = None
    name: str | None = None
    category: str | None = None
    currency: str | None = None


class Line(msgspec.Struct):
    """One line of an order or refund."""

    product_id: Key
    quantity: float
    price: float


class Order(msgspec.Struct):
    """`Order Completed`, `Order Updated`."""

    order_id: Key
    products: list[Line]
    total: float | None = None
    currency: str | None = None


class Refund(msgspec.Struct):
    """`Order Refunded`."""

    refund_id: Key
    products: list[Line]
    order_id: Name | None = None
    total: float | None = None
    currency: str | None = None


class Cancellation(msgspec.Struct):
    """`Order Cancelled`."""

    order_id: Key


class Ticket(msgspec.Struct):
    """`Ticket Opened`, `Ticket Updated`, `Ticket Closed`."""

    ticket_id: Key
    category: str | None = None
    channel: str | None = None
    priority: str | None = None
    csat: float | None = None
    resolution_time_s: float | None = None
