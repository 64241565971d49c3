"""`cdp schema ...`: the contracts of events."""

from typing import Annotated

import typer

schema_app = typer.Typer(help="The events there are, what they carry, and what a change of their contracts breaks.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    from cli import registry_commands

    registry_commands.register(schema_app)
    app.add_typer(schema_app, name="schema")


@schema_app.command("list")
def list_events() -> None:
    """Show every event that has a contract."""
    from rich.table import Table

    from cli.terminal import plain_console
    from schemas import contracts

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("event", "version", "owner", "needs", "says"):
        table.add_column(column)
    for contract in contracts.load().values():
        needs = ", ".join(label for label, field in contract.fields.items() if field.required)
        table.add_row(contract.name, contract.version, contract.owner, needs, contract.says)
    plain_console().print(table)


@schema_app.command()
def show(
    event: Annotated[str, typer.Argument(help="Name of an event, e.g. `Order Completed`.")],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON Schema, for producers and editors.")] = False,
) -> None:
    """Show one event: its fields, what they mean, and which can tell who somebody is."""
    import difflib
    import json

    from rich.markdown import Markdown

    from cli.terminal import plain_console
    from schemas import contract_pages, contracts

    known = contracts.load()
    if event not in known:
        by_words = {name.lower(): name for name in known}  # capitals are what people forget first
        near = difflib.get_close_matches(event.lower(), by_words, 1, 0.4)
        raise contracts.ContractError(
            f"there is no event `{event}`" + (f"; did you mean `{by_words[near[0]]}`?" if near else "; see `cdp schema list`")
        )
    if as_json:
        print(json.dumps(contract_pages.json_schema(known[event]), indent=2))
    else:
        plain_console().print(Markdown(contract_pages.page({event: known[event]}, title="")))


@schema_app.command()
def docs(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit code 1 when the page is not up to date.")] = False,
) -> None:
    """Write what is made from the contracts: `docs/events.md`, and the Avro schemas of raw events (`schemas/avro/raw`)."""
    from schemas import contract_pages, contracts, event_avro
    from stack.settings import PROJECT

    known = contracts.load()
    wanted = {PROJECT / "docs" / "events.md": contract_pages.page(known)}
    wanted |= {event_avro.FOLDER / name: text for name, text in event_avro.missing(known).items()}
    stale = [target for target, text in wanted.items() if not target.exists() or target.read_text() != text]
    if not stale:
        print("docs/events.md and schemas/avro/raw are up to date")
        return
    for target in stale:
        name = target.relative_to(PROJECT)
        print(f"{name} is not what the contracts say; run `cdp schema docs`" if check else f"{name} written")
        if not check:
            target.write_text(wanted[target])
    if check:
        raise typer.Exit(1)


@schema_app.command("check")
def check_changes(
    against: Annotated[
        str, typer.Option(help="A commit or tag of this repository, or a folder of contracts: what producers send by now.")
    ] = "HEAD",
    against_registry: Annotated[
        bool, typer.Option("--against-registry", help="Instead: the Avro schemas with what the schema registry has.")
    ] = False,
) -> None:
    """Compare the contracts with an earlier version: which changes break whoever sends by it, and whether versions were raised for them.

    Exit code 1 when an event's version does not say what was done to it; with --against-registry when the registry would refuse a schema.
    """
    if against_registry:
        from cli.registry_commands import check_against_registry

        check_against_registry()
        return
    from rich.table import Table

    from cli.contract_history import earlier
    from cli.terminal import plain_console
    from schemas import contract_changes, contracts

    old, new = earlier(against), contracts.load()
    found = contract_changes.changes(old, new)
    if not found:
        print(f"{len(new)} contracts, as at {against}")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("event", "field", "", "change"):
        table.add_column(column)
    for change in found:
        table.add_row(change.event, change.field, "[red]breaks[/]" if change.breaking else "fits", change.what)
    plain_console().print(table)
    wrong = contract_changes.unannounced(old, new)
    for name, needed in wrong.items():
        print(f"{name}: version {new[name].version} does not announce this; it has to be {needed} or higher")
    if wrong:
        raise typer.Exit(1)
