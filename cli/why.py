"""Why a profile has a tag, or has it not: the rule's parts with the values found, and one sentence."""

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.tree import Tree

from config import loader
from config.definitions import Rule
from pipelines.rules.rule import Part


def tree(part: Part) -> Tree:
    """The rule as a tree, each part with its verdict and the values it read."""
    root = Tree(_label(part), guide_style="dim")
    _grow(root, part)
    return root


def _grow(branch: Tree, part: Part) -> None:
    for inner in part.parts:
        _grow(branch.add(_label(inner)), inner)


def _label(part: Part) -> str:
    found = f"  [dim]({escape(_values(part.found))})[/]" if part.found else ""
    return f"{'[green]✓[/]' if part.holds else '[red]✗[/]'} {escape(part.text)}{found}"


def _values(found: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {_value(value)}" for name, value in found.items())


def _value(value: Any) -> str:
    if value is None:
        return "nothing"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def reasons(part: Part) -> list[Part]:
    """The comparisons that decide: of a condition that holds those that make it hold, of one that does not those that prevent it."""
    if not part.parts:
        return [part]
    if len(part.parts) == 1:
        return reasons(part.parts[0])
    deciding = [inner for inner in part.parts if inner.holds == part.holds]
    return [reason for inner in deciding for reason in reasons(inner)]


def sentence(who: str, tag: str, says: str, part: Part) -> str:
    """One sentence that says why."""
    because = " and ".join(
        f"{reason.text} {'holds' if reason.holds else 'does not hold'} ({_values(reason.found)})" for reason in reasons(part)
    )
    meaning = f" ({says})" if says else ""
    return f"{who} {'has' if part.holds else 'does not have'} the tag {tag}{meaning}, because {because}."


def newer_rule(tag: str, in_force: Rule) -> str:
    """What to say when config/ has another rule for a tag than the one in force; empty when it has the same."""
    try:
        written = next((rule for rule in loader.definitions().tags if rule.name == tag), None)
    except loader.ConfigError:
        return "config/ has mistakes (`cdp check`); this is the rule in force."
    if written == in_force:
        return ""
    return "config/tags.yaml says something else: `cdp job stop profiles && cdp job start profiles` applies it. This is the rule in force."
