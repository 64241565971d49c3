"""A database of a test's own, with the tables and views of history, on the shared ClickHouse."""

import contextlib
from collections.abc import Iterator

from config import loader
from pipelines.history.schema import ensure_schema
from sinks.clickhouse import ClickHouse


@contextlib.contextmanager
def history_database(name: str) -> Iterator[ClickHouse]:
    """Made for the block, and dropped behind it."""
    platform = loader.platform()
    made, root = ClickHouse(platform.clickhouse, database=name), ClickHouse(platform.clickhouse, database="")
    ensure_schema(made, root, loader.definitions(), loader.identity(), platform.tenants)
    try:
        yield made
    finally:
        root.command(f"DROP DATABASE {name}")
