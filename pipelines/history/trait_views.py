"""Golden records and groups for analysts (docs/traits.md)."""

from collections.abc import Iterator
from typing import Final

_NEWEST: Final = (
    "SELECT tenant, profile_id, tupleElement(newest, 1) AS at, tupleElement(newest, 2) AS nodes, tupleElement(newest, 3) AS features "
    "FROM (SELECT tenant, profile_id, argMax((at, nodes, features), rank) AS newest FROM profiles_newest GROUP BY tenant, profile_id) "
    "WHERE NOT JSONHas(tupleElement(newest, 3), '_merged_into')"
)
_TIME: Final = "fromUnixTimestamp64Milli(JSONExtractInt({}, '{}'), 'UTC')"


def trait_views() -> Iterator[tuple[str, str]]:
    """Name and query of each view, in an order in which they can be made."""
    yield (
        "traits",
        "SELECT tenant, profile_id, JSONExtractString(features, 'kind') AS kind, pair.1 AS trait, "
        "JSONExtractRaw(features, concat('trait:', trait)) AS value, JSONExtractString(pair.2, 'source') AS source, "
        f"{_TIME.format('pair.2', 'at')} AS at, JSONExtractBool(pair.2, 'verified') AS verified, "
        "JSONExtractBool(pair.2, 'personal') AS personal, JSONExtractArrayRaw(pair.2, 'conflicts') AS conflicts "
        f"FROM (SELECT tenant, profile_id, features, arrayJoin(JSONExtractKeysAndValuesRaw(features, 'traits')) AS pair FROM ({_NEWEST}))",
    )
    yield (
        "groups",
        "SELECT tenant, profile_id, JSONExtractString(features, 'kind') AS kind, "
        "arrayStringConcat(arraySlice(splitByChar('|', mapKeys(nodes)[1]), 3), '|') AS group_id, "
        f"at, JSONExtractUInt(features, 'members') AS members, {_TIME.format('features', 'first_seen_at')} AS first_seen_at, "
        f"{_TIME.format('features', 'last_seen_at')} AS last_seen_at FROM ({_NEWEST}) WHERE JSONHas(features, 'kind')",
    )
    yield (
        "group_members",
        "SELECT tenant, substringIndex(group, '|', 1) AS kind, substring(group, position(group, '|') + 1) AS group_id, "
        "person AS profile_id, "
        "uniqExact(node) AS identifiers, min(event_time) AS first_at, max(event_time) AS last_at "
        "FROM events_of_people WHERE group != '' AND NOT late GROUP BY tenant, group, person",
    )
