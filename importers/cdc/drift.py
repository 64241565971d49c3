"""A source's table is no longer what its mapping was written for: told once, with what to do; the records go on."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import msgspec

from importers.cdc.changes import Change, TableChange

Kind = Literal["missing", "new", "renamed", "type", "altered", "dropped"]
ROWS: Final = ("after", "before", "row")
"""Where in the record a mapping finds columns."""
MAX_DDL: Final = 300
_KINDS: Final[dict[type, str]] = {str: "text", bool: "boolean", int: "integer", float: "number", dict: "object", list: "list"}


class SchemaDrift(msgspec.Struct, frozen=True):
    """One thing about a table has changed.

    Attributes:
        table: its name.
        kind: a column is missing, new, (probably) renamed or of another type; or the source announced that the table was altered or
            dropped.
        column: which; empty for a table.
        says: what was expected and what there is.
    """

    table: str
    kind: Kind
    column: str
    says: str


class TableWatch:
    """Compares the rows of one table with what its mapping reads; each thing is told once in the life of a process.

    Not again when it was undone in between: rows of several partitions come mixed, so around a change old and new ones alternate.

    Args:
        table: its name.
        reads: columns that the mapping looks at.
        declared: columns with their types, where the mapping says them: they are expected as well.
    """

    def __init__(self, table: str, reads: Iterable[str], declared: Mapping[str, str]) -> None:
        self._table = table
        self._reads = frozenset(reads)
        self._declared = dict(declared)
        self._known: frozenset[str] | None = None  # of the first row seen: what comes on top is new
        self._types: dict[str, str] = {}
        self._told: set[tuple[str, str]] = set()
        self._same: tuple[frozenset[str], dict[str, str]] | None = None

    def of_row(self, change: Change) -> list[SchemaDrift]:
        """What this row shows for the first time; a deletion shows nothing, since its row may be told in part."""
        if change.after is None:
            return []
        columns = change.columns
        found: list[SchemaDrift] = []
        if (columns, change.types) != self._same:
            found = self._columns(columns) + self._schema_types(change.types)
            self._same = columns, change.types
            self._known = self._known or columns
        found += self._value_types(change.after)
        return [one for one in found if self._is_news(one)]

    def of_table(self, change: TableChange) -> list[SchemaDrift]:
        """What an announcement in the schema-change topic means for the mapping."""
        if change.kind == "DROP":
            return [SchemaDrift(self._table, "dropped", "", "the source dropped the table: no more changes will come")]
        if change.kind != "ALTER":
            return []
        said = f"the source altered the table: {change.ddl[:MAX_DDL]}" if change.ddl else "the source altered the table"
        lacking = sorted(self._expected() - change.columns.keys())
        if lacking:
            said += f"; the mapping expects {', '.join(f'`{name}`' for name in lacking)}, which it has no longer"
        return [SchemaDrift(self._table, "altered", "", said)]

    def _expected(self) -> frozenset[str]:
        return self._reads | frozenset(self._declared)

    def _columns(self, columns: frozenset[str]) -> list[SchemaDrift]:
        missing = sorted(self._expected() - columns)
        new = sorted(columns - self._known - self._reads) if self._known is not None else []
        found = []
        for name in missing:
            near = difflib.get_close_matches(name, new, 1, 0.5)
            if near:
                found.append(SchemaDrift(self._table, "renamed", name, f"`{name}` is gone and `{near[0]}` is new: was it renamed?"))
                new.remove(near[0])
            else:
                found.append(SchemaDrift(self._table, "missing", name, f"the mapping expects `{name}`, which the table does not have"))
        found += [SchemaDrift(self._table, "new", name, f"`{name}` is new; the mapping does not read it") for name in new]
        return found

    def _schema_types(self, types: Mapping[str, str]) -> list[SchemaDrift]:
        was = {name: self._types.setdefault(name, kind) for name, kind in types.items()}
        changed = {name: kind for name, kind in types.items() if was[name] != kind}
        return [SchemaDrift(self._table, "type", name, f"`{name}` was {was[name]} and is {kind}") for name, kind in changed.items()]

    def _value_types(self, row: Mapping[str, Any]) -> list[SchemaDrift]:
        """Of declared columns: a value of another type than was declared."""
        found = []
        for name, declared in self._declared.items():
            value = row.get(name)
            kind = declared if value is None else _KINDS.get(type(value), "object")
            if kind != declared and not (kind == "integer" and declared == "number"):
                found.append(SchemaDrift(self._table, "type", name, f"`{name}` should be {declared} and is {kind}"))
        return found

    def _is_news(self, drift: SchemaDrift) -> bool:
        already = (drift.kind, drift.column) in self._told
        self._told.add((drift.kind, drift.column))
        return not already
