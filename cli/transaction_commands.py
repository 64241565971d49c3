"""`cdp transactions`: open transactions of Flink jobs' sinks, and ending those that nobody will ever commit."""

from typing import Annotated

import typer

transactions_app = typer.Typer(help="Show open transactions of our jobs, or end an orphaned one.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(transactions_app, name="transactions")


@transactions_app.command("list")
def list_(
    everything: Annotated[bool, typer.Option("--all", help="Those that are over as well.")] = False,
) -> None:
    """Show open transactions, the oldest first: job, state, age, and the partitions in which readers of committed records wait for them."""
    from rich.table import Table

    from cli.live import duration
    from cli.terminal import plain_console
    from stack import catalogue, transactions
    from stack.settings import load

    found = [one for one in transactions.ours(load().kafka) if everything or one.is_open]
    if not found:
        print("no transaction is open")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("transaction", "job", "state", "age", "ends after", "holds back"):
        table.add_column(column, justify="right" if column in ("age", "ends after") else "left")
    for one in found:
        held = " ".join(f"{topic}/{partition}" for topic, partition in one.partitions) if one.is_open else ""
        job = transactions.job_of(one.id, catalogue.flink_jobs())
        age = duration(one.age_s) if one.is_open else ""
        table.add_row(one.id, job, one.state, age, duration(one.timeout_s), held)
    plain_console().print(table)


@transactions_app.command()
def abort(
    name: Annotated[str, typer.Argument(help="The transaction, as `cdp transactions list` shows it.")],
) -> None:
    """End an orphaned transaction: what it wrote is in no topic then. Refused while its job runs or can still commit it."""
    from pathlib import Path

    from stack import board, catalogue, run_book, transactions
    from stack.errors import RefusedError, StackError
    from stack.settings import load

    settings = load()
    found = {one.id: one for one in transactions.ours(settings.kafka)}
    if name not in found:
        raise StackError(f"there is no transaction `{name}`", "`cdp transactions list --all` shows them")
    job = transactions.job_of(name, catalogue.flink_jobs())
    wanted: list[transactions.Committable] = []
    job_is_wanted = False
    if job:
        book = run_book.read(settings, job)
        status = board.live_status(settings)
        running = status is not None and status.services.get(job, board.ServiceState(job)).state != "stopped"
        job_is_wanted = running or (book.desired == "running" and bool(book.runs))
        newest = run_book.newest(settings, book)
        wanted = transactions.committables(Path(newest.path)) if newest else []
    why_not = transactions.refusal(found[name], job, job_is_wanted, wanted)
    if why_not:
        raise RefusedError(f"{name} is not aborted: {why_not}")
    transactions.abort(settings, found[name])
    print(f"{name} is aborted; readers of committed records go on")
