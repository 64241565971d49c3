"""What became of message ids: applied, duplicate, rejected, as ClickHouse knows it."""

import base64
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from pipelines.rejected.record import Position
from pipelines.rejected.replayed import lineage_of, readable
from pipelines.rejected.verdicts import Applied
from sinks.clickhouse import ClickHouse

IDS_AT_ONCE: Final = 500
"""Ids a query asks for: they travel in its address, which may have a megabyte."""
SHOWN: Final = 50

_LINEAGE: Final = "JSONExtractString(context, 'lineage', '{}')"
AppliedIds = dict[tuple[str, str], list[Applied]]


class Outcome(NamedTuple):
    """Something that became of a record or of its id.

    Attributes:
        outcome: `applied`, `duplicate` or a rejection code.
        position: of the raw record this came out of.
        log_time: of that record, ms.
        detail: the node, or field and rule.
        replay_of: position that record is a replay of; empty when it is none, or when that is not known (duplicates do not tell).
    """

    outcome: str
    position: str
    log_time: int
    detail: str
    replay_of: str


def applied(server: ClickHouse, ids: Iterable[str]) -> AppliedIds:
    """Events that took effect under some ids, by tenant and id.

    Args:
        server: ClickHouse.
        ids: message ids.
    """
    found: AppliedIds = {}
    query = f"""
        SELECT tenant, message_id, node, toUnixTimestamp64Milli(log_time) AS at, {_raw("events")} AS position,
          {_LINEAGE.format("content")} AS content
        FROM events WHERE message_id IN {{ids:Array(String)}} ORDER BY log_time"""
    for chunk in _chunks(ids):
        for row in server.rows(query, {"ids": chunk}):
            event = Applied(row["node"], int(row["at"]), row["position"], row["content"])
            found.setdefault((row["tenant"], row["message_id"]), []).append(event)
    return found


def outcomes(server: ClickHouse, ids: Iterable[str], tenant: str, besides: Position) -> list[Outcome]:
    """What became of some ids, in the log's order; the newest of each kind, should there be very many.

    Args:
        server: ClickHouse.
        ids: message ids.
        tenant: owner of the record that is asked about; empty when unknown, which may be anybody.
        besides: the record that is asked about; it is left out itself.
    """
    mine = "message_id IN {ids:Array(String)} AND ({tenant:String} = '' OR tenant IN ({tenant:String}, ''))"
    queries = {
        "events": f"""
            SELECT 'applied' AS outcome, {_raw("events")} AS position, toUnixTimestamp64Milli(log_time) AS at, node AS detail,
              {_LINEAGE.format("replay_of")} AS replay_of FROM events""",
        "duplicates": f"""
            SELECT 'duplicate' AS outcome, {_raw("duplicates")} AS position, toUnixTimestamp64Milli(log_time) AS at, node AS detail,
              '' AS replay_of FROM duplicates""",
        "rejected": f"""
            SELECT code AS outcome, {_raw("rejected")} AS position, toUnixTimestamp64Milli(log_time) AS at,
              concat(field, ': ', rule) AS detail, base64Encode(original) AS bytes FROM rejected""",
    }
    found = []
    for chunk in _chunks(ids):
        for query in queries.values():
            rows = server.rows(f"{query} WHERE {mine} ORDER BY log_time DESC LIMIT {SHOWN}", {"ids": chunk, "tenant": tenant})
            found += [_outcome(row) for row in rows]
    return sorted((one for one in found if one.position != str(besides)), key=lambda one: (one.log_time, one.position))


def _outcome(row: dict[str, Any]) -> Outcome:
    replay_of = row.get("replay_of", "")
    if "bytes" in row:
        replay_of = lineage_of(readable(base64.b64decode(row["bytes"])) or {}).replay_of
    return Outcome(row["outcome"], row["position"], int(row["at"]), row["detail"], replay_of)


def _raw(table: str) -> str:
    return f"concat({table}.source, ':', toString({table}.partition), ':', toString({table}.offset))"


def _chunks(ids: Iterable[str]) -> Iterable[list[str]]:
    wanted = sorted({wanted for wanted in ids if wanted})
    return [wanted[first : first + IDS_AT_ONCE] for first in range(0, len(wanted), IDS_AT_ONCE)]
