"""Makes sure that a range whose insert was interrupted is whole: in its table, and in the roll-ups behind it.

ClickHouse writes down an insert's token a moment before it takes in the part. A server killed in that moment knows the token, refuses the
repetition as a duplicate, and the rows are nowhere (docs/decisions/0003). So after an insert in doubt the rows themselves are looked for.
"""

import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from pipelines.history import container
from pipelines.history.tables import ROLLUPS, TABLES, Rollup, Table
from schemas import clean

LOOKS: Final = 3
PAUSE_S: Final = 1.0
_BY_NAME: Final = {table.name: table for table in TABLES.values()}
_log = logging.getLogger(__name__)

Key = tuple[Any, ...]


class Server(Protocol):
    """What is needed of ClickHouse."""

    def rows(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run a query."""

    def command(self, statement: str, settings: Mapping[str, str] | None = None) -> None:
        """Run a statement."""

    def insert_avro(self, table: str, data: bytes, token: str) -> None:
        """Insert a container file."""


def mend(
    server: Server,
    name: str,
    messages: Sequence[bytes],
    fence: Callable[[], None],
    sleep: Callable[[float], Any] = time.sleep,
) -> int:
    """Insert what is missing of a range, and put right what its roll-ups make of it.

    May be called again after any interruption, as long as the range is still planned.

    Args:
        server: ClickHouse.
        name: table.
        messages: the range's records of one schema, in the wire format.
        fence: called before each change; raises when the rows are no longer ours.
        sleep: called between two looks, with seconds: an interrupted insert may still be on its way.

    Returns:
        Number of rows that were missing.
    """
    table, written = _BY_NAME[name], clean.format_of(messages[0])
    records = [clean.decode(message) for message in messages]
    keys = [tuple(record[column] for column in table.key) for record in records]
    times = [record[table.month_of] for record in records]
    span = _span(table.month_of, min(times), max(times))
    lost = _lasting(lambda: set(keys) - _present(server, table, records, span), sleep)
    if lost:
        _log.warning("%d rows of an interrupted insert into %s are missing: inserting them again", len(lost), name)
        bodies = [message[clean.PREFIX_BYTES :] for key, message in zip(keys, messages, strict=True) if key in lost]
        fence()
        server.insert_avro(name, container.file_of(written, bodies), f"mended:{uuid.uuid4()}")
    for rollup in ROLLUPS:
        if rollup.source == name:
            _mend_rollup(server, rollup, table.month_of, min(times), max(times), fence, sleep)
    return len(lost)


def _span(time_column: str, first_ms: int, last_ms: int) -> str:
    return f"{time_column} BETWEEN fromUnixTimestamp64Milli({first_ms}) AND fromUnixTimestamp64Milli({last_ms})"


def _present(server: Server, table: Table, records: Sequence[Mapping[str, Any]], span: str) -> set[Key]:
    columns = table.key
    where = span
    if "offset" in columns:
        offsets = [record["offset"] for record in records]
        where += f" AND offset BETWEEN {min(offsets)} AND {max(offsets)}"
    found = server.rows(f"SELECT {', '.join(columns)} FROM {table.name} WHERE {where}")
    return {tuple(row[column] for column in columns) for row in found}


def _lasting(look: Callable[[], set[Key]], sleep: Callable[[float], Any]) -> set[Key]:
    """What is there at each of several looks."""
    found = look()
    for _ in range(LOOKS - 1):
        if not found:
            break
        sleep(PAUSE_S)
        found &= look()
    return found


def _mend_rollup(
    server: Server, rollup: Rollup, time_column: str, first_ms: int, last_ms: int, fence: Callable[[], None], sleep: Callable[[float], Any]
) -> None:
    if not rollup.group_by:  # rows replace each other by key: once more does no harm
        fence()
        server.command(
            f"INSERT INTO {rollup.name} SELECT {rollup.select} FROM {rollup.source} WHERE {_span(time_column, first_ms, last_ms)}"
        )
        return
    group, measure = rollup.group_by, rollup.select.rsplit(" AS ", 1)[1]
    minutes = f"BETWEEN toStartOfMinute(toDateTime({first_ms // 1000}, 'UTC')) AND toDateTime({last_ms // 1000}, 'UTC')"
    wanted = f"SELECT {rollup.select} FROM {rollup.source} WHERE toStartOfMinute({time_column}) {minutes} GROUP BY {group}"
    gaps = (
        f"SELECT {group}, sum({measure} * side) AS gap FROM (SELECT *, toInt64(1) AS side FROM ({wanted}) UNION ALL "
        f"SELECT *, toInt64(-1) AS side FROM {rollup.name} WHERE minute {minutes}) GROUP BY {group} HAVING gap != 0"
    )
    texts = [f"toString({column.strip()})" for column in group.split(",")]

    def look() -> set[Key]:
        found = server.rows(f"SELECT [{', '.join(texts)}] AS entry, gap FROM ({gaps})")
        return {(*row["entry"], int(row["gap"])) for row in found}

    differing = _lasting(look, sleep)
    if not differing:
        return
    _log.warning("%d entries of %s do not agree with %s: computing them again", len(differing), rollup.name, rollup.source)
    these = f"({', '.join(texts)}) IN ({', '.join(_tuple(key[:-1]) for key in differing)})"
    fence()
    server.command(f"ALTER TABLE {rollup.name} DELETE WHERE {these}", {"mutations_sync": "2"})
    server.command(f"INSERT INTO {rollup.name} SELECT * FROM ({wanted}) WHERE {these}")


def _tuple(values: Sequence[Any]) -> str:
    quoted = (str(value).replace("\\", "\\\\").replace("'", "\\'") for value in values)
    return "(" + ", ".join(f"'{value}'" for value in quoted) + ")"
