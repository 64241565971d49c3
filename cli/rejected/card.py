"""Everything about one rejected record, for a terminal."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cli.profile_card import moment
from cli.rejected.bytes_shown import DEPTH, json_lines, raw_lines
from cli.rejected.masked import masked
from cli.rejected.outcomes import Outcome
from cli.terminal import shown
from config.identity import Identity
from pipelines.rejected import paths
from pipelines.rejected.record import Record
from pipelines.rejected.replayed import lineage_of, readable
from pipelines.rejected.verdicts import Sent
from schemas import codes

AROUND: Final = 40
"""Lines shown before and behind the field that is wrong."""

ADVICE: Final[dict[str, str]] = {
    codes.PAYLOAD_FORMAT: "Not a record of JSON in UTF-8. Mend the producer; a fix with `text` (encoding, replace) can read what was sent.",
    codes.SCHEMA_VIOLATION: "Not the shape of the event's contract (`cdp schema show EVENT`). Rename, set or unset the field by a fix.",
    codes.SIZE_VIOLATION: "Too large, or its id too long. A fix can unset what is not needed; a long id is replaced by the replay.",
    codes.IDENTIFIER_MISSING: "Nobody can be told from it. If you know who it was: a fix sets userId, anonymousId or context.externalIds.",
    codes.TIMESTAMP_OUT_OF_RANGE: "Too far ahead, or before 2000. Set or unset `timestamp` by a fix: without one, the record's own counts.",
    codes.QUALITY_RULE: "Well-formed, and not plausible. Correct the value by a fix; if it was right, the rule in schemas/events/ is not.",
    codes.ID_CONFLICT: "Its id belongs to another event. Were these two events, a replay gives this one an id of its own.",
    codes.INTERNAL: "Our fault. Report the rule's text; after an upgrade a replay without a fix sends it again.",
}
_OUTCOMES: Final = {"applied": "bold green", "duplicate": "yellow"}


class Story(msgspec.Struct, frozen=True):
    """What is known of a record beyond itself.

    Attributes:
        sent: its newest entry in the log of replays, None for none.
        outcomes: what became of it and of its ids; empty when ClickHouse knows of nothing.
        unknown: why parts of that could not be told.
    """

    sent: Sent | None = None
    outcomes: Sequence[Outcome] = ()
    unknown: Sequence[str] = ()


def card(record: Record, story: Story, identity: Identity, *, plain: bool) -> RenderableType:
    """Draw a record.

    Args:
        record: what is drawn.
        story: what became of it.
        identity: what is personal.
        plain: show personal values, too.
    """
    parts = [_facts(record), Text(), _original(record, identity, plain), Text(), _outcomes(record, story)]
    return Panel(Group(*parts), title=str(record.position), expand=False, padding=(1, 2))


def as_json(record: Record, story: Story, identity: Identity, *, plain: bool) -> dict[str, Any]:
    """The same for programs; see `card`."""
    envelope = _envelope(record, identity, plain)
    told = {name: getattr(record, name) for name in Record.__struct_fields__ if name != "original"}
    told |= {"position": str(record.position), "bytes": len(record.original), "original": envelope, "advice": ADVICE.get(record.code, "")}
    if envelope is None and plain:
        told["original_hex"] = record.original.hex()
    return told | {
        "replayed": msgspec.to_builtins(story.sent),
        "fates": [one._asdict() for one in story.outcomes],
        "unknown": list(story.unknown),
    }


def _facts(record: Record) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_row("[bold]code[/]", Text(record.code, style="bold red"))
    grid.add_row("[bold]field[/]", Text(shown(record.field) or "-"))
    grid.add_row("[bold]expected[/]", Text(shown(record.rule)))
    grid.add_row("[bold]what to do[/]", Text(ADVICE.get(record.code, "")))
    came = f"{moment(record.log_time)} UTC, {record.origin or 'source unknown'}, tenant {record.tenant or 'unknown'}"
    grid.add_row("[bold]came[/]", Text(shown(came)))
    grid.add_row("[bold]messageId[/]", Text(shown(record.message_id) or "none that can be used"))
    told = lineage_of(readable(record.original) or {})
    if told.replay_of:
        grid.add_row("[bold]replay of[/]", Text(shown(told.replay_of + (f", fix {told.fix}" if told.fix else ""))))
    return grid


def _original(record: Record, identity: Identity, plain: bool) -> RenderableType:
    size = f"{len(record.original):,} bytes"
    envelope = _envelope(record, identity, plain)
    if envelope is None:
        if not plain:
            return Text(f"{size} that are no JSON object: they may hold personal values, --plain shows them", style="dim")
        return Group(Text(f"{size} that are no JSON object", style="dim"), *raw_lines(record.original))
    place, there = paths.nearest(envelope, record.field)
    lines = list(json_lines(envelope))
    at = next((number for number, (path, _) in enumerate(lines) if path == place), 0)
    first = max(0, at - AROUND)
    drawn = [Text(shown(text)) for _, text in lines[first : at + AROUND]]
    drawn[at - first].stylize("bold red")
    drawn[at - first].append(shown(f"  ◀ {record.rule}" if there else f"  ◀ {record.field}: {record.rule}"), style="red")
    above = [Text(f"… {first:,} lines", style="dim")] if first else []
    left = len(lines) - first - len(drawn)
    below = [Text(f"… {left:,} lines", style="dim")] if left > 0 else []
    note = size + ("" if plain else "; personal values are masked, --plain shows them")
    return Group(Text(note, style="dim"), *above, *drawn, *below)


def _envelope(record: Record, identity: Identity, plain: bool) -> dict[str, Any] | None:
    """What may be shown of a record, None when it is no JSON object, or one that nests too deeply to be walked through."""
    envelope = readable(record.original)
    if envelope is None or paths.depth(envelope) > DEPTH:
        return None
    return envelope if plain else masked(envelope, identity)


def _outcomes(record: Record, story: Story) -> RenderableType:
    lines = [Text("not replayed yet" if story.sent is None else shown(_sent(story.sent)), style="bold")]
    for outcome in story.outcomes:
        mine = outcome.replay_of == str(record.position)
        line = Text(f"  {moment(outcome.log_time)}  ").append(f"{outcome.outcome:<14}", style=_OUTCOMES.get(outcome.outcome, "bold red"))
        line.append(shown(f" {outcome.position}  {outcome.detail}"))
        lines.append(
            line.append(
                "  this record, replayed" if mine else shown(f"  replay of {outcome.replay_of}") if outcome.replay_of else "", style="dim"
            )
        )
    if not story.outcomes:
        lines.append(Text("  nothing else is known under its id", style="dim"))
    return Group(*lines, *(Text(f"  {why}", style="yellow") for why in story.unknown))


def _sent(sent: Sent) -> str:
    with_fix = f" with fix {sent.fix}" if sent.fix else ""
    return f"replayed{with_fix} at {moment(sent.at)} UTC to {sent.to} as `{sent.message_id}`"
