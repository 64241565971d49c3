"""`cdp rejected list | show | stats | export | replay`."""

from pathlib import Path
from typing import Annotated

import typer

from cli.options import AsJson
from cli.rejected.options import Code, Field, Since, Source, Tenant, Topic, Until, Where
from cli.rejected.replay_command import replay

rejected_app = typer.Typer(help="Rejected records: why, how many, and back again once they are mended.", no_args_is_help=True)

FromTopic = Annotated[
    bool, typer.Option("--from-topic", help="Read the topic cdp.rejected instead of ClickHouse: slower, and always up to date.")
]


class UnknownRecordError(LookupError):
    """No such record was rejected."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    rejected_app.command("replay")(replay)
    app.add_typer(rejected_app, name="rejected")


@rejected_app.command("list")
def list_records(
    where: Where = "",
    code: Code = "",
    source: Source = "",
    topic: Topic = "",
    field: Field = "",
    tenant: Tenant = "",
    since: Since = "",
    until: Until = "",
    limit: Annotated[int, typer.Option(help="At most this many, the newest.", min=1)] = 30,
    from_topic: FromTopic = False,
    as_json: AsJson = False,
) -> None:
    """Show rejected records, newest first."""
    import msgspec

    from cli.rejected import queries
    from cli.rejected.selection import Selection
    from cli.rejected.views import list_table
    from cli.terminal import plain_console

    found = queries.newest(Selection(where, code, source, topic, field, tenant, since, until), limit, from_topic)
    if as_json:
        for record in found:
            print(msgspec.json.encode(queries.described(record)).decode())
        return
    plain_console().print(list_table(found))
    if len(found) == limit:
        plain_console().print(f"the newest {limit}; --limit shows more, `cdp rejected stats` counts them all", style="dim")


@rejected_app.command()
def show(
    position: Annotated[str, typer.Argument(help="topic:partition:offset, e.g. cdp.raw.orders:0:1234 or orders:0:1234.")],
    plain: Annotated[bool, typer.Option("--plain", help="Show personal values and bytes that are no JSON, too.")] = False,
    from_topic: FromTopic = False,
    as_json: AsJson = False,
) -> None:
    """Show everything about one rejected record: the bytes, what is wrong in them, what to do, and what became of it."""
    import msgspec

    from cli.rejected import queries
    from cli.rejected.card import as_json as described
    from cli.rejected.card import card
    from cli.rejected.selection import position as parsed
    from cli.terminal import safe_console
    from config import loader

    wanted = parsed(position)
    record = queries.at(wanted, from_topic)
    if record is None:
        raise UnknownRecordError(
            f"{wanted} was not rejected, as far as {'the topic' if from_topic else 'ClickHouse'} knows; "
            + ("`cdp verify` tells what became of it" if from_topic else "--from-topic looks at what is not loaded yet")
        )
    story, identity = queries.story(record), loader.identity()
    if as_json:
        print(msgspec.json.encode(described(record, story, identity, plain=plain)).decode())
    else:
        safe_console().print(card(record, story, identity, plain=plain))


@rejected_app.command()
def stats(
    by: Annotated[
        str, typer.Option(help="What to count by: code, source, field, origin, rule, tenant; several with commas.")
    ] = "code,source,field",
    where: Where = "",
    code: Code = "",
    source: Source = "",
    topic: Topic = "",
    field: Field = "",
    tenant: Tenant = "",
    since: Since = "",
    until: Until = "",
    limit: Annotated[int, typer.Option(help="At most this many lines, the largest.", min=1)] = 40,
    as_json: AsJson = False,
) -> None:
    """Count rejected records: how many, since when, how it goes on, and one to look at."""
    import msgspec

    from cli.rejected import queries
    from cli.rejected.selection import Selection, condition
    from cli.rejected.stats import columns, groups
    from cli.rejected.views import stats_table
    from cli.terminal import plain_console

    names = columns(by)
    chosen = condition(Selection(where, code, source, topic, field, tenant, since, until))
    found = queries.asking(lambda history: groups(history, chosen, names), "`cdp rejected list --from-topic` can do without it")
    if as_json:
        print(msgspec.json.encode(found).decode())
        return
    plain_console().print(stats_table(found[:limit], names))
    if len(found) > limit:
        plain_console().print(f"{len(found) - limit} smaller groups not shown; --limit shows more", style="dim")


@rejected_app.command()
def export(
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write, one JSON object a line; it must not be there yet.")],
    where: Where = "",
    code: Code = "",
    source: Source = "",
    topic: Topic = "",
    field: Field = "",
    tenant: Tenant = "",
    since: Since = "",
    until: Until = "",
    from_topic: FromTopic = False,
) -> None:
    """Write rejected records to a file, with their bytes as they came: personal values included."""
    from cli.rejected import queries
    from cli.rejected.export import write
    from cli.rejected.selection import Selection, condition

    chosen = condition(Selection(where, code, source, topic, field, tenant, since, until))
    count = write(output, lambda take: queries.each(chosen, from_topic, take))
    print(f"{count:,} records written to {output}")
