"""Orders and refunds for analysts, by the ledger's rules (docs/features.md, "Order ledger"), out of tables `events` and `objects`.

What the profiles leave out because it came late is here and marked: it counts only where nothing that was not late speaks of the document.
"""

from collections.abc import Iterator
from typing import Final

from config.platform import Tenant
from pipelines.history.object_views import NAMED, OBJECT, issuer, moment, number, seconds
from schemas.currencies import MOST, exceptions

INTERNAL: Final = ("order_objects", "refund_documents", "refund_amounts")
"""Views that the others are made of."""
_LINE: Final = "Array(Tuple(product_id String, quantity Float64, price Float64, name String, category String))"
_ADDED: Final = ("shipping", "tax", "duties", "fees")
_MONEY: Final = ("total", *_ADDED, "discount", "original_total", "exchange_rate")
_TEXTS: Final = ("currency", "original_currency", "status", "kind", "reason")
_PLACE: Final = "event_time, log_time, toString(source), partition, offset"
"""Decides between versions that no source has put in order."""
_CONTENT: Final = ("channel", "products", "minor", "currency", "rate", "own_amount", "status", "kind", "reason")
"""What a version of an order or refund says."""
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
    yield "order_objects", _order_objects(scale)
    yield "refund_documents", _REFUND_DOCUMENTS
    yield "refund_amounts", _refund_amounts(scale)
    yield "refunds", _refunds(scale)
    yield "orders", _orders(scale)
    yield "order_lines", _lines("order_objects", _SOLD, "number AS order_id, ordered_at")
    yield "refund_lines", _lines("refund_documents", "succeeded", "refund_id, order_id, refunded_at")


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


def _tellings(scale: str) -> str:
    """What each record says: an order (`o`), a refund (`r`) or a cancellation (`c`), with its total in minor units."""
    flat = ", ".join([*(f"{name} String" for name in _TEXTS), *(f"{name} Nullable(Float64)" for name in _MONEY)])
    added = "".join(f" + floor(ifNull(said.{name}, 0) * {scale} + 0.5)" for name in _ADDED)
    lines = f"arraySum(line -> floor(line.2 * line.3 * {scale} + 0.5), products)"
    made = f"greatest(0, {lines}{added} - floor(ifNull(said.discount, 0) * {scale} + 0.5))"
    return f"""
      SELECT tenant, {OBJECT} AS key, multiIf(name = 'Order Refunded', 'r', name = 'Order Cancelled', 'c', 'o') AS what,
        if(what = 'r', JSONExtractString(properties, 'refund_id'), '') AS refund_id, late AS came_late, origin_log,
        event_time, origin_order, ({_PLACE}) AS place, (node = '', late, event_time, node) AS claim,
        JSONExtract(properties, 'Tuple({flat})') AS said, JSONExtract(properties, 'products', '{_LINE}') AS products,
        ifNull(floor(said.total * {scale} + 0.5), {made}) AS minor,
        if(what = 'o' OR said.original_currency != '', said.original_currency, said.currency) AS currency,
        ifNull(said.exchange_rate, 0) AS rate,
        if(said.original_currency != '', ifNull(said.original_total, 0), ifNull(said.total, minor / {scale})) AS own_amount,
        (toString(channel), products, minor, currency, rate, own_amount, said.status, said.kind, said.reason) AS content
      FROM events WHERE {NAMED}"""


def _order_objects(scale: str) -> str:
    """One row an object that is or has an order or refunds, with its owner; `refunds`: what each source tells of each refund.

    The version that counts: within a source by the source's order, then by time and position.
    """
    content = ", ".join(f"chosen.1.{place} AS {name}" for place, name in enumerate(_CONTENT, 1))
    return f"""
SELECT told.tenant AS tenant, told.key AS key, {issuer("told.key")} AS issuer, {number("told.key")} AS number,
  if(state.is_told, state.node, first_claim.4) AS node, state.stages AS stages,
  known, first_told.2 AS ordered_at, {content}, if(late, late_versions, live_versions) AS versions, first_told.1 AS late,
  cancelled_live, cancelled_ever, if(late, cancelled_ever, cancelled_live) AS cancelled, refunds
FROM (
  SELECT tenant, key, min(claim) AS first_claim, countIf(what = 'o') > 0 AS known, minIf((came_late, first), what = 'o') AS first_told,
    argMaxIf(newest, (NOT came_late, newest.3), what = 'o') AS chosen, sumIf(versions, what = 'o' AND NOT came_late) AS live_versions,
    sumIf(versions, what = 'o' AND came_late) AS late_versions, countIf(what = 'c' AND NOT came_late) > 0 AS cancelled_live,
    countIf(what = 'c') > 0 AS cancelled_ever,
    groupArrayIf((refund_id, came_late, origin_log, first, versions, newest), what = 'r' AND refund_id != '') AS refunds
  FROM (
    SELECT tenant, key, what, refund_id, came_late, origin_log, min(event_time) AS first, count() AS versions,
      argMax((content, origin_order, place), (origin_order, place)) AS newest, min(claim) AS claim
    FROM ({_tellings(scale)}
    ) WHERE key NOT IN ('order||', 'refund||') GROUP BY tenant, key, what, refund_id, came_late, origin_log
  ) GROUP BY tenant, key
) AS told
LEFT ANY JOIN (SELECT * FROM object_states WHERE kind IN ('order', 'refund')) AS state
  ON told.tenant = state.tenant AND told.key = state.key"""


