"""What ClickHouse knows of one profile."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import orjson

from sinks.clickhouse import ClickHouse, ClickHouseError


class Background(NamedTuple):
    """What the card shows beyond the profile itself."""

    nodes: list[str]
    log_now_ms: int | None


def background(server: ClickHouse, tenant: str, profile_id: str) -> Background:
    """Identifiers of a profile and the newest log time; nothing when ClickHouse is away: a card can do without."""
    where = {"tenant": tenant, "profile": profile_id}
    nodes = """
        SELECT mapKeys(nodes) AS nodes FROM profiles_newest WHERE tenant = {tenant:String} AND profile_id = {profile:String}
        ORDER BY rank DESC LIMIT 1"""
    newest = "SELECT toUnixTimestamp64Milli(max(log_time)) AS at FROM events WHERE tenant = {tenant:String}"
    try:
        found = server.rows(nodes, where)
        own = found[0]["nodes"] if found else []
        at = server.rows(newest, where)[0]["at"]
    except ClickHouseError:
        return Background([], None)
    return Background(own, int(at) or None)


class Version(msgspec.Struct):
    """One published version of a profile."""

    at: str
    version: str
    cause: str
    entered: list[str]
    exited: list[str]
    fields: dict[str, Any]


def versions(server: ClickHouse, tenant: str, node: str, fields: Sequence[str], every: bool) -> Iterator[Version]:
    """Versions of the profile a node belongs to, oldest first.

    Args:
        server: ClickHouse.
        tenant: whose.
        node: node key.
        fields: fields to give.
        every: also versions in which none of the fields and no tag changed.
    """
    query = """
        SELECT formatDateTime(at, '%F %T') AS shown, incarnation, version, cause, tags_entered, tags_exited, features FROM profile_changes
        WHERE tenant = {tenant:String} AND profile_id IN (
            SELECT profile_id FROM profiles_newest WHERE tenant = {tenant:String} AND mapContains(nodes, {node:String}))
        ORDER BY incarnation, version"""
    before: dict[str, Any] | None = None
    for row in server.rows(query, {"tenant": tenant, "node": node}):
        features = orjson.loads(row["features"])
        shown = {name: features.get(name) for name in fields}
        if every or shown != before or row["tags_entered"] or row["tags_exited"]:
            number = f"{row['incarnation']}-{row['version']}"
            yield Version(row["shown"], number, row["cause"], row["tags_entered"], row["tags_exited"], shown)
        before = shown
