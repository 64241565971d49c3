"""`cdp object`: an order, refund, ticket or lead: whose it is, what stages it has reached, what was told of it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import AsJson, TenantName

if TYPE_CHECKING:
    from sinks.clickhouse import ClickHouse

LAST = 30


class UnknownObjectError(LookupError):
    """Nothing was told of the object; the message says what to do."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Orders, refunds, tickets and leads: whose they are and what was told of them.", no_args_is_help=True)
    group.command("get")(get)
    app.add_typer(group, name="object")


def get(
    name: Annotated[str, typer.Argument(help="Kind and id, e.g. order:536365, ticket:T-17.")],
    issuer: Annotated[str, typer.Option(help="Whose number it is, where a source has an `issuer`; default: the tenant's own.")] = "",
    last: Annotated[int, typer.Option(help="At most this many records, the newest.")] = LAST,
    tenant: TenantName = "",
    as_json: AsJson = False,
) -> None:
    """Show an object: its owner, when it came to which stage, who owned it before, and the records that told of it. From ClickHouse."""
    import json

    from cli import stores

    kind, colon, number = name.partition(":")
    if not (kind and colon and number):
        raise typer.BadParameter(f"`{name}` is not kind:id, e.g. order:536365")
    owner = stores.tenant_or_default(tenant)
    found = _found(stores.history(), owner, kind, issuer, number)
    if as_json:
        print(json.dumps(found))
    else:
        _show(found, last)


def _found(server: "ClickHouse", tenant: str, kind: str, issuer: str, number: str) -> dict[str, Any]:
    """All that is known of an object.

    Raises:
        UnknownObjectError: nothing is.
    """
    named = {"tenant": tenant, "kind": kind, "issuer": issuer, "number": number}
    where = "tenant = {tenant:String} AND kind = {kind:String} AND object_id = {number:String}"
    at = "toUnixTimestamp64Milli(log_time) AS at"
    versions = server.rows(
        f"SELECT version, node, stages, message_id, {at} FROM objects WHERE {where} AND issuer = {{issuer:String}} ORDER BY version", named
    )
    records = server.rows(
        "SELECT toUnixTimestamp64Milli(event_time) AS at, name, message_id, node, late, origin, JSONExtract(properties, 'total', "
        "'Nullable(Float64)') AS total FROM events WHERE tenant = {tenant:String} AND object = {object:String} "
        "ORDER BY event_time, log_time, offset",
        {"tenant": tenant, "object": f"{kind}|{issuer}|{number}"},
    )
    if not versions and not records:
        others = server.rows(f"SELECT DISTINCT issuer FROM objects WHERE {where} ORDER BY issuer LIMIT 5", named)
        if others:
            known = " or ".join(f"--issuer {row['issuer']}" if row["issuer"] else "no --issuer" for row in others)
            raise UnknownObjectError(f"no {kind} {number} of this issuer in tenant {tenant}; try it with {known}")
        raise UnknownObjectError(
            f"no {kind} {number} in tenant {tenant}; kinds are those of `object` in the contracts (docs/objects.md), and one is here once "
            "job `history` has loaded it (`cdp status`)"
        )
    newest: dict[str, Any] = versions[-1] if versions else {"node": "", "stages": {}, "version": 0}
    owner = newest["node"]
    return {
        "tenant": tenant,
        "kind": kind,
        "issuer": issuer,
        "id": number,
        "owner": owner,
        "profile_id": _profile(server, tenant, owner) if owner else "",
        "version": newest["version"],
        "stages": {stage: int(ms) for stage, ms in sorted(newest["stages"].items(), key=lambda item: int(item[1]))},
        "owners": _owners(versions),
        "records": records,
    }


def _owners(versions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Who owned it, from when on, by which record."""
    found: list[dict[str, Any]] = []
    for version in versions:
        if version["node"] and (not found or found[-1]["node"] != version["node"]):
            found.append({"node": version["node"], "at": version["at"], "message_id": version["message_id"]})
    return found


def _profile(server: "ClickHouse", tenant: str, node: str) -> str:
    from pipelines.identity.nodes import profile_of

    rows = server.rows(
        "SELECT profile_id FROM identity_moves WHERE tenant = {tenant:String} AND node = {node:String}", {"tenant": tenant, "node": node}
    )
    return str(rows[0]["profile_id"]) if rows else profile_of(node)


def _show(found: dict[str, Any], last: int) -> None:
    from rich.table import Table
    from rich.text import Text

    from cli import stores
    from cli.profile_card import lasting, moment, number
    from cli.terminal import plain_console, shown

    console = plain_console()
    whose = f", number of {found['issuer']}" if found["issuer"] else ""
    console.print(f"{found['kind']} {shown(found['id'])}{whose}, tenant {found['tenant']}")
    if found["owner"]:
        console.print(f"owner    {shown(stores.shown_node(found['owner']))}, profile {found['profile_id']}")
    else:
        console.print("owner    none yet: no record that names somebody was told of it")
    for one in found["owners"][:-1]:
        console.print(f"before   {shown(stores.shown_node(one['node']))}, from {moment(one['at'])} on")
    first = next(iter(found["stages"].values()), 0)
    if found["stages"]:
        table = Table("stage", "at (UTC)", "after", box=None, header_style="bold", pad_edge=False)
        for stage, ms in found["stages"].items():
            table.add_row(stage, moment(ms), "" if ms == first else lasting((ms - first) / 1000))
        console.print(table)
    table = Table("told at (UTC)", "event", "by", "total", box=None, header_style="bold", pad_edge=False)
    for one in found["records"][-last:]:
        who = stores.shown_node(one["node"]) if one["node"] else "nobody"
        total = "" if one["total"] is None else number(one["total"])
        table.add_row(moment(int(one["at"])), Text(one["name"] + (" (late)" if one["late"] else "")), Text(shown(who)), total)
    console.print(table)
    if len(found["records"]) > last:
        console.print(f"{len(found['records']) - last} earlier ones not shown; --last shows more")
