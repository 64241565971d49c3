"""`cdp identity`: who is one person, why, what other rules would change; and stating what records do not show."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import identity_limits
from cli.identity_log import read_links, said
from cli.options import AsJson, DryRun, Reason, TenantName, Who

if TYPE_CHECKING:
    from config.identity import Identity
    from operations.identity import People
    from pipelines.identity.link_log import LogRecord


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Which identifiers are one person, and why.", no_args_is_help=True)
    group.command("show")(show)
    group.command("explain")(explain)
    group.command("simulate")(simulate)
    for command in (link, unlink, block, release, identity_limits.rules, identity_limits.apply):
        group.command()(command)
    app.add_typer(group, name="identity")


def show(identifier: Who, tenant: TenantName = "", as_json: AsJson = False) -> None:
    """Show the person of an identifier: its identifiers, and the records and rules that joined them or did not.

    Every link of the log is looked at by the limits that were in force at it. Exit code 1 when the log has not seen the identifier together
    with another one.
    """
    from cli import identity_views, stores
    from config import loader

    tenant, node = _node(tenant, identifier)
    found = _people(loader.identity(), tenant).find(node)
    if as_json:
        identity_views.print_json(found)
    elif found is None:
        print(f"{stores.shown_node(node)} has not been seen together with another identifier: it is a person by itself")
    else:
        identity_views.show_person(found)
    if found is None:
        raise typer.Exit(1)


def explain(one: Who, other: Who, tenant: TenantName = "", as_json: AsJson = False) -> None:
    """Tell why two identifiers are one person's: the records and rules that joined them. Or why they are not; exit code 1 then."""
    from cli import identity_views, stores
    from config import loader

    tenant, a = _node(tenant, one)
    _, b = _node(tenant, other)
    found = _people(loader.identity(), tenant).explain(a, b)
    if as_json:
        identity_views.print_json(found)
    else:
        identity_views.show_explained(stores.shown_node(a), stores.shown_node(b), found)
    if not found.is_one:
        raise typer.Exit(1)


def simulate(
    rules: Annotated[Path, typer.Option(help="An identity.yaml with other limits.", exists=True, dir_okay=False)],
    tenant: TenantName = "",
    as_json: AsJson = False,
) -> None:
    """Try other rules on every link, as if they had always held: how many people there would be, who would be joined and who parted.

    Limits and the order of namespaces take part; how values are read does not, since keys have been made already. Nothing is changed.
    """
    from cli import identity_views, stores
    from config import loader
    from operations.identity import People, without_limits

    tenant = stores.tenant_or_default(tenant)
    log = read_links()
    then = loader.identity(rules)
    found = People(loader.identity(), tenant, log).compare(People(then, tenant, without_limits(log)))
    if as_json:
        identity_views.print_json(found)
    else:
        identity_views.show_differs(found)


def link(one: Who, other: Who, reason: Reason = "", tenant: TenantName = "", dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """State that two identifiers are one person's. It stands above limits of namespaces and takes an `unlink` of the two back."""
    from pipelines.identity.link_log import BIND, Link

    tenant, a, b = _pair(tenant, one, other)
    _state(Link(**said(tenant, reason), a=a, b=b, rule=BIND), dry_run=dry_run, as_json=as_json)


def unlink(one: Who, other: Who, reason: Reason = "", tenant: TenantName = "", dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """State that two identifiers are not one person's: they part, whatever records show, until a `link` of the two."""
    from pipelines.identity.link_log import Unbind

    tenant, a, b = _pair(tenant, one, other)
    _state(Unbind(**said(tenant, reason), a=a, b=b), dry_run=dry_run, as_json=as_json)


def block(identifier: Who, reason: Reason = "", tenant: TenantName = "", dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """State that an identifier is nobody's, e.g. a shop's own device: it loses its links and gets no others."""
    from pipelines.identity.link_log import Block

    tenant, node = _node(tenant, identifier)
    _state(Block(**said(tenant, reason), node=node), dry_run=dry_run, as_json=as_json)


def release(identifier: Who, reason: Reason = "", tenant: TenantName = "", dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Let a blocked or shared identifier be somebody's again, by links that come from now on."""
    from pipelines.identity.link_log import Release

    tenant, node = _node(tenant, identifier)
    _state(Release(**said(tenant, reason), node=node), dry_run=dry_run, as_json=as_json)


def _state(record: "LogRecord", *, dry_run: bool, as_json: bool) -> None:
    """Write a statement to the link log, or only try it, and print what it leads to."""
    from cli import identity_views
    from config import loader
    from operations.controls import Publisher
    from operations.identity import People, Placed

    bootstrap = loader.platform().kafka.bootstrap
    written = None if dry_run else Publisher(bootstrap).state(record)
    log = [placed for placed in read_links() if written is None or placed.epoch < written or placed.record.tenant != record.tenant]
    people = People(loader.identity(), record.tenant, log)
    epoch = written or people.epoch + 1
    decisions = people.take(Placed(epoch, record))
    if as_json:
        identity_views.print_json({"epoch": None if dry_run else epoch, "decisions": decisions})
        return
    for decision in decisions:
        print(identity_views.told(decision))
    if not decisions:
        print("nothing changes: it is so already")
    elif dry_run:
        print("tried only: nothing was written")
    else:
        print(f"written as record {epoch} of the link log; profiles follow within a second")


def _pair(tenant: str, one: str, other: str) -> tuple[str, str, str]:
    tenant, a = _node(tenant, one)
    _, b = _node(tenant, other)
    if a == b:
        raise typer.BadParameter("both are the same identifier")
    return tenant, a, b


def _node(tenant: str, identifier: str) -> tuple[str, str]:
    from cli import stores
    from config import loader

    tenant = stores.tenant_or_default(tenant)
    node = stores.node_of(tenant, identifier)
    if node is None:
        raise typer.BadParameter(
            f"`{identifier}` identifies nobody: a placeholder, not of its namespace's form, or a namespace that is not in identity.yaml"
        )
    kinds = loader.identity().groups
    if node.split("|")[1] in kinds:
        raise typer.BadParameter(
            f"`{identifier}` is a group ({', '.join(kinds)}): groups are no people and join none; see `cdp profile get`"
        )
    return tenant, node


def _people(identity: "Identity", tenant: str) -> "People":
    from operations.identity import People

    return People(identity, tenant, read_links())
