"""`cdp demo`: the guided tour."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("demo")(demo_command)


def demo_command(
    limit_days: Annotated[int, typer.Option(help="Only the first N days of the data set (0: the whole year).")] = 0,
    customers: Annotated[int, typer.Option(help="Only N of the customers (0: all).")] = 0,
    live_events: Annotated[int, typer.Option(help="How many live events to measure the latency with.")] = 300,
    live_rate: Annotated[float, typer.Option(help="Live events per second.")] = 20.0,
    from_nothing: Annotated[bool, typer.Option("--from-nothing", help="Stop the stack and DELETE its data first.")] = False,
) -> None:
    """Start everything, replay a year of a real shop, and show what became of it."""
    from cli.terminal import safe_console
    from demo import replay, tour
    from demo.stream import Slice

    console = safe_console()
    options = replay.Options(Slice(limit_days, customers), shift=True)
    try:
        tour.Tour(console, tour.Length(options, live_events, live_rate, from_nothing)).run()
    except tour.TourError as error:
        console.print(f"[red]demo:[/red] {error}")
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        console.print("\n[yellow]interrupted[/yellow]: the stack keeps running; `cdp demo` goes on, `cdp down` stops it")
        raise typer.Exit(130) from None
