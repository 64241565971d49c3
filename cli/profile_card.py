"""The 360 card of a profile, for a terminal."""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cli import profile_traits
from cli.fitting import Fitted
from config.definitions import Definitions, Feature
from pipelines.audiences.rules import fingerprint
from profile_store.lookup import Personal
from profile_store.profile import Profile

LIVE_S = 86_400.0
DAY_S = 86_400.0
_SCORE_COLOURS = {0: "dim", 1: "red", 2: "yellow", 3: "white", 4: "green", 5: "bold green"}


def moment(ms: float | None) -> str:
    """A time in ms as text, `-` for none."""
    return "-" if ms is None else datetime.datetime.fromtimestamp(ms / 1000, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")


def number(value: Any) -> str:
    """A value for a table: thousands separated, two decimals where there are any, `-` for null."""
    if value is None:
        return "-"
    if isinstance(value, float) and not value.is_integer():
        return f"{value:,.2f}"
    return f"{value:,.0f}" if isinstance(value, int | float) else str(value)


def lasting(seconds: float) -> str:
    """A duration as people say it: `0.3 s`, `41 s`, `12 min`, `5 h 20 min`, `8 days`, `1 year 20 days`."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 and seconds != int(seconds) else f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    if seconds < 2 * DAY_S:
        hours, minutes = divmod(round(seconds / 60), 60)
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days = seconds / DAY_S
    if days < 10 and round(days, 1) != round(days):
        return f"{days:.1f} days"
    years, rest = divmod(round(days), 365)
    said = [f"{years} year{'' if years == 1 else 's'}"] if years else []
    return " ".join([*said, f"{rest} day{'' if rest == 1 else 's'}"] if rest or not years else said)


def card(
    profile: Profile,
    identifiers: Sequence[str],
    definitions: Definitions,
    currency: str,
    now_s: float,
    log_now_ms: int | None,
    personal: Personal | None = None,
) -> RenderableType:
    """Draw a profile, of a person or of a group.

    Args:
        profile: as read from the store.
        identifiers: how the customer is known, ready to show.
        definitions: windows, tags and what they say.
        currency: of amounts.
        now_s: wall clock.
        log_now_ms: newest log time known, where a replay of old data makes the wall clock meaningless.
        personal: the personal traits in clear; None: only their names are shown.
    """
    parts = [_head(profile, identifiers)]
    if profile.text("kind") is None:  # groups have neither scores nor windows (docs/traits.md)
        parts += [_rfm(profile), _rhythm(profile, currency), _tags(profile, definitions)]
        parts += [Text(), Fitted(_windows(profile.fields, definitions, currency)), Text(), _likes(profile.fields)]
    parts += _traits(profile.fields, personal)
    parts.append(Text(_freshness(profile, now_s, log_now_ms), style="dim"))
    return Panel(Group(*parts), title=f"profile {profile.profile_id}", subtitle=f"tenant {profile.tenant}", expand=False, padding=(1, 2))


def _head(profile: Profile, identifiers: Sequence[str]) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    shown = list(identifiers[:6])
    more = f" and {len(identifiers) - 6} more" if len(identifiers) > 6 else ""
    grid.add_row("[bold]known as[/]", Text(", ".join(shown) + more))
    kind, groups = profile.text("kind"), profile_traits.groups(profile.fields)
    if kind is not None:
        grid.add_row("[bold]kind[/]", Text(kind))
        grid.add_row("[bold]members[/]", number(profile.number("members")))
    grid.add_row("[bold]seen[/]", f"{moment(profile.number('first_seen_at'))} … {moment(profile.number('last_seen_at'))}")
    if groups:
        grid.add_row("[bold]groups[/]", Text(groups))
    return grid


def _traits(fields: Mapping[str, Any], personal: Personal | None) -> Iterator[RenderableType]:
    """What sources say; nothing of a profile without traits."""
    if rows := profile_traits.public(fields):
        yield from (Text(), Fitted(_trait_table("trait", rows)))
    sealed = profile_traits.sealed_names(fields)
    if personal:
        yield from (Text(), Fitted(_trait_table("personal", profile_traits.personal(fields, personal))))
    elif personal is not None:
        yield Text("personal: none")
    elif sealed:
        yield Text(f"personal: {', '.join(sealed)} (sealed; --personal shows them)")


def _trait_table(title: str, rows: Sequence[profile_traits.Row]) -> Table:
    table = Table(title, "value", "source", "since", box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*map(Text, (row.name, row.value, row.source, moment(row.at) if row.source else "")))
    return table


def _rfm(profile: Profile) -> RenderableType:
    line = Text()
    for letter, name in (("R", "r_score"), ("F", "f_score"), ("M", "m_score")):
        score = int(profile.number(name) or 0)
        line.append(f"{letter} {score}  ", style=_SCORE_COLOURS.get(score, ""))
    line.append(profile.text("rfm_segment") or "", style="bold cyan")
    if profile.number("orders_lifetime"):  # without an order no cut point is asked
        line.append(f"  (by cut points version {number(profile.number('rfm_version'))})", style="dim")
    return line


def _rhythm(profile: Profile, currency: str) -> RenderableType:
    basket, mean, since = (profile.number(name) for name in ("average_basket", "mean_interpurchase_days", "recency_days"))
    if since is None:
        return Text("no order yet")
    said = [f"basket {number(basket)} {currency}", f"an order every {lasting(mean * DAY_S)}" if mean else "one order"]
    return Text(", ".join([*said, f"the last one {lasting(since * DAY_S)} before"]) + " (at the moment below)")


def _tags(profile: Profile, definitions: Definitions) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    holding = set(profile.tags)
    for rule in definitions.tags:
        if rule.name in holding:
            grid.add_row("[bold]tag[/]", f"[green]{rule.name}[/]", Text(rule.says))
    absent = [rule.name for rule in definitions.tags if profile.fields.get(f"tag:{rule.name}") == 0]
    unknown = [rule.name for rule in definitions.tags if rule.name not in holding and rule.name not in absent]
    lines: list[RenderableType] = [grid] if holding else []
    if absent:
        lines.append(Text(f"not  {', '.join(absent)}", style="dim"))
    if unknown:
        lines.append(Text(f"not judged yet  {', '.join(unknown)}: `cdp judge` judges everybody now", style="yellow"))
    elif profile.fields.get("rules_version") not in (None, fingerprint(definitions)):
        lines.append(Text("judged by other rules than those in force: `cdp judge` judges everybody now", style="yellow"))
    return Group(*lines)


def _windows(fields: Mapping[str, Any], definitions: Definitions, currency: str) -> Table:
    features = definitions.features.features
    windows = list(dict.fromkeys(window for feature in features for window in feature.windows))
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("the last")
    series = definitions.features.series
    of_ledger = {feature.name for feature in features if (source := series.get(feature.series)) is not None and source.ledger}
    money = {feature.name for feature in features if feature.measure in ("amount", "average") and feature.name in of_ledger}
    money |= {feature.name for feature in features if set(feature.difference) & money}
    shown = [feature for feature in features if len(feature.windows) > 1]
    for feature in shown:
        table.add_column(f"{feature.name} ({currency})" if feature.name in money else feature.name, justify="right")
    for window in windows:
        values = (_shown(feature, fields.get(f"{feature.name}_{window}")) if window in feature.windows else "" for feature in shown)
        table.add_row(window, *map(Text, values))
    return table


def _shown(feature: Feature, value: Any) -> str:
    """A windowed value: a time as a date, a set as a list; texts come from events, so they are no markup."""
    if feature.measure in ("first_time", "last_time"):
        return moment(value)
    return ", ".join(map(str, value)) or "-" if isinstance(value, list) else number(value)


def _likes(fields: Mapping[str, Any]) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    products = fields.get("top_products") or []
    if products:
        grid.add_row("[bold]top products[/]", Text(", ".join(f"{name} ({number(units)})" for name, units in products)))
    channels: dict[str, int] = fields.get("channels") or {}
    total = sum(channels.values())
    if total:
        ordered = sorted(channels.items(), key=lambda pair: -pair[1])
        grid.add_row("[bold]channels[/]", Text(", ".join(f"{name} {count / total:.0%}" for name, count in ordered)))
    grid.add_row(
        "[bold]activity[/]", f"{number(fields.get('sessions'))} sessions, {number(fields.get('interactions_30d'))} interactions in 30 days"
    )
    return grid


def _freshness(profile: Profile, now_s: float, log_now_ms: int | None) -> str:
    version = f"version {profile.version[0]}-{profile.version[1]}"
    age_s = profile.age_s(now_s)
    if age_s < LIVE_S:
        return f"true for {moment(profile.at)} UTC, {age_s:.1f} s ago; {version}"
    behind = ""
    if log_now_ms is not None:
        behind = f", {lasting(max(0.0, (log_now_ms - profile.at) / 1000))} before the newest event of the log"
    return f"true for {moment(profile.at)} UTC (log time{behind}); {version}"
