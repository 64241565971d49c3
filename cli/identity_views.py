"""What the commands of `cdp identity` show: a person, why two identifiers are one or not, what other limits change, what was decided."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from rich.table import Table
from rich.text import Text

from cli import stores
from cli.profile_card import moment
from cli.terminal import plain_console, shown
from operations.identity import Differs, Explained, Person, Tied, Turned
from operations.identity_limits import InForce
from operations.identity_plan import Past, Plan
from pipelines.identity.graph import LIMITS, Decision
from pipelines.identity.limits import Change

_STATUS: Final = {"shared": "shared by many: nobody's", "blocked": "blocked: nobody's"}


def print_json(found: Any) -> None:
    """Anything as one line of JSON."""
    print(msgspec.json.encode(found).decode())


def show_person(found: Person) -> None:
    """A person: its identifiers, what joined them and what did not."""
    console = plain_console()
    console.print(f"person {found.profile_id}: {counted(len(found.nodes), 'identifier')}")
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


def _links(links: Iterable[Tied | Turned]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("identifier", "and", "rule", "at (UTC)", "record"):
        table.add_column(column)
    for link in links:
        what = getattr(link, "what", "")
        rule = f"{what}: {link.rule}" if what else link.rule
        table.add_row(stores.shown_node(link.a), stores.shown_node(link.b), rule, moment(link.at), Text(shown(link.cause)))
    return table


def show_explained(a: str, b: str, found: Explained) -> None:
    """Why two identifiers, as people write them, are one person's or not."""
    console = plain_console()
    if found.is_one and not found.path:
        console.print(f"{a} is one identifier")
    elif found.is_one:
        console.print(f"{a} and {b} are one person: {counted(len(found.path), 'link')} from the one to the other")
        console.print(_links(found.path))
    elif found.turned:
        console.print(f"{a} and {b} are two persons: {counted(len(found.turned), 'link')} between them not in force")
        console.print(_links(found.turned))
        console.print('\nRules: docs/identity.md, "What a limit does".')
    else:
        console.print(f"{a} and {b} are two persons: no record shows the one's identifiers together with the other's")


def show_differs(found: Differs) -> None:
    """What other rules would change."""
    console = plain_console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for column in ("now", "then"):
        table.add_column(column, justify="right")
    table.add_row("identifiers", f"{found.nodes:,}", f"{found.nodes:,}")
    table.add_row("people", f"{found.people:,}", f"{found.people_then:,}")
    table.add_row("links refused", f"{found.refused:,}", f"{found.refused_then:,}")
    console.print(table)
    who = f"{counted(found.concerned, 'person')} of now with {counted(found.moved, 'identifier')}" if found.concerned else "nobody"
    console.print(f"{who} would be together with others than now")
    for title, examples in (("would be one person", found.joined), ("would be several", found.parted)):
        for parts in examples:
            console.print(f"{title}: " + " | ".join(", ".join(map(stores.shown_node, part)) for part in parts), soft_wrap=True)


def counted(number: int, what: str) -> str:
    """A number and what it counts."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def show_limits(tenant: str, found: InForce, differs: list[Change]) -> None:
    """The limits in force, since when, and which of them config/identity.yaml has otherwise."""
    console = plain_console()
    if found.epoch:
        console.print(f"limits of {tenant} since record {found.epoch} of the link log, {moment(found.at)} ({shown(found.reason)})")
    else:
        started = "config/identity.yaml as job `profiles` has read it when it started"
        console.print(f"the link log of {tenant} says no limits: it goes by {started}; `cdp identity apply` writes them to it")
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("namespace")
    for column in ("most", "within days", "shared after"):
        table.add_column(column, justify="right")
    for name, one in found.limits.namespaces.items():
        table.add_row(name, _limit(one.most), _limit(one.days), _limit(one.shared_after))
    table.add_row("all together", _limit(found.limits.most_identifiers), "", "")
    console.print(table)
    if differs:
        console.print("\nconfig/identity.yaml has others; `cdp identity apply` puts them in force")
        _show_changes(differs, "in force", "in the file")


def show_plan(tenant: str, found: Plan, *, with_past: bool) -> None:
    """What other limits would change: the limits, and of the past."""
    console = plain_console()
    if found.changed:
        console.print(f"limits of {tenant}")
        _show_changes(found.changed, "now", "then")
    elif found.rules:
        console.print(f"the link log of {tenant} says no limits yet: these come into it")
    else:
        console.print(f"nothing changes for what comes: these limits of {tenant} are in force already")
    if not found.records:
        console.print("of the past they change nothing")
        return
    console.print(f"\n{'the past is judged anew' if with_past else 'the past stays as it is; with --past it would be judged anew'}")
    console.print(_in_words(found.past))
    show_differs(found.past.differs)


def _in_words(past: Past) -> str:
    parts = (
        (past.settled, f"{counted(past.settled, 'person')} looked at anew"),
        (past.released, f"{counted(past.released, 'identifier')} not shared any more"),
        (past.proposed, f"{counted(past.proposed, 'link')} proposed again"),
    )
    return ", ".join(text for number, text in parts if number)


def _show_changes(changes: list[Change], before: str, now: str) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("limit")
    for column in (before, now):
        table.add_column(column, justify="right")
    for change in changes:
        table.add_row(change.limit, _limit(change.before), _limit(change.now))
    plain_console().print(table)


def _limit(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def told(decision: Decision) -> str:
    """A decision as a line."""
    if decision.what == LIMITS:
        return f"other limits are in force{f': {decision.rule}' if decision.rule else ''}"
    who = " and ".join(stores.shown_node(node) for node in (decision.a, decision.b) if node)
    by = f" ({decision.rule})" if decision.rule else ""
    profiles = {
        "merged": f"profile {decision.other_profile} becomes part of {decision.profile_id}",
        "split": f"{who} leaves profile {decision.other_profile} and begins {decision.profile_id}",
        "moved": f"{who} belongs to profile {decision.profile_id}, before to {decision.other_profile}",
    }
    return profiles.get(decision.what) or f"{who}: {decision.what}{by}"
