"""Orders and refunds for analysts, by the ledger's rules (docs/features.md, "Order ledger"), out of tables `events` and `objects`.

What the profiles leave out because it came late is here and marked: it counts only where nothing that was not late speaks of the document.
"""

from collections.abc import Iterator
from typing import Final

from config.platform import Tenant
from pipelines.history.ledger_documents import ledger_documents
from pipelines.history.object_views import moments, seconds
from schemas.currencies import MOST, exceptions

INTERNAL: Final = ("order_objects", "refund_documents", "refund_amounts")
"""Views that the others are made of."""
_LINE: Final = "Array(Tuple(product_id String, quantity Float64, price Float64, name String, category String))"
_ADDED: Final = ("shipping", "tax", "duties", "fees")
_MONEY: Final = ("total", *_ADDED, "discount", "original_total", "exchange_rate")
_TEXTS: Final = ("currency", "original_currency", "status", "kind", "reason")
_SOLD: Final = "known AND NOT cancelled"
_STAGES: Final = {
    "paid_at": "paid",
    "shipped_at": "shipped",
    "delivered_at": "delivered",
    "returned_at": "return_requested",
    "refunded_at": "refunded",
}
_WAITS: Final = {"paid_after_s": "paid_at", "shipped_after_s": "shipped_at", "delivered_after_s": "delivered_at"}


def ledger_views(tenants: dict[str, Tenant]) -> Iterator[tuple[str, str]]:
    """Name and query of each view, in an order in which they can be made."""
    scale = _scale(tenants)
    yield from ledger_documents()
    yield "refund_amounts", _refund_amounts(scale)
    yield "refunds", _refunds(scale)
    yield "orders", _orders(scale)
    yield "order_lines", _lines("order_objects", _SOLD, "number AS order_id, ordered_at")
    yield (
        "refund_lines",
        _lines("refund_documents", "JSONExtractString(properties, 'status') IN ('', 'succeeded')", "refund_id, order_id, refunded_at"),
    )


def _scale(tenants: dict[str, Tenant]) -> str:
    """Minor units in a major one of the row's tenant."""
    units = ", ".join(f"tenant = '{name}', {10**tenant.minor_units}" for name, tenant in tenants.items())
    return f"multiIf({units}, 100)"


def _scale_of(currency: str) -> str:
    """Minor units in a major one of a currency."""
    branches = ", ".join(
        f"{currency} IN ({', '.join(repr(name) for name in names)}), {10**number}" for number, names in exceptions().items()
    )
    return f"multiIf({branches}, {10**MOST})"


def _read(scale: str, properties: str = "properties", prefix: str = "") -> str:
    """Columns for what a document says, with its total in minor units."""
    flat = ", ".join([*(f"{name} String" for name in _TEXTS), *(f"{name} Nullable(Float64)" for name in _MONEY)])
    added = "".join(f" + floor(ifNull({prefix}said.{name}, 0) * {scale} + 0.5)" for name in _ADDED)
    lines = f"arraySum(line -> floor(line.2 * line.3 * {scale} + 0.5), {prefix}products)"
    made = f"greatest(0, {lines}{added} - floor(ifNull({prefix}said.discount, 0) * {scale} + 0.5))"
    return f"""JSONExtract({properties}, 'Tuple({flat})') AS {prefix}said,
    JSONExtract({properties}, 'products', '{_LINE}') AS {prefix}products,
    ifNull(floor({prefix}said.total * {scale} + 0.5), {made}) AS {prefix}minor,
    {prefix}said.original_currency AS {prefix}original, ifNull({prefix}said.exchange_rate, 0) AS {prefix}rate"""


