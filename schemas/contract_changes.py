"""What a new version of the contracts does to whoever sends by the old one, and whether its version numbers say so."""

import math
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from schemas.contracts import Contract, Field


class Change(msgspec.Struct, frozen=True):
    """A difference between two versions of a contract."""

    event: str
    field: str
    breaking: bool
    what: str


def unannounced(old: Mapping[str, Contract], new: Mapping[str, Contract]) -> dict[str, str]:
    """Events whose version does not say what was done to them.

    SchemaVer: a breaking change raises the first number, any other the last one.

    Returns:
        Event -> the least version it has to have.
    """
    found: dict[str, str] = {}
    differing = changes(old, new)
    for name in dict.fromkeys(change.event for change in differing if change.event in old and change.event in new):
        model, revision, addition = map(int, old[name].version.split("-"))
        breaking = any(change.breaking for change in differing if change.event == name)
        needed = (model + 1, 0, 0) if breaking else (model, revision, addition + 1)
        if tuple(map(int, new[name].version.split("-"))) < needed:
            found[name] = "-".join(map(str, needed))
    return found


def changes(old: Mapping[str, Contract], new: Mapping[str, Contract]) -> list[Change]:
    """What a new version of the contracts does to whoever sends by the old one.

    Returns:
        One entry a difference; breaking ones reject events that used to be accepted.
    """
    found = [Change(name, "", True, "the event is gone: what it feeds gets nothing more") for name in old if name not in new]
    found += [Change(name, "", False, "new event") for name in new if name not in old]
    for name in old.keys() & new.keys():
        before, after = old[name], new[name]
        if before.feeds != after.feeds:
            found.append(Change(name, "", True, f"fed the ledger as `{before.feeds}`, now as `{after.feeds}`"))
        if before.object and before.object != after.object:
            found.append(Change(name, "", False, f"concerned {before.object}, now {after.object or 'nothing'}"))
        if before.once != after.once:
            found.append(Change(name, "", False, f"happened once by {before.once or 'nothing'}, now by {after.once or 'nothing'}"))
        if before.adds_up != after.adds_up:
            found.append(Change(name, "", False, "its total is checked in another way"))
        found += _differences(name, "", before.fields, after.fields)
        for part in before.parts.keys() & after.parts.keys():
            found += _differences(name, part + ".", before.parts[part], after.parts[part])
    return found


def _differences(event: str, prefix: str, old: Mapping[str, Field], new: Mapping[str, Field]) -> Iterator[Change]:
    for label in old.keys() | new.keys():
        path, before, after = prefix + label, old.get(label), new.get(label)
        if before is None and after is not None:
            yield Change(event, path, after.required, "new required field" if after.required else "new field")
        elif after is None:
            yield Change(event, path, False, "no longer checked")
        elif before is not None:
            yield from _narrowed(event, path, before, after)


def _narrowed(event: str, path: str, before: Field, after: Field) -> Iterator[Change]:
    if (before.type, before.items) != (after.type, after.items):
        yield Change(event, path, (before.type, after.type) not in _WIDENED, f"was {before.type}, is {after.type}")
    if after.required != before.required:
        yield Change(event, path, after.required, "is required now" if after.required else "is optional now")
    gone = [value for value in before.values if value not in after.values]
    if gone and after.type == "choice":
        yield Change(event, path, True, f"no longer one of its values: {', '.join(gone)}")
    for word, sign in (("min", 1.0), ("max", -1.0)):
        was, is_ = (getattr(field, word) for field in (before, after))
        if was != is_:
            free = -sign * math.inf
            narrower = sign * ((free if is_ is None else is_) - (free if was is None else was)) > 0
            yield Change(event, path, narrower, f"{word} was {was}, is {is_}")


# From type to type without rejecting anything that was accepted.
_WIDENED: Final = frozenset(
    {("key", "name"), ("key", "text"), ("name", "text"), ("choice", "text"), ("quantity", "integer"), ("quantity", "number")}
    | {("integer", "number"), ("money", "number"), ("currency", "text"), ("country", "text"), ("email", "text"), ("phone", "text")}
    | {("url", "text")}
)
