"""Checks 5 and 6: live profiles, the analysts' views and the clean events mean the same orders and money; no typed view lacks a field."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from cli.audit.evidence import CleanEvidence
from cli.audit.fold import NAMES, Fold, Money
from cli.audit.report import Check
from config.platform import Tenant
from pipelines.history.event_views import property_column, view_name
from schemas import clean as codec
from schemas import json_text
from schemas.contracts import Contract
from sinks.clickhouse import ClickHouse

RECHECK_S: Final = 15.0
EXAMPLES: Final = 3
Key = tuple[str, str]
NODES, PROFILES = 0, 1


class OrderEvents:
    """Takes the events of orders out of the clean topics as they are read.

    Args:
        tenants: by name.

    Attributes:
        fold: what they add up to.
        odd: events whose properties are not written as the platform writes them: readers may understand them differently.
    """

    def __init__(self, tenants: Mapping[str, Tenant]) -> None:
        self.fold = Fold({name: tenant.minor_units for name, tenant in tenants.items()})
        self.odd: dict[str, list[str]] = {}
        self.count = 0

    def take(self, name: str, message: bytes) -> None:
        """See `CleanEvidence.on_event`."""
        if name not in NAMES:
            return
        self.count += 1
        record = codec.decode(message)
        place = f"{record['source']}/{record['partition']}@{record['offset']}"
        try:
            properties = json_text.read_object(record["properties"])
            if json_text.written(properties) != record["properties"]:
                self.odd.setdefault(record["tenant"], []).append(f"event of {place}: properties are not canonical JSON")
            self.fold.take(record, properties)
        except (json_text.JsonTextError, KeyError, TypeError) as error:
            self.odd.setdefault(record["tenant"], []).append(f"event of {place}: cannot be folded ({type(error).__name__})")


def money(
    server: ClickHouse, clean: CleanEvidence, orders: OrderEvents, tenants: Mapping[str, Tenant], read_on: Callable[[], None]
) -> Iterator[Check]:
    """Per tenant: what live profiles and what the analysts' views say of orders and money, against the clean events.

    All three move while they are compared: what differs has to differ in every look until the deadline, while its events stand still.

    Args:
        server: ClickHouse.
        clean: the clean topics; grows with `read_on`.
        orders: the events of orders in them; grows likewise.
        tenants: by name.
        read_on: reads the clean topics to their end as it is now.
    """
    deadline = time.monotonic() + RECHECK_S
    suspects: dict[str, set[Key]] | None = None
    before = _wanted(clean, orders.fold)
    while True:
        views, profiles = _Views(server, orders.fold), _view_of_profiles(server, orders.fold)
        read_on()
        wanted, live = _wanted(clean, orders.fold), _live(clean, orders.fold)
        compared = {
            "live profiles": (wanted[PROFILES], live),
            "view profiles": (wanted[PROFILES], profiles),
            "view orders": (wanted[NODES], views.nodes),
        }
        found = {what: _differing(pair, before[NODES if what == "view orders" else PROFILES]) for what, pair in compared.items()}
        before = wanted
        suspects = {what: keys & suspects[what] for what, keys in found.items()} if suspects is not None else found
        if not any(suspects.values()) or time.monotonic() > deadline:
            break
        time.sleep(1.0)
    for tenant, config in tenants.items():
        for what, pair in compared.items():
            yield _check(tenant, config, what, pair, suspects[what], orders, views)


def event_rows(server: ClickHouse, contracts: Mapping[str, Contract]) -> Check:
    """Every row of a typed view has what its contract requires."""
    expected, complete, differences = 0, 0, []
    for contract in contracts.values():
        # An empty list may be meant: of lists and maps only those that must have entries can be seen to lack.
        fields = contract.fields.items()
        required = [label for label, field in fields if field.required and (field.type not in ("list", "map") or field.min)]
        lacks = {label: _lacks(property_column(label), contract.fields[label].type) for label in required}
        counts = ", ".join([f"countIf({condition}) AS `lacks {label}`" for label, condition in lacks.items()])
        anything = " OR ".join(f"({condition})" for condition in lacks.values()) or "false"
        query = f"SELECT count() AS rows, countIf({anything}) AS lacking{', ' if counts else ''}{counts} FROM {view_name(contract.name)}"
        (row,) = server.rows(query)
        expected += int(row["rows"])
        complete += int(row["rows"]) - int(row["lacking"])
        named = [label for label in required if int(row[f"lacks {label}"])]
        if named:
            differences.append(f"{view_name(contract.name)}: {row['lacking']} rows without {', '.join(named)}")
    return Check("event_* rows", expected, complete, differences, "with every field that their contracts require")


def _lacks(column: str, kind: str) -> str:
    return f"empty(`{column}`)" if kind in ("list", "map") else f"isNull(`{column}`)"


class _Views:
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
                    here, there = _amount(mine[what].get(one), units), _amount(told.get(one), units)
                    lines.append(f"{what} {one}: {there} in the view, {here} by its events")
        return lines[:EXAMPLES]


def _amount(minor: int | None, units: int) -> str:
    return "missing" if minor is None else f"{minor / units:,.{len(str(units)) - 1}f}"


_Pair = tuple[dict[Key, Money], dict[Key, Money]]


def _wanted(clean: CleanEvidence, fold: Fold) -> tuple[dict[Key, Money], dict[Key, Money]]:
    """What events add up to: by node, and by profile with the nodes that its newest change names."""
    nodes = {key: node.money(fold.units(key[0])) for key, node in fold.nodes.items()}
    profiles: dict[Key, Money] = {}
    for (tenant, key), node in fold.nodes.items():
        owner = tenant, node.profile_id
        newest = clean.newest.get(owner)
        if newest is None:
            profiles[owner] = profiles.get(owner, Money()).plus(nodes[tenant, key])
        elif owner not in profiles:
            members = codec.decode(newest[1])["nodes"]
            profiles[owner] = Money()
            for member in members:
                profiles[owner] = profiles[owner].plus(nodes.get((tenant, member), Money()))
    return nodes, profiles


def _live(clean: CleanEvidence, fold: Fold) -> dict[Key, Money]:
    """What the newest changes of profiles with orders say; Redis is compared with them field by field elsewhere."""
    found: dict[Key, Money] = {}
    for owner in {(tenant, node.profile_id) for (tenant, _), node in fold.nodes.items()} & clean.newest.keys():
        fields = json_text.read_object(codec.decode(clean.newest[owner][1])["features"])
        found[owner] = _told(fields, fold.units(owner[0]))
    return found


def _told(fields: Mapping[str, Any], units: int) -> Money:
    amounts = (round((fields.get(name) or 0) * units) for name in ("gross_lifetime", "refunded_lifetime"))
    return Money(int(fields.get("orders_lifetime") or 0), *amounts)


def _view_of_profiles(server: ClickHouse, fold: Fold) -> dict[Key, Money]:
    columns = "tenant, profile_id, orders_lifetime, gross_lifetime, refunded_lifetime"
    rows = server.rows(f"SELECT {columns} FROM profiles WHERE orders_lifetime != 0 OR gross_lifetime != 0 OR refunded_lifetime != 0")
    return {(row["tenant"], row["profile_id"]): _told(row, fold.units(row["tenant"])) for row in rows}


def _differing(pair: _Pair, before: Mapping[Key, Money]) -> set[Key]:
    """Keys whose events say something else, and have said the same since the last look."""
    wanted, told = pair
    none = Money()
    differ = {key for key in wanted.keys() | told.keys() if wanted.get(key, none) != told.get(key, none)}
    return {key for key in differ if before.get(key, none) == wanted.get(key, none)}


def _check(tenant: str, config: Tenant, what: str, pair: _Pair, suspects: set[Key], orders: OrderEvents, views: _Views) -> Check:
    (wanted, told), fold, units = pair, orders.fold, orders.fold.units(tenant)
    mine = _sum(wanted, tenant)
    bounded = {(its, node.profile_id) for (its, _), node in fold.nodes.items() if node.is_bounded}
    bounded |= {key for key, node in fold.nodes.items() if node.is_bounded}
    lines = []
    for key in sorted(key for key in suspects if key[0] == tenant and key not in bounded):
        if what == "view orders":
            lines += [f"profile {fold.nodes[key].profile_id if key in fold.nodes else 'unknown'}, {line}" for line in views.differing(key)]
        else:
            here, there = wanted.get(key, Money()), told.get(key, Money())
            said = f"{there.orders} orders, gross {_amount(there.gross, units)}, refunded {_amount(there.refunded, units)}"
            mine_said = f"{here.orders}, {_amount(here.gross, units)}, {_amount(here.refunded, units)}"
            lines.append(f"profile {key[1]}: {said}; by its events {mine_said}")
    if what == "view orders":
        lines += orders.odd.get(tenant, [])
    note = f"gross {_amount(mine.gross, units)}, refunded {_amount(mine.refunded, units)}, net {_amount(mine.net, units)} {config.currency}"
    left_out = sum(key[0] == tenant for key in bounded & (wanted.keys() | told.keys()))
    note += f"; {left_out} beyond a limit of the ledger are left out" if left_out else ""
    return Check(f"{tenant}: {what}", mine.orders, _sum(told, tenant).orders, lines, note)


def _sum(found: Mapping[Key, Money], tenant: str) -> Money:
    total = Money()
    for key, one in found.items():
        if key[0] == tenant:
            total = total.plus(one)
    return total
