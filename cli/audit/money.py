"""Check 5: live profiles, the analysts' views and the clean events mean the same orders and money."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from cli.audit.evidence import CleanEvidence
from cli.audit.fold import Fold, Money
from cli.audit.money_views import Key, NodesInViews, amount, of_profile, profiles_in_view
from cli.audit.order_events import OrderEvents
from cli.audit.report import Check
from config.platform import Tenant
from schemas import clean as codec
from schemas import json_text
from sinks.clickhouse import ClickHouse

RECHECK_S: Final = 15.0
NODES, PROFILES = 0, 1


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
        views, profiles = NodesInViews(server, orders.fold), profiles_in_view(server, orders.fold)
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


_Pair = tuple[dict[Key, Money], dict[Key, Money]]


def _wanted(clean: CleanEvidence, fold: Fold) -> tuple[dict[Key, Money], dict[Key, Money]]:
    """What events add up to: by node, and by profile with the nodes that its newest change names."""
    nodes = {key: node.money(fold.units(key[0])) for key, node in fold.nodes.items()}
    profiles: dict[Key, Money] = {}
    members = _members(clean)
    for (tenant, key), node in fold.nodes.items():
        owner = tenant, members.get((tenant, key), node.profile_id)
        profiles[owner] = profiles.get(owner, Money()).plus(nodes[tenant, key])
    return nodes, profiles


def _members(clean: CleanEvidence) -> dict[Key, str]:
    """The profile of each node that a newest change names."""
    return {(tenant, node): profile for (tenant, profile), (_, message) in clean.newest.items() for node in codec.decode(message)["nodes"]}


def _live(clean: CleanEvidence, fold: Fold) -> dict[Key, Money]:
    """What the newest changes of profiles with orders say; Redis is compared with them field by field elsewhere."""
    found: dict[Key, Money] = {}
    members = _members(clean)
    for owner in {(key[0], members[key]) for key in fold.nodes.keys() & members.keys()}:
        fields = json_text.read_object(codec.decode(clean.newest[owner][1])["features"])
        found[owner] = of_profile(fields, fold.units(owner[0]))
    return found


def _differing(pair: _Pair, before: Mapping[Key, Money]) -> set[Key]:
    """Keys whose events say something else, and have said the same since the last look."""
    wanted, told = pair
    none = Money()
    differ = {key for key in wanted.keys() | told.keys() if wanted.get(key, none) != told.get(key, none)}
    return {key for key in differ if before.get(key, none) == wanted.get(key, none)}


def _check(tenant: str, config: Tenant, what: str, pair: _Pair, suspects: set[Key], orders: OrderEvents, views: NodesInViews) -> Check:
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
            said = f"{there.orders} orders, gross {amount(there.gross, units)}, refunded {amount(there.refunded, units)}"
            mine_said = f"{here.orders}, {amount(here.gross, units)}, {amount(here.refunded, units)}"
            lines.append(f"profile {key[1]}: {said}; by its events {mine_said}")
    if what == "view orders":
        lines += orders.odd.get(tenant, [])
    note = f"gross {amount(mine.gross, units)}, refunded {amount(mine.refunded, units)}, net {amount(mine.net, units)} {config.currency}"
    left_out = sum(key[0] == tenant for key in bounded & (wanted.keys() | told.keys()))
    note += f"; {left_out} beyond a limit of the ledger are left out" if left_out else ""
    return Check(f"{tenant}: {what}", mine.orders, _sum(told, tenant).orders, lines, note)


def _sum(found: Mapping[Key, Money], tenant: str) -> Money:
    total = Money()
    for key, one in found.items():
        if key[0] == tenant:
            total = total.plus(one)
    return total
