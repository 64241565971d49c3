"""Decode, validate, normalise: one raw record in, exactly one of event, rejection or tick out. Nothing here raises on bad input."""

import datetime as dt
import hashlib
import math
from typing import Any, Final

import msgspec
import orjson

from config.loader import Platform
from pipelines.identity.nodes import Nodes
from pipelines.ingest import envelope as shape
from pipelines.ingest.personal import Masker
from pipelines.wire import CancelFacts, Event, Facts, OrderFacts, RefundFacts, Rejected
from schemas import codes
from schemas.contracts import MAX_AMOUNT
from schemas.validators import Validator, Violation, shape_violation, validators

TICK: Final = b'{"type":"tick"}'
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_EARLIEST_MS = int((dt.datetime(2000, 1, 1, tzinfo=dt.UTC) - _EPOCH).total_seconds() * 1000)
_MS = dt.timedelta(milliseconds=1)

_decode_envelope = msgspec.json.Decoder(shape.Envelope).decode
_decode_context = msgspec.json.Decoder(shape.Context).decode
_canonical = msgspec.json.Encoder(order="sorted").encode


class _Invalid(Exception):
    """Raised inside this module to leave with a rejection."""

    def __init__(self, code: str, field: str, rule: str) -> None:
        super().__init__(code)
        self.code, self.field, self.rule = code, field, rule


