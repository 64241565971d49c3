"""Shapes of raw records as msgspec structs: what is declared here is checked while the JSON is parsed, once."""

import datetime as dt
from typing import Literal

import msgspec

CallType = Literal["track", "page", "screen", "identify", "group", "alias"]
CHANNELS = frozenset({"web", "mobile_app", "mini_program", "store", "call_centre", "community", "email"})


class Envelope(msgspec.Struct, rename="camel"):
    """The Segment envelope; properties, traits and context stay raw until they are needed."""

    type: CallType
    message_id: str
    event: str | None = None
    tenant: str | None = None
    user_id: str | None = None
    anonymous_id: str | None = None
    timestamp: dt.datetime | None = None
    original_timestamp: dt.datetime | None = None
    sent_at: dt.datetime | None = None
    received_at: dt.datetime | None = None
    properties: msgspec.Raw = msgspec.Raw(b"{}")
    traits: msgspec.Raw = msgspec.Raw(b"{}")
    context: msgspec.Raw = msgspec.Raw(b"{}")


class ExternalId(msgspec.Struct):
    """One entry of `context.externalIds`."""

    type: str
    id: str


class Context(msgspec.Struct, rename="camel"):
    """The parts of `context` that the platform reads."""

    channel: str | None = None
    external_ids: list[ExternalId] | None = None


class Product(msgspec.Struct):
    """`Product Viewed`, `Product Added`."""

    product_id: str
    price: float | None = None
    quantity: float | None = None
    name: str | None = None
    category: str | None = None
    currency: str | None = None


class Line(msgspec.Struct):
    """One line of an order or refund."""

    product_id: str
    quantity: float
    price: float


class Order(msgspec.Struct):
    """`Order Completed`, `Order Updated`."""

    order_id: str
    products: list[Line]
    total: float | None = None
    currency: str | None = None


class Refund(msgspec.Struct):
    """`Order Refunded`."""

    refund_id: str
    products: list[Line]
    order_id: str | None = None
    total: float | None = None
    currency: str | None = None


class Cancellation(msgspec.Struct):
    """`Order Cancelled`."""

    order_id: str


class Ticket(msgspec.Struct):
    """`Ticket Opened`, `Ticket Updated`, `Ticket Closed`."""

    ticket_id: str
    category: str | None = None
    channel: str | None = None
    priority: str | None = None
    csat: float | None = None
    resolution_time_s: float | None = None
