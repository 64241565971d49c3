"""Open a file as what it is, and compare it with its mapping before a row is read."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from importers.files.csv_rows import CsvRows
from importers.files.json_rows import JsonRows
from importers.files.rows import FileError, Reader
from importers.mapping import MappingRules
from importers.mapping.document import hint
from importers.mapping.options import Format, Options

SUFFIXES: Final[dict[str, Format]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_CHUNK: Final = 1 << 20


def open_rows(path: Path, options: Options) -> Reader:
    """Open a file.

    Args:
        path: what it is, is told by `options`, else by its name (`.gz` aside).
        options: how it is read.

    Raises:
        FileError: it cannot be opened, or is not what it should be.
    """
    kind = options.format or SUFFIXES.get(path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix)
    if kind is None:
        raise FileError(f"{path}: the name does not tell what it is; say `input: {{format: csv}}` (or parquet, jsonl) in the mapping")
    try:
        if kind == "csv":
            return CsvRows(path, options)
        if kind == "jsonl":
            return JsonRows(path, options)
        from importers.files.parquet_rows import ParquetRows  # pyarrow takes its time to load

        return ParquetRows(path, options)
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror or error})") from error


def check_columns(path: Path, reader: Reader, rules: MappingRules) -> None:
    """Compare the file's columns with what the mapping reads.

    Raises:
        FileError: the file lacks a column that is not optional.
    """
    if reader.columns is None:
        return
    lacking = sorted(rules.columns_read() - set(reader.columns) - set(rules.options.optional))
    if lacking:
        said = f"{path}: has no column `{lacking[0]}`, which {rules.name} reads{hint(lacking[0], reader.columns)}"
        raise FileError(f"{said}; a column that may be missing goes under `input: {{optional: [...]}}`")


def sha256_of(path: Path, report: Callable[[int], None] | None = None) -> str:
    """SHA-256 of a file in hex.

    Args:
        path: the file.
        report: told the bytes read so far, now and then.

    Raises:
        FileError: it cannot be read.
    """
    digest, done = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                done += len(chunk)
                if report is not None:
                    report(done)
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror or error})") from error
    return digest.hexdigest()
