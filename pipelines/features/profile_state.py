"""The state of a profile: rows of numbers, one of its own and one a node, and what is no number."""

import sys
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from pipelines import rows
from pipelines.audiences.rules import Verdict
from pipelines.features import older_state
from pipelines.features.layout import CHANNEL_NAMES, UNKNOWN, Layout, Layouts
from pipelines.rows import Row
from pipelines.traits.golden import Golden
from pipelines.wire import Update, Value

FORMAT: Final = 2
VERSION, CLOCK, TIMER, PUBLISH_BY, FLIP_AT, ROSTER_EPOCH, INCARNATION, HOLD = range(8)
"""Places in a profile's own numbers: version of the last published change; newest log time seen or timer fired (ms); earliest event-time
timer outstanding (0: none); moment by which unpublished changes must be published (0: there are none); moment at which time alone turns a
rule (0: never); epoch of the resolver's word on its nodes; incarnation of the writer that published the version; moment until which it has
to be silent (ms; 0: need not)."""
_START: Final = array("q", [0] * 8)


class Part:
    """What one node has told.

    Attributes:
        seq: the node's counter.
        epoch: of its membership.
        numbers: its row, by the present layout.
        others: values that are no numbers; None while there are none.
    """

    __slots__ = ("epoch", "numbers", "others", "seq")

    def __init__(self, seq: int, epoch: int, numbers: Row, others: dict[str, Value] | None) -> None:
        self.seq, self.epoch, self.numbers, self.others = seq, epoch, numbers, others

    def take(self, update: Update) -> tuple[list[int], list[str]]:
        """Take what the node tells; returns the places and the names of what has changed."""
        row, others = self.numbers, update.others
        places = []
        for place, value in zip(update.places, update.numbers, strict=True):
            if row[place] != value:
                row[place] = value
                places.append(place)
        if not others:
            return places, []
        if self.others is None:
            self.others = {}
        known = self.others
        names = [name for name, value in others.items() if name not in known or known[name] != value]
        known.update(others)
        return places, names


class _Part(msgspec.Struct, array_like=True):
    node: str
    seq: int
    epoch: int
    numbers: bytes
    others: dict[str, Value] | None


class _State(msgspec.Struct, array_like=True):
    """What is persisted of a profile; new fields go to the end with a default. `layout` is that of its nodes' rows."""

    format: int
    tenant: str
    numbers: bytes
    layout: int
    parts: list[_Part]
    verdict: Verdict | None
    published_tags: list[str]
    roster: list[str] | None
    left_to: str


class LiveProfile:
    """A profile.

    Attributes:
        profile_id: its id.
        tenant: owner.
        numbers: its own row.
        nodes: node key -> its part.
        verdict: what the rules said last.
        published_tags: tags that the last published change showed.
        roster: nodes that must be present before the profile may publish; None without a resolver's word.
        left_to: profile to which a node went that this one never held; empty when there was none.
        values: the nodes' numbers, combined, by place; of a single node that node's own row. None until they are (first touch).
        others: the same for values that are no numbers.
        shown_others: fields that are made of them, as pieces of JSON.
        golden: the traits that are chosen; None until they are.
        changed: by name, fields that differ from what is published; shared, so never changed itself.
        published: whether this writer has published the profile whole, so that changed fields suffice.
    """

    __slots__ = (
        "changed",
        "golden",
        "left_to",
        "nodes",
        "numbers",
        "others",
        "profile_id",
        "published",
        "published_tags",
        "roster",
        "shown_others",
        "tenant",
        "values",
        "verdict",
    )

    def __init__(self, profile_id: str, tenant: str) -> None:
        self.profile_id, self.tenant = profile_id, sys.intern(tenant)
        self.numbers = _START[:]
        self.nodes: dict[str, Part] = {}
        self.verdict: Verdict | None = None
        self.published_tags: Sequence[str] = ()
        self.roster: list[str] | None = None
        self.left_to = ""
        self.values: Sequence[int] | None = None
        self.others: dict[str, Value] = NONE
        self.shown_others: Sequence[str] = ()
        self.golden: Golden | None = None
        self.changed: Mapping[str, Any] = NOTHING
        self.published = False

    @property
    def is_begun(self) -> bool:
        """Whether there is anything to keep."""
        return bool(self.nodes or self.numbers[VERSION] or self.roster is not None or self.left_to)

    def note(self, names: Mapping[str, Any]) -> None:
        """Fields of these names differ from what is published."""
        self.changed = {**self.changed, **names} if self.changed else names

    def packed(self, layout: Layout) -> bytes:
        """The state's bytes.

        Args:
            layout: of the nodes' rows.
        """
        parts = [(node, part.seq, part.epoch, part.numbers.tobytes(), part.others) for node, part in self.nodes.items()]
        own = (FORMAT, self.tenant, self.numbers.tobytes(), layout.id, parts)
        return _encode((*own, self.verdict, self.published_tags, self.roster, self.left_to))


def unpacked(profile_id: str, blob: bytes, layouts: Layouts) -> LiveProfile:
    """What `LiveProfile.packed` made, of this or an earlier version of the platform.

    Args:
        profile_id: its id.
        blob: the state.
        layouts: read its nodes' rows.

    Raises:
        LayoutError: nobody knows the layout of its nodes' rows.
    """
    if older_state.format_of(blob) < FORMAT:
        return _of_older(profile_id, blob, layouts.present)
    state = _decode(blob)
    live = LiveProfile(profile_id, state.tenant)
    live.numbers = rows.unpacked(state.numbers)
    for part in state.parts:
        live.nodes[part.node] = Part(part.seq, part.epoch, layouts.read(part.numbers, state.layout), part.others)
    live.verdict, live.published_tags, live.roster, live.left_to = state.verdict, state.published_tags, state.roster, state.left_to
    return live


def _of_older(profile_id: str, blob: bytes, layout: Layout) -> LiveProfile:
    old = older_state.profile(blob)
    live = LiveProfile(profile_id, old.tenant)
    own = (old.version, old.clock, old.timer, old.publish_by, old.flip_at, old.roster_epoch, old.incarnation, old.hold)
    live.numbers = array("q", own)
    for node, part in old.nodes.items():
        row, others = layout.row(), dict[str, Value]()
        for name, value in part.values.items():
            if name == "channels":
                assert isinstance(value, dict)
                for channel in CHANNEL_NAMES:
                    row[layout.places[f"channel:{channel}"]] = value.get(channel, 0)
            elif name in layout.places:
                row[layout.places[name]] = value if isinstance(value, int) else UNKNOWN
            else:
                others[name] = value
        live.nodes[node] = Part(part.seq, part.epoch, row, others or None)
    live.verdict, live.published_tags, live.roster, live.left_to = old.verdict, old.published_tags, old.roster, old.left_to
    return live


NONE: Final[dict[str, Value]] = {}
NOTHING: Final[Mapping[str, Any]] = {}
"""Of profiles that have no such values, no changes; never changed."""
_decode = msgspec.msgpack.Decoder(_State).decode
_encode = msgspec.msgpack.Encoder().encode
