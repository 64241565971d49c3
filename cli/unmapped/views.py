"""What `cdp unmapped` shows on a terminal. All texts are a stranger's until `shown` has seen them."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cli.profile_card import moment
from cli.rejected.bytes_shown import DEPTH, json_lines, raw_lines
from cli.rejected.masked import foreign
from cli.rejected.views import headed, short
from cli.terminal import hanging, shown
from cli.unmapped import records
from cli.unmapped.records import Seen, described
from cli.unmapped.replay import Tally
from config.identity import Identity
from importers.cdc.bridge import SCHEMA_DRIFT, UNAVAILABLE
from importers.mapping.outcome import GROUP, INTERNAL, MISSING, NO_EVENT, TOO_LARGE, UNREADABLE, VALUE
from importers.unmapped import TOPIC, Kept
from pipelines.rejected import paths
from pipelines.rejected.replayed import readable

LINES: Final = 200
"""Lines of a record that are shown."""
ADVICE: Final = {
    UNREADABLE: "No mapping can read it. Mend what writes it (JSON converter, no unwrapping transform) and let the source send again.",
    VALUE: "The mapping expects something else there. Mend it, or the source, then `cdp unmapped replay`.",
    MISSING: "What the mapping calls required is not there. Mend the mapping, or `skip` such records, then `cdp unmapped replay`.",
    NO_EVENT: "The mapping says nothing about such records. Give it an event or a `skip` for them, then `cdp unmapped replay`.",
    GROUP: "Groups are for files; let the source send again.",
    TOO_LARGE: "The event would be larger than Kafka takes. Let the mapping leave something out, then `cdp unmapped replay`.",
    INTERNAL: "Our fault. Report the rule's text; after an upgrade `cdp unmapped replay`.",
    UNAVAILABLE: "The source did not send this column. Let the mapping do without it, or set REPLICA IDENTITY FULL and send the row again.",
    SCHEMA_DRIFT: "The table has changed. Mend the mapping if it reads that column; the record itself was mapped all the same.",
}
_STYLES: Final = {"open": "bold red", "brought back": "green"}


def list_table(found: Sequence[Seen]) -> Table:
    """Kept records, one a line. Their bytes are not shown: they may hold anything."""
    table = headed("at (UTC)", "place", "source", "code", "field", "expected", "came from")
    table.add_column("state", no_wrap=True)
    table.add_column("bytes", justify="right")
    for seen in found:
        kept = seen.kept
        values = kept.source or "-", kept.code, kept.field or "-", short(kept.rule), _origin(kept)
        cells = [Text(shown(value)) for value in values]
        state = Text(seen.state, style=_STYLES.get(seen.state, "dim"))
        table.add_row(moment(kept.at), _place(kept.place), *cells, state, f"{len(kept.original or b''):,}")
    return table


def stats_table(found: Sequence[records.Group]) -> Table:
    """Groups of records, one a line."""
    table = headed("source", "code", "field")
    for column in ("records", "open", "brought back", "skipped"):
        table.add_column(column, justify="right")
    for column in ("first (UTC)", "last (UTC)", "for example"):
        table.add_column(column, no_wrap=True)
    for group in found:
        keys = [Text(shown(text) or "-") for text in (group.source, group.code, short(group.field))]
        counts = [Text(f"{group.states[state]:,}", style=_STYLES.get(state, "")) for state in ("open", "brought back", "skipped")]
        if group.code == SCHEMA_DRIFT:
            counts[0] = Text("mapped", style="dim")
        times = moment(group.first)[:-3], moment(group.last)[:-3]
        table.add_row(*keys, f"{group.records:,}", *counts, *times, _place(group.example))
    return table


def card(seen: Seen, identity: Identity, *, plain: bool) -> RenderableType:
    """Draw a record.

    Args:
        seen: the record.
        identity: what is personal.
        plain: show personal values, too.
    """
    kept = seen.kept
    grid = Table.grid(padding=(0, 2))
    grid.add_row("[bold]code[/]", Text(shown(kept.code), style="bold red"))
    grid.add_row("[bold]field[/]", Text(shown(kept.field) or "-"))
    grid.add_row("[bold]expected[/]", Text(shown(kept.rule)))
    grid.add_row("[bold]what to do[/]", Text(ADVICE.get(kept.code, "")))
    came = f"source {kept.source or 'unknown'}, tenant {kept.tenant or 'unknown'}, from {_origin(kept)}, kept {moment(kept.at)} UTC"
    grid.add_row("[bold]came[/]", Text(shown(came)))
    grid.add_row("[bold]state[/]", Text(shown(_became(seen, identity, plain)), style=_STYLES.get(seen.state, "")))
    return Panel(Group(grid, Text(), *_bytes(kept, identity, plain)), title=kept.place, expand=False, padding=(1, 2))


def as_json(seen: Seen, identity: Identity, *, plain: bool) -> dict[str, Any]:
    """The same for programs; see `card`."""
    kept = seen.kept
    told = described(seen) | {"advice": ADVICE.get(kept.code, ""), "became": _became(seen, identity, plain)}
    told["original"] = _document(kept, identity, plain)
    if told["original"] is None and plain:
        told["original_hex"] = (kept.original or b"").hex()
    return told


def show_tally(console: Console, tally: Tally, *, dry_run: bool) -> None:
    """What a replay found and did."""
    if not tally.matched:
        console.print("no kept record matches; `cdp unmapped stats` shows what there is")
        return
    done = f"{tally.sent:,} events were sent"
    console.print(f"{tally.matched:,} kept records match; " + ("dry run: nothing was sent" if dry_run else done))
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right")
    days = tally.late_days
    late = f"; {tally.late:,} of them late (older than {days} days): history only" if tally.late else ""
    table.add_row(f"[green]{tally.records:,}[/]", "would become events" if dry_run else "became events", _counts(tally.becoming, late))
    rows = [
        (tally.skipped.total(), "would be skipped" if dry_run else "are skipped", _counts(tally.skipped)),
        (tally.failing.total(), "[red]would still fail[/]" if dry_run else "[red]still fail[/]", _counts(tally.failing)),
        (tally.applied, "were applied already", Text("the source sent them again")),
        (tally.before, "were brought back before", Text("not sent again")),
        (tally.drifts, "show a drift", Text(f"`{SCHEMA_DRIFT}`: they were mapped all the same when they came, and are not replayed")),
    ]
    for count, what, more in rows:
        if count:
            table.add_row(f"{count:,}", what, more)
    console.print(table)
    for one in tally.examples:
        console.print(hanging(Text(shown(f"{one.place}  {one.source}  {one.code}  {one.field}  {one.rule}"))))


def _counts(counts: "dict[str, int]", more: str = "") -> Text:
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    left = f" and {len(ranked) - 5} more kinds" if len(ranked) > 5 else ""
    return Text(shown(", ".join(f"{name} {count:,}" for name, count in ranked[:5]) + left + more))


def _became(seen: Seen, identity: Identity, plain: bool) -> str:
    entry = seen.entry
    if seen.state == "open":
        return "open: neither brought back nor skipped"
    if seen.state == "mapped" or entry is None:
        return "it was mapped all the same when it came"
    if not entry.to:
        return f"skipped by its mapping, at {moment(entry.at)} UTC"
    message_id = entry.message_id if plain else foreign(entry.message_id, identity)
    return f"brought back to {entry.to} as `{message_id}` by mapping {entry.fix}, at {moment(entry.at)} UTC"


def _bytes(kept: Kept, identity: Identity, plain: bool) -> Iterator[Text]:
    size = f"{len(kept.original or b''):,} bytes"
    document = _document(kept, identity, plain)
    if document is None:
        hidden = "" if plain else ": they may hold personal values, --plain shows them"
        yield Text(f"{size} that are no JSON object{hidden}", style="dim")
        yield from raw_lines(kept.original or b"") if plain else ()
        return
    yield Text(size + ("" if plain else "; personal values are masked, --plain shows them"), style="dim")
    lines = [Text(shown(text)) for _, text in json_lines(document)]
    yield from lines[:LINES]
    if len(lines) > LINES:
        yield Text(f"… {len(lines) - LINES:,} lines; --json shows all", style="dim")


def _document(kept: Kept, identity: Identity, plain: bool) -> dict[str, Any] | None:
    """Key, headers and value of a record as they may be shown; None when the value is no JSON object, or one that nests too deeply."""
    value = readable(kept.original or b"")
    if value is None or paths.depth(value) > DEPTH:
        return None
    parts = {"key": _payload(readable(kept.key or b"")), "headers": kept.position.get("headers"), "value": _payload(value)}
    document = {name: part for name, part in parts.items() if part is not None}
    return document if plain else {name: foreign(part, identity) for name, part in document.items()}


def _payload(value: dict[str, Any] | None) -> Any:
    """Debezium's record without the schema that may go along with it."""
    return value["payload"] if value is not None and value.keys() == {"schema", "payload"} else value


def _origin(kept: Kept) -> str:
    """Where a record stood: topic, partition and offset, or the beginning of a delivery's digest."""
    position = kept.position
    if "topic" in position:
        return f"{position['topic']}:{position.get('partition')}:{position.get('offset')}"
    return f"delivery {str(position.get('body_sha256', '-'))[:12]}"


def _place(place: str) -> str:
    """A place without what they all begin with; `cdp unmapped show` takes it so, too."""
    return place.removeprefix(f"{TOPIC}:")
