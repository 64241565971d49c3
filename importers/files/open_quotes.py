"""A quote that is never closed, told from a cell that has line ends in it: the one costs its row, the other is what it is."""

import csv
import re
from collections.abc import Sequence
from typing import Any, Final

from importers.files.text_lines import Line

_DIGITS: Final = re.compile(r"[0-9]+")
_LETTERS: Final = re.compile(r"[^\W\d_]+")
_ENDLESS: Final = ("unexpected end of data", "field larger than field limit")


class OpenQuotes:
    """Judges rows that Python's reader took several lines for, or could not read.

    By the grammar alone a forgotten quote swallows everything up to the next one. So the lines behind it are asked whether they look like
    rows of their own: as many cells, and dates and numbers where the other rows have them.

    Args:
        columns: of the file.
        dialect: for Python's reader.

    Attributes:
        example: cells of a row that was read well; empty until there is one.
    """

    def __init__(self, columns: Sequence[str], dialect: dict[str, Any]) -> None:
        self._columns, self._dialect = columns, dialect
        self.example: list[str] = []

    def column(self, lines: Sequence[Line], cells: Sequence[str], problem: str) -> str | None:
        """The column in which a quote was opened and not closed in a row's first line; None when there is no such thing.

        Args:
            lines: that were read for the row.
            cells: that were made of them.
            problem: what Python's reader has to say, if it could not.
        """
        if not self._dialect["quotechar"] or (len(lines) == 1 and not problem.startswith(_ENDLESS)):
            return None
        first = self._cells(lines[0])
        if not first or not self._is_open(lines, len(cells), problem, first):
            return None
        return self._columns[min(len(first), len(self._columns)) - 1]

    def _is_open(self, lines: Sequence[Line], width: int, problem: str, first: list[str]) -> bool:
        if problem.startswith(_ENDLESS):
            return len(lines) > 1 or problem.startswith(_ENDLESS[0])
        example = self._example(first)
        if problem:
            return self._looks_like_row(lines[1], example) or self._opens_a_cell(lines[-1].text)
        if width != len(self._columns):
            return self._looks_like_row(lines[1], example)
        return all(self._looks_like_row(line, example, surely=True) for line in lines[1:])

    def _example(self, first: list[str]) -> list[str]:
        """What cells look like, but for the column of the quote, where anything may stand; at the file's beginning those in front of it."""
        example = list(self.example or first[:-1])
        if len(first) <= len(example):
            example[len(first) - 1] = ""
        return example

    def _looks_like_row(self, line: Line, example: Sequence[str], *, surely: bool = False) -> bool:
        cells = self._cells(line)
        if len(cells) != len(self._columns):
            return False
        telling = [(_shape(one), _shape(cell)) for one, cell in zip(example, cells, strict=False) if _is_telling(one) and cell.strip()]
        alike = sum(one == other for one, other in telling)
        return alike == len(telling) > 0 if surely else 2 * alike >= len(telling)

    def _cells(self, line: Line) -> list[str]:
        """Cells of a line by itself, whatever its quotes are like."""
        try:
            return next(csv.reader([line.text], **self._dialect), [])
        except csv.Error:
            return []

    def _opens_a_cell(self, text: str) -> bool:
        """Whether the first quote of a line that is no doubled one stands where a cell begins."""
        quote = self._dialect["quotechar"]
        at = text.replace(quote * 2, "\0\0").find(quote)
        return at == 0 or (at > 0 and text[at - 1] == self._dialect["delimiter"])


def _shape(cell: str) -> str:
    """Digits and letters by their kind: `c0201` is `a9`, `2026-11-28 09:00` is `9-9-9 9:9`."""
    return _LETTERS.sub("a", _DIGITS.sub("9", cell.strip()))


def _is_telling(cell: str) -> bool:
    """Whether a cell's shape says what it is: it has digits, and is no sentence that happens to have some."""
    return _DIGITS.search(cell) is not None and not (_LETTERS.search(cell) and len(cell.split()) > 1)
