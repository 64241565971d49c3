"""Lookup tables of a mapping: written inline, or read from a CSV file beside it."""

import csv
from pathlib import Path
from typing import Any, Final

from importers.mapping.document import Node, hint

PLAIN: Final = (str, int, float, bool)


def load(node: Node, folder: Path) -> dict[str, dict[str, Any]]:
    """The tables of a mapping.

    Args:
        node: `tables:`; each has either `values` (a map) or `file` with the names of the columns `key` and `value`.
        folder: where relative files are looked for.

    Returns:
        By name, from key (as text) to value.

    Raises:
        MappingError: a table cannot be used.
    """
    return {name: _table(table, folder) for name, table in node.fields().items()}


def _table(node: Node, folder: Path) -> dict[str, Any]:
    fields = node.fields(("values", "file", "key", "value"))
    if ("values" in fields) == ("file" in fields):
        raise node.error("give either `values` or `file`")
    if "file" in fields:
        return _from_file(node, fields, folder)
    table: dict[str, Any] = {}
    for key, value in fields["values"].fields().items():
        if not isinstance(value.value, PLAIN):
            raise value.error("a value of a table is text, a number, true or false")
        table[key] = value.value
    return table


def _from_file(node: Node, fields: dict[str, Node], folder: Path) -> dict[str, Any]:
    for name in ("key", "value"):
        if name not in fields:
            raise node.error(f"`{name}` is missing: which column of the file holds the {name}s?")
    path = folder / fields["file"].text()
    key, value = fields["key"].text(), fields["value"].text()
    table: dict[str, Any] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            for column in (fields["key"], fields["value"]):
                if column.text() not in (rows.fieldnames or ()):
                    raise column.error(f"{path.name} has no column `{column.text()}`{hint(column.text(), rows.fieldnames or ())}")
            for row in rows:
                if row[key] in table:
                    raise fields["file"].error(f"{path.name}: line {rows.line_num}: the key `{row[key]}` is there twice")
                table[row[key]] = row[value]
    except OSError as error:
        raise fields["file"].error(f"{path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise fields["file"].error(f"{path}: is not CSV in UTF-8 ({error})") from error
    return table
