"""Orders and refunds for analysts, by the ledger's rules (docs/features.md, "Order ledger"), out of table `events`.

What the profiles leave out because it came late is here and marked: it counts only where nothing that was not late speaks of the document.
"""

from collections.abc import Iterator
from typing import Final

from config.platform import Tenant
from schemas.currencies import MOST, exceptions

INTERNAL: Final = ("order_documents", "refund_documents")
"""Views that the others are made of."""
_LINE: Final = "Array(Tuple(product_id String, quantity Float64, price Float64, name String, category String))"
_ADDED: Final = ("shipping", "tax", "duties", "fees")
_MONEY: Final = ("total", *_ADDED, "discount", "original_total", "exchange_rate")
_POSITION: Final = "log_time, toString(source), partition, offset"


def ledger_views(tenants: dict[str, Tenant]) -> Iterator[tuple[str, str]]:
    """Name and query of each view, in an order in which they can be made."""
    scale = _scale(tenants)
    yield "order_documents", _order_documents(scale)
    yield "refund_documents", _refund_documents(scale)
    yield "refunds", _refunds(scale)
    yield "orders", _orders(scale)
    yield "order_lines", _lines("order_documents", "order_id, ordered_at", "NOT cancelled")
    yield "refund_lines", _lines("refund_documents", "refund_id, order_id, refunded_at", "succeeded")


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


def _told(names: str, texts: tuple[str, ...], scale: str, more: str) -> str:
    """Each version of a document: what it says, with its total in minor units."""
    flat = ", ".join([*(f"{name} String" for name in texts), *(f"{name} Nullable(Float64)" for name in _MONEY)])
    added = "".join(f" + floor(ifNull(said.{name}, 0) * {scale} + 0.5)" for name in _ADDED)
    lines = f"arraySum(line -> floor(line.2 * line.3 * {scale} + 0.5), products_told)"
    made = f"greatest(0, {lines}{added} - floor(ifNull(said.discount, 0) * {scale} + 0.5))"
    return f"""
    SELECT tenant, node, profile_id, event_time, ({_POSITION}) AS position, origin_log, origin_order, channel, late,
      JSONExtract(properties, 'Tuple({flat})') AS said, JSONExtract(properties, 'products', '{_LINE}') AS products_told,
      ifNull(floor(said.total * {scale} + 0.5), {made}) AS minor_told,
      {more}
    FROM events WHERE name IN ({names})"""


def _newest(told: str, key: str, content: str) -> str:
    """The version that counts of each document: within a source by the source's order, then by time and position."""
    return f"""
  SELECT tenant, node, {key}, argMin((told_first, newest, versions), came_late) AS chosen, min(came_late) AS late FROM (
    SELECT tenant, node, {key}, came_late, min(first) AS told_first, argMax(content, rank) AS newest, sum(number) AS versions FROM (
      SELECT tenant, node, {key}, late AS came_late, origin_log, min(event_time) AS first, count() AS number,
        argMax(({content}), (origin_order, event_time, position)) AS content,
        argMax((event_time, position), (origin_order, event_time, position)) AS rank
      FROM ({told}
      ) WHERE {key} != '' GROUP BY tenant, node, {key}, late, origin_log
    ) GROUP BY tenant, node, {key}, came_late
  ) GROUP BY tenant, node, {key}"""


def _columns(names: tuple[str, ...]) -> str:
    return ", ".join(f"chosen.2.{number} AS {name}" for number, name in enumerate(names, 1))


def _order_documents(scale: str) -> str:
    told = _told(
        "'Order Completed', 'Order Updated'",
        ("order_id", "original_currency"),
        scale,
        "said.order_id AS order_id, said.original_currency AS currency, ifNull(said.exchange_rate, 0) AS rate",
    )
    content = "profile_id, toString(channel), products_told, minor_told, currency, rate"
    names = ("profile_id", "channel", "products", "minor", "original_currency", "exchange_rate")
    return f"""
SELECT tenant, node, order_id, chosen.1 AS ordered_at, {_columns(names)}, chosen.3 AS versions, late,
  (tenant, node, order_id) IN (
    SELECT tenant, node, JSONExtractString(properties, 'order_id') FROM events WHERE name = 'Order Cancelled' AND NOT late
  ) OR (late AND (tenant, node, order_id) IN (
    SELECT tenant, node, JSONExtractString(properties, 'order_id') FROM events WHERE name = 'Order Cancelled'
  )) AS cancelled
FROM ({_newest(told, "order_id", content)}
)"""


def _refund_documents(scale: str) -> str:
    told = _told(
        "'Order Refunded'",
        ("refund_id", "order_id", "currency", "original_currency", "status", "kind", "reason"),
        scale,
        "said.refund_id AS refund_id, said.order_id AS order_id, said.status AS status, said.kind AS kind, said.reason AS reason, "
        "if(said.original_currency != '', said.original_currency, said.currency) AS currency, "
        f"if(said.original_currency != '', ifNull(said.original_total, 0), ifNull(said.total, minor_told / {scale})) AS own_amount",
    )
    content = "profile_id, toString(channel), products_told, minor_told, order_id, currency, own_amount, status, kind, reason"
    names = ("profile_id", "channel", "products", "minor", "order_id", "currency", "own_amount", "status", "kind", "reason")
    return f"""
SELECT tenant, node, refund_id, chosen.1 AS refunded_at, {_columns(names)}, chosen.3 AS versions, late,
  status IN ('', 'succeeded') AS succeeded
FROM ({_newest(told, "refund_id", content)}
)"""


