"""Which kept records the options of a command ask for, and what became of them so far."""

import re
import time
from typing import Final, Literal, NamedTuple

from cli.rejected.selection import SelectionError, listed, moment
from importers.cdc.bridge import SCHEMA_DRIFT
from importers.mapping.document import hint
from importers.mended import CODES
from importers.unmapped import TOPIC, Kept
from pipelines.rejected.record import Position
from pipelines.rejected.verdicts import Sent

State = Literal["open", "brought back", "skipped", "mapped"]
"""`skipped`: a replay found that the mapping skips it by now. `mapped`: it was, when it came, and is kept for what it shows of a drift."""
_INDEX: Final = re.compile(r"\[[0-9]+\]")


class Options(NamedTuple):
    """As typed; empty means: any."""

    source: str = ""
    code: str = ""
    field: str = ""
    since: str = ""
    until: str = ""


class Chosen(NamedTuple):
    """Which records; of an empty set any.

    Attributes:
        sources: names of sources.
        codes: why they could not be mapped.
        field: as the record has it, or with `[*]` for each index.
        since: kept at this moment or later, ms.
        until: kept before this moment, ms.
    """

    sources: frozenset[str] = frozenset()
    codes: frozenset[str] = frozenset()
    field: str = ""
    since: int | None = None
    until: int | None = None

    def holds(self, kept: Kept) -> bool:
        """Whether a record is one of them."""
        return (
            (not self.sources or kept.source in self.sources)
            and (not self.codes or kept.code in self.codes)
            and (not self.field or self.field in (kept.field, everywhere(kept.field)))
            and (self.since is None or kept.at >= self.since)
            and (self.until is None or kept.at < self.until)
        )


def chosen(options: Options) -> Chosen:
    """Read the options.

    Raises:
        SelectionError: one cannot be understood.
    """

    def now() -> int:
        return int(time.time() * 1000)

    codes = listed(options.code)
    for code in codes:
        if code not in CODES:
            raise SelectionError(f"--code: no code `{code}`{hint(code, CODES)}")
    return Chosen(
        frozenset(listed(options.source)),
        frozenset(codes),
        options.field,
        moment("--since", options.since, now) if options.since else None,
        moment("--until", options.until, now) if options.until else None,
    )


def everywhere(field: str) -> str:
    """A field with `[*]` for each index."""
    return _INDEX.sub("[*]", field)


def position(kept: Kept) -> Position:
    """The place of a record as the log of replays knows it."""
    return Position(TOPIC, kept.partition, kept.offset)


def place(text: str) -> Position:
    """A place as typed: `cdp.unmapped:0:12`, or shorter `0:12`.

    Raises:
        SelectionError: it is none.
    """
    found = re.fullmatch(rf"(?:{re.escape(TOPIC)}:)?([0-9]{{1,9}}):([0-9]{{1,18}})", text)
    if found is None:
        raise SelectionError(f"`{text}` is no place; write partition:offset, e.g. 0:12, as `cdp unmapped list` shows it")
    return Position(TOPIC, int(found[1]), int(found[2]))


def state(kept: Kept, entry: Sent | None) -> State:
    """What became of a record.

    Args:
        kept: the record.
        entry: the log's, None for none.
    """
    if kept.code == SCHEMA_DRIFT:
        return "mapped"
    if entry is None:
        return "open"
    return "brought back" if entry.to else "skipped"
