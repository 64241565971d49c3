"""Parquet: read in batches, every value as JSON has it; a value that JSON or the calendar lacks costs its row only."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from importers.files.arrow_values import NoJson, plain_column
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
        FileError: it is no Parquet file, or has a column twice.
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path, options: Options) -> None:
        self._path = path
        self.size = path.stat().st_size
        try:
            # Old writers' 96-bit times are read as nanoseconds by default, and then those after 2262 come out as other times.
            self._file = pq.ParquetFile(path, coerce_int96_timestamp_unit="us")
            self.columns: list[str] | None = list(self._file.schema_arrow.names)
        except (pa.ArrowException, ValueError) as error:
            raise FileError(f"{path}: is no Parquet file ({error})") from error
        twice = sorted({name for name in self.columns if self.columns.count(name) > 1})
        if twice:
            raise FileError(f"{path}: the column `{twice[0]}` is there twice, and a mapping could not tell which is meant: write it anew")
        leaves = [self._file.schema.column(at) for at in range(len(self._file.schema))]
        self._uuids = {leaf.name for leaf in leaves if leaf.logical_type.type == "UUID" and leaf.path == leaf.name}
        self._old_times = {leaf.path.partition(".")[0] for leaf in leaves if leaf.physical_type == "INT96"}
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
            columns = [
                plain_column(column, is_uuid=name in self._uuids, has_old_times=name in self._old_times)
                for name, column in zip(names, batch.columns, strict=True)
            ]
            for values in zip(*columns, strict=True):
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
            elif isinstance(value, NoJson):
                original = {label: one.shown if isinstance(one, NoJson) else one for label, one in values.items()}
                return Row(self._done, 0, failed=Failed(UNREADABLE, name + value.path, value.rule), original=original)
        return Row(self._done, 0, values)
