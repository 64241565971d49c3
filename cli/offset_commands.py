"""`cdp offsets`: how far each job is in the topics it reads, and going on after the broker has lost the end of its log."""

from typing import Annotated

import typer

offsets_app = typer.Typer(help="Show how far jobs are in the topics they read, or go on after a log was cut.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(offsets_app, name="offsets")


@offsets_app.command()
def show(name: Annotated[str, typer.Argument(help="A job of `cdp jobs`.")]) -> None:
    """Show a job's committed offsets, the ends of the log, and what is left between them."""
    from rich.table import Table

    from cli.terminal import plain_console
    from stack import jobs, offsets

    found = offsets.positions(jobs.get(name))
    if found is None:
        print(f"{name} has committed nothing (or has no consumer group, or Kafka is away)")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("topic", "partition", "committed", "begin", "end", "left", ""):
        table.add_column(column, justify="left" if column in ("topic", "") else "right")
    for one in found:
        committed = f"{one.committed:,}" if one.committed >= 0 else "never"
        note = "the log was cut" if one.is_cut else ""
        table.add_row(one.topic, str(one.partition), committed, f"{one.begin:,}", f"{one.end:,}", f"{one.behind:,}", note)
    plain_console().print(table)


@offsets_app.command()
def reset(name: Annotated[str, typer.Argument(help="`history` or `cdc`; it must be stopped.")]) -> None:
    """Go on after the broker has lost the end of a log: with what is written from now on. Partitions that are whole stay as they are."""
    from config import loader
    from stack import jobs, offsets
    from stack.errors import StackError

    bootstrap = loader.platform().kafka.bootstrap
    if name == "history":
        from pipelines.history.reset import reset as reset_history
        from sinks.clickhouse import ClickHouse

        said = [
            f"{cut.part.topic} partition {cut.part.number}: from {cut.loaded} to {cut.end}"
            for cut in reset_history(bootstrap, ClickHouse(loader.platform().clickhouse))
        ]
    elif name == "cdc":
        from importers.cdc.consumer import GROUP
        from importers.cdc.progress import reset as reset_cdc

        said = reset_cdc(bootstrap, GROUP, offsets.topics_of(jobs.get("cdc")))
    else:
        raise StackError(f"offsets of `{name}` cannot be reset", "those of `history` and `cdc` can; a Flink job's are in its checkpoint")
    print("\n".join(said) if said else "no log was cut: nothing to do")
