"""`cdp profile`: one customer, seen from all sides."""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import TenantName, Who

if TYPE_CHECKING:
    from profile_store.client import Client
    from profile_store.lookup import Personal
    from profile_store.profile import Profile

profile_app = typer.Typer(help="One customer, seen from all sides.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(profile_app, name="profile")


class UnknownProfileError(LookupError):
    """Nobody is known under the identifier."""


@profile_app.command()
def get(
    identifier: Who,
    as_json: Annotated[bool, typer.Option("--json", help="Print the fields as JSON.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show each change as it comes, until Ctrl-C.")] = False,
    personal: Annotated[bool, typer.Option("--personal", help="Personal traits in clear; takes this installation's key.")] = False,
    tenant: TenantName = "",
) -> None:
    """Show a customer, or a group, as marketing systems see it: live, from Redis."""
    from cli import stores

    owner = stores.tenant_or_default(tenant)
    client = stores.profiles(owner)
    reveal = _revealer(client, identifier, owner) if personal else _nothing
    if not watch:
        _show(identifier, known(client.get(identifier), identifier, owner), as_json, reveal)
        return
    try:
        _follow(identifier, client.watch(identifier), as_json, reveal)
    except KeyboardInterrupt:
        raise typer.Exit from None


@profile_app.command()
def history(
    identifier: Who,
    fields: Annotated[str, typer.Option(help="Fields to show, separated by commas.")] = "rfm_segment,orders_lifetime,net_lifetime",
    every: Annotated[bool, typer.Option("--all", help="Every version, not only those in which a shown field or a tag changed.")] = False,
    last: Annotated[int, typer.Option(help="At most this many lines, the newest.")] = 30,
    tenant: TenantName = "",
) -> None:
    """Show how a customer came to be as it is: versions over time, from ClickHouse."""
    from rich.table import Table
    from rich.text import Text

    from cli import stores
    from cli.profile_card import number
    from cli.profile_history import versions
    from cli.terminal import safe_console

    owner, names = stores.tenant_or_default(tenant), [name.strip() for name in fields.split(",") if name.strip()]
    node = stores.node_of(owner, identifier)
    found = list(versions(stores.history(), owner, node or "", names, every))
    if not found:
        known(stores.profiles(owner).get(identifier), identifier, owner)
        raise UnknownProfileError(
            f"`{identifier}` is live and not in the history of tenant {owner} yet; is job `history` running (`cdp status`)?"
        )
    table = Table("at (UTC)", "version", "why", box=None, header_style="bold", pad_edge=False)
    for name in names:
        texts = any(isinstance(version.fields.get(name), str) for version in found)
        table.add_column(name, justify="left" if texts else "right")
    for version in found[-last:]:
        tags = [*(f"[green]+{tag}[/]" for tag in version.entered), *(f"[red]-{tag}[/]" for tag in version.exited)]
        values = (Text(number(version.fields.get(name))) for name in names)
        table.add_row(version.at[:-3], version.version, " ".join([version.cause, *tags]), *values)
    console = safe_console()
    console.print(table)
    if len(found) > last:
        console.print(f"{len(found) - last} earlier ones not shown; --last shows more", style="dim")


@profile_app.command()
def rebuild() -> None:
    """Write every profile's newest change from Kafka into Redis; what Redis holds newer stays."""
    from cli.profile_rebuild import rebuild as run
    from operations.progress import Progress

    with Progress("reading cdp.profile.changes") as progress:
        result = run(progress.say)
    print(f"{result.written:,} profiles written, {result.stale:,} were newer in Redis already")


def known(profile: "Profile | None", identifier: str, tenant: str) -> "Profile":
    """The profile, if there is one.

    Raises:
        UnknownProfileError: nobody is known by this identifier.
    """
    if profile is None:
        raise UnknownProfileError(f"nobody is known as `{identifier}` in tenant {tenant}; try `cdp tail` to see who passes")
    return profile


def _nothing() -> "Personal | None":
    """Personal traits stay sealed."""
    return None


def _revealer(client: "Client", identifier: str, tenant: str) -> "Callable[[], Personal | None]":
    """What reads the personal traits of an identifier as they are now, and opens them."""
    from cli.profile_personal import opener

    opened = opener(tenant)
    return lambda: opened(client.personal(identifier) or {})


def _show(identifier: str, profile: "Profile", as_json: bool, reveal: "Callable[[], Personal | None]") -> None:
    from cli.terminal import safe_console

    if as_json:
        print(_json(profile, reveal()))
    else:
        safe_console().print(_card(identifier, profile, reveal()))


def _follow(identifier: str, profiles: "Iterator[Profile | None]", as_json: bool, reveal: "Callable[[], Personal | None]") -> None:
    from rich.live import Live

    from cli.terminal import safe_console

    console = safe_console()
    if as_json or not console.is_terminal:
        for profile in profiles:
            if profile is not None:
                _show(identifier, profile, as_json, reveal)
        return
    with Live(console=console, auto_refresh=False) as live:
        for profile in profiles:
            live.update(_card(identifier, profile, reveal()) if profile else f"nobody is known as {identifier} yet; waiting", refresh=True)


def _json(profile: "Profile", personal: "Personal | None") -> str:
    import msgspec

    version = f"{profile.version[0]}-{profile.version[1]}"
    head = {"tenant": profile.tenant, "profile_id": profile.profile_id, "version": version, "at": profile.at}
    revealed = {} if personal is None else {"personal": personal}
    return msgspec.json.encode({**head, "fields": profile.fields, **revealed}).decode()


def _card(identifier: str, profile: "Profile", personal: "Personal | None") -> Any:
    from cli import stores
    from cli.profile_card import card
    from cli.profile_history import background
    from config import loader

    known = background(stores.history(), profile.tenant, profile.profile_id)
    nodes = [stores.shown_node(node) for node in known.nodes] or [identifier]
    currency = loader.platform().tenants[profile.tenant].currency
    return card(profile, nodes, loader.definitions(), currency, time.time(), known.log_now_ms, personal)
