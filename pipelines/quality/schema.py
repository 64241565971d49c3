"""Brings ClickHouse to the tables and views of quality."""

from collections.abc import Mapping
from typing import Any, Final, Protocol

from pipelines.quality.tables import alter, tables
from pipelines.quality.views import VIEWS

_FED_BY_HISTORY: Final = {
    "events": {"origin", "log_time"},
    "duplicates": {"origin", "log_time"},
    "rejected": {"origin", "log_time"},
    "events_by_minute": {"events"},
    "rejected_by_minute": {"records"},
}


class Server(Protocol):
    """What is needed of a ClickHouse client; its default database is the platform's."""

    database: str

    def command(self, statement: str, settings: Mapping[str, str] | None = None) -> None:
        """Run a statement."""

    def rows(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run a query."""


def missing_history(server: Server, root: Server) -> str:
    """What job `history` has not made yet of the tables that are measured, in words; empty when all is there.

    Args:
        server: client of the database.
        root: client without a database, which may not exist yet.
    """
    columns = "SELECT table, groupUniqArray(name) AS names FROM system.columns WHERE database = {db:String} GROUP BY table"
    present = {row["table"]: set(row["names"]) for row in root.rows(columns, {"db": server.database})}
    for table, needed in _FED_BY_HISTORY.items():
        if table not in present:
            return f"table {table} is not there yet; job `history` makes it"
        if lacking := needed - present[table]:
            return f"table {table} has no column {lacking.pop()} yet; start job `history` of this version"
    return ""


def ensure_schema(server: Server, keep_days: int) -> None:
    """Make what is missing; run it as often as you like.

    Args:
        server: client of the database.
        keep_days: see `tables`.
    """
    for statement in (*tables(keep_days).values(), *alter(keep_days)):
        server.command(statement)
    for name, query in VIEWS.items():
        server.command(f"CREATE OR REPLACE VIEW {name} AS {query}")
