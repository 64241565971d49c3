"""Parquet: read in batches, every value as JSON has it."""

import base64
import datetime as dt
import math
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from importers.files.rows import FileError, Row
from importers.mapping import Failed
from importers.mapping.options import Options
from importers.mapping.outcome import UNREADABLE

BATCH_ROWS: Final = 4096


class ParquetRows:
    """A Parquet file.

    Args:
        path: the file.
        options: nulls.

    Raises:
        FileError: it is no Parquet file.
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path, options: Options) -> None:
        self._path = path
        self.size = path.stat().st_size
        try:
            self._file = pq.ParquetFile(path)
        except pa.ArrowInvalid as error:
            raise FileError(f"{path}: is no Parquet file ({error})") from error
        self.columns: list[str] | None = list(self._file.schema_arrow.names)
        self._nulls = frozenset(options.nulls or ())
        self._done = 0

    def rows(self) -> Iterator[Row]:
        """See `Reader`."""
        batches = self._file.iter_batches(batch_size=BATCH_ROWS)
        while True:
            try:
                batch = next(batches, None)
            except (pa.ArrowException, OSError) as error:
                raise FileError(f"{self._path}: after row {self._done}: the file is damaged ({error})") from error
            if batch is None:
                return
            names = batch.schema.names
            for values in zip(*(_plain_column(column) for column in batch.columns), strict=True):
                self._done += 1
                yield self._row(dict(zip(names, values, strict=True)))

    def position(self) -> int:
        """See `Reader`."""
        return int(self.size * self._done / max(1, self._file.metadata.num_rows))

    def close(self) -> None:
        """See `Reader`."""
        self._file.close()

    def _row(self, values: dict[str, Any]) -> Row:
        for name, value in values.items():
            if isinstance(value, str):
                if value in self._nulls:
                    values[name] = None
            elif isinstance(value, _NoJson):
                original = {label: str(one) for label, one in values.items()}
                return Row(self._done, 0, failed=Failed(UNREADABLE, name, value.rule), original=original)
        return Row(self._done, 0, values)


class _NoJson:
    """Stands where JSON has nothing for a value."""

    def __init__(self, value: Any, rule: str) -> None:
        self._value, self.rule = value, rule

    def __str__(self) -> str:
        return str(self._value)


def _plain_column(column: Any) -> list[Any]:
    """The values of a column as JSON has them; Arrow's own way to Python objects is slow, so plain columns go by numpy."""
    kind = column.type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if is_text or ((pa.types.is_integer(kind) or pa.types.is_boolean(kind)) and not column.null_count):
        plain: list[Any] = column.to_numpy(zero_copy_only=False).tolist()
        return plain
    return [_as_json_or_not(value) for value in column.to_pylist()]


def _as_json_or_not(value: Any) -> Any:
    try:
        return as_json(value)
    except ValueError as error:
        return _NoJson(value, str(error))


def as_json(value: Any) -> Any:
    """A value of Arrow as JSON has it.

    Times without a zone are ISO 8601 without an offset, bytes are text where they are UTF-8 and base64 elsewhere, NaN is null, decimals are
    numbers, durations seconds.

    Raises:
        ValueError: JSON has nothing for it.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if math.isinf(value):
            raise ValueError("a finite number")
        return None if math.isnan(value) else value
    if isinstance(value, dict):
        return {str(name): as_json(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(inner) for inner in value]
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() and abs(value) < 2**63 else float(value)
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    raise ValueError(f"a value that JSON can hold, not {type(value).__name__}")
