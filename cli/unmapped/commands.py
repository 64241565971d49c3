"""`cdp unmapped list | show | stats | replay`."""

import json
from typing import Annotated

import typer

from cli.options import AsJson
from cli.unmapped.options import Code, Field, Since, Source, Until
from cli.unmapped.replay_command import replay

unmapped_app = typer.Typer(
    help="Records that no event could be made of: why, and back again once the mapping is mended.", no_args_is_help=True
)


class UnknownPlaceError(LookupError):
    """Nothing was kept there."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    unmapped_app.command("replay")(replay)
    app.add_typer(unmapped_app, name="unmapped")


@unmapped_app.command("list")
def list_records(
    source: Source = "",
    code: Code = "",
    field: Field = "",
    since: Since = "",
    until: Until = "",
    only_open: Annotated[bool, typer.Option("--open", help="Only those that were neither brought back nor skipped.")] = False,
    limit: Annotated[int, typer.Option(help="At most this many, the newest.", min=1)] = 30,
    as_json: AsJson = False,
) -> None:
    """Show kept records, newest first.

    Example: cdp unmapped list --source erp --code missing --since 2h
    """
    from cli.terminal import plain_console
    from cli.unmapped import records
    from cli.unmapped.selection import Options, chosen
    from cli.unmapped.views import list_table

    wanted = chosen(Options(source, code, field, since, until))
    found = records.newest(wanted.holds, limit, "open" if only_open else None)
    if as_json:
        for seen in found:
            print(json.dumps(records.described(seen)))
        return
    plain_console().print(list_table(found))
    if len(found) == limit:
        plain_console().print(f"the newest {limit}; --limit shows more, `cdp unmapped stats` counts them all", style="dim")


@unmapped_app.command()
def show(
    place: Annotated[str, typer.Argument(help="Partition and offset as `cdp unmapped list` shows them, e.g. 0:12.")],
    plain: Annotated[bool, typer.Option("--plain", help="Show personal values and bytes that are no JSON, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show everything about one kept record: what is wrong, what to do, what became of it, and the record as it came.

    Example: cdp unmapped show 0:12
    """
    from cli.terminal import safe_console
    from cli.unmapped import records, selection, views
    from config import loader

    wanted = selection.place(place)
    seen = records.at(wanted)
    if seen is None:
        raise UnknownPlaceError(f"nothing was kept at {wanted}; `cdp unmapped list` shows what was")
    if as_json:
        print(json.dumps(views.as_json(seen, loader.identity(), plain=plain)))
    else:
        safe_console().print(views.card(seen, loader.identity(), plain=plain))


@unmapped_app.command()
def stats(source: Source = "", code: Code = "", field: Field = "", since: Since = "", until: Until = "", as_json: AsJson = False) -> None:
    """Count kept records by source, code and field: since when, how many are still open, and one to look at.

    Example: cdp unmapped stats --since 7d
    """
    from cli.terminal import plain_console
    from cli.unmapped import records
    from cli.unmapped.selection import Options, chosen
    from cli.unmapped.views import stats_table

    found = records.groups(chosen(Options(source, code, field, since, until)))
    if as_json:
        print(json.dumps([vars(group) | {"records": group.records} for group in found]))
        return
    plain_console().print(stats_table(found) if found else "no kept record matches")
