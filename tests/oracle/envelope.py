"""One raw record by itself: docs/contracts.md, "Raw envelope" and "Rejection codes". What depends on other records is in `log`."""

import datetime as dt
import re
import zoneinfo
from typing import Any, NamedTuple

from tests.oracle import shapes
from tests.oracle.identity import group_key, node_keys
from tests.oracle.rulebook import Rulebook
from tests.oracle.shapes import MAX_NAME, SCHEMA, Violation, moment, text
from tests.oracle.strict_json import NotJsonError, canonical, parse

TICK = b'{"type":"tick"}'
TYPES = ("track", "page", "screen", "identify", "group", "alias")
CHANNELS = ("web", "mobile_app", "mini_program", "store", "call_centre", "community", "email")
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
EARLIEST_MS = 946_684_800_000  # 2000-01-01


class Event(NamedTuple):
    """A valid event, reduced to what features and outcomes need.

    Times in ms; `channel` is one of the known ones or `other`. `node` is empty when the record has no usable identifier; then it names an
    `object` (`kind|issuer|id`), which is empty when it concerns none. `group` is the key of the group that a `group` call names.
    """

    node: str
    identifiers: list[str]
    type: str
    name: str
    message_id: str
    event_ms: int
    log_ms: int
    late: bool
    channel: str
    body: str
    fact: shapes.Fact | None
    once: tuple[Any, ...] | None = None
    same: dict[str, Any] = {}  # noqa: RUF012 - never changed
    log: str = ""
    order: str = ""
    tenant: str = ""
    object: str = ""
    excluded: bool = False
    source: str = ""
    traits: dict[str, Any] = {}  # noqa: RUF012 - never changed
    group: str = ""

    @property
    def issuer(self) -> str:
        """Who numbers what the event tells of."""
        return self.object.split("|")[1] if self.object else ""


class Rejection(NamedTuple):
    """Why a record is no event."""

    code: str


def judge_alone(value: bytes | None, log_ms: int, rules: Rulebook, topic: str = "") -> Event | Rejection | None:
    """Tell what a record is when nothing came before it.

    Args:
        value: the record's bytes.
        log_ms: record timestamp.
        rules: configuration.
        topic: raw topic; stands for the source of a record that names none.

    Returns:
        The event, a rejection, or None for a tick.
    """
    if value == TICK:
        return None
    try:
        return _event(value or b"", log_ms, rules, topic)
    except Violation as violation:
        return Rejection(str(violation))
    except NotJsonError:
        return Rejection("payload_format")


def _event(value: bytes, log_ms: int, rules: Rulebook, topic: str) -> Event:
    limits = rules.limits
    if not value:
        raise Violation("payload_format")
    if len(value) > limits["order_bytes"]:
        raise Violation("size_violation")
    record = parse(value, limits["nesting"])
    if not isinstance(record, dict):
        raise Violation(SCHEMA)
    kind, message_id, event = (
        text(record, "type", required=True),
        text(record, "messageId", required=True),
        text(record, "event", at_most=MAX_NAME),
    )
    tenant = text(record, "tenant")
    user, anonymous, previous = (text(record, name, at_most=MAX_NAME) for name in ("userId", "anonymousId", "previousId"))
    times = {name: _moment(record, name) for name in ("timestamp", "originalTimestamp", "sentAt", "receivedAt")}
    properties, traits, context = (_object(record, name) for name in ("properties", "traits", "context"))
    channel, zone, external = text(context, "channel"), text(context, "timezone"), _external_ids(context)
    if kind not in TYPES or not message_id:
        raise Violation(SCHEMA)
    name = (event or "") if kind == "track" else kind
    if len(value) > limits["event_bytes"] and not name.startswith("Order "):
        raise Violation("size_violation")
    if len(message_id) > limits["message_id_chars"]:
        raise Violation("size_violation")
    tenant = tenant or rules.default_tenant
    if tenant not in rules.money or not name:
        raise Violation(SCHEMA)
    event_ms = _event_ms(times, zone, log_ms, limits["max_future_s"] * 1000)
    given = [(namespace, raw) for namespace, raw in (("user_id", user), ("anonymous_id", anonymous)) if raw is not None]
    if kind == "alias" and None not in (user, previous) and previous not in (user, anonymous):
        given += [("user_id", previous), ("anonymous_id", previous)]
    if kind == "identify":
        told = [(namespace, traits.get(trait)) for trait, namespace in rules.identifying_traits.items()]
        told = [(namespace, str(value)) for namespace, value in told if isinstance(value, str | int) and not isinstance(value, bool)]
        external += [(namespace, value) for namespace, value in told if len(value) <= MAX_NAME]
    source = context.get("source")
    origin = source if isinstance(source, str) else ""
    keys = node_keys(tenant, given + external, rules, origin)
    concerned = rules.contracts.concerned(name, properties) if kind == "track" else None
    if not keys and concerned is None:
        raise Violation("identifier_missing")
    log, order = _place(context, topic)
    tracked = shapes.Tracked(None, None, {})
    if kind == "track":
        tracked = rules.contracts.tracked(name, properties, rules.money[tenant], event_ms, (log, order))
    stamps = [str(times["timestamp"]), str(times["originalTimestamp"])]
    body = canonical([kind, event, keys, stamps, properties, traits])
    late = log_ms - event_ms > limits["lateness_s"] * 1000
    known = channel if channel in CHANNELS else "other"
    shown = "web" if channel is None else known
    node = keys[0] if keys else ""
    about = f"{concerned[0]}|{rules.issuers.get(origin, '')}|{concerned[1]}" if concerned else ""
    named = origin if len(origin) <= MAX_NAME else ""
    group = group_key(tenant, context.get("groupType"), record.get("groupId"), rules) if kind == "group" else ""
    found = Event(node, keys, kind, name, message_id, event_ms, log_ms, late, shown, body, *tracked, log, order, tenant, about)
    return found._replace(source=named, traits=traits, group=group)


