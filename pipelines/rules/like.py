r"""Patterns of `like`: `%` stands for any characters, `_` for one; a backslash takes `%`, `_` and itself literally."""

import re
from collections.abc import Callable
from typing import Final

ANY: Final = "%"
ONE: Final = "_"
_Part = tuple[str, bool]
"""A text and whether it is meant literally; else it is `ANY` or `ONE`."""


def parts(pattern: str) -> list[_Part]:
    r"""A pattern, character by character.

    Raises:
        ValueError: a backslash before anything but `%`, `_` and a backslash.
    """
    found: list[_Part] = []
    rest = iter(pattern)
    for character in rest:
        if character != "\\":
            found.append((character, character not in (ANY, ONE)))
            continue
        after = next(rest, "")
        if after not in (ANY, ONE, "\\"):
            raise ValueError(f"in the pattern '{pattern}' a backslash stands before `{after}`; it goes before % _ and \\ only")
        found.append((after, True))
    return found


def matcher(pattern: str) -> Callable[[str], bool]:
    """A function that tells whether a text matches; its time is bounded by the product of both lengths, whatever the pattern.

    Between two `%` the leftmost place is always right, for what follows has the more room then. So nothing is tried twice, as a regular
    expression for the whole would.
    """
    pieces, lengths = [""], [0]
    for character, is_literal in parts(pattern):
        if character == ANY and not is_literal:
            pieces.append("")
            lengths.append(0)
        else:
            pieces[-1] += re.escape(character) if is_literal else "."
            lengths[-1] += 1
    first, *middle, last = [re.compile(piece, re.DOTALL) for piece in (pieces if len(pieces) > 1 else [*pieces, ""])]
    if len(pieces) == 1:
        return lambda text: first.fullmatch(text) is not None
    tail = lengths[-1]

    def matches(text: str) -> bool:
        found = first.match(text)
        for piece in middle:
            found = found and piece.search(text, found.end())
        return found is not None and found.end() <= len(text) - tail and last.fullmatch(text, len(text) - tail) is not None

    return matches


def for_clickhouse(pattern: str) -> str:
    """The pattern as ClickHouse writes it: made anew, so that only escapes are in it that it knows."""
    return "".join("\\" + character if is_literal and character in "%_\\" else character for character, is_literal in parts(pattern))
