"""CSV: a row that is broken, too wide or of another encoding costs itself and nothing else, and its bytes are kept."""

import csv
import gzip
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from importers.files.open_quotes import OpenQuotes
from importers.files.rows import FileError, Row
from importers.files.text_lines import MAX_LINE, UNREADABLE_CHARACTER, Line, TextLines
from importers.mapping import Failed
from importers.mapping.options import Options
from importers.mapping.outcome import UNREADABLE

MAX_CELL: Final = 1 << 20
"""Characters of one cell, and how far the end of a quoted one is looked for."""
_RETURN: Final = "\ufdd2"
"""Stands for a carriage return inside a line, which Python's reader takes for the end of a row; a noncharacter, which no text has."""
_BROKEN: Final = (EOFError, gzip.BadGzipFile, OSError)


class CsvRows:
    """A CSV file.

    Args:
        path: the file; `.gz` is unpacked.
        options: dialect, encoding and header.

    Raises:
        FileError: it has no usable header.
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path, options: Options) -> None:
        self._path, self._options = path, options
        self.size = path.stat().st_size
        self._raw = path.open("rb")
        self._nulls = frozenset([""] if options.nulls is None else options.nulls)
        csv.field_size_limit(MAX_CELL)
        dialect: dict[str, Any] = {
            "delimiter": options.delimiter,
            "quotechar": options.quote or None,
            "quoting": csv.QUOTE_MINIMAL if options.quote else csv.QUOTE_NONE,
            "escapechar": options.escape or None,
            "doublequote": not options.escape,
            "skipinitialspace": options.skip_spaces,
        }
        try:
            packed: Any = gzip.GzipFile(fileobj=self._raw) if path.suffix == ".gz" else self._raw
            self._feed = _Feed(TextLines(packed, options.encoding), options)
            self._reader = csv.reader(self._feed, strict=True, **dialect)
            self.columns: list[str] | None = self._header()
        except _BROKEN as error:
            raise FileError(f"{path}: the file breaks off or is damaged ({error})") from error
        self._feed.width = len(self.columns)
        self._open_quotes = OpenQuotes(self.columns, dialect)

    def rows(self) -> Iterator[Row]:
        """See `Reader`."""
        number = 0
        while True:
            try:
                cells, problem = self._next()
            except _BROKEN as error:
                raise FileError(f"{self._path}: line {self._feed.line}: the file breaks off or is damaged ({error})") from error
            if cells is None:
                return
            if not cells and not problem:
                continue
            number += 1
            yield self._row(number, cells, problem)

    def position(self) -> int:
        """See `Reader`."""
        return self._raw.tell()

    def close(self) -> None:
        """See `Reader`."""
        self._raw.close()

    def _next(self) -> tuple[list[str] | None, str]:
        """The cells of the next row, and why they are none; None at the end of the file."""
        self._feed.begin()
        try:
            return next(self._reader), ""
        except StopIteration:
            return None, ""
        except csv.Error as error:
            return [], str(error)

    def _row(self, number: int, cells: list[str], problem: str) -> Row:
        columns, lines = self.columns or [], self._feed.taken
        wanted = f"{len(columns)} cells, as in the header; found {len(cells)}"
        open_column = self._open_quotes.column(lines, cells, problem)
        if open_column is not None:
            self._feed.give_back(lines[1:])
            rule = "a closing quote: the cell that begins with one does not end where another row begins, or not at all"
            return _unreadable(number, lines[:1], open_column, rule)
        if any(line.is_cut for line in lines):
            return _unreadable(number, lines, "", f"at most {MAX_LINE:,} bytes in a line")
        if problem or len(cells) != len(columns):
            return _unreadable(number, lines, "", f"CSV: {problem}" if problem else wanted)
        if not all(line.is_text for line in lines):
            return _unreadable(number, lines, _where(columns, cells, UNREADABLE_CHARACTER), f"text in {self._options.encoding}")
        if spaced := self._quoted_behind_a_space(cells, lines):
            rule = (
                "a quote at the beginning of its cell: this one stands behind a space (`input: {skip_spaces: true}` takes such spaces away)"
            )
            return _unreadable(number, lines, spaced, rule)
        if any("\0" in line.text for line in lines):
            return _unreadable(number, lines, _where(columns, cells, "\0"), "text without NUL characters")
        if any("\r" in line.text for line in lines):
            cells = [cell.replace(_RETURN, "\r") for cell in cells]
        if len(lines) == 1:
            self._open_quotes.example = cells
        record = {name: None if cell in self._nulls else cell for name, cell in zip(columns, cells, strict=True)}
        return Row(number, self._feed.line, record)

    def _quoted_behind_a_space(self, cells: list[str], lines: list[Line]) -> str:
        """The column of a cell whose quotes are part of it because a space stands before them; empty when there is none.

        A cell that was quoted itself and holds such a text is what it is: in the file a quote stands before its space.
        """
        quote, delimiter = self._options.quote, self._options.delimiter
        if not quote or not any(cell[:1] == " " and quote in cell for cell in cells):
            return ""
        written = delimiter + "".join(line.text for line in lines)
        for name, cell in zip(self.columns or [], cells, strict=True):
            if cell[:1] == " " and len(inner := cell.strip()) > 1 and inner[0] == inner[-1] == quote and delimiter + cell in written:
                return name
        return ""

    def _header(self) -> list[str]:
        self._feed.skip(self._options.skip_lines)
        if isinstance(self._options.header, list):
            return self._options.header
        self._feed.begin()
        try:
            names = [name.strip() for name in next(self._reader, [])]
        except csv.Error as error:
            raise FileError(f"{self._path}: the header cannot be read ({error}); see `input` of the mapping") from error
        if not any(names):
            raise FileError(f"{self._path}: has no header in its first line; name the columns by `input: {{header: [...]}}` of the mapping")
        if not all(line.is_text and "\0" not in line.text for line in self._feed.taken):
            raise FileError(f"{self._path}: the header is not {self._options.encoding}; say `input: {{encoding: ...}}` in the mapping")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            advice = "skip the line and name the columns: `input: {skip_lines: 1, header: [...]}`"
            raise FileError(f"{self._path}: the column `{twice[0]}` is there twice; {advice}")
        return names


class _Feed:
    """Hands lines to Python's reader and remembers which ones the row in hand was made of."""

    def __init__(self, lines: TextLines, options: Options) -> None:
        self._lines, self._delimiter, self._quote = lines, options.delimiter, options.quote
        self._waiting: deque[Line] = deque()
        self.taken: list[Line] = []
        self.width = 0  # cells of a row, when it is known

    @property
    def line(self) -> int:
        """Number of the line read last."""
        return self.taken[-1].number if self.taken else 0

    def begin(self) -> None:
        """A new row begins."""
        self.taken = []

    def give_back(self, lines: list[Line]) -> None:
        """These come again."""
        self._waiting.extendleft(reversed(lines))

    def skip(self, lines: int) -> None:
        """Leave lines out."""
        for _ in range(lines):
            self._lines.read()

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        line = self._waiting.popleft() if self._waiting else self._lines.read()
        if line is None:
            raise StopIteration
        core = line.text.rstrip("\r\n")
        if "\r" not in core:
            self.taken.append(line)
            return line.text
        if not self.taken and self._are_rows(pieces := core.split("\r")):
            self.give_back([line._replace(raw=piece.encode(self._lines.encoding), text=piece) for piece in pieces])
            return next(self)
        self.taken.append(line)
        return core.replace("\r", _RETURN) + line.text[len(core) :]

    def _are_rows(self, pieces: list[str]) -> bool:
        """Whether carriage returns inside a line are ends of rows: what is between them is of the width of a row each time."""
        if self.width < 2 or any((self._quote and self._quote in piece) or UNREADABLE_CHARACTER in piece for piece in pieces):
            return False
        return all(piece.count(self._delimiter) == self.width - 1 for piece in pieces)


def _unreadable(number: int, lines: list[Line], column: str, rule: str) -> Row:
    """A row that failed, with what stands in the file: text, or bytes where they are not of the encoding."""
    if all(line.is_text for line in lines):
        original: str | bytes = "".join(line.text for line in lines).rstrip("\r\n")
    else:
        original = b"".join(line.raw for line in lines)
    return Row(number, lines[-1].number, failed=Failed(UNREADABLE, column, rule), original=original)


def _where(columns: list[str], cells: list[str], mark: str) -> str:
    return next((name for name, cell in zip(columns, cells, strict=True) if mark in cell), "")