_SOLD: Final = "known AND NOT cancelled"
_ABOUT: Final = ("key", "order_id", "known", "late", "minor", "currency", "rate", "cancelled_live", "cancelled_ever")
"""What a refund has to know of the object that it is told of."""
# The refunds of an owner and an issuer have one numbering: a refund that names an order in one version and none in another is one.
_REFUND_DOCUMENTS: Final = f"""
SELECT tenant, node, issuer, refund_id, first_told.2 AS refunded_at, first_told.1 AS late, if(late, late_versions, live_versions) AS versions,
  {", ".join(f"chosen.1.{place} AS {name}" for place, name in enumerate(_CONTENT, 1))}, status IN ('', 'succeeded') AS succeeded,
  {", ".join(f"chosen.2.{place} AS {f'order_{name}' if name != 'order_id' else name}" for place, name in enumerate(_ABOUT, 1))}
FROM (
  SELECT tenant, node, issuer, refund_id, min((came_late, first)) AS first_told,
    argMax(newest, (NOT came_late, newest.3)) AS chosen, sumIf(versions, NOT came_late) AS live_versions,
    sumIf(versions, came_late) AS late_versions
  FROM (
    SELECT tenant, node, issuer, refund.1 AS refund_id, refund.2 AS came_late, refund.3 AS origin_log, min(refund.4) AS first,
      sum(refund.5) AS versions, argMax((refund.6.1, about, refund.6.3), (refund.6.2, refund.6.3)) AS newest
    FROM (
      SELECT tenant, node, issuer, refunds, if(startsWith(key, 'order|'), number, '') AS order_id, ({", ".join(_ABOUT)}) AS about
      FROM order_objects
    ) ARRAY JOIN refunds AS refund
    GROUP BY tenant, node, issuer, refund_id, came_late, origin_log
  ) GROUP BY tenant, node, issuer, refund_id
)"""


def _refund_amounts(scale: str) -> str:
    """Money that went back; those in the order's own currency are converted together, so that the order balances."""
    own = f"floor(own_amount * {_scale_of('order_currency')} + 0.5)"
    upto = f"floor({{}} / {_scale_of('order_currency')} * order_rate * {scale} + 0.5)"
    return f"""
SELECT tenant, node, issuer, refund_id, order_id, order_key, refunded_at, channel, kind, status, reason,
  if(counts, minor_counted, 0) AS minor, own_amount, currency, counts, order_known, order_cancelled,
  order_known AND paid_back > order_minor AND NOT (order_cancelled AND order_minor = 0) AS over_refunded, products, versions, late
FROM (
  SELECT *, if(in_orders_currency, {upto.format("own_upto")} - {upto.format("(own_upto - own_minor)")}, minor) AS minor_counted,
    succeeded AND NOT order_cancelled AS counts,
    sum(if(succeeded, minor_counted, 0)) OVER (PARTITION BY tenant, order_key, late) AS paid_back
  FROM (
    SELECT *, {own} AS own_minor,
      sum(own_minor) OVER (PARTITION BY tenant, order_key, late, in_orders_currency AND succeeded ORDER BY refunded_at, refund_id
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS own_upto
    FROM (
      SELECT * EXCEPT (order_known), order_known AND order_id != '' AND (late OR NOT order_late) AS order_known,
        order_id != '' AND if(late, order_cancelled_ever, order_cancelled_live) AS order_cancelled,
        order_known AND order_currency != '' AND (currency = '' OR currency = order_currency) AS in_orders_currency
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
    stages = ", ".join(f"{moment('stages', stage)} AS {column}" for column, stage in _STAGES.items())
    waits = ", ".join(f"{seconds('ordered_at', until)} AS {column}" for column, until in _WAITS.items())
    return f"""
SELECT paid.tenant AS tenant, paid.node AS node, owner.profile_id AS profile_id, issuer, number AS order_id, ordered_at, channel,
  minor / {scale} AS total, if(late, back.all_minor, back.live_minor) / {scale} AS refunded,
  (minor - if(late, back.all_minor, back.live_minor)) / {scale} AS net, back.over_refunded AS over_refunded, length(products) AS lines,
  arraySum(products.quantity) AS units, currency AS original_currency, rate AS exchange_rate, versions, late,
  ordered_at AS placed_at, {stages}, {waits}
FROM (SELECT * FROM order_objects WHERE {_SOLD}) AS paid
LEFT ANY JOIN (
  SELECT tenant, order_key AS key, sumIf(minor, NOT late) AS live_minor, sum(minor) AS all_minor, max(refund_amounts.over_refunded) AS over_refunded
  FROM refund_amounts WHERE counts AND order_id != '' GROUP BY tenant, order_key
) AS back ON paid.tenant = back.tenant AND paid.key = back.key
LEFT ANY JOIN owner_profiles AS owner ON paid.tenant = owner.tenant AND paid.node = owner.node"""


def _lines(documents: str, condition: str, named: str) -> str:
    return f"""
SELECT told.tenant AS tenant, told.node AS node, owner.profile_id AS profile_id, issuer, {named}, channel, line, product.1 AS product_id,
  product.2 AS quantity, product.3 AS price, product.4 AS product_name, product.5 AS category, quantity * price AS amount
FROM (
  SELECT *, product, line FROM {documents} ARRAY JOIN products AS product, arrayEnumerate(products) AS line WHERE {condition}
) AS told
LEFT ANY JOIN owner_profiles AS owner ON told.tenant = owner.tenant AND told.node = owner.node"""
