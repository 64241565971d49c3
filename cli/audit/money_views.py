"""What the analysts' views `orders`, `refunds` and `profiles` say of orders and money, and table `objects` of owners."""

from collections.abc import Mapping
from typing import Any, Final

from cli.audit.fold import Document, Fold, Money
from sinks.clickhouse import ClickHouse

Key = tuple[str, str]
"""Tenant, and the key of an object, a node key or a profile id."""
_OF_REFUND: Final = "if(order_id != '', concat('order|', issuer, '|', order_id), concat('refund|', issuer, '|', refund_id))"


def documents_in_views(server: ClickHouse, fold: Fold) -> dict[Document, int]:
    """What views `orders` and `refunds` say of each order and refund that counts, minor units."""
    orders = "SELECT tenant, concat('order|', issuer, '|', order_id) AS key, '' AS refund_id, total AS amount FROM orders WHERE NOT late"
    refunds = f"SELECT tenant, {_OF_REFUND} AS key, refund_id, amount FROM refunds WHERE counts AND NOT late"
    rows = (row for query in (orders, refunds) for row in server.rows(query))
    return {(row["tenant"], row["key"], row["refund_id"]): round(row["amount"] * fold.units(row["tenant"])) for row in rows}


def of_profile(fields: Mapping[str, Any], units: int) -> Money:
    """What the fields of a profile say."""
    amounts = (round((fields.get(name) or 0) * units) for name in ("gross_lifetime", "refunded_lifetime"))
    return Money(int(fields.get("orders_lifetime") or 0), *amounts)


def profiles_in_view(server: ClickHouse, fold: Fold) -> dict[Key, Money]:
    """What the view `profiles` says of each profile that has anything to do with money."""
    columns = "tenant, profile_id, orders_lifetime, gross_lifetime, refunded_lifetime"
    rows = server.rows(f"SELECT {columns} FROM profiles WHERE orders_lifetime != 0 OR gross_lifetime != 0 OR refunded_lifetime != 0")
    return {(row["tenant"], row["profile_id"]): of_profile(row, fold.units(row["tenant"])) for row in rows}


def owners_in_table(server: ClickHouse) -> dict[Key, str]:
    """The owner of each object that has one, by the newest row of table `objects`."""
    query = (
        "SELECT tenant, concat(kind, '|', issuer, '|', object_id) AS key, argMax(node, version) AS node "
        "FROM objects GROUP BY tenant, kind, issuer, object_id"
    )
    return {(row["tenant"], row["key"]): row["node"] for row in server.rows(query) if row["node"]}


def reused_ids(server: ClickHouse) -> dict[str, int]:
    """By tenant, how many message ids were used at one node for two different objects: each is remembered by itself."""
    query = (
        "SELECT tenant, count() AS ids FROM ("
        "SELECT tenant, node, message_id FROM events WHERE object != '' AND node != '' "
        "GROUP BY tenant, node, message_id HAVING min(object) != max(object)) GROUP BY tenant"
    )
    return {row["tenant"]: int(row["ids"]) for row in server.rows(query, settings={"optimize_aggregation_in_order": "1"})}


def amount(minor: int | None, units: int) -> str:
    """Minor units as an amount in major ones."""
    return "missing" if minor is None else f"{minor / units:,.{len(str(units)) - 1}f}"
