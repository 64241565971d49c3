"""Rows as job `history` would have loaded them, for tests of quality."""

import json
import time
from collections.abc import Iterable, Sequence
from typing import Any

from config import loader
from pipelines.history.schema import ensure_schema as ensure_history
from pipelines.quality.schema import ensure_schema
from sinks.clickhouse import ClickHouse

TOPIC = "cdp.raw.clickstream"
TIMES = ("event_time", "log_time", "_ingested_at")


def database(name: str, keep_days: int = 30) -> ClickHouse:
    """An empty database with the tables of history and of quality."""
    platform = loader.platform()
    server, root = ClickHouse(platform.clickhouse, database=name), ClickHouse(platform.clickhouse, database="")
    root.command(f"DROP DATABASE IF EXISTS {name} SYNC")
    ensure_history(server, root, loader.definitions(), loader.identity(), platform.tenants)
    ensure_schema(server, keep_days)
    return server


def this_minute() -> int:
    """The running minute since the epoch."""
    return int(time.time()) // 60


def insert(server: ClickHouse, table: str, rows: Iterable[dict[str, Any]]) -> None:
    """Insert rows; times are seconds since the epoch."""
    lines = "\n".join(json.dumps({name: f"{value:.3f}" if name in TIMES else value for name, value in row.items()}) for row in rows)
    if lines:
        server.command(f"INSERT INTO {table} FORMAT JSONEachRow\n{lines}")


def event(
    number: int,
    name: str,
    second: float,
    properties: dict[str, Any],
    *,
    origin: str = "web-shop",
    context: dict[str, Any] | None = None,
    channel: str = "web",
    took_s: float = 1.0,
    visible_s: float = 2.0,
    source: str = TOPIC,
) -> dict[str, Any]:
    """A row of `events`; `second` is its log time in seconds since the epoch."""
    return {
        "tenant": "demo", "node": f"demo|user_id|{number % 50}", "type": "track", "name": name, "message_id": str(number), "seq": number,
        "event_time": second - took_s, "source": source, "partition": number % 2, "offset": number, "log_time": second, "channel": channel,
        "late": False, "identifiers": [], "properties": json.dumps(properties), "traits": "{}", "context": json.dumps(context or {}),
        "origin": origin, "_ingested_at": second + visible_s,
    }  # fmt: skip


def rejection(number: int, code: str, field: str, rule: str, second: float, original: dict[str, Any] | bytes) -> dict[str, Any]:
    """A row of `rejected`."""
    text = original.decode("latin-1") if isinstance(original, bytes) else json.dumps(original)
    return {
        "source": TOPIC, "partition": 0, "offset": number, "log_time": second, "code": code, "field": field, "rule": rule, "tenant": "demo",
        "message_id": str(number), "original": text, "origin": "web-shop",
    }  # fmt: skip


def duplicate(number: int, second: float, origin: str = "web-shop") -> dict[str, Any]:
    """A row of `duplicates`."""
    return {
        "tenant": "demo", "node": "n", "message_id": str(number), "source": TOPIC, "partition": 0, "offset": number, "log_time": second,
        "origin": origin,
    }  # fmt: skip


def measured(server: ClickHouse, columns: Sequence[str], where: str = "true") -> dict[tuple[Any, ...], tuple[int, int]]:
    """Counts of `quality` by some of its columns, without rows that say nothing."""
    keys = ", ".join(columns)
    found = f"SELECT {keys}, sum(passed) AS p, sum(total) AS t FROM (SELECT * FROM quality FINAL WHERE {where})"
    rows = server.rows(f"{found} GROUP BY {keys} HAVING p + t > 0")
    return {tuple(row[name] for name in columns): (row["p"], row["t"]) for row in rows}
