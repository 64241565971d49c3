"""JSON paths as rejected records and fixes write them: `$.properties.products[3].quantity`, `properties["a.b"]`, `products[*].price`."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

_STEP: Final = re.compile(r"""\.?(?P<name>[^.\[\]"'\s][^.\[\]"']*)|\[(?P<index>[0-9]{1,9})\]|\[(?P<every>\*)\]|\["(?P<quoted>[^"]+)"\]""")

Concrete = tuple[str | int, ...]
"""Names and positions from the root to a value."""


class PathError(ValueError):
    """A text is no path, or does not lead where it is used."""


class Each(NamedTuple):
    """`[*]`: every entry of a list."""


class Path(NamedTuple):
    """A path.

    Attributes:
        text: as written.
        steps: a name, a position in a list, or every position.
    """

    text: str
    steps: tuple[str | int | Each, ...]


def parse(text: str) -> Path:
    """Read a path; `$` in front is optional.

    Raises:
        PathError: it is not of the form.
    """
    rest = text.removeprefix("$")
    steps: list[str | int | Each] = []
    at = 0
    while at < len(rest):
        found = _STEP.match(rest, at)
        if found is None or (found["name"] and at > 0 and rest[at] != "."):
            raise PathError(f"`{text}` is no path: `{rest[at:]}` cannot be read; write e.g. properties.products[*].quantity")
        if found["index"]:
            steps.append(int(found["index"]))
        else:
            steps.append(Each() if found["every"] else found["name"] or found["quoted"])
        at = found.end()
    return Path(text, tuple(steps))


def places(document: Any, steps: Sequence[str | int | Each]) -> Iterator[Concrete]:
    """Where a path leads in a document: each place that is there."""
    if not steps:
        yield ()
        return
    step, rest = steps[0], steps[1:]
    here: list[str | int] = []
    if isinstance(step, Each):
        here = list(range(len(document))) if isinstance(document, list) else []
    elif isinstance(step, str):
        here = [step] if isinstance(document, dict) and step in document else []
    elif isinstance(document, list) and step < len(document):
        here = [step]
    for key in here:
        for below in places(document[key], rest):
            yield (key, *below)


def nearest(document: Any, text: str) -> tuple[Concrete, bool]:
    """The place a path names, or the deepest one on its way that is there; and whether it is the place itself."""
    try:
        steps = parse(text).steps
    except PathError:
        return (), False
    for length in range(len(steps), -1, -1):
        found = next(places(document, steps[:length]), None)
        if found is not None:
            return found, length == len(steps)
    return (), False


def value_at(document: Any, place: Concrete) -> Any:
    """The value at a place that is there."""
    for key in place:
        document = document[key]
    return document


def depth(document: Any) -> int:
    """How deep lists and objects nest; counted without recursion, however deep."""
    level, here = 0, [document]
    while here := [value for value in here if isinstance(value, dict | list)]:
        level += 1
        here = [inner for value in here for inner in (value.values() if isinstance(value, dict) else value)]
    return level
