"""Views for people: the statements behind docs/analysts.md. Columns of profiles are generated from the feature definitions."""

from collections.abc import Iterator
from typing import Final

from config.definitions import Definitions
from config.identity import Identity
from config.platform import Tenant
from pipelines.features.plan import Published, published_fields
from pipelines.history.ledger_views import ledger_views
from pipelines.history.object_views import object_views
from pipelines.history.people_views import people_views
from pipelines.history.trait_views import trait_views

_TIMES: Final = ("first_seen_at", "last_seen_at", "first_order_at", "last_order_at")
_FIELDS: Final = {
    **dict.fromkeys(_TIMES, "Nullable(Int64)"),
    "average_basket": "Nullable(Float64)",
    "mean_interpurchase_days": "Nullable(Float64)",
    "current_interval_days": "Nullable(Float64)",
    "recency_days": "Nullable(Float64)",
    "recency_ratio": "Nullable(Float64)",
    "sessions": "UInt64",
    "unmatched_refunds": "UInt64",
    "over_refunds": "UInt64",
    "charge_backs": "UInt64",
    "late_events": "UInt64",
    "r_score": "UInt8",
    "f_score": "UInt8",
    "m_score": "UInt8",
    "rfm_segment": "String",
    "rfm_version": "UInt64",
    "rules_version": "String",
}
_NESTED: Final = {"top_products": "Array(Tuple(String, UInt64))", "channels": "Map(String, UInt64)"}


def profile_columns(definitions: Definitions) -> dict[str, str]:
    """Column -> expression over `fields` (a tuple made of the JSON in one pass) for every published feature."""
    columns = {field.name: _moment(field.name) if field.kind == "time" else f"fields.{field.name}" for field in _windowed(definitions)}
    columns |= {name: _moment(name) if name in _TIMES else f"fields.{name}" for name in _FIELDS}
    columns |= {name: f"JSONExtract(features, '{name}', '{kind}')" for name, kind in _NESTED.items()}
    return columns | {f"tag_{rule.name}": f"fields.`tag:{rule.name}` = 1" for rule in definitions.tags}


def _windowed(definitions: Definitions) -> list[Published]:
    return published_fields(definitions.features)


def _moment(name: str) -> str:
    return f"fromUnixTimestamp64Milli(fields.{name}, 'UTC')"


def _fields_type(definitions: Definitions) -> str:
    kinds = {field.name: field.column for field in _windowed(definitions)}
    kinds |= _FIELDS | {f"tag:{rule.name}": "UInt8" for rule in definitions.tags}
    return ", ".join(f"`{name}` {kind}" for name, kind in kinds.items())


def _profiles(definitions: Definitions) -> str:
    columns = ",\n  ".join(f"{expression} AS {name}" for name, expression in profile_columns(definitions).items())
    return f"""
WITH JSONExtract(features, 'Tuple({_fields_type(definitions)})') AS fields
SELECT tenant, profile_id, incarnation, version, at, mapKeys(nodes) AS identifiers,
  {columns}
FROM (
  SELECT tenant, profile_id, tupleElement(newest, 1) AS incarnation, tupleElement(newest, 2) AS version, tupleElement(newest, 3) AS at,
    tupleElement(newest, 4) AS nodes, tupleElement(newest, 5) AS features
  FROM (
    SELECT tenant, profile_id, argMax((incarnation, version, at, nodes, features), rank) AS newest
    FROM profiles_newest GROUP BY tenant, profile_id
  )
)
WHERE NOT JSONHas(features, '_merged_into') AND NOT JSONHas(features, 'kind')"""


def _customers(identity: Identity) -> str:
    """Who counts as a customer: `customers` of identity.yaml. Cut points, segments and the tour ask this view."""
    return f"SELECT * FROM profiles WHERE hasAny(arrayMap(node -> splitByChar('|', node)[2], identifiers), {identity.customers})"


def views(definitions: Definitions, identity: Identity, tenants: dict[str, Tenant]) -> Iterator[tuple[str, str]]:
    """Name and query of each view, in an order in which they can be made."""
    yield from people_views()
    yield "profiles", _profiles(definitions)
    yield "customers", _customers(identity)
    yield from trait_views()
    yield from object_views()
    yield from ledger_views(tenants)
    yield (
        "rfm_segments",
        "SELECT tenant, rfm_segment AS segment, count() AS customers, "
        "round(count() / sum(count()) OVER (PARTITION BY tenant), 4) AS share, "
        "round(avg(dateDiff('second', last_order_at, (SELECT max(at) FROM profiles_newest))) / 86400, 1) AS average_recency_days, "
        "round(avg(orders_365d), 2) AS average_orders_365d, "
        "round(avg(net_365d), 2) AS average_net_365d, round(sum(net_365d), 2) AS net_365d_total "
        "FROM customers GROUP BY tenant, rfm_segment ORDER BY tenant, customers DESC",
    )
    yield (
        "events_per_minute",
        "SELECT tenant, minute, source, name, sum(events) AS events FROM events_by_minute GROUP BY tenant, minute, source, name",
    )
    yield (
        "rejections",
        "SELECT source, code, field, rule, count() AS records, min(log_time) AS first_at, max(log_time) AS last_at, "
        "argMax((partition, offset), log_time) AS last_position FROM rejected GROUP BY source, code, field, rule",
    )
    tags = ", ".join(f"('{rule.name}', tag_{rule.name})" for rule in definitions.tags)
    yield (
        "tags",
        f"SELECT tenant, profile_id, at, tupleElement(pair, 1) AS tag FROM (SELECT tenant, profile_id, at, "
        f"arrayJoin(arrayFilter(pair -> pair.2, [{tags}])) AS pair FROM profiles)"
        if tags
        else "SELECT tenant, profile_id, at, '' AS tag FROM profiles WHERE false",
    )
    yield (
        "tag_changes",
        "SELECT tenant, profile_id, at, cause, message_id, incarnation, version, pair.1 AS tag, pair.2 AS change FROM ("
        "SELECT *, arrayJoin(arrayConcat(arrayMap(tag -> (tag, 'entered'), tags_entered), "
        "arrayMap(tag -> (tag, 'exited'), tags_exited))) AS pair FROM profile_changes)",
    )
