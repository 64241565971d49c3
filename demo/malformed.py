"""Records no platform should swallow: one of every kind, each wrong in exactly one way."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from demo.messages import CLICKSTREAM, ORDERS, TENANT, iso, render

KB: Final = 1024
HOUR_MS: Final = 3_600_000
Body = dict[str, Any]


class Kind(NamedTuple):
    """A way of being wrong: `value` builds the bytes from a message id and a log time; `code` is the rejection it must get."""

    name: str
    code: str
    topic: str
    value: Callable[[str, int], bytes | None]


def _view(message_id: str, log_ms: int) -> Body:
    product = {"product_id": "85123A", "price": 2.55, "quantity": 1}
    stamp = iso(log_ms)
    who = {"userId": "malformed", "timestamp": stamp, "sentAt": stamp}
    return {
        "type": "track",
        "event": "Product Added",
        "messageId": message_id,
        "tenant": TENANT,
        **who,
        "context": {"synthetic": True},
        "properties": product,
    }


def _order(message_id: str, log_ms: int) -> Body:
    lines = [{"product_id": "85123A", "quantity": 6, "price": 2.55}]
    properties = {"order_id": message_id, "total": 15.3, "currency": "GBP", "products": lines}
    return {**_view(message_id, log_ms), "event": "Order Completed", "properties": properties}


def _without(body: Body, *names: str) -> Body:
    return {name: value for name, value in body.items() if name not in names}


def _raw(name: str, code: str, make: Callable[[bytes], bytes | None]) -> Kind:
    """A kind that spoils the bytes of a good event."""
    return Kind(name, code, CLICKSTREAM, lambda message_id, log_ms: make(render(_view(message_id, log_ms))))


def _envelope(name: str, code: str, make: Callable[[Body, int], Body]) -> Kind:
    """A kind that spoils the envelope."""
    return Kind(name, code, CLICKSTREAM, lambda message_id, log_ms: render(make(_view(message_id, log_ms), log_ms)))


def _fields(name: str, code: str, **changes: Any) -> Kind:
    """A kind that sets fields of the envelope."""
    return _envelope(name, code, lambda body, _: {**body, **changes})


def _properties(name: str, code: str, *, drop: str = "", **changes: Any) -> Kind:
    """A kind that spoils the properties of `Product Added`."""
    return _envelope(name, code, lambda body, _: {**body, "properties": {**_without(body["properties"], drop), **changes}})


def _of_order(name: str, code: str, *, drop: str = "", **changes: Any) -> Kind:
    """A kind that spoils the properties of `Order Completed`."""

    def value(message_id: str, log_ms: int) -> bytes:
        body = _order(message_id, log_ms)
        return render({**body, "properties": {**_without(body["properties"], drop), **changes}})

    return Kind(name, code, ORDERS, value)


def _line(**changes: Any) -> list[Body]:
    return [{"product_id": "85123A", "quantity": 6, "price": 2.55}, {"product_id": "71053", "quantity": 6, "price": 3.39} | changes]


FORMAT: Final = (
    _raw("cut_short", "payload_format", lambda good: good[:-7]),
    _raw("two_documents", "payload_format", lambda good: good + good),
    _raw("not_json", "payload_format", lambda good: b"<event/>"),
    _raw("not_utf8", "payload_format", lambda good: good.replace(b"85123A", b"\xff\xfe\x80")),
    _raw("empty", "payload_format", lambda good: b""),
    _raw("null_value", "payload_format", lambda good: None),
    _raw("nested_200", "payload_format", lambda good: good.replace(b'"85123A"', b"[" * 200 + b"]" * 200)),
    _raw("nested_10000", "payload_format", lambda good: b"[" * 10_000 + b"]" * 10_000),
    _raw("never_closed", "payload_format", lambda good: b'{"a":' * 5_000),
    _raw("nan", "payload_format", lambda good: good.replace(b"2.55", b"NaN")),
    _raw("infinity", "payload_format", lambda good: good.replace(b"2.55", b"-Infinity")),
    _raw("huge_number", "payload_format", lambda good: good.replace(b"2.55", b"1e400")),
)
SHAPE: Final = (
    _raw("array", "schema_violation", lambda good: b"[" + good + b"]"),
    _raw("bare_string", "schema_violation", lambda good: b'"hello"'),
    _raw("bare_number", "schema_violation", lambda good: b"42"),
    _raw("bare_null", "schema_violation", lambda good: b"null"),
    _envelope("no_type", "schema_violation", lambda body, _: _without(body, "type")),
    _fields("unknown_type", "schema_violation", type="trck"),
    _envelope("no_message_id", "schema_violation", lambda body, _: _without(body, "messageId")),
    _fields("empty_message_id", "schema_violation", messageId=""),
    _fields("message_id_number", "schema_violation", messageId=7),
    _envelope("no_event_name", "schema_violation", lambda body, _: _without(body, "event")),
    _fields("user_id_object", "schema_violation", userId={"id": 1}),
    _fields("context_string", "schema_violation", context="web"),
    _fields("properties_array", "schema_violation", properties=["85123A"]),
    _fields("timestamp_words", "schema_violation", timestamp="soon"),
    _properties("no_product_id", "schema_violation", drop="product_id"),
    _properties("price_text", "schema_violation", price="2.55"),
    _of_order("no_order_id", "schema_violation", drop="order_id"),
    _of_order("no_products", "schema_violation", drop="products"),
    _of_order("products_empty", "schema_violation", products=[]),
    _of_order("products_object", "schema_violation", products={"0": {}}),
    _of_order("line_without_price", "schema_violation", products=[{"product_id": "1", "quantity": 1}]),
    _of_order("products_5001", "schema_violation", products=[{"product_id": "a", "quantity": 1, "price": 1}] * 5001),
)
SIZE: Final = (
    _properties("view_33kb", "size_violation", note="x" * (33 * KB)),
    _properties("string_1mb", "size_violation", note="x" * (1024 * KB)),
    _of_order("order_300kb", "size_violation", note="x" * (300 * KB)),
    _of_order("order_1500kb", "size_violation", note="x" * (1500 * KB)),
    _envelope("message_id_101", "size_violation", lambda body, _: {**body, "messageId": body["messageId"].ljust(101, "x")}),
)
IDENTIFIERS: Final = (
    _envelope("nobody", "identifier_missing", lambda body, _: _without(body, "userId")),
    _fields("user_null_text", "identifier_missing", userId="null"),
    _fields("user_blank", "identifier_missing", userId="  "),
    _fields("user_zero", "identifier_missing", userId="0"),
    _fields("both_placeholders", "identifier_missing", userId="None", anonymousId="undefined"),
)
TIMES: Final = (
    _fields("year_1970", "timestamp_out_of_range", timestamp="1970-01-01T00:00:00Z"),
    _fields("last_second_of_1999", "timestamp_out_of_range", timestamp="1999-12-31T23:59:59.999Z"),
    _fields("year_1", "timestamp_out_of_range", timestamp="0001-01-01T00:00:00Z"),
    _fields("year_9999", "timestamp_out_of_range", timestamp="9999-12-31T23:59:59Z"),
    _envelope("an_hour_ahead", "timestamp_out_of_range", lambda body, log_ms: {**body, "timestamp": iso(log_ms + HOUR_MS)}),
)
QUALITY: Final = (
    _properties("negative_price", "quality_rule", price=-0.01),
    _properties("quantity_zero", "quality_rule", quantity=0),
    _of_order("line_negative_price", "quality_rule", products=_line(price=-3.39)),
    _of_order("line_quantity_negative", "quality_rule", products=_line(quantity=-1)),
    _of_order("negative_total", "quality_rule", total=-15.3),
    _of_order("other_currency", "quality_rule", currency="XXX"),
)
KINDS: Final[tuple[Kind, ...]] = (*FORMAT, *SHAPE, *SIZE, *IDENTIFIERS, *TIMES, *QUALITY)
