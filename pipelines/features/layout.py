"""Where a customer's numbers lie: one row of 64-bit whole numbers a node, in places that its definitions give.

A row is changed in place, written to state by a copy of memory, and says nothing of names. So the state says by which layout a row was
written, and whoever reads it knows all layouts that there have been (`Layouts`): a row of another layout is moved to the present one when
its customer is touched. What the other layout did not have is `UNKNOWN` then, not 0: nobody has counted it.
"""

import os
import zlib
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from pipelines import rows
from pipelines.rows import Row

UNKNOWN: Final = -(1 << 63)
"""Stands for a time that is not there, and for what has not been counted."""
FIRST_SEEN, LAST_SEEN, SESSIONS, LATE, FIRST_ORDER, LAST_ORDER, UNMATCHED, OVER_REFUNDS, CHARGE_BACKS, MEMBERS, CHANNEL = range(11)
"""Places of what the platform itself counts; from `CHANNEL` on one place a channel, in the order of `CHANNEL_NAMES`."""
CHANNEL_NAMES: Final = ("call_centre", "community", "email", "mini_program", "mobile_app", "store", "web", "other")
"""Those of `pipelines.ingest.envelope`. A new one goes to the end, like all that the platform counts: nodes' own rows have no names."""
CHANNEL_PLACES: Final = {name: CHANNEL + place for place, name in enumerate(CHANNEL_NAMES)}
LEAST: Final = frozenset({FIRST_SEEN, FIRST_ORDER})
"""Of several nodes the smallest one counts; of `GREATEST` the greatest; all others are added up."""
GREATEST: Final = frozenset({LAST_SEEN, LAST_ORDER})
BASE: Final = (
    *("first_seen_at", "last_seen_at", "sessions", "late_events", "first_order_at", "last_order_at"),
    *("unmatched_refunds", "over_refunds", "charge_backs", "members"),
    *(f"channel:{name}" for name in CHANNEL_NAMES),
)


VARIABLE: Final = "CDP_LAYOUTS_FILE"
"""Names the file with all layouts that there have been."""


class LayoutError(RuntimeError):
    """State was written by a layout that nobody here knows."""


class Layout(msgspec.Struct, frozen=True, eq=False):
    """A layout.

    Attributes:
        names: of the numbers, by place; those of the platform come first.
        places: the same by name.
        id: tells it from others.
        start: the row of a node that has counted nothing.
    """

    names: tuple[str, ...]
    places: dict[str, int]
    id: int
    start: Row

    def row(self) -> Row:
        """A new row."""
        return self.start[:]


def layout_of(names: tuple[str, ...]) -> Layout:
    """The layout with these names behind the platform's own."""
    known = (*BASE, *names)
    start = array("q", [UNKNOWN if place in LEAST | GREATEST else 0 for place in range(len(known))])
    return Layout(known, {name: place for place, name in enumerate(known)}, identity(known), start)


def identity(names: tuple[str, ...]) -> int:
    """What state calls the layout with these names, the platform's own included: 32 bits."""
    return zlib.crc32("\n".join(names).encode())


class Layouts:
    """Reads rows of any layout there has been.

    Args:
        present: the one that all rows shall have.
        earlier: names by the ids of others.
    """

    def __init__(self, present: Layout, earlier: Mapping[int, tuple[str, ...]]) -> None:
        self.present = present
        self._moves = {
            number: [names.index(name) if name in names else -1 for name in present.names]
            for number, names in earlier.items()
            if number != present.id
        }

    def read(self, packed: bytes, number: int) -> Row:
        """A row in the present layout.

        Args:
            packed: the row's bytes.
            number: id of the layout that it was written by.

        Raises:
            LayoutError: nobody knows that layout.
        """
        row = rows.unpacked(packed)
        if number == self.present.id:
            return row
        moves = self._moves.get(number)
        if moves is None:
            raise LayoutError(
                f"state was written by layout {number}, which is not in layouts.json: copy that file from the installation (or the backup) "
                "that the state comes from into .cdp/run/definitions, and start the job again"
            )
        return array("q", [UNKNOWN if place < 0 else row[place] for place in moves])


class History(msgspec.Struct, frozen=True):
    """The layouts that there have been.

    Attributes:
        layouts: names of each.
        applied: their ids in the order in which they were put in force; one that came back stands there again.
    """

    layouts: list[tuple[str, ...]] = []
    applied: list[int] = []

    def by_id(self) -> dict[int, tuple[str, ...]]:
        """Names by id."""
        return {identity(names): names for names in self.layouts}

    def with_(self, layout: Layout) -> "History":
        """The same after this one has been put in force."""
        if self.applied[-1:] == [layout.id]:
            return self
        layouts = self.layouts if layout.id in self.by_id() else [*self.layouts, layout.names]
        return History(layouts, [*self.applied, layout.id])


def read_file(path: Path) -> History:
    """What `add_to_file` has written; nothing where there is no file.

    Raises:
        LayoutError: the file is damaged.
    """
    if not path.exists():
        return History()
    try:
        return msgspec.json.decode(path.read_bytes(), type=History)
    except msgspec.DecodeError as error:
        raise LayoutError(f"{path}: cannot be read ({error}); put back a copy of it: state of earlier layouts needs it") from error


def add_to_file(path: Path, layout: Layout) -> None:
    """Note that a layout is put in force; nothing changes where it is.

    Raises:
        LayoutError: see `read_file`.
    """
    before = read_file(path)
    after = before.with_(layout)
    if after is not before:
        draft = path.with_suffix(".draft")
        draft.write_bytes(msgspec.json.format(msgspec.json.encode(after)))
        draft.replace(path)


def known() -> History:
    """All layouts that there have been, as the file says that `CDP_LAYOUTS_FILE` names.

    Raises:
        LayoutError: see `read_file`.
    """
    named = os.environ.get(VARIABLE)
    return read_file(Path(named)) if named else History()
