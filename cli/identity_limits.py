"""`cdp identity rules | apply`: the limits of the identity graph, and putting others in force while it runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.identity_log import read_links, said
from cli.options import AsJson, DryRun, Reason, TenantName

if TYPE_CHECKING:
    from config.identity import Identity
    from operations.identity_plan import Plan


def rules(tenant: TenantName = "", as_json: AsJson = False) -> None:
    """Show the limits in force, since when, and which of them config/identity.yaml has otherwise."""
    from cli import identity_views, stores
    from config import loader
    from operations.identity_limits import in_force
    from pipelines.identity.limits import changes, configured

    tenant, identity = stores.tenant_or_default(tenant), loader.identity()
    found = in_force(identity, tenant, read_links())
    differs = changes(found.limits, configured(identity, tenant))
    if as_json:
        identity_views.print_json({"tenant": tenant, "in_force": found, "differs": differs})
    else:
        identity_views.show_limits(tenant, found, differs)


def apply(
    rules: Annotated[
        Path | None, typer.Option(help="A file like config/identity.yaml; by default that one.", exists=True, dir_okay=False)
    ] = None,
    past: Annotated[bool, typer.Option("--past", help="Judge what was decided before by these limits too.")] = False,
    dry_run: DryRun = False,
    reason: Reason = "",
    tenant: TenantName = "",
    as_json: AsJson = False,
) -> None:
    """Put the limits of config/identity.yaml in force, while all runs. First shows what is different, and what it means for the past.

    Without --past, links that come from then on are judged by them, and a person stays as it is until such a link is in conflict with it.
    With --past, persons that exceed are looked at anew, then links that were kept out and need not be are proposed again. Ctrl-C leaves a
    sound log; the same command does the rest.
    """
    from cli import identity_views, stores
    from config import loader
    from operations.identity import People
    from operations.identity_limits import in_force
    from operations.identity_plan import Asked, plan
    from operations.progress import Progress
    from pipelines.identity.limits import configured

    tenant, identity = stores.tenant_or_default(tenant), loader.identity()
    wanted = loader.identity(rules) if rules else identity
    _tell_other_keys(identity, wanted)
    log = read_links()
    with Progress("links kept out, tried") as progress:
        people = People(identity, tenant, log)
        found = plan(people, in_force(identity, tenant, log), configured(wanted, tenant), Asked(**said(tenant, reason)), progress.at)
    if not as_json:
        identity_views.show_plan(tenant, found, with_past=past)
    written = None if dry_run else _carry_out(found, with_past=past)
    if as_json:
        records = {"rules": found.rules is not None, "past": len(found.records)}
        first, last = written or (None, None)
        identity_views.print_json({"first": first, "last": last, "changed": found.changed, "past": found.past, "records": records})
    elif not found.rules and not (past and found.records):
        print("nothing was written")
    elif written is None:
        print("tried only: nothing was written")
    else:
        first, last = written
        place = f"record {first}" if first == last else f"records {first} to {last}"
        print(f"written as {place} of the link log; profiles follow within {'a second' if first == last else 'seconds'}")


def _carry_out(found: "Plan", *, with_past: bool) -> tuple[int, int] | None:
    import sys

    from config import loader
    from operations.controls import Publisher
    from operations.identity_plan import carry_out
    from operations.progress import Progress

    reached = 0

    def at(done: int, of: int) -> None:
        nonlocal reached
        reached = done
        progress.at(done, of)

    try:
        with Progress("records written") as progress:
            return carry_out(Publisher(loader.platform().kafka.bootstrap), found, with_past=with_past, tell=at)
    except KeyboardInterrupt:
        print(f"stopped after {reached:,} records that change the past; the same command does the rest", file=sys.stderr)
        raise typer.Exit(130) from None


def _tell_other_keys(identity: "Identity", wanted: "Identity") -> None:
    """What a file says of keys is read by the processes when they start, and is not put in force here."""
    import sys

    kinds = [[(space.name, space.pii, space.normalise) for space in one.namespaces] for one in (identity, wanted)]
    if kinds[0] != kinds[1]:
        print("the file has other namespaces, or another order of them: that is not put in force here, limits are", file=sys.stderr)
