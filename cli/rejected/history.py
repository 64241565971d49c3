"""Rejected records as ClickHouse holds them."""

import base64
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final

from pipelines.rejected import conditions
from pipelines.rejected.record import Position, Record
from pipelines.rules.tree import Node
from sinks.clickhouse import ClickHouse

_COLUMNS: Final = (
    "source, partition, offset, toUnixTimestamp64Milli(log_time) AS at, code, field, rule, tenant, message_id, "
    "base64Encode(original) AS bytes"
)
_ORDER: Final = "log_time, source, partition, offset"


class History:
    """The table `rejected`.

    Args:
        server: ClickHouse.
    """

    def __init__(self, server: ClickHouse) -> None:
        self.server = server

    @cached_property
    def has_origin(self) -> bool:
        """Does the table have the column `origin`? One made by an earlier version gets it at the loader's next start."""
        columns = "SELECT count() AS n FROM system.columns WHERE database = {db:String} AND table = 'rejected' AND name = 'origin'"
        return bool(self.server.rows(columns, {"db": self.server.database})[0]["n"])

    def where(self, condition: Node) -> str:
        """A condition as SQL for this table."""
        return conditions.sql_of(condition, has_origin=self.has_origin)

    def newest(self, condition: Node, limit: int) -> list[Record]:
        """The newest records, newest first."""
        chosen = self.where(condition)
        backwards = ", ".join(f"{column} DESC" for column in _ORDER.split(", "))
        return self._records(f"WHERE {chosen} ORDER BY {backwards} LIMIT {{limit:UInt64}}", {"limit": limit})

    def at(self, position: Position) -> Record | None:
        """The record of a position, None when it was not rejected or is not loaded yet."""
        return next(iter(self.newest(conditions.compare("position", "=", str(position)), 1)), None)

    def moment(self) -> str:
        """The server's clock; rows that come later are not among those of `oldest_first` up to it."""
        return str(self.server.rows("SELECT toString(now64(3, 'UTC')) AS now")[0]["now"])

    def count(self, condition: Node, until: str) -> int:
        """Number of records that had come in by a moment."""
        chosen = self.where(condition)
        query = f"SELECT count() AS n FROM rejected WHERE {chosen} AND _ingested_at <= toDateTime64({{until:String}}, 3, 'UTC')"
        return int(self.server.rows(query, {"until": until})[0]["n"])

    def tenants(self, condition: Node, until: str) -> list[str]:
        """Owners of the records that had come in by a moment; empty stands for unknown."""
        chosen = self.where(condition)
        query = (
            f"SELECT DISTINCT tenant FROM rejected WHERE {chosen} AND _ingested_at <= toDateTime64({{until:String}}, 3, 'UTC') "
            "ORDER BY tenant"
        )
        return [row["tenant"] for row in self.server.rows(query, {"until": until})]

    def oldest_first(self, condition: Node, until: str, page: int) -> Iterator[list[Record]]:
        """Records that had come in by a moment, in the log's order, a page at a time.

        Args:
            condition: which.
            until: from `moment`: what a replay makes of these records must not be among them.
            page: most records a page.
        """
        chosen = self.where(condition)
        came = "_ingested_at <= toDateTime64({until:String}, 3, 'UTC')"
        parameters: dict[str, Any] = {"until": until, "page": page}
        after = ""
        while True:
            found = self._records(f"WHERE {chosen} AND {came}{after} ORDER BY {_ORDER} LIMIT {{page:UInt64}}", parameters)
            if found:
                yield found
            if len(found) < page:
                return
            last = found[-1]
            moment = "fromUnixTimestamp64Milli({at:Int64}, 'UTC')"
            after = f" AND ({_ORDER}) > ({moment}, {{source:String}}, {{partition:Int32}}, {{offset:Int64}})"
            parameters |= {"at": last.log_time, "source": last.source, "partition": last.partition, "offset": last.offset}

    def _records(self, rest: str, parameters: dict[str, Any]) -> list[Record]:
        origin = ", origin AS through" if self.has_origin else ""
        return [_record(row) for row in self.server.rows(f"SELECT {_COLUMNS}{origin} FROM rejected {rest}", parameters)]


def _record(row: dict[str, Any]) -> Record:
    original = base64.b64decode(row.pop("bytes"))
    return Record.of({**row, "log_time": int(row["at"]), "original": original, "origin": row.get("through", "")})
