"""`cdp explain`: why a customer is in a tag or a segment, or is not."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.options import TenantName, Who

if TYPE_CHECKING:
    from rich.tree import Tree

    from config.definitions import Definitions
    from operations.explain import Explanation
    from pipelines.rules.rule import Part
    from profile_store.profile import Profile


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("explain")(explain)


def explain(
    identifier: Who,
    rule: Annotated[str, typer.Argument(help="Name of a tag or segment; without it: all tags, and the customer's segment.")] = "",
    language: Annotated[str, typer.Option(help="Of the rule in words: english or chinese.")] = "english",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
    tenant: TenantName = "",
) -> None:
    """Say why a customer has a tag or fits a segment, or why not.

    The rules are those in force, the values those of the published profile: each part of a rule with its verdict and what was found.
    """
    import msgspec

    from cli import stores
    from cli.profile_commands import known
    from cli.terminal import safe_console
    from operations.explain import LANGUAGES
    from operations.explain import explain as look

    if language not in LANGUAGES:
        raise typer.BadParameter(f"`{language}` is none of {', '.join(LANGUAGES)}", param_hint="--language")
    owner = stores.tenant_or_default(tenant)
    definitions = stores.definitions_in_force()
    profile = known(stores.profiles(owner).get(identifier), identifier, owner)
    found = look(profile.fields, profile.at, definitions, rule)
    if as_json:
        whose = {"identifier": identifier, "profile_id": profile.profile_id, "at": profile.at, "version": list(profile.version)}
        print(msgspec.json.encode({**whose, "rules": found}).decode())
        return
    console = safe_console()
    for one in found:  # a tag and a segment may have one name
        if rule:
            _whole(console, identifier, one, definitions, language)
        else:
            _line(console, one, language)
    _when(console, profile)


def _whole(console: Any, identifier: str, found: "Explanation", definitions: "Definitions", language: str) -> None:
    """One rule with all its parts."""
    from operations.explain import sentence

    console.print(sentence(identifier, found), highlight=False, markup=False)
    console.print(tree(found.part))
    console.print(f"in words: {found.words[language]}", style="dim", highlight=False, markup=False)
    if written := newer_rule(found.name, found.kind, definitions):
        console.print(f"[yellow]{written}[/]")
    if found.shown is None:
        console.print("[yellow]The published profile was not judged by this rule yet: `cdp judge` judges everybody now.[/]")
    elif found.kind == "tag" and found.shown != found.holds:
        told = "has it" if found.shown else "does not have it"
        console.print(
            f"[yellow]The published profile {told}: it was judged by another version of the rule. `cdp judge` judges everybody now.[/]"
        )
    elif found.kind == "segment" and found.holds and not found.shown:
        console.print("An earlier segment of config/segments.yaml holds too, and the first that holds counts.", style="dim")


def _line(console: Any, found: "Explanation", language: str) -> None:
    from rich.markup import escape

    from operations.explain import values

    mark = "[green]✓[/]" if found.holds else "[red]✗[/]"
    console.print(f"{mark} [bold]{escape(found.name)}[/] ({found.kind}): {escape(found.words[language])}", highlight=False)
    because = "; ".join(f"{reason.text} {'✓' if reason.holds else '✗'} ({values(reason.found)})" for reason in found.reasons)
    console.print(f"  {because}", style="dim", highlight=False, markup=False)


def _when(console: Any, profile: "Profile") -> None:
    from cli.profile_card import moment

    console.print(f"values as of {moment(profile.at)} UTC, version {profile.version[0]}-{profile.version[1]}", style="dim")


def tree(part: "Part") -> "Tree":
    """The rule as a tree, each part with its verdict and the values it read."""
    from rich.tree import Tree

    root = Tree(_label(part), guide_style="dim")
    _grow(root, part)
    return root


def _grow(branch: "Tree", part: "Part") -> None:
    for inner in part.parts:
        _grow(branch.add(_label(inner)), inner)


def _label(part: "Part") -> str:
    from rich.markup import escape

    from operations.explain import values

    found: Mapping[str, Any] = part.found
    told = f"  [dim]({escape(values(found))})[/]" if found else ""
    return f"{'[green]✓[/]' if part.holds else '[red]✗[/]'} {escape(part.text)}{told}"


def newer_rule(name: str, kind: str, in_force: "Definitions") -> str:
    """What to say when config/ has another rule of this name than the one in force; empty when it has the same."""
    from config import loader

    def rule(definitions: "Definitions") -> str:
        rules = definitions.tags if kind == "tag" else definitions.segments
        return next((one.when for one in rules if one.name == name), "")

    try:
        written = rule(loader.definitions())
    except loader.ConfigError:
        return "config/ has mistakes (`cdp check`); this is the rule in force."
    if written == rule(in_force):
        return ""
    return (
        f"config/{kind}s.yaml says something else: `cdp job stop profiles && cdp job start profiles` applies it. This is the rule in force."
    )
