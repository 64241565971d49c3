"""The state of a node: a few rows of numbers, and what is no number."""

import sys
from array import array
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from pipelines import rows
from pipelines.features import older_state, sessions
from pipelines.features.cells import Cells
from pipelines.features.layout import BASE, UNKNOWN, layout_of
from pipelines.features.ledger import Summary
from pipelines.features.series import Series
from pipelines.ingest import traffic
from pipelines.ingest.dedupe import Seen
from pipelines.wire import Value

FORMAT: Final = 4
SEQ, EPOCH, CLOCK, TIMER, PLAN, HOLD, OWN = range(7)
"""Places in a node's numbers: events applied so far; epoch of the decision which profile it belongs to; newest log time or timer seen (ms);
earliest event-time timer outstanding (0: none); version of the plan by which it last told its values (0: it never did); newest moment
before which its profile has to be silent (ms; `Update.hold`). From `OWN` on lie the platform's own values, in the order of `layout.BASE`,
as the profile has been told them."""
_START: Final = array("q", [0] * OWN) + layout_of(()).start
_UNTOLD: Final = object()


class _Head(msgspec.Struct, array_like=True):
    """What is persisted of a node on each event; the ledger and spilled ids lie apart. New fields go to the end with a default.

    Attributes:
        format: version of this encoding.
        numbers: the node's row.
        sessions: the row of its sessions.
        recent: what traffic rules remember.
        series: by name, packed.
        linked: node keys whose link to this one has been reported.
        traits: what sources have said by traits, packed (`pipelines.traits.claims`).
        groups: node keys of the groups it was told to be in, with the newest event time that did, ms; by key.
        group: kind of group that the node stands for; empty: it is somebody's identifier.
        cells: of the aggregations that keep some, by series and measure, packed.
    """

    format: int
    tenant: str
    profile_id: str
    numbers: bytes
    sessions: bytes
    recent: bytes
    series: dict[str, bytes]
    seen: Seen
    linked: list[str]
    summary: Summary | None
    traits: str
    groups: list[tuple[str, int]]
    group: str
    cells: dict[str, bytes]


class Said:
    """What a node has to tell: places in the layout with a number for each, and values that are no numbers by name."""

    __slots__ = ("numbers", "others", "places")

    def __init__(self) -> None:
        self.places: list[int] = []
        self.numbers: list[int] = []
        self.others: dict[str, Value] = {}

    def __bool__(self) -> bool:
        return bool(self.places or self.others)


class LiveNode:
    """A node.

    Attributes:
        key: node key.
        tenant: owner.
        profile_id: profile it belongs to.
        phase: tile phase, ms.
        numbers: its row.
        sessions, recent, linked, traits, groups, group: as in its state.
        series: by name, begun with the first entry.
        cells: by series and measure; None while there are none.
        seen: message ids.
        summary: of the ledger; None before the first document.
        told: values that are no numbers, as last sent to the profile; None while there are none.
    """

    __slots__ = (
        "cells",
        "group",
        "groups",
        "key",
        "linked",
        "numbers",
        "phase",
        "profile_id",
        "recent",
        "seen",
        "series",
        "sessions",
        "summary",
        "tenant",
        "told",
        "traits",
    )

    def __init__(self, key: str, tenant: str, profile_id: str, phase: int) -> None:
        self.key, self.tenant, self.profile_id, self.phase = key, sys.intern(tenant), profile_id, phase
        self.numbers = _START[:]
        self.sessions = sessions.begun()
        self.recent = traffic.nothing()
        self.series: dict[str, Series] = {}
        self.cells: dict[str, Cells] | None = None
        self.seen = Seen()
        self.linked: Sequence[str] = ()
        self.summary: Summary | None = None
        self.traits = ""
        self.groups: Sequence[tuple[str, int]] = ()
        self.group = ""
        self.told: dict[str, Value] | None = None

    @property
    def seq(self) -> int:
        """Events applied so far."""
        return self.numbers[SEQ]

    def series_of(self, name: str, *, counting: bool = False) -> Series:
        """A series by name, begun when it is not there yet; one that is `counting` keeps no amounts."""
        series = self.series.get(name)
        if series is None:
            series = self.series[name] = Series.empty(counting=counting)
        return series

    def cells_of(self, key: str) -> Cells:
        """The cells of a series and measure, begun when they are not there yet."""
        if self.cells is None:
            self.cells = {}
        found = self.cells.get(key)
        if found is None:
            found = self.cells[key] = Cells()
        return found

    def tell(self, place: int, value: int | None, said: Said) -> None:
        """Note one of the platform's own values (None: there is none), and what to tell the profile if it is another one than before."""
        known = UNKNOWN if value is None else value
        if self.numbers[OWN + place] != known:
            self.numbers[OWN + place] = known
            said.places.append(place)
            said.numbers.append(known)

    def tell_other(self, name: str, value: Value, said: Said) -> None:
        """The same for a value that is no number."""
        if self.told is None:
            self.told = {}
        if self.told.get(name, _UNTOLD) != value:
            self.told[name] = said.others[name] = value

    def packed(self) -> bytes:
        """The state's bytes."""
        cells = {} if self.cells is None else {key: one.packed() for key, one in self.cells.items()}
        return _encode(
            (
                *(FORMAT, self.tenant, self.profile_id, self.numbers.tobytes(), self.sessions.tobytes(), self.recent.tobytes()),
                *({name: series.packed() for name, series in self.series.items()}, self.seen, self.linked, self.summary),
                *(self.traits, self.groups, self.group, cells),
            )
        )


