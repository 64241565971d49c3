"""The order of a database's own log, for `context.sourceOrder` (docs/contracts.md): of two states of a row the greater is the newer."""

from typing import Any


def source_order(source: dict[str, Any], *, is_snapshot: bool) -> dict[str, str]:
    """Where a change stands in its database's log.

    Postgres: the LSN. MySQL and MariaDB: binlog file, position and row, of the server that wrote them. SQL Server: LSN and number. A row
    that a snapshot read is older than what changed at or behind the place where the snapshot was made.

    Args:
        source: as Debezium tells it.
        is_snapshot: whether the row was read as it stood.

    Returns:
        `sourceOrder` and, where one log is told from another, `sourceLog`; empty when the source names no place.
    """
    step = 0 if is_snapshot else 1
    if source.get("lsn") is not None:
        return {"sourceOrder": f"{source['lsn']}-{step}"}
    if source.get("file") is not None and source.get("pos") is not None:
        order = {"sourceOrder": f"{source['file']}-{source['pos']}-{step}-{source.get('row') or 0}"}
        return order | ({"sourceLog": f"server-{source['server_id']}"} if source.get("server_id") else {})
    if source.get("change_lsn") is not None:
        return {"sourceOrder": f"{_decimal(source['change_lsn'])}-{step}-{source.get('event_serial_no') or 0}"}
    return {}


def _decimal(lsn: Any) -> str:
    """SQL Server's three hexadecimal numbers as decimal ones: runs of digits compare as numbers, letters would not."""
    try:
        return "-".join(str(int(part, 16)) for part in str(lsn).split(":"))
    except ValueError:
        return str(lsn)
