"""Fixes: what makes a rejected record right.

A fix is a function from a record's JSON to another one; it never changes its input. The *patch* is the kind for correcting a field:

    name: currency-of-shop-7
    text: {encoding: cp1252, replace: {"'": '"'}}                 # only for bytes that are no JSON object: read them so
    rename: {"properties.products[*].qty": "properties.products[*].quantity"}
    set: {properties.currency: GBP}
    unset: [properties.debug]

They act in this order. `set` makes the objects on its way and overwrites, `rename` and `unset` leave a record alone that has not the field.
"""

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from pipelines.rejected import paths
from schemas import json_text

Fix = Callable[[dict[str, Any]], dict[str, Any]]
"""From a record to what it should be. Raises `FixError` when it does not apply, and never changes its argument."""
ORIGINAL_TEXT: Final = "original_text"
ORIGINAL_BASE64: Final = "original_base64"
"""A record that is no JSON object reaches a fix as an object with these two, beside the columns of the rejected record."""
_OURS: Final = ("messageId", "context.lineage")
_PATCH: Final = frozenset({"set", "unset", "rename", "text"})


class FixFileError(ValueError):
    """A fix file is missing or does not say what it should; the message names file and entry."""


class FixError(ValueError):
    """A fix does not apply to a record; the message says why."""


class LoadedFix(NamedTuple):
    """A fix and its label `<name>@<first 8 hex digits of the file's SHA-256>`, by which lineage names it."""

    label: str
    apply: Fix


class _Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to read bytes that are no JSON object: with which encoding, and what to replace in the text."""

    encoding: str = "utf-8"
    replace: dict[str, str] = {}


class _Patch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The patch form of a fix file."""

    name: str
    text: _Text | None = None
    rename: dict[str, str] = {}
    set_: dict[str, Any] = msgspec.field(default_factory=dict, name="set")
    unset: list[str] = []


def is_patch(loaded: Any) -> bool:
    """Is this the content of a patch, rather than of another kind of fix file?"""
    return isinstance(loaded, dict) and not _PATCH.isdisjoint(loaded)


def patch(loaded: Any, content: bytes) -> LoadedFix:
    """Compile a patch.

    Args:
        loaded: its YAML, read.
        content: the file's bytes, for the label.

    Raises:
        FixFileError: it does not say what it should.
    """
    if not is_patch(loaded):
        raise FixFileError(f"not a patch: it says none of {', '.join(sorted(_PATCH))}")
    try:
        found = msgspec.convert(loaded, _Patch)
        return LoadedFix(f"{found.name}@{hashlib.sha256(content).hexdigest()[:8]}", _compiled(found))
    except (msgspec.ValidationError, paths.PathError) as error:
        raise FixFileError(str(error)) from error


def _compiled(patch: _Patch) -> Fix:
    if not patch.name or "@" in patch.name or len(patch.name) > 100:
        raise FixFileError("`name` is what lineage calls the fix: 1 to 100 characters without @")
    _check_text(patch.text)
    _check_values(patch.set_)
    renames = [(paths.parse(old), paths.parse(new)) for old, new in patch.rename.items()]
    sets = [(paths.parse(path), value) for path, value in patch.set_.items()]
    unsets = [paths.parse(path) for path in patch.unset]
    for path in (*(path for path, _ in sets), *unsets, *(old for old, _ in renames), *(new for _, new in renames)):
        if not path.steps:
            raise FixFileError(f"`{path.text}` is the whole record; name a field of it")
    _check_ours([path for path, _ in sets] + unsets + [old for old, _ in renames], [new for _, new in renames])
    for old, new in renames:
        if _stars(old) != _stars(new) or not isinstance(old.steps[-1], str) or not isinstance(new.steps[-1], str):
            raise FixFileError(f"rename `{old.text}` to `{new.text}`: both end in a name and have the same number of [*]")

    def apply(record: dict[str, Any]) -> dict[str, Any]:
        fixed = _copied(record) if ORIGINAL_TEXT not in record else _read(record, patch.text)
        for old, new in renames:
            _rename(fixed, old, new)
        for path, value in sets:
            _set(fixed, path, value)
        for path in unsets:
            for place in reversed(list(paths.places(fixed, path.steps))):
                del paths.value_at(fixed, place[:-1])[place[-1]]
        return fixed

    return apply


