"""`cdp identity`: who is one person by the links seen so far, why, and what other rules would change."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import AsJson, TenantName, Who

if TYPE_CHECKING:
    from config.identity import Identity
    from operations.identity import Differs, Explained, People, Person, Placed, Tied, Turned

NOT_YET = "Profiles are not merged by this yet: each identifier has a profile of its own (docs/identity.md)."
TOPIC = "cdp.links"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Which identifiers are one person, and why.", no_args_is_help=True)
    group.command("show")(show)
    group.command("explain")(explain)
    group.command("simulate")(simulate)
    app.add_typer(group, name="identity")


def show(identifier: Who, tenant: TenantName = "", as_json: AsJson = False) -> None:
    """Show the person of an identifier: its identifiers, and the records and rules that joined them or did not.

    Every link of the log is looked at by the rules of config/identity.yaml. Exit code 1 when the log has not seen the identifier together
    with another one.
    """
    from cli import stores
    from config import loader

    tenant, node = _node(tenant, identifier)
    found = _people(loader.identity(), tenant).find(node)
    if as_json:
        _print_json(found)
    elif found is None:
        print(f"{stores.shown_node(node)} has not been seen together with another identifier: it is a person by itself")
    else:
        _show(found)
    if found is None:
        raise typer.Exit(1)


def explain(one: Who, other: Who, tenant: TenantName = "", as_json: AsJson = False) -> None:
    """Tell why two identifiers are one person's: the records and rules that joined them. Or why they are not; exit code 1 then."""
    from cli import stores
    from config import loader

    tenant, a = _node(tenant, one)
    _, b = _node(tenant, other)
    found = _people(loader.identity(), tenant).explain(a, b)
    if as_json:
        _print_json(found)
    else:
        _explain(stores.shown_node(a), stores.shown_node(b), found)
    if not found.is_one:
        raise typer.Exit(1)


def simulate(
    rules: Annotated[Path, typer.Option(help="An identity.yaml with other limits.", exists=True, dir_okay=False)],
    tenant: TenantName = "",
    as_json: AsJson = False,
) -> None:
    """Try other rules on every link of the log: how many people there would be, who would be joined and who parted.

    Limits and the order of namespaces take part; how values are read does not, since keys have been made already. Nothing is changed.
    """
    from cli import stores
    from config import loader
    from operations.identity import People

    tenant = stores.tenant_or_default(tenant)
    log = _log()
    then = loader.identity(rules)
    found = People(loader.identity(), tenant, log).compare(People(then, tenant, log))
    if as_json:
        _print_json(found)
    else:
        _differs(found)


def _node(tenant: str, identifier: str) -> tuple[str, str]:
    from cli import stores

    tenant = stores.tenant_or_default(tenant)
    node = stores.node_of(tenant, identifier)
    if node is None:
        raise typer.BadParameter(
            f"`{identifier}` identifies nobody: a placeholder, not of its namespace's form, or a namespace that is not in identity.yaml"
        )
    return tenant, node


def _people(identity: "Identity", tenant: str) -> "People":
    from operations.identity import People

    return People(identity, tenant, _log())


def _log() -> "list[Placed]":
    """The links of all tenants, in the order of the log: those of one tenant lie in one partition."""
    from cli.audit.topics import each
    from config import loader
    from operations.identity import Placed, link_of
    from operations.progress import Progress
    from schemas import clean

    found: list[Placed] = []

    def take(message: Any) -> None:
        found.append(Placed(message.offset() + 1, link_of(clean.decode(message.value()))))

    with Progress("links read") as progress:
        each(loader.platform().kafka.bootstrap, TOPIC, take, tell=progress.at)
    return found


def _print_json(found: Any) -> None:
    import msgspec

    print(msgspec.json.encode(found).decode())


def _show(found: "Person") -> None:
    from rich.table import Table

    from cli import stores
    from cli.profile_card import moment
    from cli.terminal import plain_console

    console = plain_console()
    console.print(f"person {found.profile_id}: {_count(len(found.nodes), 'identifier')}")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("identifier", "first linked (UTC)", ""):
        table.add_column(column)
    for node, at in found.nodes:
        table.add_row(stores.shown_node(node), moment(at), _STATUS.get(found.status.get(node, ""), ""))
    console.print(table)
    if found.ties:
        console.print("\njoined by")
        console.print(_links(found.ties))
    if found.turned:
        console.print("\nnot joined")
        console.print(_links(found.turned))
    console.print(f"\n{NOT_YET}")


_STATUS = {"shared": "shared by many: nobody's", "blocked": "blocked: nobody's"}


def _links(links: "Iterable[Tied | Turned]") -> Any:
    from rich.table import Table
    from rich.text import Text

    from cli import stores
    from cli.profile_card import moment
    from cli.terminal import shown

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("identifier", "and", "rule", "at (UTC)", "record"):
        table.add_column(column)
    for link in links:
        what = getattr(link, "what", "")
        rule = f"{what}: {link.rule}" if what else link.rule
        table.add_row(stores.shown_node(link.a), stores.shown_node(link.b), rule, moment(link.at), Text(shown(link.cause)))
    return table


def _explain(a: str, b: str, found: "Explained") -> None:
    from cli.terminal import plain_console

    console = plain_console()
    if found.is_one and not found.path:
        console.print(f"{a} is one identifier")
    elif found.is_one:
        console.print(f"{a} and {b} are one person: {_count(len(found.path), 'link')} from the one to the other")
        console.print(_links(found.path))
    elif found.turned:
        console.print(f"{a} and {b} are two persons: {_count(len(found.turned), 'link')} between them not in force")
        console.print(_links(found.turned))
        console.print('\nRules: docs/identity.md, "What a limit does".')
    else:
        console.print(f"{a} and {b} are two persons: no record shows the one's identifiers together with the other's")


def _differs(found: "Differs") -> None:
    from rich.table import Table

    from cli import stores
    from cli.terminal import plain_console

    console = plain_console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for column in ("now", "then"):
        table.add_column(column, justify="right")
    table.add_row("identifiers", f"{found.nodes:,}", f"{found.nodes:,}")
    table.add_row("people", f"{found.people:,}", f"{found.people_then:,}")
    table.add_row("links refused", f"{found.refused:,}", f"{found.refused_then:,}")
    console.print(table)
    console.print(f"{_count(found.moved, 'identifier')} would be together with others than now")
    for title, examples in (("would be one person", found.joined), ("would be several", found.parted)):
        for parts in examples:
            console.print(f"{title}: " + " | ".join(", ".join(map(stores.shown_node, part)) for part in parts), soft_wrap=True)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
