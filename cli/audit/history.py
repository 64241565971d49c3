"""Checks 2 and 3: ClickHouse holds what the clean topics hold, and the roll-ups hold what the tables hold."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from cli.audit.compare import Array, Key, difference
from cli.audit.evidence import CHANGES, CleanEvidence, profile_id
from cli.audit.report import Check
from pipelines.history.tables import ROLLUPS, TABLES, select_rollup
from sinks.clickhouse import ClickHouse

RECHECK_S: Final = 15.0
Part = tuple[str, int]


class TablesMissingError(Exception):
    """ClickHouse has no tables of the history; the message says what to do."""


class Position(NamedTuple):
    """What a table's rows are told apart by: the SQL for it, how it arrives, and how to name it."""

    select: str
    dtype: np.dtype[Any]
    name: Callable[[Key], str]


def history(
    server: ClickHouse,
    clean: CleanEvidence,
    sources: list[str],
    tenants: list[str],
    read_on: Callable[[], None],
    loaded: Callable[[], Mapping[Part, int]],
    deadline: float,
) -> Iterator[Check]:
    """One check per table.

    Args:
        server: ClickHouse.
        clean: the clean topics up to some moment: all of it must be there by the deadline.
        sources: raw topics.
        tenants: tenants.
        read_on: reads the clean topics to their end as it is now, into `clean`.
        loaded: offset below which the loader says it has loaded a partition: what is missing there is lost, beyond it is only late.
        deadline: until when to wait for the loader, `time.monotonic()`.

    Raises:
        TablesMissingError: job `history` has not made its tables by the deadline.
    """
    _wait_for_tables(server, deadline)
    evidence = {**clean.positions, CHANGES: clean.changes}
    expected = {topic: columns.arrays() for topic, columns in evidence.items()}
    counted = dict(clean.counted)
    for topic, wanted in expected.items():
        table, width = TABLES[topic].name, len(wanted) - 2
        position = _of_changes(tenants) if topic == CHANGES else _of_events(sources)
        _wait_for_rows(server, table, len(wanted[0]), deadline)
        while True:
            done = loaded()
            rows = server.fixed(f"SELECT {position.select} FROM {table}", position.dtype)
            found = [rows[name].astype(np.int64) for name in rows.dtype.names or ()]
            gap = difference(wanted[:width], found)
            if not gap.missing or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        read_on()  # rows that came meanwhile must be in the log by now: a row is never there before its record
        extra = difference(evidence[topic].arrays()[:width], found).extra
        lost = [key for key in gap.missing if _is_loaded(wanted, key, topic, done)] if gap.missing else []
        late = len(gap.missing) - len(lost)
        differences = [f"{position.name(key)}: not in ClickHouse" for key in lost]
        differences += [f"{position.name(key)}: in ClickHouse, not in the topic" for key in extra]
        differences += [f"{position.name(key)}: more than one row" for key in gap.twice]
        note = f"{late:,} not loaded yet: is job `history` running?" if late else ""
        yield Check(f"table {table}", len(wanted[0]), len(rows), differences, note, known=not late)
    for topic, records in counted.items():
        yield _count(server, clean, topic, records, read_on, deadline)


def _count(server: ClickHouse, clean: CleanEvidence, topic: str, records: int, read_on: Callable[[], None], deadline: float) -> Check:
    table = TABLES[topic].name
    rows = _wait_for_rows(server, table, records, deadline)
    read_on()
    too_many = [f"{rows - clean.counted[topic]} rows too many"] if rows > clean.counted[topic] else []
    too_few = [f"{records - rows} rows too few"] if rows < records else []
    return Check(f"table {table}", records, rows, too_few + too_many, "counted only")


def _is_loaded(columns: list[Array], key: Key, topic: str, done: Mapping[Part, int]) -> bool:
    here = np.logical_and.reduce([column == value for column, value in zip(columns, key, strict=False)])
    partition, offset = (int(column[here][0]) for column in columns[-2:])
    return offset < done.get((topic, partition), 0)


def _wait_for_tables(server: ClickHouse, deadline: float) -> None:
    wanted = [table.name for table in TABLES.values()] + [rollup.name for rollup in ROLLUPS]
    while True:
        there = {row["name"] for row in server.rows("SELECT name FROM system.tables WHERE database = currentDatabase()")}
        absent = [name for name in wanted if name not in there]
        if not absent:
            return
        if time.monotonic() > deadline:
            raise TablesMissingError(
                f"database {server.database} has no table {', '.join(absent)}: job `history` makes them at its start; look at `cdp status`"
            )
        time.sleep(0.5)


