"""`cdp identity`: who is one person, why, what other rules would change; and stating what records do not show."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import AsJson, TenantName, Who

if TYPE_CHECKING:
    from config.identity import Identity
    from operations.identity import Differs, Explained, People, Person, Placed, Tied, Turned
    from pipelines.identity.graph import Decision
    from pipelines.identity.link_log import LogRecord

Reason = Annotated[str, typer.Option(help="Why; it is kept and shown with the link.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what it would do, and do nothing.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Which identifiers are one person, and why.", no_args_is_help=True)
    group.command("show")(show)
    group.command("explain")(explain)
    group.command("simulate")(simulate)
    for command in (link, unlink, block, release):
        group.command()(command)
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


def link(one: Who, other: Who, reason: Reason = "", tenant: TenantName = "", dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """State that two identifiers are one person's. It stands above limits of namespaces and takes an `unlink` of the two back."""
    from pipelines.identity.link_log import BIND, Link

    tenant, a, b = _pair(tenant, one, other)
    _state(Link(**_said(tenant, reason), a=a, b=b, rule=BIND), dry_run=dry_run, as_json=as_json)


def unlink(one: Who, other: Who, reason: Reason = "", tenant: TenantName = "", dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """State that two identifiers are not one person's: they part, whatever records show, until a `link` of the two."""
    from pipelines.identity.link_log import Unbind

    tenant, a, b = _pair(tenant, one, other)
    _state(Unbind(**_said(tenant, reason), a=a, b=b), dry_run=dry_run, as_json=as_json)


def block(identifier: Who, reason: Reason = "", tenant: TenantName = "", dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """State that an identifier is nobody's, e.g. a shop's own device: it loses its links and gets no others."""
    from pipelines.identity.link_log import Block

    tenant, node = _node(tenant, identifier)
    _state(Block(**_said(tenant, reason), node=node), dry_run=dry_run, as_json=as_json)


def release(identifier: Who, reason: Reason = "", tenant: TenantName = "", dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Let a blocked or shared identifier be somebody's again, by links that come from now on."""
    from pipelines.identity.link_log import Release

    tenant, node = _node(tenant, identifier)
    _state(Release(**_said(tenant, reason), node=node), dry_run=dry_run, as_json=as_json)


def _said(tenant: str, reason: str) -> dict[str, Any]:
    """What every statement carries: whose, when, an id, and who says why."""
    import getpass
    import time
    import uuid

    who = f"{getpass.getuser()}: {reason}" if reason else getpass.getuser()
    return {"tenant": tenant, "at": int(time.time() * 1000), "cause": str(uuid.uuid4()), "reason": who}


def _state(said: "LogRecord", *, dry_run: bool, as_json: bool) -> None:
    """Write a statement to the link log, or only try it, and print what it leads to."""
    from config import loader
    from operations.controls import Publisher
    from operations.identity import People, Placed

    bootstrap = loader.platform().kafka.bootstrap
    written = None if dry_run else Publisher(bootstrap).state(said)
    log = [placed for placed in _log() if written is None or placed.epoch < written or placed.record.tenant != said.tenant]
    people = People(loader.identity(), said.tenant, log)
    epoch = written or people.epoch + 1
    decisions = people.take(Placed(epoch, said))
    if as_json:
        _print_json({"epoch": None if dry_run else epoch, "decisions": decisions})
        return
    for decision in decisions:
        print(_told(decision))
    if not decisions:
        print("nothing changes: it is so already")
    elif dry_run:
        print("tried only: nothing was written")
    else:
        print(f"written as record {epoch} of the link log; profiles follow within a second")


def _told(decision: "Decision") -> str:
    """A decision as a line."""
    from cli import stores

    who = " and ".join(stores.shown_node(node) for node in (decision.a, decision.b) if node)
    by = f" ({decision.rule})" if decision.rule else ""
    profiles = {
        "merged": f"profile {decision.other_profile} becomes part of {decision.profile_id}",
        "split": f"{who} leaves profile {decision.other_profile} and begins {decision.profile_id}",
        "moved": f"{who} belongs to profile {decision.profile_id}, before to {decision.other_profile}",
    }
    return profiles.get(decision.what) or f"{who}: {decision.what}{by}"


def _pair(tenant: str, one: str, other: str) -> tuple[str, str, str]:
    tenant, a = _node(tenant, one)
    _, b = _node(tenant, other)
    if a == b:
        raise typer.BadParameter("both are the same identifier")
    return tenant, a, b


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
    """The link log of all tenants."""
    from config import loader
    from operations.identity import read_log
    from operations.progress import Progress

    with Progress("links read") as progress:
        return read_log(loader.platform().kafka.bootstrap, progress.at)


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
