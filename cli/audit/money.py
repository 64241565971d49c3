"""Check 5: live profiles, the analysts' views and the clean events mean the same orders and money, and the same owners of objects."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from cli.audit.evidence import CHANGES, EVENTS, CleanEvidence
from cli.audit.fold import Document, Fold, Money
from cli.audit.history import Part
from cli.audit.money_views import Key, amount, documents_in_views, of_profile, owners_in_table, profiles_in_view, reused_ids
from cli.audit.order_events import OrderEvents
from cli.audit.report import Check
from config.platform import Tenant
from schemas import clean as codec
from schemas import json_text
from sinks.clickhouse import ClickHouse

RECHECK_S: Final = 15.0
LOADER_S: Final = 60.0
"""What the loader gets beyond that while it is behind."""
READ_BY_VIEWS: Final = ("cdp.objects", EVENTS, CHANGES)
LIVE, PROFILES, ORDERS, OWNERS = "live profiles", "view profiles", "view orders", "objects"


def money(
    server: ClickHouse,
    clean: CleanEvidence,
    orders: OrderEvents,
    tenants: Mapping[str, Tenant],
    read_on: Callable[[], None],
    loaded: Callable[[], Mapping[Part, int]],
) -> Iterator[Check]:
    """Per tenant: what live profiles and what the analysts' views say of orders and money, and table `objects` of owners.

    All are compared with the clean events, and all move meanwhile: what differs has to differ in every look until the deadline, while its
    events stand still. The views know what the loader has inserted: as long as that is not all that was there at the first look, of each
    partition, it is waited for, and what is still missing then is late, not lost.

    Args:
        server: ClickHouse.
        clean: the clean topics; grows with `read_on`.
        orders: the events of objects in them; grows likewise.
        tenants: by name.
        read_on: reads the clean topics to their end as it is now.
        loaded: offset below which the loader says it has loaded a partition.
    """
    deadline = time.monotonic() + RECHECK_S
    fold, needed = orders.fold, {part: end for part, end in clean.ends.items() if part[0] in READ_BY_VIEWS}
    suspects: dict[str, set[Any]] | None = None
    before = _Events(clean, fold)
    while True:
        done = loaded()
        late = sum(max(0, end - done.get(part, 0)) for part, end in needed.items())
        told: dict[str, Mapping[Any, Any]] = {
            ORDERS: documents_in_views(server, fold),
            PROFILES: profiles_in_view(server, fold),
            OWNERS: {key: node for key, node in owners_in_table(server).items() if _is_compared(key, orders)},
        }
        read_on()
        events = _Events(clean, fold)
        told[LIVE] = _live(clean, events, fold)
        found = {what: _differing(events.say[what], told[what], before.say[what]) for what in events.say}
        before = events
        suspects = {what: keys & suspects[what] for what, keys in found.items()} if suspects is not None else found
        if not any(suspects.values()) or time.monotonic() > deadline + (LOADER_S if late > 0 else 0):
            break
        time.sleep(1.0)
    reused = reused_ids(server)
    for tenant, config in tenants.items():
        yield _profiles(tenant, config, LIVE, told[LIVE], suspects[LIVE], events)
        profiles = _profiles(tenant, config, PROFILES, told[PROFILES], suspects[PROFILES], events)
        documents = _documents(tenant, config, told[ORDERS], suspects[ORDERS], orders, events)
        owners = _owners(tenant, told[OWNERS], suspects[OWNERS], events, reused.get(tenant, 0))
        yield from (_or_late(check, late) for check in (profiles, documents, owners))


def _or_late(check: Check, late: int) -> Check:
    """The check, or that it cannot be made because the loader is behind."""
    if late <= 0 or not check.differences:
        return check
    note = f"{late:,} records of the clean topics are not loaded yet: is job `history` running?"
    return Check(check.name, check.expected, check.found, [], note, known=False)


class _Events:
    """What events add up to.

    Attributes:
        say: what is compared -> what should be told, without what is nothing.
        members: the profile of each node that the newest change of a profile names.
        bounded: profiles and objects of owners at which a ledger met one of its bounds.
    """

    def __init__(self, clean: CleanEvidence, fold: Fold) -> None:
        self._fold = fold
        self.members: dict[Key, str] = {
            (tenant, node): profile for (tenant, profile), (_, message) in clean.newest.items() for node in codec.decode(message)["nodes"]
        }
        profiles: dict[Key, Money] = {}
        documents: dict[Document, int] = {}
        bounded: set[Key] = set()
        nodes = fold.nodes()
        for (tenant, key), node in nodes.items():
            units = fold.units(tenant)
            totals, back = node.totals(), node.given_back(units)
            documents |= {(tenant, order, ""): total for order, total in totals.items()}
            documents |= {(tenant, *refund): minor for refund, minor in back.items()}
            if key:
                owner = tenant, self.profile_of((tenant, key))
                mine = Money(len(totals), sum(totals.values()), sum(back.values()))
                profiles[owner] = profiles.get(owner, Money()).plus(mine)
                bounded |= {owner} if node.is_bounded else set()
        profiles = {key: one for key, one in profiles.items() if one != Money()}
        owners = {key: told.owner for key, told in fold.objects.items() if told.owner and not told.is_older}
        self.bounded = bounded | {key for key, told in fold.objects.items() if told.owner and nodes[key[0], told.owner].is_bounded}
        self.say: dict[str, Mapping[Any, Any]] = {LIVE: profiles, PROFILES: profiles, ORDERS: documents, OWNERS: owners}

    def profile_of(self, node: Key) -> str:
        """The profile that a node is part of."""
        return self.members.get(node) or self._fold.profile_of(node)

    def owner_of(self, key: Key) -> Key:
        """Tenant and profile of an object's owner, the latter empty without one."""
        told = self._fold.objects.get(key)
        return key[0], self.profile_of((key[0], told.owner)) if told is not None else ""


