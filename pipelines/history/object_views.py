"""Orders, refunds, tickets and leads, one row each, with their owner and the owner's profile of now (docs/objects.md)."""

from collections.abc import Iterator
from typing import Final

INTERNAL: Final = ("owner_profiles",)
"""Views that the others are made of."""
LEDGER: Final = ("Order Completed", "Order Updated", "Order Refunded", "Order Cancelled")
NAMED: Final = f"name IN ({', '.join(map(repr, LEDGER))})"
_ORDER, _REFUND = ("JSONExtractString(properties, 'order_id')", "JSONExtractString(properties, 'refund_id')")
OBJECT: Final = (
    f"multiIf(object != '', object, NOT {NAMED}, '', name != 'Order Refunded' OR {_ORDER} != '', concat('order||', {_ORDER}), "
    f"concat('refund||', {_REFUND}))"
)
"""The object of a row of `events`. Those loaded before events said it are told by their properties."""


def _bytes(value: str) -> str:
    """A number that is not negative as eight bytes that sort as it does."""
    return f"reinterpretAsFixedString(byteSwap(toUInt64({value})))"


EVENT_TIME: Final = _bytes("toUnixTimestamp64Milli(event_time)")
# A text: the greatest of tuples takes the server six times as long to find. No text that is let in has a \0.
PLACE: Final = (
    f"concat({EVENT_TIME}, {_bytes('toUnixTimestamp64Milli(log_time)')}, source, '\\0', {_bytes('partition')}, {_bytes('offset')})"
)
"""Decides between records that no source has put in order: the greatest one is the newest."""
_TEXT, _NUMBER = "String", "Nullable(Float64)"
_TICKET: Final = {
    "category": _TEXT,
    "channel": _TEXT,
    "priority": _TEXT,
    "csat": _NUMBER,
    "resolution_time_s": _NUMBER,
    "order_id": _TEXT,
    "product_id": _TEXT,
}
_TICKET_TIMES: Final = {"opened_at": "opened", "closed_at": "closed", "rated_at": "rated"}
_LEAD: Final = {"form": _TEXT, "platform": _TEXT, "product_id": _TEXT}
_LEAD_TIMES: Final = {"submitted_at": "submitted", "messaged_at": "messaged"}


def object_views() -> Iterator[tuple[str, str]]:
    """Name and query of each view, in an order in which they can be made."""
    yield "owner_profiles", _PROFILES
    yield "objects_newest", _objects_newest()
    yield "tickets", _told("ticket", _TICKET_TIMES, _TICKET, "count() AS updates", f", {seconds('opened_at', 'closed_at')} AS open_s")
    yield "leads", _told("lead", _LEAD_TIMES, _LEAD, "countIf(name = 'Lead Messaged') AS messages")


def newest(condition: str) -> str:
    """The newest word on each object, with its key as in `events`."""
    return (
        "SELECT tenant, concat(kind, '|', issuer, '|', object_id) AS key, kind, issuer, object_id, node, stages, version, log_time, "
        f"true AS is_told FROM objects WHERE {condition} "
        "ORDER BY tenant, kind, issuer, object_id, version DESC LIMIT 1 BY tenant, kind, issuer, object_id"
    )


def moments(stages: dict[str, str]) -> str:
    """Columns that say when stages were reached, null when they were not.

    Args:
        stages: column -> stage.
    """
    return ", ".join(
        f"if(mapContains(stages, '{stage}'), fromUnixTimestamp64Milli(stages['{stage}'], 'UTC'), NULL) AS {column}"
        for column, stage in stages.items()
    )


def seconds(begin: str, end: str) -> str:
    """From one moment to another."""
    return f"dateDiff('millisecond', {begin}, {end}) / 1000"


def issuer(key: str) -> str:
    """Of the key of an object."""
    return f"splitByChar('|', {key})[2]"


def number(key: str) -> str:
    """The id within the key of an object; it may hold the separator itself."""
    return f"substring({key}, position({key}, '|', position({key}, '|') + 1) + 1)"


# Who owns an object has named it: those who name none need not be looked at.
_PROFILES: Final = f"""
SELECT known.tenant AS tenant, known.node AS node, if(moved.profile_id != '', moved.profile_id, known.first) AS profile_id
FROM (
  SELECT tenant, node, any(profile_id) AS first FROM events WHERE node != '' AND (object != '' OR {NAMED}) GROUP BY tenant, node
) AS known
LEFT ANY JOIN identity_moves AS moved ON known.tenant = moved.tenant AND known.node = moved.node"""


def _objects_newest() -> str:
    return f"""
SELECT state.tenant AS tenant, kind, issuer, object_id, state.node AS node, owner.profile_id AS profile_id, stages, version, log_time
FROM ({newest("true")}) AS state LEFT ANY JOIN owner_profiles AS owner ON state.tenant = owner.tenant AND state.node = owner.node"""


def _told(kind: str, times: dict[str, str], fields: dict[str, str], count: str, more: str = "") -> str:
    """One row an object that a record not late has told of; of each field the newest value that there is."""
    flat = ", ".join(f"{name} {type_}" for name, type_ in fields.items())
    has = {name: f"said.{name} != ''" if type_ == _TEXT else f"isNotNull(said.{name})" for name, type_ in fields.items()}
    values = ", ".join(f"argMaxIf(said.{name}, place, {has[name]}) AS {name}" for name in fields)
    return f"""
SELECT told.tenant AS tenant, {issuer("told.key")} AS issuer, {number("told.key")} AS {kind}_id, state.node AS node,
  owner.profile_id AS profile_id, {moments(times)}{more}, {", ".join(fields)}, {count.split(" AS ")[1]}
FROM (
  SELECT tenant, key, {values}, {count}
  FROM (
    SELECT tenant, object AS key, name, {PLACE} AS place,
      JSONExtract(properties, 'Tuple({flat})') AS said
    FROM events WHERE startsWith(object, '{kind}|') AND NOT late
  ) GROUP BY tenant, key
) AS told
LEFT ANY JOIN ({newest(f"kind = '{kind}'")}) AS state ON told.tenant = state.tenant AND told.key = state.key
LEFT ANY JOIN owner_profiles AS owner ON told.tenant = owner.tenant AND state.node = owner.node"""
