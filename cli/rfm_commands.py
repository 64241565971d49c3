"""`cdp rfm`: where the scores of recency, frequency and monetary value begin."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from cli.rfm_refresh import Outcome

rfm_app = typer.Typer(help="Where the scores of recency, frequency and monetary value begin.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(rfm_app, name="rfm")


@rfm_app.callback()
def rfm() -> None:
    """Where the scores of recency, frequency and monetary value begin."""


@rfm_app.command()
def refresh(
    once: Annotated[bool, typer.Option("--once", help="Look once and end (the default).")] = False,
    every: Annotated[float, typer.Option(help="Look again after this many seconds, until Ctrl-C.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, publish nothing.")] = False,
    wait: Annotated[float, typer.Option(help="Seconds to wait for the profiles to show it; 0: do not wait.")] = 60,
    tenant: Annotated[str, typer.Option(help="Only this tenant; default: all.")] = "",
) -> None:
    """Compute each tenant's quantiles; when one moved beyond the tolerance, publish new cut points and have profiles judged again."""
    from cli import stores
    from cli.terminal import safe_console
    from config import loader

    if once and every:
        raise typer.BadParameter("choose one of --once and --every")
    tenants = [stores.tenant_or_default(tenant)] if tenant else list(loader.platform().tenants)
    console = safe_console()
    try:
        while True:
            behind = sum(_refresh(console, name, dry_run, wait) for name in tenants)
            if not every:
                raise typer.Exit(1 if behind else 0)
            time.sleep(every)
    except KeyboardInterrupt:
        raise typer.Exit from None


def _refresh(console: "Console", tenant: str, dry_run: bool, wait_s: float) -> int:
    """Refresh one tenant; returns how many profiles did not follow in time."""
    from cli.rfm_refresh import carry_out, look
    from config import loader
    from operations.controls import Publisher
    from operations.progress import Progress
    from sinks.clickhouse import ClickHouse

    platform, definitions = loader.platform(), loader.definitions()
    with Progress("") as progress:
        outcome = look(ClickHouse(platform.clickhouse), platform, definitions, tenant, progress.say)
    if outcome is None:
        console.print(f"{tenant}: no customer with an order yet")
        return 0
    _show(console, outcome)
    count = len(outcome.customers) + len(outcome.guests)
    if not outcome.reasons:
        console.print(f"{tenant}: no cut point moved by more than {definitions.rfm.tolerance:.0%}; version {outcome.old.version} stays")
        return 0
    if dry_run:
        console.print(f"{tenant}: would publish version {outcome.new.version} and poke {count:,} profiles")
        return 0
    with Progress("") as progress:
        behind = carry_out(Publisher(platform.kafka.bootstrap), platform.redis.url, outcome, wait_s, progress.say)
    told = f"{tenant}: version {outcome.new.version} published, {count:,} profiles poked"
    if wait_s and behind:
        console.print(f"{told}; {len(behind):,} do not show it after {wait_s:.0f} s: is job `profiles` running (`cdp status`)?")
        return len(behind)
    console.print(f"{told}{', all show it' if wait_s else ''}")
    return 0


def _show(console: "Console", outcome: "Outcome") -> None:
    from rich.table import Table

    from config import loader

    old, new = outcome.old, outcome.new
    cuts = Table(
        "",
        f"version {old.version} (in force)",
        "computed now",
        title=f"cut points of {outcome.tenant}: {len(outcome.customers):,} customers with an order",
        title_justify="left",
    )
    for name in ("recency", "frequency", "monetary"):
        cuts.add_row(name, *("  ".join(f"{cut:g}" for cut in getattr(side, name)) for side in (old, new)))
    console.print(cuts)
    who = ", ".join(loader.identity().customers)
    console.print(f"a customer has an identifier of one of: {who} (config/identity.yaml)", style="dim")
    if outcome.guests:
        console.print(f"{len(outcome.guests):,} guests with an order are judged by these too, and counted in none of them", style="dim")
    if not outcome.reasons:
        return
    found = outcome.effect
    moves = Table(
        "segment", "before", "after", "come in", "go out", title=f"{len(found.moved):,} customers get another score", title_justify="left"
    )
    for name in sorted(found.before | found.after, key=lambda name: -found.after[name]):
        moves.add_row(name, *(f"{side[name]:,}" for side in (found.before, found.after, found.entering, found.leaving)))
    console.print(moves)