def _is_compared(key: Key, orders: OrderEvents) -> bool:
    """Whether the owner of an object can be told from events: all of them say which object they concern."""
    told = orders.fold.objects.get(key)
    return key[1].startswith(orders.begins) and (told is None or not told.is_older)


def _live(clean: CleanEvidence, events: _Events, fold: Fold) -> dict[Key, Money]:
    """What the newest changes say of profiles that orders or refunds name; Redis is compared with them field by field elsewhere."""
    found: dict[Key, Money] = {}
    for owner in {(key[0], events.members[key]) for key in fold.named if key in events.members}:
        fields = json_text.read_object(codec.decode(clean.newest[owner][1])["features"])
        found[owner] = of_profile(fields, fold.units(owner[0]))
    return {key: one for key, one in found.items() if one != Money()}


def _differing(wanted: Mapping[Any, Any], told: Mapping[Any, Any], before: Mapping[Any, Any]) -> set[Any]:
    """Keys whose events say something else, and have said the same since the last look."""
    differ = {key for key in wanted.keys() | told.keys() if wanted.get(key) != told.get(key)}
    return {key for key in differ if before.get(key) == wanted.get(key)}


def _profiles(tenant: str, config: Tenant, what: str, told: Mapping[Key, Money], suspects: set[Key], events: _Events) -> Check:
    wanted: Mapping[Key, Money] = events.say[what]
    units = 10**config.minor_units
    lines = []
    for key in sorted(key for key in suspects - events.bounded if key[0] == tenant):
        here, there = wanted.get(key, Money()), told.get(key, Money())
        said = f"{there.orders} orders, gross {amount(there.gross, units)}, refunded {amount(there.refunded, units)}"
        lines.append(f"profile {key[1]}: {said}; by its events {here.orders}, {amount(here.gross, units)}, {amount(here.refunded, units)}")
    mine = Money()
    for key, one in wanted.items():
        mine = mine.plus(one) if key[0] == tenant else mine
    found = sum(one.orders for key, one in told.items() if key[0] == tenant)
    note = _note(config, mine, sum(key[0] == tenant for key in events.bounded & (wanted.keys() | told.keys())))
    return Check(f"{tenant}: {what}", mine.orders, found, lines, note)


def _documents(
    tenant: str, config: Tenant, told: Mapping[Document, int], suspects: set[Document], orders: OrderEvents, events: _Events
) -> Check:
    wanted: Mapping[Document, int] = events.say[ORDERS]
    units = 10**config.minor_units
    lines = []
    for document in sorted(document for document in suspects if document[0] == tenant and document[:2] not in events.bounded):
        _, key, refund_id = document
        what = f"refund {refund_id}" if refund_id else f"order {_shown(key)}"
        both = f"{amount(told.get(document), units)} in the view, {amount(wanted.get(document), units)} by its events"
        lines.append(f"profile {events.owner_of((tenant, key))[1] or 'unknown'}, {what}: {both}")
    lines += orders.odd.get(tenant, [])
    mine = Money()
    for (owner, _, refund_id), minor in wanted.items():
        if owner == tenant:
            mine = mine.plus(Money(refunded=minor) if refund_id else Money(1, minor))
    found = sum(owner == tenant and not refund_id for owner, _, refund_id in told)
    left_out = len({document[:2] for document in wanted.keys() | told.keys() if document[0] == tenant} & events.bounded)
    return Check(f"{tenant}: {ORDERS}", mine.orders, found, lines, _note(config, mine, left_out))


def _note(config: Tenant, mine: Money, left_out: int) -> str:
    units = 10**config.minor_units
    note = f"gross {amount(mine.gross, units)}, refunded {amount(mine.refunded, units)}, net {amount(mine.net, units)} {config.currency}"
    return note + (f"; {left_out} beyond a limit of the ledger are left out" if left_out else "")


def _owners(tenant: str, told: Mapping[Key, str], suspects: set[Key], events: _Events, reused: int) -> Check:
    wanted: Mapping[Key, str] = events.say[OWNERS]
    lines = [
        f"{key[1]}: owned by {told.get(key) or 'nobody'}, by its events by {wanted.get(key) or 'nobody'}"
        for key in sorted(suspects)
        if key[0] == tenant
    ]
    note = f"{reused:,} message ids were used at one node for two objects: both count" if reused else "with their owners"
    expected, found = (sum(key[0] == tenant for key in said) for said in (wanted, told))
    return Check(f"{tenant}: {OWNERS}", expected, found, lines, note)


def _shown(key: str) -> str:
    """Number of an object, after its issuer where it is not the tenant's own."""
    _, issuer, number = key.split("|", 2)
    return f"{issuer}|{number}" if issuer else number