def _place(context: dict[str, Any], topic: str) -> tuple[str, str]:
    """`origin_log` and `origin_order`."""
    order, log = context.get("sourceOrder"), text(context, "sourceLog", at_most=MAX_NAME)
    if order is None:
        return "", ""
    if isinstance(order, bool) or not isinstance(order, int | str) or (isinstance(order, int) and order < 0):
        raise Violation(SCHEMA)
    written = str(order).strip()
    if not 1 <= len(written) <= 96 and isinstance(order, str):
        raise Violation(SCHEMA)
    source = context.get("source")
    named = source if isinstance(source, str) and 1 <= len(source) <= MAX_NAME else topic
    return f"{named}/{log}" if log else named, _compared(written)


def _compared(written: str) -> str:
    """What is compared byte by byte."""
    if re.fullmatch(r"(?ai:[0-9a-f]{1,8}/[0-9a-f]{1,8}|[0-9a-f]{8}:[0-9a-f]{8}:[0-9a-f]{4})", written):
        sign = "/" if "/" in written else ":"
        return sign.join(_behind_its_length(f"{int(part, 16):X}") for part in written.split(sign))
    if re.fullmatch(r"(?ai:0x[0-9a-f]+)", written):
        return "0x" + _behind_its_length(f"{int(written, 16):X}")
    whole = re.fullmatch(r"(?a:(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:)(\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:?\d\d)?)", written)
    if whole:
        day, minute, second, fraction, zone = whole.groups()
        if int(second) > 60 or len(fraction or "") > 18 or (zone and zone[-2:].isdigit() and int(zone[-2:]) > 59):
            raise Violation(SCHEMA)
        try:
            at = dt.datetime.fromisoformat(f"{day}T{minute}00{'+00:00' if zone in (None, 'Z', 'z') else zone}")
        except ValueError:
            raise Violation(SCHEMA) from None
        offset = at.utcoffset()
        assert offset is not None
        since = at.replace(tzinfo=None) - dt.datetime(1, 1, 1) - offset
        return _behind_its_length(str(int(f"{since.days * 86400 + since.seconds + 86400 + int(second)}{fraction or '':0<18}")))
    parts = re.split(r"([0-9]+)", written)
    parts[1::2] = [_behind_its_length(str(int(digits))) for digits in parts[1::2]]
    return "".join(parts)


def _behind_its_length(digits: str) -> str:
    return f"{len(digits):02d}{digits}"


def _moment(record: dict[str, Any], name: str) -> dt.datetime | None:
    written = text(record, name)
    if written is None:
        return None
    return moment(written)


def _ms(moment: dt.datetime, zone: str | None = None) -> int:
    """A stamp without zone is in the one given (of two equal readings the first), or in UTC."""
    if moment.tzinfo is None:
        if zone is not None and zone not in zoneinfo.available_timezones():
            raise Violation("quality_rule")
        moment = moment.replace(tzinfo=zoneinfo.ZoneInfo(zone) if zone else dt.UTC)
    return (moment - EPOCH) // dt.timedelta(milliseconds=1)


def _event_ms(times: dict[str, dt.datetime | None], zone: str | None, log_ms: int, max_future_ms: int) -> int:
    timestamp, original, sent, received = (times[name] for name in ("timestamp", "originalTimestamp", "sentAt", "receivedAt"))
    if timestamp is not None:
        moment_ms = _ms(timestamp, zone)
    elif original is not None and sent is not None:
        received_ms = log_ms if received is None else _ms(received)
        moment_ms = received_ms - (_ms(sent, zone) - _ms(original, zone))
    elif original is not None:
        moment_ms = _ms(original, zone)
    else:
        return log_ms
    if moment_ms < EARLIEST_MS or moment_ms > log_ms + max_future_ms:
        raise Violation("timestamp_out_of_range")
    return min(moment_ms, log_ms)


def _object(record: dict[str, Any], name: str) -> dict[str, Any]:
    value = record.get(name)
    if value is None or value == []:  # PHP writes an empty object like that
        return {}
    if not isinstance(value, dict):
        raise Violation(SCHEMA)
    return value


def _external_ids(context: dict[str, Any]) -> list[tuple[str, str]]:
    entries = context.get("externalIds")
    if entries is None:
        return []
    if not isinstance(entries, list) or len(entries) > 50 or not all(isinstance(entry, dict) for entry in entries):
        raise Violation(SCHEMA)
    pairs = [tuple(text(entry, name, required=True, at_most=MAX_NAME) for name in ("type", "id")) for entry in entries]
    return [(namespace, raw) for namespace, raw in pairs if namespace is not None and raw is not None]
