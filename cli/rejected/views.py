"""What the commands show on a terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.profile_card import moment
from cli.rejected.replay import Tally
from cli.rejected.selection import RAW
from cli.rejected.stats import Group, sparkline
from cli.terminal import hanging, shown
from pipelines.rejected.record import Record

_SHOWN_RULE = 60


def list_table(records: Sequence[Record]) -> Table:
    """Rejected records, one a line. Their bytes are not shown: they may hold anything."""
    table = headed("at (UTC)", "position", "code", "field", "expected", "origin", "tenant", "messageId")
    table.add_column("bytes", justify="right")
    for record in records:
        values = (record.field or "-", short(record.rule), record.origin or "-", record.tenant or "-", record.message_id or "-")
        table.add_row(
            moment(record.log_time),
            Text(_place(str(record.position))),
            Text(record.code, style="bold red"),
            *(Text(shown(value)) for value in values),
            f"{len(record.original):,}",
        )
    return table


def stats_table(found: Sequence[Group], by: Sequence[str]) -> Table:
    """Groups of records, one a line."""
    table = headed(*by)
    for column in ("records", "share"):
        table.add_column(column, justify="right")
    for column in ("first (UTC)", "last (UTC)", "last 24 hours", "for example"):
        table.add_column(column, no_wrap=True)
    for group in found:
        keys = (Text(shown(short(_place(group.key[name]))) or "-") for name in by)
        times = moment(group.first)[:-3], moment(group.last)[:-3]
        table.add_row(*keys, f"{group.records:,}", f"{group.share:.1%}", *times, sparkline(group.hours), Text(_place(group.example)))
    return table


def show_tally(console: Console, tally: Tally, *, dry_run: bool) -> None:
    """What a replay found and did."""
    if not tally.matched:
        console.print("no record matches; `cdp rejected stats` shows what there is")
        return
    head = f"{tally.matched:,} records match" + (f", the first {tally.looked_at:,} looked at" if tally.looked_at < tally.matched else "")
    console.print(head + ("; dry run: nothing was sent" if dry_run else f"; {tally.sent:,} were sent"))
    passing, failing, refused = tally.passing.total(), tally.failing.total(), tally.refused.total()
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right")
    late = f"; {tally.late:,} of them late (older than 7 days): history only" if tally.late else ""
    events = ", ".join(f"{name} {count:,}" for name, count in tally.passing.most_common(5))
    table.add_row(f"[green]{passing:,}[/]", "would pass" if dry_run else "pass", Text(shown(events + late)))
    whys = ", ".join(f"{code} at {field} {count:,}" for (code, field), count in tally.failing.most_common(5))
    table.add_row(f"[red]{failing:,}[/]", "would fail again" if dry_run else "fail again", Text(shown(whys)))
    reasons = ", ".join(f"{why} {count:,}" for why, count in tally.refused.most_common())
    table.add_row(f"[yellow]{refused:,}[/]", "must not be sent" if dry_run else "were not sent", Text(reasons))
    console.print(table)
    for example in tally.examples:
        console.print(hanging(Text(shown(f"{example.position}  {example.code}  {example.field}  {example.rule}"))))
    for example in tally.refusals:
        console.print(hanging(Text(shown(f"{example.position}  {example.rule}"))))


def headed(*columns: str) -> Table:
    """A table without lines, whose times, places and codes stay whole."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in ("at (UTC)", "position", "place", "code"))
    return table


def _place(text: str) -> str:
    """A topic or position without what they all begin with; `cdp rejected show` takes it so, too."""
    return text.removeprefix(RAW)


def short(text: str) -> str:
    """A rule as it fits a line."""
    return text if len(text) <= _SHOWN_RULE else text[: _SHOWN_RULE - 1] + "…"
