"""JSON Lines: one object a line."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from importers.files.rows import FileError, Row
from importers.mapping import Failed
from importers.mapping.options import Options
from importers.mapping.outcome import UNREADABLE
from schemas import json_text

MAX_LINE: Final = 16 << 20
"""Bytes of one line."""


class JsonRows:
    """A file of JSON objects.

    Args:
        path: the file; `.gz` is unpacked.
        options: encoding and nulls.

    Raises:
        OSError: it cannot be opened.
    """

    columns: list[str] | None = None

    def __init__(self, path: Path, options: Options) -> None:
        self._path, self._options = path, options
        self.size = path.stat().st_size
        self._raw = path.open("rb")
        self._lines: IO[bytes] | gzip.GzipFile = gzip.GzipFile(fileobj=self._raw) if path.suffix == ".gz" else self._raw
        self._nulls = frozenset(options.nulls or ())
        self._is_utf8 = options.encoding.lower().replace("_", "-") in ("utf-8", "utf8", "utf-8-sig")

    def rows(self) -> Iterator[Row]:
        """See `Reader`."""
        number = line = 0
        while raw := self._line(line + 1):
            line += 1
            whole = raw[-1:] == b"\n" or len(raw) <= MAX_LINE
            while not whole:
                rest = self._line(line)
                whole = rest[-1:] == b"\n" or len(rest) <= MAX_LINE
            text = raw.removeprefix(b"\xef\xbb\xbf").strip() if line == 1 else raw.strip()
            if not text:
                continue
            number += 1
            yield self._row(number, line, text)

    def position(self) -> int:
        """See `Reader`."""
        return self._raw.tell()

    def close(self) -> None:
        """See `Reader`."""
        self._lines.close()
        self._raw.close()

    def _line(self, line: int) -> bytes:
        try:
            return self._lines.readline(MAX_LINE + 1)
        except (EOFError, gzip.BadGzipFile, OSError) as error:
            raise FileError(f"{self._path}: line {line}: the file breaks off or is damaged ({error})") from error

    def _row(self, number: int, line: int, text: bytes) -> Row:
        if len(text) > MAX_LINE:
            return _unreadable(number, line, f"at most {MAX_LINE:,} bytes in a line", text)
        try:
            record = json_text.read(text if self._is_utf8 else text.decode(self._options.encoding), wide=True)
        except json_text.JsonTextError as error:
            return _unreadable(number, line, error.rule, text, error.path)
        except UnicodeDecodeError:
            return _unreadable(number, line, f"text in {self._options.encoding}", text)
        if not isinstance(record, dict):
            return _unreadable(number, line, "a JSON object", text)
        if self._nulls:
            record = {name: None if isinstance(value, str) and value in self._nulls else value for name, value in record.items()}
        return Row(number, line, record)


def _unreadable(number: int, line: int, rule: str, text: bytes, field: str = "") -> Row:
    try:
        original: str | bytes = text.decode()
    except UnicodeDecodeError:
        original = text
    return Row(number, line, failed=Failed(UNREADABLE, field.removeprefix("."), rule), original=original)