def _refund_amounts(scale: str) -> str:
    """Money that went back; those in the order's own currency are converted together, so that the order balances."""
    own = f"floor(own_amount * {_scale_of('order_original')} + 0.5)"
    upto = f"floor({{}} / {_scale_of('order_original')} * order_rate * {scale} + 0.5)"
    return f"""
SELECT tenant, node, issuer, refund_id, order_id, key, refunded_at, channel, said.kind AS kind, said.status AS status,
  said.reason AS reason, if(counts, minor_counted, 0) AS minor, own_amount, currency, counts, order_known, order_cancelled,
  order_known AND paid_back > order_minor AND NOT (order_cancelled AND order_minor = 0) AS over_refunded, products, versions, late
FROM (
  SELECT *, if(in_orders_currency, {upto.format("own_upto")} - {upto.format("(own_upto - own_minor)")}, minor) AS minor_counted,
    succeeded AND NOT order_cancelled AS counts,
    sum(if(succeeded, minor_counted, 0)) OVER (PARTITION BY tenant, key, late) AS paid_back
  FROM (
    SELECT *, {own} AS own_minor,
      sum(own_minor) OVER (PARTITION BY tenant, key, late, in_orders_currency AND succeeded ORDER BY refunded_at, refund_id
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS own_upto
    FROM (
      SELECT *, {_read(scale)}, {_read(scale, "order_properties", "order_")}, said.status IN ('', 'succeeded') AS succeeded,
        if(original != '', original, said.currency) AS currency,
        if(original != '', ifNull(said.original_total, 0), ifNull(said.total, minor / {scale})) AS own_amount,
        order_id != '' AND known AND (late OR NOT order_late) AS order_known,
        order_id != '' AND if(late, cancelled_ever, cancelled_live) AS order_cancelled,
        order_known AND order_original != '' AND (currency = '' OR currency = order_original) AS in_orders_currency
      FROM refund_documents
    )
  )
)"""


def _refunds(scale: str) -> str:
    return f"""
SELECT back.tenant AS tenant, back.node AS node, owner.profile_id AS profile_id, issuer, refund_id, order_id, refunded_at, channel, kind,
  status, reason, minor / {scale} AS amount, own_amount, currency, counts, order_known, order_cancelled, over_refunded,
  length(products) AS lines, arraySum(products.quantity) AS units, versions, late
FROM refund_amounts AS back
LEFT ANY JOIN owner_profiles AS owner ON back.tenant = owner.tenant AND back.node = owner.node"""


def _orders(scale: str) -> str:
    waits = ", ".join(f"{seconds('ordered_at', until)} AS {column}" for column, until in _WAITS.items())
    return f"""
SELECT paid.tenant AS tenant, paid.node AS node, owner.profile_id AS profile_id, issuer, number AS order_id, ordered_at, channel,
  minor / {scale} AS total, if(late, back.all_minor, back.live_minor) / {scale} AS refunded,
  (minor - if(late, back.all_minor, back.live_minor)) / {scale} AS net, back.over_refunded AS over_refunded, length(products) AS lines,
  arraySum(products.quantity) AS units, original AS original_currency, rate AS exchange_rate, versions, late,
  ordered_at AS placed_at, {moments(_STAGES)}, {waits}
FROM (SELECT *, {_read(scale)} FROM order_objects WHERE {_SOLD}) AS paid
LEFT ANY JOIN (
  SELECT tenant, key, sumIf(minor, NOT late) AS live_minor, sum(minor) AS all_minor, max(refund_amounts.over_refunded) AS over_refunded
  FROM refund_amounts WHERE counts AND order_id != '' GROUP BY tenant, key
) AS back ON paid.tenant = back.tenant AND paid.key = back.key
LEFT ANY JOIN owner_profiles AS owner ON paid.tenant = owner.tenant AND paid.node = owner.node"""


def _lines(documents: str, condition: str, named: str) -> str:
    return f"""
SELECT told.tenant AS tenant, told.node AS node, owner.profile_id AS profile_id, issuer, {named}, channel, line, product.1 AS product_id,
  product.2 AS quantity, product.3 AS price, product.4 AS product_name, product.5 AS category, quantity * price AS amount
FROM (
  SELECT *, product, line FROM (SELECT *, JSONExtract(properties, 'products', '{_LINE}') AS products FROM {documents})
  ARRAY JOIN products AS product, arrayEnumerate(products) AS line WHERE {condition}
) AS told
LEFT ANY JOIN owner_profiles AS owner ON told.tenant = owner.tenant AND told.node = owner.node"""
