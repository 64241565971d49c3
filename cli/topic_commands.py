"""`cdp topics`: what is in the topics, and which clock the raw ones run on."""

from typing import Annotated

import typer

topics_app = typer.Typer(help="Show the topics, or choose the clock of the raw ones.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(topics_app, name="topics")


@topics_app.callback()
def show(context: typer.Context) -> None:
    """Show every topic: partitions, offsets in use (end minus begin), those no transaction has committed yet, size on disk, clock.

    In topics that a job writes exactly once, offsets count its transactions' markers too: `cdp verify` counts records.
    """
    if context.invoked_subcommand:
        return
    from rich.table import Table

    from cli.terminal import plain_console
    from stack import topics
    from stack.settings import load

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("topic")
    for column in ("partitions", "offsets", "uncommitted", "MB"):
        table.add_column(column, justify="right")
    for column in ("clock", ""):
        table.add_column(column)
    for state in topics.describe(folder=load().data / "kafka"):
        size = f"{state.size_bytes / 2**20:.1f}" if state.size_bytes >= 0 else ""
        uncommitted = f"{state.uncommitted:,}"
        table.add_row(state.name, str(state.partitions), f"{state.records:,}", uncommitted, size, state.clock, state.difference)
    console = plain_console()
    console.print(table)
    console.print("offsets: records, and in topics written exactly once a marker for each transaction", style="dim")


@topics_app.command()
def clock(mode: Annotated[str, typer.Argument(help="`live`: records get the broker's time. `replay`: they keep the producer's.")]) -> None:
    """Choose the clock of the raw topics."""
    from stack import topics

    topics.set_clock(mode)  # type: ignore[arg-type]
    print(f"raw topics now stamp records with {'the time of the broker' if mode == 'live' else 'the time of the producer'}")
