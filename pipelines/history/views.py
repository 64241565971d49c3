"""Views for people: the statements behind docs/analysts.md. Columns of profiles are generated from the feature definitions."""

from collections.abc import Iterator
from typing import Final

from config.loader import Definitions, Identity, Tenant
from pipelines.features.plan import published_fields

WEAK_NAMESPACES: Final = ("device_id", "anonymous_id")
"""Identifiers of a thing rather than of a person: a profile that has no other is not a customer yet."""

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
    "late_events": "UInt64",
    "r_score": "UInt8",
    "f_score": "UInt8",
    "m_score": "UInt8",
    "rfm_segment": "String",
    "rfm_version": "UInt64",
}
_LINE: Final = "Array(Tuple(product_id String, quantity Float64, price Float64, name String, category String))"
_NESTED: Final = {"top_products": "Array(Tuple(String, UInt64))", "channels": "Map(String, UInt64)"}


def profile_columns(definitions: Definitions) -> dict[str, str]:
    """Column -> expression over `fields` (a tuple made of the JSON in one pass) for every published feature."""
    columns = {field.name: f"fields.{field.name}" for field in published_fields(definitions.features)}
    columns |= {name: f"fromUnixTimestamp64Milli(fields.{name}, 'UTC')" if name in _TIMES else f"fields.{name}" for name in _FIELDS}
    columns |= {name: f"JSONExtract(features, '{name}', '{kind}')" for name, kind in _NESTED.items()}
    return columns | {f"tag_{rule.name}": f"fields.`tag:{rule.name}` = 1" for rule in definitions.tags}


def _fields_type(definitions: Definitions) -> str:
    kinds = {field.name: "Float64" if field.money else "Int64" for field in published_fields(definitions.features)}
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
WHERE NOT JSONHas(features, '_merged_into')"""


def _customers(identity: Identity) -> str:
    strong = [space.name for space in identity.namespaces if space.name not in WEAK_NAMESPACES]
    return f"SELECT * FROM profiles WHERE hasAny(arrayMap(node -> splitByChar('|', node)[2], identifiers), {strong})"


def _major(tenants: dict[str, Tenant]) -> str:
    """Rounds an amount to the minor units of the row's tenant."""
    units = ", ".join(f"tenant = '{name}', {10**tenant.minor_units}" for name, tenant in tenants.items())
    return f"multiIf({units}, 100)"


def _orders(tenants: dict[str, Tenant]) -> str:
    """The ledger's rules (docs/features.md): newest version by event time and content, smallest time, cancelled orders gone."""
    scale = _major(tenants)
    return f"""
SELECT tenant, node, order_id, ordered_at, tupleElement(newest, 1) AS channel, tupleElement(newest, 2) AS products,
  tupleElement(newest, 3) / {scale} AS total, length(products) AS lines, arraySum(products.quantity) AS units, versions, late
FROM (
  SELECT tenant, node, order_id, min(event_time) AS ordered_at, argMax((channel, products_told, minor_told), rank) AS newest,
    count() AS versions, max(late) AS late
  FROM (
    SELECT tenant, node, name, event_time, channel, late, JSONExtractString(properties, 'order_id') AS order_id,
      JSONExtract(properties, 'products', '{_LINE}') AS products_told,
      ifNull(floor(JSONExtract(properties, 'total', 'Nullable(Float64)') * {scale} + 0.5),
        arraySum(line -> floor(line.2 * line.3 * {scale} + 0.5), products_told)) AS minor_told,
      (event_time, minor_told, arrayMap(line -> (line.1, line.2), products_told)) AS rank
    FROM events WHERE name IN ('Order Completed', 'Order Updated') AND JSONHas(properties, 'order_id')
  )
  GROUP BY tenant, node, order_id
)
WHERE (tenant, node, order_id) NOT IN (
  SELECT tenant, node, JSONExtractString(properties, 'order_id') FROM events WHERE name = 'Order Cancelled')"""


def views(definitions: Definitions, identity: Identity, tenants: dict[str, Tenant]) -> Iterator[tuple[str, str]]:
    """Name and query of each view, in an order in which they can be made."""
    yield "profiles", _profiles(definitions)
    yield "customers", _customers(identity)
    yield "order_versions", _orders(tenants)
    yield (
        "orders",
        "SELECT tenant, node, order_id, ordered_at, channel, total, lines, units, versions, late FROM order_versions",
    )
    yield (
        "order_lines",
        "SELECT tenant, node, order_id, ordered_at, channel, line, product.1 AS product_id, product.2 AS quantity, product.3 AS price, "
        "product.4 AS product_name, product.5 AS category, quantity * price AS amount "
        "FROM order_versions ARRAY JOIN products AS product, arrayEnumerate(products) AS line",
    )
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
