"""CSV: a row that is broken, too wide or of another encoding costs itself and nothing else."""

import csv
import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

from importers.files.rows import FileError, Row
from importers.mapping import Failed
from importers.mapping.options import Options
from importers.mapping.outcome import UNREADABLE

MAX_CELL: Final = 1 << 20
"""Characters of one cell; a quote that is never closed would otherwise swallow the rest of the file."""


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
        packed: Any = gzip.GzipFile(fileobj=self._raw) if path.suffix == ".gz" else self._raw
        encoding = "utf-8-sig" if options.encoding.lower().replace("_", "-") in ("utf-8", "utf8") else options.encoding
        # What is not of the encoding becomes lone surrogates, which the row they stand in is refused for.
        self._text: IO[str] = io.TextIOWrapper(packed, encoding=encoding, errors="surrogateescape", newline="")
        self._nulls = frozenset([""] if options.nulls is None else options.nulls)
        csv.field_size_limit(MAX_CELL)
        self._reader = csv.reader(
            self._text,
            delimiter=options.delimiter,
            quotechar=options.quote or None,
            quoting=csv.QUOTE_MINIMAL if options.quote else csv.QUOTE_NONE,
            escapechar=options.escape or None,
            doublequote=not options.escape,
            strict=True,
        )
        self.columns: list[str] | None = self._header()

    def rows(self) -> Iterator[Row]:
        """See `Reader`."""
        columns = self.columns or []
        number = 0
        while True:
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                number += 1
                yield self._unreadable(number, f"CSV: {error}", None)
                continue
            except (EOFError, gzip.BadGzipFile, UnicodeDecodeError) as error:
                raise FileError(f"{self._path}: line {self._line}: the file breaks off or is damaged ({error})") from error
            if not cells:
                continue
            number += 1
            if len(cells) != len(columns):
                yield self._unreadable(number, f"{len(columns)} cells, as in the header; found {len(cells)}", cells)
            elif not _is_text(cells):
                shown = [cell.encode(errors="surrogateescape").decode(errors="replace") for cell in cells]
                yield self._unreadable(number, f"text in {self._options.encoding}", shown)
            else:
                record = {name: None if cell in self._nulls else cell for name, cell in zip(columns, cells, strict=True)}
                yield Row(number, self._line, record)

    def position(self) -> int:
        """See `Reader`."""
        return self._raw.tell()

    def close(self) -> None:
        """See `Reader`."""
        self._text.close()
        self._raw.close()

    @property
    def _line(self) -> int:
        return self._options.skip_lines + self._reader.line_num

    def _header(self) -> list[str]:
        for _ in range(self._options.skip_lines):
            self._text.readline()
        if isinstance(self._options.header, list):
            return self._options.header
        try:
            names = [name.strip() for name in next(self._reader, [])]
        except (csv.Error, EOFError, gzip.BadGzipFile, UnicodeDecodeError) as error:
            raise FileError(f"{self._path}: the header cannot be read ({error}); see `input` of the mapping") from error
        if not any(names):
            raise FileError(f"{self._path}: has no header in its first line; name the columns by `input: {{header: [...]}}` of the mapping")
        if not _is_text(names):
            raise FileError(f"{self._path}: the header is not {self._options.encoding}; say `input: {{encoding: ...}}` in the mapping")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            advice = "skip the line and name the columns: `input: {skip_lines: 1, header: [...]}`"
            raise FileError(f"{self._path}: the column `{twice[0]}` is there twice; {advice}")
        return names

    def _unreadable(self, number: int, rule: str, original: Any) -> Row:
        return Row(number, self._line, failed=Failed(UNREADABLE, "", rule), original=original)


def _is_text(cells: list[str]) -> bool:
    try:
        "".join(cells).encode()
    except UnicodeEncodeError:
        return False
    return True