def _check_text(text: _Text | None) -> None:
    if text is None:
        return
    try:
        "".encode(text.encoding)
    except (LookupError, UnicodeError) as error:
        raise FixFileError(f"text.encoding: there is no encoding `{text.encoding}`") from error
    if "" in text.replace:
        raise FixFileError("text.replace: nothing cannot be replaced")


def _check_values(values: dict[str, Any]) -> None:
    for path, value in values.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise FixFileError(f"set `{path}`: {value!r} is no JSON value; put it in quotes if it is a text") from error


def _check_ours(changed: list[paths.Path], made: list[paths.Path]) -> None:
    """Who may choose ids can apply a record twice. A field that holds the id under another name may be renamed to `messageId`, though."""
    for path in (*changed, *made):
        name = ".".join(str(step) for step in path.steps)
        if name.startswith(_OURS[1]) or (name == _OURS[0] and path in changed):
            raise FixFileError(f"`{path.text}` is not a fix's to change: the replay gives it (docs/rejected.md)")


def _copied(value: Any) -> Any:
    """A copy of a JSON value. `copy.deepcopy` takes more of the stack a level, and what nests too deeply may be what a fix has to mend."""
    return json_text.read_generously(json.dumps(value))


def _stars(path: paths.Path) -> int:
    return sum(isinstance(step, paths.Each) for step in path.steps)


def _read(record: dict[str, Any], text: _Text | None) -> dict[str, Any]:
    """Make an object of bytes that are none."""
    if text is None:
        raise FixError("the record is no JSON object, and the fix has no `text` that says how to read it")
    try:
        words = base64.b64decode(record[ORIGINAL_BASE64]).decode(text.encoding)
    except UnicodeError as error:
        raise FixError(f"the bytes are not {text.encoding}: {error.__class__.__name__}") from error
    for before, after in text.replace.items():
        words = words.replace(before, after)
    try:
        found = json_text.read_generously(words)
    except json_text.JsonTextError as error:
        raise FixError(f"still no JSON after `text`: {error.__cause__}") from error
    if not isinstance(found, dict):
        raise FixError("still no JSON object after `text`")
    return found


def _rename(document: dict[str, Any], old: paths.Path, new: paths.Path) -> None:
    for place in list(paths.places(document, old.steps)):
        positions = iter([key for key, step in zip(place, old.steps, strict=True) if isinstance(step, paths.Each)])
        target = paths.Path(new.text, tuple(next(positions) if isinstance(step, paths.Each) else step for step in new.steps))
        if next(paths.places(document, target.steps), None) is not None:
            raise FixError(f"`{old.text}` cannot become `{new.text}`: the record has both")
        value = paths.value_at(document, place)
        del paths.value_at(document, place[:-1])[place[-1]]
        _set(document, target, value)


def _set(document: dict[str, Any], path: paths.Path, value: Any) -> None:
    last = path.steps[-1]
    for holder in _holders(document, path.steps[:-1], path.text):
        if isinstance(last, paths.Each) and isinstance(holder, list):
            holder[:] = [_copied(value) for _ in holder]
        elif (isinstance(last, str) and isinstance(holder, dict)) or (isinstance(last, int) and _has(holder, last)):
            holder[last] = _copied(value)
        else:
            raise FixError(f"`{path.text}` cannot be set: what should hold it does not have this shape")


def _holders(here: Any, steps: tuple[str | int | paths.Each, ...], text: str) -> list[Any]:
    """What holds the last step of a path; objects on the way are made where nothing, or null, is."""
    for number, step in enumerate(steps):
        if isinstance(step, paths.Each) and isinstance(here, list):
            return [holder for entry in here for holder in _holders(entry, steps[number + 1 :], text)]
        if isinstance(step, str) and isinstance(here, dict):
            if here.get(step) is None:
                here[step] = {}
            here = here[step]
        elif isinstance(step, int) and _has(here, step):
            here = here[step]
        else:
            raise FixError(f"`{text}` cannot be set: what stands on its way does not have this shape")
    return [here]


def _has(holder: Any, index: int) -> bool:
    return isinstance(holder, list) and index < len(holder)
