"""Lists: the entries of one that belong to an entry of another."""

from decimal import Decimal
from typing import Any

from importers.mapping.unfit import Unfit


def where(entries: Any, path: Any, value: Any) -> list[Any] | None:
    """The entries whose field (`a.b`) equals a value; null where there is nothing to compare: no value, or no entry with that field.

    A filter of JMESPath cannot do this: inside it, names are the entry's, so it cannot be compared with anything around it. Equal is what
    JSON holds for equal: `5` and `5.0` are one number, `5` and `"5"` differ, and so do `1` and `true`.

    Raises:
        Unfit: it is no list, or the path is no text.
    """
    if not isinstance(entries, list) or not isinstance(path, str):
        raise Unfit("a list, and the path of a field in quotes", entries)
    told = [(entry, _field(entry, path)) for entry in entries]
    if value is None or all(found is None for _, found in told):
        return None
    return [entry for entry, found in told if found == value and _kind(found) is _kind(value)]


def _kind(value: Any) -> type:
    """Numbers are of one kind; a boolean is no number, though Python takes it for one."""
    return float if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else type(value)


def _field(entry: Any, path: str) -> Any:
    for name in path.split("."):
        entry = entry.get(name) if isinstance(entry, dict) else None
    return entry