def _wait_for_rows(server: ClickHouse, table: str, count: int, deadline: float) -> int:
    while True:
        rows = int(server.rows(f"SELECT count() AS rows FROM {table}")[0]["rows"])
        if rows >= count or time.monotonic() > deadline:
            return rows
        time.sleep(0.5)


def _of_events(sources: Sequence[str]) -> Position:
    dtype = np.dtype([("source", "<i2"), ("partition", "<i4"), ("offset", "<i8")])

    def name(key: Key) -> str:
        return f"{sources[key[0]] if key[0] >= 0 else 'unknown topic'}/{key[1]}@{key[2]}"

    return Position(f"toInt16(indexOf({list(sources)}, source) - 1), partition, offset", dtype, name)


def _of_changes(tenants: Sequence[str]) -> Position:
    dtype = np.dtype([("tenant", "<i2"), ("profile", "<i8"), ("incarnation", "<i8"), ("version", "<i8")])
    number = "reinterpretAsInt64(bitXor(reinterpretAsUInt64(reverse(unhex(profile_id))), bitShiftLeft(toUInt64(1), 63)))"

    def name(key: Key) -> str:
        return f"{tenants[key[0]] if key[0] >= 0 else 'unknown tenant'} {profile_id(key[1])} version {key[2]}-{key[3]}"

    return Position(f"toInt16(indexOf({list(tenants)}, tenant) - 1), {number}, incarnation, version", dtype, name)


def rollups(server: ClickHouse) -> Iterator[Check]:
    """One check per roll-up. A roll-up follows its table within one insert, so a difference must last to count."""
    for rollup in ROLLUPS:
        deadline = time.monotonic() + RECHECK_S
        while True:
            if rollup.group_by:
                expected, found, differences = _sums(server, rollup.name, select_rollup(rollup), rollup.group_by)
            else:
                expected, found, differences = _newest(server, rollup.name, rollup.source)
            if not differences or time.monotonic() > deadline:
                break
            time.sleep(1.0)
        yield Check(f"roll-up {rollup.name}", expected, found, differences)


def _sums(server: ClickHouse, name: str, select: str, group_by: str) -> tuple[int, int, list[str]]:
    measure = select.split(" AS ")[-1].split(" ")[0]
    both = (
        f"SELECT {group_by}, sumIf(n, side = 0) AS wanted, sumIf(n, side = 1) AS got FROM ("
        f"SELECT {group_by}, {measure} AS n, 0 AS side FROM ({select}) UNION ALL SELECT {group_by}, {measure}, 1 FROM {name}) "
        f"GROUP BY {group_by}"
    )
    totals = server.rows(f"SELECT sum(wanted) AS wanted, sum(got) AS got FROM ({both})")[0]
    differing = server.rows(f"SELECT * FROM ({both}) WHERE wanted != got")
    return int(totals["wanted"]), int(totals["got"]), [_line(row, group_by) for row in differing]


def _line(row: dict[str, Any], group_by: str) -> str:
    key = " ".join(str(row[column]) for column in group_by.split(", "))
    return f"{key}: {row['wanted']} in the table, {row['got']} in the roll-up"


def _newest(server: ClickHouse, name: str, source: str) -> tuple[int, int, list[str]]:
    newest = "SELECT tenant, profile_id, max((incarnation, version)) AS rank FROM {} GROUP BY tenant, profile_id"
    both = (
        "SELECT tenant, profile_id, anyIf(rank, side = 0) AS wanted, anyIf(rank, side = 1) AS got, uniqExact(side) AS sides "
        f"FROM (SELECT *, 0 AS side FROM ({newest.format(source)}) UNION ALL SELECT *, 1 FROM ({newest.format(name)})) "
        "GROUP BY tenant, profile_id"
    )
    totals = server.rows(f"SELECT countIf(wanted.1 > 0) AS wanted, countIf(got.1 > 0) AS got FROM ({both})")[0]
    differing = server.rows(f"SELECT * FROM ({both}) WHERE wanted != got OR sides != 2")
    lines = [f"{row['tenant']} {row['profile_id']}: newest is {row['wanted']}, the roll-up has {row['got']}" for row in differing]
    return int(totals["wanted"]), int(totals["got"]), lines
