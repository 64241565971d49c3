"""`cdp jobs` and `cdp job ...`: the jobs of the platform."""

from typing import Annotated

import typer

job_app = typer.Typer(help="Start and stop a job, or save its state.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Name of the job, as `cdp jobs` shows it.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("jobs")(jobs)
    app.add_typer(job_app, name="job")


def jobs() -> None:
    """Show every job: kind, state, since when, restarts, newest checkpoint, how far behind it is."""
    import time

    from rich.table import Table

    from cli.live import COLOURS, duration
    from cli.terminal import plain_console
    from stack import overview
    from stack.settings import load

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("job", "kind", "state", "for", "restarts", "newest checkpoint", "lag", ""):
        table.add_column(column, justify="right" if column in ("for", "restarts", "lag") else "left")
    for line in overview.jobs(load()):
        since = duration(time.time() - line.since) if line.since else ""
        state = f"[{COLOURS.get(line.state, 'white')}]{line.state}[/]"
        lag = f"{line.lag:,}" if line.lag is not None else ""
        table.add_row(line.job, line.kind, state, since, str(line.restarts), line.checkpoint, lag, line.detail)
    plain_console().print(table)


@job_app.command()
def start(
    name: Name,
    path: Annotated[str, typer.Option("--from", help="Folder of a checkpoint or savepoint. Default: the newest point there is.")] = "",
    rewind: Annotated[
        bool, typer.Option("--rewind", help="Allow a point older than the newest: what came after it is written again.")
    ] = False,
    parallelism: Annotated[int, typer.Option(help="Parallelism from now on (0: as before). Needs 3 TaskManagers per unit.")] = 0,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Start although output of the last seconds before the stop is lost; a refusal names it.")
    ] = False,
) -> None:
    """Start a job from its newest point, or from a named one."""
    from stack import job_control
    from stack.settings import load

    print(job_control.start(load(), name, path, rewind, parallelism, accept_loss))


@job_app.command()
def stop(
    name: Name,
    savepoint: Annotated[bool, typer.Option("--savepoint/--no-savepoint", help="Save its state first (a Flink job).")] = True,
    unchecked: Annotated[bool, typer.Option("--unchecked", help="Stop it although definitions are wrong (see `cdp check`).")] = False,
) -> None:
    """Stop a job; it stays stopped until `cdp job start`. Prints the folder of the savepoint."""
    from stack import job_control
    from stack.settings import load

    print(job_control.stop(load(), name, savepoint, unchecked))


@job_app.command()
def savepoint(name: Name) -> None:
    """Save the state of a running Flink job; it goes on. Prints the folder."""
    from stack import job_control
    from stack.settings import load

    print(job_control.savepoint(load(), name))
