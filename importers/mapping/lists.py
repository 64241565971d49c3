"""Lists: the entries of one that belong to an entry of another."""

from typing import Any

from importers.mapping.unfit import Unfit


def where(entries: Any, path: Any, value: Any) -> list[Any] | None:
    """The entries whose field (`a.b`) equals a value; null where there is nothing to compare: no value, or no entry with that field.

    A filter of JMESPath cannot do this: inside it, names are the entry's, so it cannot be compared with anything around it.

    Raises:
        Unfit: it is no list, or the path is no text.
    """
    if not isinstance(entries, list) or not isinstance(path, str):
        raise Unfit("a list, and the path of a field in quotes", entries)
    told = [(entry, _field(entry, path)) for entry in entries]
    if value is None or all(found is None for _, found in told):
        return None
    return [entry for entry, found in told if found == value and type(found) is type(value)]


def _field(entry: Any, path: str) -> Any:
    for name in path.split("."):
        entry = entry.get(name) if isinstance(entry, dict) else None
    return entry
