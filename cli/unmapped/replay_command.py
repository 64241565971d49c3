"""`cdp unmapped replay`: the command around `cli.unmapped.replay`."""

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cli.unmapped.choosing import Chosen
    from cli.unmapped.replay import Tally


def replay(
    source: Annotated[str, typer.Option(help="Only these sources of config/sources.yaml, separated by commas.")] = "",
    code: Annotated[str, typer.Option(help="Only these codes, separated by commas.")] = "",
    field: Annotated[str, typer.Option(help="Only this field; [*] stands for any index.")] = "",
    since: Annotated[str, typer.Option(help="Not kept before: 15m, 6h, 2d, or a time such as 2026-01-31T10:00:00Z.")] = "",
    until: Annotated[str, typer.Option(help="Kept before; as --since.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Send nothing; say what would become of each.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Send without asking.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Map kept records by their source's mapping as it is now, and send what becomes of them to its raw topic; none goes twice.

    What still cannot be mapped, or would be rejected, stays where it is.

    Example: cdp unmapped replay --source erp --code missing --dry-run
    """
    import msgspec

    from cli.terminal import plain_console
    from cli.unmapped.choosing import Options, chosen
    from cli.unmapped.views import show_tally

    wanted = chosen(Options(source, code, field, since, until))
    tally = _run(wanted, dry_run=not yes or dry_run)
    if not yes and not dry_run and tally.to_do:
        if not as_json:
            show_tally(plain_console(), tally, dry_run=True)
        noting = f", and note {tally.noted:,} that need none" if tally.noted else ""
        typer.confirm(f"Send {tally.becoming.total():,} events of {tally.records:,} records{noting}?", abort=True, err=True)
        tally = _run(wanted, dry_run=False)
    if as_json:
        print(json.dumps(msgspec.to_builtins(tally)))
    else:
        show_tally(plain_console(), tally, dry_run=dry_run)


def _run(chosen: "Chosen", *, dry_run: bool) -> "Tally":
    from cli.counting import counting
    from cli.rejected.sender import SendError
    from cli.unmapped.replay import Replay

    job = Replay(chosen, dry_run=dry_run)
    with counting() as bar:
        task = bar.add_task("looking" if dry_run else "replaying", total=None)
        try:
            return job.run(lambda done, total: bar.update(task, completed=done, total=total))
        except (KeyboardInterrupt, SendError) as stopped:
            bar.stop()
            print(f"{job.tally.sent:,} events were sent before this; the same command goes on where it ended", file=sys.stderr)
            if isinstance(stopped, SendError):
                raise
            raise typer.Exit(130) from None
