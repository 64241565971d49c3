"""What the commands show on a terminal. Names come from strangers: they are never taken for markup."""

from collections.abc import Mapping, Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.quality.report import Line
from cli.quality.story import Story, Value
from cli.terminal import hanging, shown
from pipelines.quality.alerts import Alert
from pipelines.quality.messages import moment_of, subject
from pipelines.quality.slices import slice_of, words

WORST: Final = 20
HOUR: Final = 60
_COLOURS: Final = {"missed": "bold red", "below": "yellow", "ok": "green", "none": "dim"}
_BARS: Final = "▁▂▃▄▅▆▇█"


def show_lines(console: Console, found: Sequence[Line], end: int, minutes: int, everything: bool) -> None:
    """The questions, the worst first, and where to look."""
    wrong = [line for line in found if line.verdict == "missed" or line.alert]
    missed = sum(line.verdict == "missed" for line in found)
    below = sum(line.verdict == "below" for line in found)
    alerted = len({line.alert for line in found if line.alert})
    sources = len({(line.tenant, line.origin or line.topic) for line in found})
    console.print(
        f"{len(found)} questions to {sources} sources over {minutes} min up to {moment_of(end)}: "
        f"{missed} below their goal for certain, {below} perhaps; {alerted or 'no'} open alert{'s' if alerted != 1 else ''} about them"
    )
    if not found:
        return
    table = _table("source", "event", "measure", "field", right=("share", "goal", "n", "trend"))
    table.add_column("most of it from")
    rows = found if everything else found[: max(len(wrong) + below, WORST)]
    for line in rows:
        names = (line.origin or line.topic, line.event or "(all)", line.measure, line.field or "-")
        share = Text(_percent(line.share), _COLOURS["missed" if line.alert else line.verdict])
        table.add_row(*map(_plain, names), share, _percent(line.goal), f"{line.total:,}", _trend(line), _plain(_cause(line)))
    console.print(table)
    if len(rows) < len(found):
        console.print(f"... and {len(found) - len(rows)} more: --all", style="dim")
    for line in wrong:
        if line.look:
            _show_look(console, line)


def _show_look(console: Console, line: Line) -> None:
    about = f"{line.origin or line.topic}: {line.measure} of {line.event or 'all events'}{f'.{line.field}' if line.field else ''}"
    console.print()
    console.print(Text.assemble((shown(about), "bold"), f", alert {line.alert}" if line.alert else ""))
    for one in [*([f"cdp quality why {line.alert}"] if line.alert else []), *line.look]:
        console.print(_plain(f"  {one}"), soft_wrap=True)


def show_alerts(console: Console, found: Sequence[Alert], failed: Mapping[str, list[str]], everything: bool) -> None:
    """Alerts, the newest first."""
    if not found:
        console.print("no alerts" if everything else "no open alerts; --all shows closed ones")
        return
    table = _table("id", "opened (UTC)", "state", "what", "cause", right=("before", "after"))
    for column in ("last change", "undelivered to"):
        table.add_column(column)
    for alert in sorted(found, key=lambda one: (one.opened, one.id), reverse=True):
        state = alert.why if alert.change == "closed" else "open"
        colour = "dim" if alert.change == "closed" else "bold red" if alert.kind == "drop" else "yellow"
        about = subject(alert.group) + (f" at {alert.origin}" if alert.origin else "")
        table.add_row(
            alert.id,
            moment_of(alert.opened + 1),
            Text(f"{alert.kind}, {state}", colour),
            _plain(about),
            _plain(words(alert.causes[0].slice)),
            _percent(alert.before),
            _percent(alert.after),
            moment_of(alert.minute + 1),
            _plain(", ".join(failed.get(alert.id, []))),
        )
    console.print(table)


def show_story(console: Console, story: Story) -> None:
    """All about one alert."""
    changes = Table.grid(padding=(0, 2))
    for at, change, said in story.changes:
        changes.add_row(Text(at, "dim"), Text(change, "bold"), _plain(said))
    console.print(changes)
    _title(console, "causes", "share of what is missing; before and after")
    for cause in story.alert["causes"]:
        place, numbers = words(slice_of(cause["where"].items())), f"{_percent(cause['before'])} -> {_percent(cause['after'])}"
        console.print(hanging(_plain(f"{place}: {cause['share']:.0%} ({numbers}, n={cause['events']:,})")))
    _title(console, "the first of them, minute by minute", f"from {story.first_minute}, an hour a line")
    for one in _bars(story.shares):
        console.print(f"  {one}", markup=False, highlight=False)
    if story.values:
        console.print()
        console.print(_values_table(story.values))
    if story.reasons:
        _title(console, "rejected in the meantime")
        for reason in story.reasons:
            console.print(hanging(_plain(f"{reason.records:,} x {reason.field}: {reason.rule}")))
    if story.deliveries:
        _title(console, "told to")
        for channel, what in story.deliveries.items():
            console.print(hanging(_plain(f"{channel}: {what}")))
    _title(console, "look further")
    for one in story.look:
        console.print(_plain(f"  {one}"), soft_wrap=True)


def _values_table(values: Sequence[Value]) -> Table:
    table = _table("dimension", "value", right=("before", "after", "n", "of what is missing"))
    for value in values:
        numbers = (_percent(value.before), _percent(value.after), f"{value.events:,}", f"{value.missing:.0%}")
        table.add_row(value.dimension, _plain(value.value or "(unknown)"), *numbers)
    return table


def _title(console: Console, title: str, rest: str = "") -> None:
    console.print()
    console.print(Text.assemble((title, "bold"), f" ({rest})" if rest else ""))


def _table(*columns: str, right: Sequence[str] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column)
    for column in right:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _plain(text: str) -> Text:
    return Text(shown(text))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}" if share < 0.99 or share >= 1 else f"{share:.2%}"


def _trend(line: Line) -> str:
    if line.before is None:
        return "new"
    points = (line.share - line.before) * 100
    return "=" if abs(points) < 0.05 else f"{'↑' if points > 0 else '↓'} {abs(points):.1f}"


def _cause(line: Line) -> str:
    if not line.cause:
        return ""
    share = f" ({line.cause_share:.0%})" if line.cause_share is not None else ""
    return words(slice_of(line.cause.items())) + share


def _bars(shares: Sequence[float | None]) -> list[str]:
    """One character a minute, sixty a line: a blank for none, else from the lowest share there is to the highest."""
    there = [share for share in shares if share is not None]
    if not there:
        return ["(no events)"]
    low, high = min(there), max(max(there), min(there) + 1e-9)
    bars = "".join(" " if share is None else _BARS[min(7, int((share - low) / (high - low) * 8))] for share in shares)
    lines = [bars[at : at + HOUR] for at in range(0, len(bars), HOUR)]
    return [*lines[:-1], f"{lines[-1]}  {_percent(low)} to {_percent(high)}"]