def unpacked(key: str, blob: bytes, phase: int) -> LiveNode:
    """What `LiveNode.packed` made, of this or an earlier version of the platform.

    Args:
        key: node key.
        blob: the state.
        phase: tile phase, ms.
    """
    if older_state.format_of(blob) < FORMAT:
        return _of_older(key, blob, phase)
    head = _decode(blob)
    live = LiveNode(key, head.tenant, head.profile_id, phase)
    live.numbers, live.sessions, live.recent = rows.unpacked(head.numbers), rows.unpacked(head.sessions), rows.unpacked(head.recent)
    live.numbers.extend(_START[len(live.numbers) :])  # the platform counts more than it did
    live.series = {name: Series.unpacked(packed) for name, packed in head.series.items()}
    live.cells = {name: Cells.unpacked(packed) for name, packed in head.cells.items()} or None
    live.seen, live.linked, live.summary = head.seen, head.linked or (), head.summary
    live.traits, live.groups, live.group = head.traits, head.groups or (), head.group
    return live


def _of_older(key: str, blob: bytes, phase: int) -> LiveNode:
    old = older_state.node(blob)
    live = LiveNode(key, old.tenant, old.profile_id, phase)
    live.numbers[:OWN] = array("q", (old.seq, old.epoch, old.clock, old.timer, old.plan, old.hold))
    live.sessions = array("q", (old.sessions.closed, *old.sessions.starts, *old.sessions.ends))
    live.recent = old.recent.row()
    live.series = {name: Series.of_columns(*columns) for name, columns in old.series.items()}
    live.cells = {name: Cells.unpacked(packed) for name, packed in old.cells.items()} or None
    live.seen, live.traits, live.group, live.groups = old.seen, old.traits, old.group, old.groups or ()
    live.linked = msgspec.msgpack.decode(old.linked, type=list[str]) if old.linked else ()
    live.summary = msgspec.msgpack.decode(old.summary, type=Summary) if old.summary else None
    values: dict[str, Any] = {"first_seen_at": old.first_seen, "last_seen_at": old.last_seen, "late_events": old.late_events}
    values |= {f"channel:{name}": number for name, number in old.channels.items()}
    values |= {"sessions": sessions.count(live.sessions), "members": old.members}
    if live.summary is not None:
        summary = live.summary
        values |= {"first_order_at": summary.first, "last_order_at": summary.last, "unmatched_refunds": summary.unmatched}
        values |= {"over_refunds": summary.over_refunds, "charge_backs": summary.charge_backs}
    for place, name in enumerate(BASE):
        if values.get(name) is not None:
            live.numbers[OWN + place] = values[name]
    return live


_decode = msgspec.msgpack.Decoder(_Head).decode
_encode = msgspec.msgpack.Encoder().encode
