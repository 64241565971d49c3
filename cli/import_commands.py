"""`cdp import`: a file's rows as events, by a mapping."""

from pathlib import Path
from typing import Annotated, Literal

import typer

Clock = Literal["live", "event"]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("import")(import_command)


def import_command(
    file: Annotated[Path, typer.Argument(help="CSV, Parquet or JSON Lines; CSV and JSON Lines may be packed (.gz).")],
    mapping: Annotated[
        str, typer.Option("--mapping", "-m", help="A mapping file, or the name of one in config/mappings. By default the source's.")
    ] = "",
    source: Annotated[
        str,
        typer.Option(help="Name of the source, part of every message id; one of config/sources.yaml brings mapping, tenant and topic."),
    ] = "",
    tenant: Annotated[str, typer.Option(help="Whose events they are. By default the source's, else the platform's default tenant.")] = "",
    topic: Annotated[str, typer.Option(help="Raw topic they go to. By default the source's, else cdp.raw.orders.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Send nothing: show what would become of every row.")] = False,
    show: Annotated[int, typer.Option(help="How many failures a dry run shows.")] = 10,
    limit: Annotated[int, typer.Option(help="How many records a dry run looks at (0: all).")] = 0,
    clock: Annotated[
        Clock, typer.Option(help="live: Kafka's clock is now. event: it is the events' own, in order; a first load of an empty stack.")
    ] = "live",
    again: Annotated[
        bool, typer.Option("--again", help="Begin at the first row, whatever was sent before (it ends as duplicates).")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="With --clock event: write even into topics that hold newer records.")] = False,
    then_live: Annotated[
        bool, typer.Option("--then-live", help="With --clock event: hand the clock over to the broker afterwards.")
    ] = False,
) -> None:
    """Import a file: every row becomes events, is skipped for a reason, or fails and is kept. Exit code 1 when any failed.

    May be broken off and repeated at will: the same rows of the same file have the same message ids.
    """
    from cli import import_clock, import_run
    from cli.import_job import prepared

    job = prepared(file, mapping, source, tenant, topic)
    if dry_run:
        failed = import_run.look(job, show, limit, by_event_time=clock == "event")
    elif clock == "event":
        failed = import_clock.load(job, again=again, force=force, then_live=then_live)
    else:
        failed = import_run.send(job, again=again)
    if failed:
        raise typer.Exit(1)
