"""Check 7: the people of the live profiles and of ClickHouse are those of the link log."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

from confluent_kafka import Message

from cli.audit.evidence import CleanEvidence
from cli.audit.people import Replay, founded_by, limits_of
from cli.audit.report import Check
from config.identity import Identity
from operations.controls import LINKS
from operations.topics import each
from schemas import clean as codec
from schemas.registry import RegistryError
from sinks.clickhouse import ClickHouse

RECHECK_S: Final = 15.0
Key = tuple[str, str]
"""Tenant, and a node key."""


def identity(
    server: ClickHouse, clean: CleanEvidence, rules: Identity, tenants: list[str], bootstrap: str, read_on: Callable[[], None]
) -> Iterator[Check]:
    """Two checks per tenant: who is one person in the live profiles, and in ClickHouse, against the link log replayed.

    Args:
        server: ClickHouse.
        clean: the clean topics; grows with `read_on`.
        rules: identity.yaml.
        tenants: names there are.
        bootstrap: Kafka's address.
        read_on: reads the clean topics to their end as it is now.
    """
    deadline = time.monotonic() + RECHECK_S
    while True:
        people = _replayed(rules, tenants, bootstrap)
        read_on()
        live, moved = _live(clean), _moved(server)
        found = {tenant: (_differing(people[tenant], tenant, live), _differing(people[tenant], tenant, moved)) for tenant in tenants}
        if not any(any(pair) for pair in found.values()) or time.monotonic() > deadline:
            break
        time.sleep(1.0)
    for tenant in tenants:
        known = len(people[tenant].person)
        note = f"{len(people[tenant].members()):,} people of {known:,} linked identifiers"
        for what, lines in zip(("live profiles", "identity_updates"), found[tenant], strict=True):
            yield Check(f"{tenant}: people in {what}", known, known - len(lines), lines, note)


def _replayed(rules: Identity, tenants: list[str], bootstrap: str) -> dict[str, Replay]:
    people = {tenant: Replay(rules, tenant) for tenant in tenants}
    partitions: dict[str, int] = {}

    def take(message: Message) -> None:
        offset, partition, value = message.offset(), message.partition(), message.value()
        assert offset is not None
        assert partition is not None
        try:
            record = codec.decode(value or b"")
        except RegistryError:
            raise
        except Exception:
            return  # the resolver rejects it
        tenant = record.get("tenant", "")
        if _is_taken(record, message.key(), rules.groups) and tenant in people and partitions.setdefault(tenant, partition) == partition:
            people[tenant].take(record, offset + 1)

    each(bootstrap, LINKS, take, committed=False)
    return people


def _is_taken(record: Mapping[str, Any], key: bytes | None, groups: Collection[str]) -> bool:
    """Whether a record is one of the log's; the resolver rejects others."""
    kind, owner = record.get("kind", ""), record.get("tenant", "")
    if kind == "rules":
        return key == owner.encode() and limits_of(record["body"]) is not None
    pairs = {"link": ("a", "b"), "unbind": ("a", "b"), "block": ("a",), "release": ("a",), "settle": ("a",)}
    nodes = [record[field].split("|") for field in pairs.get(kind, ())]
    known = kind != "link" or record["rule"] in ("seen", "alias", "bind")
    return (
        bool(nodes)
        and known
        and key == owner.encode()
        and all(len(node) >= 3 and node[0] == owner and node[1] not in groups for node in nodes)
    )


def _live(clean: CleanEvidence) -> dict[Key, str]:
    """The profile of each node that a newest change names."""
    found: dict[Key, str] = {}
    for (tenant, profile), (_, message) in clean.newest.items():
        for node in codec.decode(message)["nodes"]:
            both = found.get((tenant, node))
            found[tenant, node] = f"{both} and {profile}" if both else profile
    return found


def _moved(server: ClickHouse) -> dict[Key, str]:
    rows: list[dict[str, Any]] = server.rows("SELECT tenant, node, profile_id FROM identity_moves")
    return {(row["tenant"], row["node"]): row["profile_id"] for row in rows}


def _differing(people: Replay, tenant: str, told: Mapping[Key, str]) -> list[str]:
    """Nodes that the log names and that are somebody else's; one that was never told of is its own profile's."""
    lines = [
        f"{node}: of profile {told.get((tenant, node), founded_by(node, 0))}, by the link log of {profile}"
        for node, profile in sorted(people.person.items())
        if told.get((tenant, node), founded_by(node, 0)) != profile
    ]
    lines += [
        f"{node}: of profile {profile}, and the link log does not name it"
        for (owner, node), profile in sorted(told.items())
        if owner == tenant and node not in people.person and profile != founded_by(node, 0)
    ]
    return lines
