"""`<file>.failed.jsonl`: the rows that could not be mapped, each with its number, the error and what stood there."""

import base64
import os
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from importers.files.units import Unit
from importers.mapping import Failed
from schemas import json_text


class Failures:
    """The file of failures of an import. A context manager; the file is made with the first failure, readable by its owner only.

    Args:
        imported: the imported file.
        keep: bytes to keep of what an earlier run wrote; the rest was not accounted for.
    """

    def __init__(self, imported: Path, keep: int) -> None:
        self.path = imported.with_name(imported.name + ".failed.jsonl")
        self._keep = keep
        self._file: IO[bytes] | None = None

    def add(self, unit: Unit, failed: Failed) -> None:
        """Write one line."""
        if self._file is None:
            self._file = self._open(os.O_CREAT)
        error = {"code": failed.code, "field": failed.field, "rule": failed.rule}
        original = unit.original if unit.failed is not None and unit.original is not None else unit.record
        line = {"row": unit.row, "line": unit.line, "rows": unit.rows, "error": error, **_as_it_stood(original)}
        self._file.write(json_text.write_wide(line) + b"\n")

    def flush(self) -> int:
        """Bring all lines to the disk; the file's length."""
        if self._file is None:
            return self._keep
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def __enter__(self) -> Self:
        if self.path.exists():
            self._file = self._open(0)  # what an earlier run wrote and did not account for must go, even if nothing fails now
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is None:
            return
        empty = self._file.tell() == 0
        self._file.close()
        if empty:
            self.path.unlink()

    def _open(self, flags: int) -> IO[bytes]:
        file = os.fdopen(os.open(self.path, os.O_RDWR | flags, 0o600), "r+b")
        keep = min(self._keep, os.fstat(file.fileno()).st_size)  # somebody may have taken the file away
        file.truncate(keep)
        file.seek(keep)
        return file


def _as_it_stood(original: Any) -> dict[str, Any]:
    """The row for reading, and its bytes where they are no text."""
    if not isinstance(original, bytes):
        return {"original": original}
    return {
        "original": original.decode(errors="backslashreplace").rstrip("\r\n"),
        "original_base64": base64.b64encode(original).decode(),
    }
