"""The state of a node: what is persisted of it, and what it is decoded to."""

from typing import Final

import msgspec

from pipelines.features.cells import Cells
from pipelines.features.ledger import Summary
from pipelines.features.series import Packed, Series
from pipelines.features.sessions import Sessions
from pipelines.ingest.dedupe import Ids, Seen
from pipelines.ingest.traffic import Recent
from pipelines.wire import Value

FORMAT: Final = 3
UNSENT: Final = object()
"""Stands for the value of a name that was never sent to the profile."""


class NodeState(msgspec.Struct, array_like=True):
    """What is persisted of a node on each event ("head"); the ledger and spilled ids lie apart.

    Attributes:
        format: version of this encoding; new fields go to the end with a default.
        tenant: owner.
        profile_id: profile it belongs to, `epoch` of that decision.
        seq: events applied so far.
        clock: newest log time or timer seen, ms.
        timer: earliest event-time timer outstanding, 0 if none.
        series: by name, packed.
        summary: the ledger's `Summary`, encoded.
        linked: node keys whose link to this one has been reported, encoded.
        plan: version of the plan by which the node last told its values; 0 before it ever did.
        recent: what traffic rules remember.
        hold: the newest moment before which its profile has to be silent, ms (`Update.hold`).
        traits: what sources have said by traits, packed (`pipelines.traits.claims`).
        groups: node keys of the groups it was told to be in, with the newest event time that did, ms; by key.
        group: kind of group that the node stands for; empty: it is somebody's identifier.
        members: of a group: how many nodes were told to be in it.
        cells: of the aggregations that keep some, by series and measure, packed.
    """

    format: int
    tenant: str
    profile_id: str
    epoch: int
    seq: int = 0
    clock: int = 0
    timer: int = 0
    series: dict[str, Packed] = {}
    seen: Seen = msgspec.field(default_factory=Seen)
    sessions: Sessions = msgspec.field(default_factory=Sessions)
    summary: bytes = b""
    channels: dict[str, int] = {}
    first_seen: int | None = None
    last_seen: int | None = None
    late_events: int = 0
    linked: bytes = b""
    plan: int = 0
    recent: Recent = msgspec.field(default_factory=Recent)
    hold: int = 0
    traits: str = ""
    groups: list[tuple[str, int]] = []
    group: str = ""
    members: int = 0
    cells: dict[str, bytes] = {}


class LiveNode:
    """A decoded node with what is worth remembering between its events.

    Attributes:
        key: node key.
        state: the persisted part; what it holds packed is brought up to date when it is dumped.
        series: by name, unpacked.
        cells: by series and measure, unpacked.
        summary: of the ledger.
        linked: node keys whose link to this one has been reported.
        dirty: names of series that differ from the packed ones; with `orders` the summary does.
        ids: message ids seen.
        phase: tile phase, ms.
        values: values as last sent to the profile.
        due: series -> the earliest moment at which one of its values may change by time alone.
        timers: series -> the moment by which that has to be acted upon (at once for values that rules read, else within the refresh time).
    """

    __slots__ = ("cells", "dirty", "due", "ids", "key", "linked", "phase", "series", "state", "summary", "timers", "values")

    def __init__(self, key: str, state: NodeState, phase: int) -> None:
        self.key = key
        self.state = state
        self.series = {name: Series.unpacked(packed) for name, packed in state.series.items()}
        self.cells = {name: Cells.unpacked(packed) for name, packed in state.cells.items()}
        self.summary = _decode_summary(state.summary) if state.summary else Summary()
        self.linked: dict[str, None] = dict.fromkeys(_decode_names(state.linked)) if state.linked else {}
        self.dirty: set[str] = set()
        self.ids = Ids(state.seen)
        self.phase = phase
        self.values: dict[str, Value] = {}
        self.due: dict[str, int] = {}
        self.timers: dict[str, int] = {}

    def series_of(self, name: str, *, counting: bool = False) -> Series:
        """A series by name, begun when it is not there yet; one that is `counting` keeps no amounts."""
        series = self.series.get(name)
        if series is None:
            series = self.series[name] = Series.empty(counting=counting)
        return series

    def pack(self) -> bytes:
        """Bring the packed parts up to date and encode the state."""
        if self.dirty:
            for name in self.dirty:
                self.state.series[name] = self.series[name].packed()
            for key, cells in self.cells.items():
                if key.rpartition(".")[0] in self.dirty:
                    self.state.cells[key] = cells.packed()
            if "orders" in self.dirty:
                self.state.summary = encode(self.summary)
            self.dirty.clear()
        return encode(self.state)

    def set(self, name: str, value: Value, changed: dict[str, Value]) -> None:
        """Note a value, and in `changed` if it differs from what was sent."""
        if self.values.get(name, UNSENT) != value:
            self.values[name] = changed[name] = value


decode = msgspec.msgpack.Decoder(NodeState).decode
_decode_summary = msgspec.msgpack.Decoder(Summary).decode
_decode_names = msgspec.msgpack.Decoder(list[str]).decode
encode = msgspec.msgpack.Encoder().encode
