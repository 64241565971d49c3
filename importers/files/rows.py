"""What a file consists of: rows that can be read, and rows that cannot."""

from collections.abc import Iterator
from typing import Any, Protocol

import msgspec

from importers.mapping import Failed


class FileError(ValueError):
    """A file cannot be imported as it is; the message says why and what to do."""


class Row(msgspec.Struct, frozen=True):
    """One row.

    Attributes:
        number: from 1, without header and blank lines.
        line: the line of the file on which it ends; 0 where there are none (Parquet).
        record: its fields by name; empty when it cannot be read.
        failed: why it cannot be read.
        original: what stands there when it cannot be read; bytes where they are no text of the file's encoding.
    """

    number: int
    line: int
    record: dict[str, Any] = {}
    failed: Failed | None = None
    original: Any = None


class Reader(Protocol):
    """An open file.

    Attributes:
        columns: names of its columns; None where each row has its own (JSON Lines).
        size: bytes of the file.
    """

    columns: list[str] | None
    size: int

    def rows(self) -> Iterator[Row]:
        """All rows, once."""
        ...

    def position(self) -> int:
        """Bytes read so far, about."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...
