"""From rows to what the mapping is applied to: each row by itself, or the rows of a group together.

The order of the units, and so their number, depends on file and mapping only: an import that was broken off counts the units it has done.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from importers.files.rows import FileError, Row
from importers.files.seen import SeenKeys
from importers.mapping import Failed, MappingRules, group_key
from importers.mapping.outcome import GROUP
from schemas import json_text

MAX_GROUP: Final = 100_000
"""Rows of one group; more than that means that `group_by` names the wrong column."""
INSERT_ROWS: Final = 2000
_INSERT: Final = "INSERT INTO rows VALUES (?, ?, ?, ?, ?)"


class Unit(msgspec.Struct, frozen=True):
    """What becomes one record.

    Attributes:
        row: number of its first row.
        line: of that row; 0 in Parquet.
        rows: how many rows it has.
        record: for the mapping.
        failed: why it cannot be mapped.
        original: what stands in the file when it cannot be read.
    """

    row: int
    line: int
    rows: int
    record: Any
    failed: Failed | None = None
    original: Any = None


class _Keyed(NamedTuple):
    """A row with its group's key (empty when it has none), and the number of an unreadable row beside it (0: none)."""

    row: Row
    key: str
    beside: int


def units(rows: Iterable[Row], rules: MappingRules) -> Iterator[Unit]:
    """Turn rows into units.

    Raises:
        FileError: a group has too many rows.
    """
    if rules.group_by is None:
        for row in rows:
            yield _alone(row)
    elif rules.groups == "adjacent":
        yield from _adjacent(_keyed(rows, rules))
    else:
        yield from _scattered(_keyed(rows, rules))


def check_adjacent(rows: Iterable[Row], rules: MappingRules) -> None:
    """Make sure that no group's rows are interrupted by another's, before anything is sent.

    Raises:
        FileError: a key comes back.
    """
    with SeenKeys() as seen:
        open_key = ""
        for row in rows:
            key = "" if row.failed else group_key(rules, row.record)
            if isinstance(key, Failed) or not key or key == open_key:
                continue
            if not seen.add(key):
                where = f"line {row.line}" if row.line else f"row {row.number}"
                raise FileError(
                    f"{where}: the group `{key}` was there before, with others in between; say `groups: scattered` in {rules.name}"
                )
            open_key = key


def _alone(row: Row) -> Unit:
    return Unit(row.number, row.line, 1, row.record, row.failed, row.original)


def _keyed(rows: Iterable[Row], rules: MappingRules) -> Iterator[_Keyed]:
    """Give each row its key; a row beside one that cannot be read may lack a sister, so its group must not pass for whole."""
    waiting: _Keyed | None = None
    broken = 0
    for row in rows:
        key = row.failed or group_key(rules, row.record)
        if isinstance(key, Failed):
            row = msgspec.structs.replace(row, failed=key, original=row.original if row.failed else row.record)
            if waiting is not None:
                yield waiting._replace(beside=waiting.beside or row.number)
            yield _Keyed(row, "", 0)
            waiting, broken = None, row.number
            continue
        if waiting is not None:
            yield waiting
        waiting, broken = _Keyed(row, key, broken), 0
    if waiting is not None:
        yield waiting


def _adjacent(rows: Iterable[_Keyed]) -> Iterator[Unit]:
    group: list[_Keyed] = []
    for one in rows:
        if one.row.failed:
            yield _alone(one.row)
            continue
        if group and group[0].key != one.key:
            yield _together(group)
            group = []
        _check_size(one.key, len(group) + 1)
        group.append(one)
    if group:
        yield _together(group)


def _scattered(rows: Iterable[_Keyed]) -> Iterator[Unit]:
    """Bring the rows of a group together on disk; groups come in the order of their first rows, unreadable rows before them."""
    store = sqlite3.connect("", isolation_level=None)
    try:
        store.execute("CREATE TABLE rows (key TEXT, number INTEGER, line INTEGER, beside INTEGER, record BLOB)")
        store.execute("BEGIN")
        waiting: list[tuple[str, int, int, int, bytes]] = []
        for one in rows:
            if one.row.failed:
                yield _alone(one.row)
                continue
            waiting.append((one.key, one.row.number, one.row.line, one.beside, json_text.write_wide(one.row.record)))
            if len(waiting) == INSERT_ROWS:
                store.executemany(_INSERT, waiting)
                waiting.clear()
        store.executemany(_INSERT, waiting)
        store.execute("CREATE INDEX by_key ON rows (key, number)")
        for key, _, size in store.execute("SELECT key, MIN(number) AS first, COUNT(*) FROM rows GROUP BY key ORDER BY first"):
            _check_size(key, size)
            found = store.execute("SELECT number, line, beside, record FROM rows WHERE key = ? ORDER BY number", (key,))
            yield _together(
                [_Keyed(Row(number, line, json_text.read(record, wide=True)), key, beside) for number, line, beside, record in found]
            )
    finally:
        store.close()


def _together(group: list[_Keyed]) -> Unit:
    first = group[0].row
    record = {"key": group[0].key, "rows": [one.row.record for one in group]}
    broken = next((one.beside for one in group if one.beside), 0)
    failed = Failed(GROUP, "", f"a whole group: row {broken}, beside its rows, cannot be read and may belong to it") if broken else None
    return Unit(first.number, first.line, len(group), record, failed)


def _check_size(key: str, size: int) -> None:
    if size > MAX_GROUP:
        raise FileError(f"the group `{key}` has more than {MAX_GROUP:,} rows: is `group_by` right?")
