"""What the analysts' views `orders`, `refunds` and `profiles` say of orders and money."""

from collections.abc import Mapping
from typing import Any, Final

from cli.audit.fold import Fold, Money
from sinks.clickhouse import ClickHouse

EXAMPLES: Final = 3
Key = tuple[str, str]
"""Tenant, and node key or profile id."""


class NodesInViews:
    """What the analysts' views say of each node.

    Args:
        server: ClickHouse.
        fold: knows the decimals of each tenant's currency.
    """

    def __init__(self, server: ClickHouse, fold: Fold) -> None:
        self._server, self._fold = server, fold
        self.nodes: dict[Key, Money] = {}
        query = "SELECT tenant, node, count() AS number, groupArray(total) AS totals FROM orders WHERE NOT late GROUP BY tenant, node"
        for row in server.rows(query):
            units = fold.units(row["tenant"])
            self.nodes[row["tenant"], row["node"]] = Money(int(row["number"]), sum(round(total * units) for total in row["totals"]), 0)
        query = "SELECT tenant, node, groupArray(amount) AS amounts FROM refunds WHERE counts AND NOT late GROUP BY tenant, node"
        for row in server.rows(query):
            back = Money(0, 0, sum(round(amount * fold.units(row["tenant"])) for amount in row["amounts"]))
            key = row["tenant"], row["node"]
            self.nodes[key] = self.nodes.get(key, Money()).plus(back)

    def differing(self, key: Key) -> list[str]:
        """Which orders and refunds of a node differ, in words."""
        node, units = self._fold.nodes.get(key), self._fold.units(key[0])
        mine = {"order": node.totals() if node else {}, "refund": node.given_back(units) if node else {}}
        named = {"tenant": key[0], "node": key[1]}
        where = "WHERE tenant = {tenant:String} AND node = {node:String} AND NOT late"
        rows = self._server.rows(f"SELECT order_id AS id, total AS amount FROM orders {where}", named)
        back = self._server.rows(f"SELECT refund_id AS id, amount FROM refunds {where} AND counts", named)
        lines = []
        for what, found in (("order", rows), ("refund", back)):
            told = {row["id"]: round(row["amount"] * units) for row in found}
            for one in sorted(told.keys() | mine[what].keys()):
                if told.get(one) != mine[what].get(one):
                    here, there = amount(mine[what].get(one), units), amount(told.get(one), units)
                    lines.append(f"{what} {one}: {there} in the view, {here} by its events")
        return lines[:EXAMPLES]


def of_profile(fields: Mapping[str, Any], units: int) -> Money:
    """What the fields of a profile say."""
    amounts = (round((fields.get(name) or 0) * units) for name in ("gross_lifetime", "refunded_lifetime"))
    return Money(int(fields.get("orders_lifetime") or 0), *amounts)


def profiles_in_view(server: ClickHouse, fold: Fold) -> dict[Key, Money]:
    """What the view `profiles` says of each profile that has anything to do with money."""
    columns = "tenant, profile_id, orders_lifetime, gross_lifetime, refunded_lifetime"
    rows = server.rows(f"SELECT {columns} FROM profiles WHERE orders_lifetime != 0 OR gross_lifetime != 0 OR refunded_lifetime != 0")
    return {(row["tenant"], row["profile_id"]): of_profile(row, fold.units(row["tenant"])) for row in rows}


def amount(minor: int | None, units: int) -> str:
    """Minor units as an amount in major ones."""
    return "missing" if minor is None else f"{minor / units:,.{len(str(units)) - 1}f}"
