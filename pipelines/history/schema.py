"""Brings a ClickHouse server to the tables and views this version needs."""

import logging
from collections.abc import Mapping
from typing import Any, Protocol

from config.definitions import Definitions
from config.identity import Identity
from config.platform import Tenant
from pipelines.history import marks
from pipelines.history.event_views import event_views
from pipelines.history.tables import ROLLUPS, TABLES, add_columns, create_rollup, create_rollup_view, create_table, fill_rollup
from pipelines.history.views import views
from schemas import contracts

_log = logging.getLogger(__name__)


class Server(Protocol):
    """What is needed of a ClickHouse client; its default database is the one to fill."""

    database: str

    def command(self, statement: str, settings: Mapping[str, str] | None = None) -> None:
        """Run a statement."""

    def rows(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run a query."""


_PRESENT = "SELECT name FROM system.tables WHERE database = {db:String}"


def unmade(server: Server, root: Server) -> list[str]:
    """Topics whose table is not there: everything in them is still to be loaded, whatever the consumer group remembers of them."""
    present = {row["name"] for row in root.rows(_PRESENT, {"db": server.database})}
    return [topic for topic, table in TABLES.items() if table.name not in present]


def forget_marks(server: Server, root: Server, topics: list[str]) -> None:
    """Nothing of these topics is loaded any more, whatever was written down beside their rows."""
    present = {row["name"] for row in root.rows(_PRESENT, {"db": server.database})}
    if topics and marks.TABLE in present:
        marks.forget(server, topics)


def ensure_schema(server: Server, root: Server, definitions: Definitions, identity: Identity, tenants: dict[str, Tenant]) -> None:
    """Make what is missing; run it as often as you like, also beside a running loader of the same version.

    Args:
        server: client whose database is to be filled.
        root: client without a database.
        definitions: features, segments and tags: they name the columns of the views.
        identity: namespaces.
        tenants: currencies.
    """
    root.command(f"CREATE DATABASE IF NOT EXISTS {server.database}")
    present = {row["name"] for row in server.rows(_PRESENT, {"db": server.database})}
    columns = "SELECT table, groupArray(name) AS names FROM system.columns WHERE database = {db:String} GROUP BY table"
    held = {row["table"]: set(row["names"]) for row in server.rows(columns, {"db": server.database})}
    for rollup in ROLLUPS:
        if rollup.source not in present:  # what the roll-up holds is of a table that is gone and will be loaded again
            for name in (f"{rollup.name}_mv", rollup.name):
                server.command(f"DROP TABLE IF EXISTS {name} SYNC")
            present -= {f"{rollup.name}_mv", rollup.name}
    server.command(marks.CREATE)
    for table in TABLES.values():
        server.command(create_table(table))
        for statement in add_columns(table, held.get(table.name, set())) if table.name in present else ():
            _log.info("new column: %s", statement)
            server.command(statement)
    for rollup in ROLLUPS:
        if f"{rollup.name}_mv" in present:
            continue
        server.command(create_rollup(rollup))
        if rollup.source in present:
            _log.info("filling %s from %s", rollup.name, rollup.source)
            for statement in fill_rollup(rollup):
                server.command(statement)
        server.command(create_rollup_view(rollup))
    for name, query in views(definitions, identity, tenants):
        server.command(f"CREATE OR REPLACE VIEW {name} AS {query}")
    comments = "SELECT name, comment FROM system.tables WHERE database = {db:String}"
    made = {row["name"]: row["comment"] for row in server.rows(comments, {"db": server.database})}
    for view in event_views(contracts.load()):
        if made.get(view.name) != view.comment:
            server.command(view.statement)
