"""`cdp limits`: what met a bound, how often and when last: at the collector (`cdp.limits`) and in the pipeline (flags of events)."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer

if TYPE_CHECKING:
    from rich.table import Table

TOPIC: Final = "cdp.limits"
FLAGS: Final = """
SELECT arrayJoin(arrayFilter(flag -> startsWith(flag, 'limit:'), flags)) AS kind, origin, tenant, count() AS events,
  toUnixTimestamp64Milli(max(log_time)) AS last_ms
FROM events WHERE arrayExists(flag -> startsWith(flag, 'limit:'), flags) GROUP BY kind, origin, tenant"""


class Met(NamedTuple):
    """A bound that was met.

    Attributes:
        where: `collector` or `pipeline`.
        kind: which bound.
        source: whose events; empty when that is not known.
        events: how many it met; for `request_bytes` requests.
        last_ms: when it did last.
    """

    where: str
    kind: str
    source: str
    events: int
    last_ms: int


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def limits(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
        """Show which limits were met: refused requests, and events at which the pipeline remembers no more (docs/features.md, "Limits")."""
        import msgspec

        from config import loader
        from sinks.clickhouse import ClickHouse

        platform = loader.platform()
        found = [*at_the_collector(_notices(platform.kafka.bootstrap)), *in_the_pipeline(ClickHouse(platform.clickhouse).rows(FLAGS))]
        found.sort(key=lambda met: (-met.last_ms, met))
        if as_json:
            sys.stdout.write(msgspec.json.encode([met._asdict() for met in found]).decode() + "\n")
        else:
            _show(found)


def at_the_collector(notices: Iterable[bytes]) -> list[Met]:
    """Sums of the collector's notices by source and kind; a record that is none counts as `unreadable`."""
    import datetime as dt

    from schemas import json_text

    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for value in notices:
        try:
            told = json_text.read_object(value)
            key = str(told["source"]), str(told["kind"])
            refused, last_ms = int(told["refused"]), int(dt.datetime.fromisoformat(told["at"]).timestamp() * 1000)
        except (json_text.JsonTextError, KeyError, TypeError, ValueError):
            key, refused, last_ms = ("", "unreadable"), 1, 0
        before = sums.get(key, (0, 0))
        sums[key] = (before[0] + refused, max(before[1], last_ms))
    return [Met("collector", kind, source, *held) for (source, kind), held in sums.items()]


def in_the_pipeline(rows: Iterable[dict[str, Any]]) -> list[Met]:
    """From the rows of `FLAGS`."""
    return [
        Met("pipeline", row["kind"].removeprefix("limit:"), row["origin"] or row["tenant"], int(row["events"]), int(row["last_ms"]))
        for row in rows
    ]


def _notices(bootstrap: str) -> list[bytes]:
    from operations.topics import each

    found: list[bytes] = []
    each(bootstrap, TOPIC, lambda message: found.append(message.value() or b""))
    return found


def _show(found: list[Met]) -> None:
    from cli.terminal import plain_console

    if not found:
        print("no limit was met")
        return
    plain_console().print(table_of(found))


def table_of(found: Iterable[Met]) -> "Table":
    """What met a bound, one a line."""
    import datetime as dt

    from rich.table import Table
    from rich.text import Text

    from cli.terminal import shown

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("where", "limit", "source", "events", "last at (UTC)"):
        table.add_column(column, justify="right" if column == "events" else "left")
    for met in found:
        at = dt.datetime.fromtimestamp(met.last_ms / 1000, dt.UTC).strftime("%Y-%m-%d %H:%M:%S") if met.last_ms else "-"
        table.add_row(met.where, Text(shown(met.kind)), Text(shown(met.source or "(unknown)")), f"{met.events:,}", at)
    return table
