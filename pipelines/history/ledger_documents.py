"""Which version counts of each order and refund, and whose it is: what `ledger_views` makes its views of.

Of the versions of one source the newest by the source's own order stays; of those that stay the one with the greatest time and position
counts. What came late counts only where nothing that was not late speaks of the document.
"""

from collections.abc import Iterator
from typing import Final

from pipelines.history.object_views import EVENT_TIME, NAMED, OBJECT, PLACE, issuer, newest, number


def ledger_documents() -> Iterator[tuple[str, str]]:
    """Name and query of each view, in an order in which they can be made."""
    yield "order_objects", _ORDER_OBJECTS
    yield "refund_documents", _REFUND_DOCUMENTS


def _without_order(rank: str) -> str:
    """A rank without its beginning, the source's own order."""
    return f"substring({rank}, position({rank}, '\\0') + 1)"


_CLAIM: Final = f"concat(if(node = '', '1', '0'), if(late, '1', '0'), {EVENT_TIME}, node)"
"""The least one is that of the earliest record that names a node, of those not late if there are any; the node begins at its 11th byte."""
_ORDER_OBJECTS: Final = f"""
SELECT told.tenant AS tenant, told.key AS key, {issuer("told.key")} AS issuer, {number("told.key")} AS number,
  if(state.is_told, state.node, substring(first_claim, 11)) AS node, state.stages AS stages, toBool(live + late_ones > 0) AS known,
  toBool(live = 0) AS late, if(late, first_late, first_live) AS ordered_at, if(late, late_ones, live) AS versions,
  order_channel AS channel, order_properties AS properties, cancelled_live, cancelled_ever,
  if(late, cancelled_ever, cancelled_live) AS cancelled, refunds
FROM (
  SELECT tenant, key, min(claim) AS first_claim,
    sumIf(versions, what = 'o' AND NOT came_late) AS live, sumIf(versions, what = 'o' AND came_late) AS late_ones,
    minIf(first, what = 'o' AND NOT came_late) AS first_live, minIf(first, what = 'o' AND came_late) AS first_late,
    argMaxIf(newest_properties, place, what = 'o') AS order_properties, argMaxIf(newest_channel, place, what = 'o') AS order_channel,
    toBool(countIf(what = 'c' AND NOT came_late)) AS cancelled_live, toBool(countIf(what = 'c')) AS cancelled_ever,
    groupArrayIf(
      (refund_id, came_late, origin_log, first, versions, rank, newest_channel, newest_properties), what = 'r' AND refund_id != ''
    ) AS refunds
  FROM (
    SELECT tenant, key, what, refund_id, came_late, origin_log, min(event_time) AS first, count() AS versions, min(told_claim) AS claim,
      max(told_rank) AS rank, argMax(channel, told_rank) AS newest_channel, argMax(properties, told_rank) AS newest_properties,
      concat(if(came_late, '0', '1'), {_without_order("rank")}) AS place
    FROM (
      SELECT tenant, {OBJECT} AS key, multiIf(name = 'Order Refunded', 'r', name = 'Order Cancelled', 'c', 'o') AS what,
        if(what = 'r', JSONExtractString(properties, 'refund_id'), '') AS refund_id, late AS came_late, origin_log, event_time,
        {_CLAIM} AS told_claim, concat(origin_order, '\\0', {PLACE}) AS told_rank, toString(channel) AS channel, properties
      FROM events WHERE {NAMED}
    ) WHERE key NOT IN ('order||', 'refund||') GROUP BY tenant, key, what, refund_id, came_late, origin_log
  ) GROUP BY tenant, key
) AS told
LEFT ANY JOIN ({newest("kind IN ('order', 'refund')")}) AS state
  ON told.tenant = state.tenant AND told.key = state.key"""
"""One row an object that is or has an order or refunds, with its owner; `refunds`: what each source tells of each refund."""
_CARRIED: Final = (
    "channel",
    "properties",
    "key",
    "order_id",
    "order_properties",
    "known",
    "order_late",
    "cancelled_live",
    "cancelled_ever",
)
"""What a version of a refund says, and the object that it is told of."""


def _chosen(before: str, after: str, rank: str) -> str:
    return ", ".join(f"argMax({before}{name}, {rank}) AS {after}{name}" for name in _CARRIED)


# The refunds of an owner and issuer have one numbering, as in the owner's ledger: a refund that names an order in one version and none in
# another is one.
_REFUND_DOCUMENTS: Final = f"""
SELECT tenant, node, issuer, refund_id, toBool(live = 0) AS late, if(late, first_late, first_live) AS refunded_at,
  if(late, late_ones, live) AS versions, {", ".join(f"chosen_{name} AS {name}" for name in _CARRIED)}
FROM (
  SELECT tenant, node, issuer, refund_id, sumIf(told_versions, NOT came_late) AS live, sumIf(told_versions, came_late) AS late_ones,
    minIf(told_first, NOT came_late) AS first_live, minIf(told_first, came_late) AS first_late, {_chosen("newest_", "chosen_", "place")}
  FROM (
    SELECT tenant, node, issuer, refund_id, came_late, min(first) AS told_first, sum(versions) AS told_versions,
      max(rank) AS newest_rank, concat(if(came_late, '0', '1'), {_without_order("newest_rank")}) AS place, {_chosen("", "newest_", "rank")}
    FROM (
      SELECT tenant, node, issuer, refund.1 AS refund_id, refund.2 AS came_late, refund.3 AS origin_log, refund.4 AS first,
        refund.5 AS versions, refund.6 AS rank, refund.7 AS channel, refund.8 AS properties, key,
        if(startsWith(key, 'order|'), number, '') AS order_id, order_properties, known, order_late, cancelled_live, cancelled_ever
      FROM (
        SELECT tenant, node, issuer, key, number, properties AS order_properties, known, late AS order_late, cancelled_live, cancelled_ever,
          refunds
        FROM order_objects WHERE notEmpty(refunds)
      ) ARRAY JOIN refunds AS refund
    ) GROUP BY tenant, node, issuer, refund_id, came_late, origin_log
  ) GROUP BY tenant, node, issuer, refund_id
)"""