def hash64(data: bytes) -> int:
    """A signed 64-bit hash (blake2b): stable across processes, fits a state key."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big", signed=True)


def to_ms(moment: dt.datetime) -> int:
    """Milliseconds since the epoch, rounded down; without a zone the moment is UTC."""
    return ((moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)) - _EPOCH) // _MS


class Decoder:
    """Turns raw records into events.

    Args:
        platform: tenants and limits.
        nodes: identifier rules.
        masker: keeps personal fields out of the clean topics.
    """

    def __init__(self, platform: Platform, nodes: Nodes, masker: Masker) -> None:
        self._platform = platform
        self._limits = platform.limits
        self._nodes = nodes
        self._masker = masker
        self._contracts = validators()

    def decode(self, value: bytes | None, source: str, partition: int, offset: int, log_time: int) -> Event | Rejected | None:
        """Decode one raw record.

        Args:
            value: the record's bytes; None for a Kafka tombstone.
            source: raw topic.
            partition: raw partition.
            offset: raw offset.
            log_time: record timestamp, ms.

        Returns:
            The event, the reason why there is none, or None for a tick.
        """
        if value == TICK:
            return None
        seen: dict[str, str] = {}
        try:
            return self._decode(value or b"", source, partition, offset, log_time, seen)
        except _Invalid as found:
            code, field, rule = found.code, found.field, found.rule
        except msgspec.ValidationError as error:
            wrong = shape_violation(error)
            code, field, rule = wrong.code, seen.get("part", "$") + wrong.path, wrong.rule
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            code, field, rule = codes.PAYLOAD_FORMAT, "$", f"valid JSON in UTF-8: {error}"
        except RecursionError:
            code, field, rule = codes.PAYLOAD_FORMAT, "$", f"nesting of at most {self._limits.nesting}"
        except Exception as error:  # a fault of ours must cost one record, never the job: it is kept, typed and replayable
            code, field, rule = codes.INTERNAL, "$", f"{type(error).__name__}: {error}"
        return Rejected(code, field, rule, seen.get("tenant", ""), seen.get("message_id", ""))

    def _decode(self, value: bytes, source: str, partition: int, offset: int, log_time: int, seen: dict[str, str]) -> Event:
        limits = self._limits
        if not value:
            raise _Invalid(codes.PAYLOAD_FORMAT, "$", "a JSON object, not an empty record")
        if len(value) > limits.order_bytes:
            raise _Invalid(codes.SIZE_VIOLATION, "$", f"at most {limits.order_bytes} bytes")
        whole = _whole(value)
        if value.count(b"{") + value.count(b"[") > limits.nesting and _depth(whole) > limits.nesting:
            raise _Invalid(codes.PAYLOAD_FORMAT, "$", f"nesting of at most {limits.nesting}")
        if b"\\u0000" in value and _has_nul(whole):  # cuts strings short wherever C is spoken: in keys of state, for one
            raise _Invalid(codes.PAYLOAD_FORMAT, "$", "text without the character U+0000")
        raw = _decode_envelope(value)
        seen["message_id"] = raw.message_id[: limits.message_id_chars]
        properties, traits, context_raw = _object(whole, "properties"), _object(whole, "traits"), _object(whole, "context")
        seen["part"] = "$.context"
        context = _decode_context(raw.context) if context_raw else shape.Context()
        seen["part"] = "$"
        name = raw.event if raw.type == "track" else raw.type
        if len(value) > limits.event_bytes and not (name or "").startswith("Order "):
            raise _Invalid(codes.SIZE_VIOLATION, "$", f"at most {limits.event_bytes} bytes for this event")
        if not raw.message_id:
            raise _Invalid(codes.SCHEMA_VIOLATION, "$.messageId", "at least 1 character")
        if len(raw.message_id) > limits.message_id_chars:
            raise _Invalid(codes.SIZE_VIOLATION, "$.messageId", f"at most {limits.message_id_chars} characters")
        tenant = raw.tenant or self._platform.default_tenant
        if tenant not in self._platform.tenants:
            raise _Invalid(codes.SCHEMA_VIOLATION, "$.tenant", "a tenant of platform.yaml")
        seen["tenant"] = tenant
        if not name:
            raise _Invalid(codes.SCHEMA_VIOLATION, "$.event", "the event's name, required for `track`")
        event_time = self._event_time(raw, log_time)
        identifiers = self._nodes.keys(tenant, _identifiers(raw, context))
        if not identifiers:
            raise _Invalid(
                codes.IDENTIFIER_MISSING, "$.userId", "userId, anonymousId or context.externalIds with a value that identifies somebody"
            )
        facts: Facts | None = None
        validator = self._contracts.get(name)
        if validator is not None and raw.type == "track":
            facts = self._checked(validator, properties, tenant)
        body = (raw.type, raw.event, identifiers, raw.timestamp, raw.original_timestamp, properties, traits)
        masked_properties, masked_traits, masked_context = self._masker.mask(tenant, properties, traits, context_raw)
        channel = "web" if context.channel is None else context.channel
        return Event(
            node=identifiers[0],
            tenant=tenant,
            type=raw.type,
            name=name,
            message_id=raw.message_id,
            id_hash=hash64(raw.message_id.encode()),
            fingerprint=hash64(_canonical(body)),
            event_time=event_time,
            log_time=log_time,
            late=log_time - event_time > limits.lateness_s * 1000,
            source=source,
            partition=partition,
            offset=offset,
            channel=channel if channel in shape.CHANNELS else "other",
            identifiers=identifiers,
            properties=_text(raw.properties, masked_properties),
            traits=_text(raw.traits, masked_traits),
            context=_text(raw.context, masked_context),
            original=value,
            facts=facts,
        )

    def _event_time(self, raw: shape.Envelope, log_time: int) -> int:
        if raw.timestamp is not None:
            moment, field = to_ms(raw.timestamp), "$.timestamp"
        elif raw.original_timestamp is not None:
            field = "$.originalTimestamp"
            moment = to_ms(raw.original_timestamp)
            if raw.sent_at is not None:
                received = to_ms(raw.received_at) if raw.received_at is not None else log_time
                moment = received - (to_ms(raw.sent_at) - moment)
        else:
            return log_time
        if moment < _EARLIEST_MS or moment > log_time + self._limits.max_future_s * 1000:
            rule = f"between 2000-01-01 and {self._limits.max_future_s} s after the record's own time"
            raise _Invalid(codes.TIMESTAMP_OUT_OF_RANGE, field, rule)
        return min(moment, log_time)

    def _checked(self, validator: Validator, properties: dict[str, Any], tenant: str) -> Facts | None:
        """Check the properties of an event by its contract; what the ledger has to know of it."""
        try:
            typed = validator.check(properties, self._platform.tenants[tenant].currency)
        except Violation as found:
            raise _Invalid(found.code, "$.properties" + found.path, found.rule) from None
        feeds = validator.contract.feeds
        if not feeds:
            return None
        if feeds == "cancellation":
            return CancelFacts(typed.order_id)
        lines = [(line.product_id, int(line.quantity)) for line in typed.products]
        if feeds == "refund":
            return RefundFacts(typed.refund_id, self._total(typed, tenant), lines, typed.order_id or "")
        return OrderFacts(typed.order_id, self._total(typed, tenant), lines)

    def _total(self, order: Any, tenant: str) -> int:
        """In minor units, half of one up: as given, else the sum of the lines, each rounded by itself."""
        units: int = 10 ** self._platform.tenants[tenant].minor_units
        if order.total is not None:
            return _minor(order.total, units)
        added = sum(_minor(line.price * line.quantity, units) for line in order.products)
        if added > MAX_AMOUNT * units:
            raise _Invalid(codes.QUALITY_RULE, "$.properties.products", f"lines that add up to at most {MAX_AMOUNT:g}")
        return added


def _minor(amount: float, units: int) -> int:
    return math.floor(amount * units + 0.5)


def _identifiers(raw: shape.Envelope, context: shape.Context) -> list[tuple[str, str]]:
    found = []
    if raw.user_id is not None:
        found.append(("user_id", raw.user_id))
    if raw.anonymous_id is not None:
        found.append(("anonymous_id", raw.anonymous_id))
    found.extend((external.type, external.id) for external in context.external_ids or ())
    return found


def _whole(value: bytes) -> Any:
    """The record as plain data; whatever is wrong with it as JSON shows here, also in members that nobody reads."""
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        if "number is infinity" in str(error):
            raise _Invalid(codes.PAYLOAD_FORMAT, _part_in_fault(value), "a number that JSON and a 64-bit float can hold") from error
        raise _Invalid(codes.PAYLOAD_FORMAT, "$", f"valid JSON in UTF-8: {error}") from error


def _part_in_fault(value: bytes) -> str:
    """The path of the part of the envelope that does not parse by itself, `$` when none can be told."""
    try:
        raw = _decode_envelope(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "$"
    for name in ("properties", "traits", "context"):
        try:
            orjson.loads(bytes(getattr(raw, name)))
        except orjson.JSONDecodeError:
            return "$." + name
    return "$"


def _object(whole: dict[str, Any], name: str) -> dict[str, Any]:
    """A part of the envelope; null counts as absent."""
    part = whole.get(name)
    if part is None:
        return {}
    if not isinstance(part, dict):
        raise _Invalid(codes.SCHEMA_VIOLATION, "$." + name, "an object")
    return part


def _text(raw: msgspec.Raw, masked: dict[str, Any] | None) -> str:
    if masked is not None:
        return msgspec.json.encode(masked).decode()
    text = bytes(raw).decode()
    return "{}" if text == "null" else text


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max((_depth(inner) for inner in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max((_depth(inner) for inner in value), default=0)
    return 0


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_has_nul(inner) for pair in value.items() for inner in pair)
    return isinstance(value, list) and any(_has_nul(inner) for inner in value)