def _refunds(scale: str) -> str:
    """Money that went back; those in the order's own currency are converted together, so that the order balances."""
    own = f"floor(own_amount * {_scale_of('order_currency')} + 0.5)"
    told = ", ".join(
        f"refund.{name} AS {name}"
        for name in (
            "tenant",
            "node",
            "profile_id",
            "refund_id",
            "order_id",
            "refunded_at",
            "channel",
            "products",
            "minor",
            "currency",
            "own_amount",
            "status",
            "kind",
            "reason",
            "versions",
            "late",
            "succeeded",
        )
    )
    upto = f"floor({{}} / {_scale_of('order_currency')} * order_rate * {scale} + 0.5)"
    return f"""
SELECT tenant, node, profile_id, refund_id, order_id, refunded_at, channel, kind, status, reason,
  if(counts, minor_counted, 0) / {scale} AS amount, own_amount, currency, counts, order_known, order_cancelled,
  order_known AND paid_back > order_minor AND NOT (order_cancelled AND order_minor = 0) AS over_refunded,
  length(products) AS lines, arraySum(products.quantity) AS units, versions, late
FROM (
  SELECT *, if(in_orders_currency, {upto.format("own_upto")} - {upto.format("(own_upto - own_minor)")}, minor) AS minor_counted,
    succeeded AND NOT order_cancelled AS counts,
    sum(if(succeeded, minor_counted, 0)) OVER (PARTITION BY tenant, node, order_id, late) AS paid_back
  FROM (
    SELECT *, {own} AS own_minor,
      sum(own_minor) OVER (PARTITION BY tenant, node, order_id, late, in_orders_currency AND succeeded ORDER BY refunded_at, refund_id
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS own_upto
    FROM (
      SELECT {told}, paid.known AS order_known, paid.minor AS order_minor, paid.original_currency AS order_currency,
        paid.exchange_rate AS order_rate, cancelled.known AS order_cancelled,
        order_known AND order_currency != '' AND (currency = '' OR currency = order_currency) AS in_orders_currency
      FROM refund_documents AS refund
      LEFT JOIN (
        SELECT tenant, node, order_id, asked_late, minor, original_currency, exchange_rate, true AS known
        FROM order_documents ARRAY JOIN if(late, [true], [false, true]) AS asked_late
      ) AS paid ON refund.tenant = paid.tenant AND refund.node = paid.node AND refund.order_id = paid.order_id
        AND refund.late = paid.asked_late
      LEFT JOIN (
        SELECT tenant, node, JSONExtractString(properties, 'order_id') AS order_id, asked_late, true AS known
        FROM events ARRAY JOIN if(late, [true], [false, true]) AS asked_late WHERE name = 'Order Cancelled'
        GROUP BY tenant, node, order_id, asked_late
      ) AS cancelled ON refund.tenant = cancelled.tenant AND refund.node = cancelled.node AND refund.order_id = cancelled.order_id
        AND refund.late = cancelled.asked_late
    )
  )
)"""


def _orders(scale: str) -> str:
    return f"""
SELECT paid.tenant AS tenant, paid.node AS node, profile_id, paid.order_id AS order_id, ordered_at, channel, minor / {scale} AS total,
  if(late, back.all_minor, back.live_minor) / {scale} AS refunded, (minor - if(late, back.all_minor, back.live_minor)) / {scale} AS net,
  back.over_refunded AS over_refunded, length(products) AS lines, arraySum(products.quantity) AS units, original_currency, exchange_rate,
  versions, late
FROM (SELECT * FROM order_documents WHERE NOT cancelled) AS paid
LEFT JOIN (
  SELECT tenant, node, order_id, sum(if(came_late, 0, each)) AS live_minor, sum(each) AS all_minor, max(too_much) AS over_refunded FROM (
    SELECT tenant, node, order_id, late AS came_late, over_refunded AS too_much, round(amount * {scale}) AS each
    FROM refunds WHERE counts AND order_id != ''
  ) GROUP BY tenant, node, order_id
) AS back ON paid.tenant = back.tenant AND paid.node = back.node AND paid.order_id = back.order_id"""


def _lines(documents: str, named: str, condition: str) -> str:
    return (
        f"SELECT tenant, node, profile_id, {named}, channel, line, product.1 AS product_id, product.2 AS quantity, product.3 AS price, "
        f"product.4 AS product_name, product.5 AS category, quantity * price AS amount "
        f"FROM {documents} ARRAY JOIN products AS product, arrayEnumerate(products) AS line WHERE {condition}"
    )
