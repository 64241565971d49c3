"""`cdp replay`: write the real data set to the raw topics."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from demo.replay import Options, Plan
    from operations.timed_writer import Progress

AMOUNT = "a count, or a fraction of the events when below 1"


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("replay")(replay_command)


def replay_command(
    limit_days: Annotated[int, typer.Option(help="Only the first N days (0: all).")] = 0,
    customers: Annotated[int, typer.Option(help="Only N of the customers (0: all).")] = 0,
    shift: Annotated[bool, typer.Option(help="Move all times by whole days so that the last day is yesterday.")] = False,
    speed: Annotated[float, typer.Option(help="Log seconds per second (0: as fast as possible).")] = 0,
    tick_every: Annotated[int, typer.Option(help="Seconds of log time between ticks.")] = 3600,
    settle: Annotated[int, typer.Option(help="Seconds of log time from the last event to the last tick.")] = 3700,
    then_live: Annotated[bool, typer.Option(help="Hand the clock over to the broker afterwards, for live events.")] = False,
    force: Annotated[bool, typer.Option(help="Replay even into topics that hold newer records.")] = False,
    duplicates: Annotated[float, typer.Option(help=f"Repeated events: {AMOUNT}.")] = 0,
    conflicts: Annotated[float, typer.Option(help="Used message ids with another body.")] = 0,
    late: Annotated[float, typer.Option(help="Events 8 to 30 days old on arrival.")] = 0,
    reordered: Annotated[float, typer.Option(help="Events that arrive 1 s to 6 days after they happened.")] = 0,
    malformed: Annotated[float, typer.Option(help="Records that must be rejected, of every kind.")] = 0,
    seed: Annotated[int, typer.Option(help="Chooses other victims for the faults.")] = 0,
    expect: Annotated[Path | None, typer.Option(help="Write the exact expected outcome to this file (JSON).")] = None,
    script: Annotated[bool, typer.Option(help="List every record in that file.")] = False,
) -> None:
    """Replay UCI Online Retail (25,900 real invoices, synthetic visits around them) into Kafka."""
    from rich.console import Console

    from demo import replay
    from demo.faults import Faults, TooManyFaultsError
    from demo.stream import Slice
    from operations.raw_topics import RawTopicsError

    console = Console()
    chosen = Faults(duplicates, conflicts, late, reordered, malformed)
    options = replay.Options(Slice(limit_days, customers), shift, chosen, seed, tick_every, settle, speed, force, then_live, expect, script)
    try:
        prepared = replay.plan(options)
        console.print(f"Replaying {prepared.story}")
        play(options, prepared, console)
        _tell_clock(console, then_live)
    except (RawTopicsError, TooManyFaultsError) as error:
        console.print(f"[red]replay:[/red] {error}")
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        console.print("[yellow]interrupted[/yellow]: what is shown above was written, the rest was not")
        _tell_clock(console, then_live)
        raise typer.Exit(130) from None


def play(options: "Options", prepared: "Plan", console: "Console") -> None:
    """Write a plan under a progress bar and sum up."""
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    from demo import replay
    from demo.messages import iso

    figures = MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeElapsedColumn()
    with Bar(SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), *figures, console=console) as bar:
        task = bar.add_task("events", total=prepared.events or None, rate="")

        def report(progress: "Progress") -> None:
            elapsed_s = bar.tasks[task].elapsed or 0
            rate = f"{progress.events / elapsed_s:,.0f}/s" if elapsed_s else ""
            bar.update(task, completed=progress.events, rate=rate, description=f"log time {iso(progress.log_ms)[:10]}")

        tally = replay.run(options, prepared, report)
        elapsed_s = bar.tasks[task].elapsed or 1
    console.print(
        f"{tally.events:,} events in {elapsed_s:.1f} s ({tally.events / elapsed_s:,.0f}/s); expected outcome: {tally.to_json()['total']}"
    )
    if options.expect is not None:
        console.print(f"Expected outcome written to {options.expect}")


def _tell_clock(console: "Console", then_live: bool) -> None:
    if not then_live:
        console.print(
            "The raw topics keep the producer's clock; `cdp topics clock live` hands it to the broker, for live events and ticks."
        )
