"""The bar of commands that go through many records, and how those that send end before their end."""

import contextlib
import sys
from collections.abc import Callable, Iterator

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from cli.rejected.sender import SendError


def counting() -> Progress:
    """A bar over a number of records; it goes to the standard error and leaves nothing behind."""
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    return Progress(*columns, console=Console(stderr=True), transient=True)


@contextlib.contextmanager
def resumable(bar: Progress, sent: Callable[[], str]) -> Iterator[None]:
    """Say how far a replay came that is interrupted, or that Kafka refuses.

    Args:
        bar: is taken away first.
        sent: what was sent so far, e.g. `1,200 events`.

    Raises:
        SendError: as it came.
        typer.Exit: with 130, when it was interrupted.
    """
    try:
        yield
    except (KeyboardInterrupt, SendError) as stopped:
        bar.stop()
        print(f"{sent()} were sent before this; the same command goes on where it ended", file=sys.stderr)
        if isinstance(stopped, SendError):
            raise
        raise typer.Exit(130) from None
