"""`cdp unmapped replay`: the command around `cli.unmapped.replay`."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from cli.unmapped.options import Code, Field, Since, Source, Until

if TYPE_CHECKING:
    from cli.unmapped.replay import Tally
    from cli.unmapped.selection import Chosen


def replay(
    source: Source = "",
    code: Code = "",
    field: Field = "",
    since: Since = "",
    until: Until = "",
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
    from cli.unmapped.selection import Options, chosen
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
    from cli.counting import counting, resumable
    from cli.unmapped.replay import Replay

    job = Replay(chosen, dry_run=dry_run)
    with counting() as bar, resumable(bar, lambda: f"{job.tally.sent:,} events"):
        task = bar.add_task("looking" if dry_run else "replaying", total=None)
        return job.run(lambda done, total: bar.update(task, completed=done, total=total))
