"""`cdp rejected replay`: the command around `cli.rejected.replay`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.rejected.options import Code, Field, Since, Source, Tenant, Topic, Until, Where

if TYPE_CHECKING:
    from cli.rejected.history import History
    from cli.rejected.replay import Options, Tally


def replay(
    where: Where = "",
    code: Code = "",
    source: Source = "",
    topic: Topic = "",
    field: Field = "",
    tenant: Tenant = "",
    since: Since = "",
    until: Until = "",
    fix: Annotated[Path | None, typer.Option(help="YAML file that says how to correct them (docs/rejected.md).")] = None,
    to: Annotated[str, typer.Option(help="Raw topic to send them to; default: where they came from.")] = "",
    limit: Annotated[int, typer.Option(help="At most this many that were not replayed before; 0: all.", min=0)] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Send nothing; say what would pass and what would fail again.")] = False,
    send_all: Annotated[bool, typer.Option("--all", help="Send also what fails again.")] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Send also what was replayed or applied: it ends as duplicate or id_conflict.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Send rejected records back to their raw topic, corrected; a record is never applied twice."""
    import msgspec

    from cli.rejected import queries
    from cli.rejected.fix_files import load_fix
    from cli.rejected.replay import Options
    from cli.rejected.selection import Selection, condition, raw_topic
    from cli.rejected.views import show_tally
    from cli.terminal import plain_console

    chosen = Selection(where, code, source, topic, field, tenant, since, until)
    if not any(chosen):
        raise typer.BadParameter("say which records: --where, --code, --source, --topic, --field, --tenant, --since or --until")
    mend = load_fix(fix) if fix is not None else None
    options = Options(condition(chosen), mend, raw_topic(to) if to else "", limit, dry_run, send_all, again)
    tally = queries.asking(
        lambda history: _run(history, options), "What was applied already is not known without it: nothing more was sent."
    )
    if as_json:
        sys.stdout.write(msgspec.json.encode(tally.as_json()).decode() + "\n")
    else:
        show_tally(plain_console(), tally, dry_run=dry_run)


def _run(history: "History", options: "Options") -> "Tally":
    from cli.counting import counting, resumable
    from cli.rejected.replay import Replay

    job = Replay(history, options)
    with counting() as bar, resumable(bar, lambda: f"{job.tally.sent:,} records"):
        task = bar.add_task("looking" if options.dry_run else "replaying", total=None)

        def tell(tally: "Tally") -> None:
            bar.update(task, completed=tally.looked_at, total=min(tally.matched, options.limit or tally.matched))

        return job.run(tell)
