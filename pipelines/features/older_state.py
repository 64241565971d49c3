"""State as earlier versions of the platform wrote it: it is read when its customer is touched, and written anew.

Nodes up to format 3 and profiles of format 1 named each of their values.
"""

from array import array
from typing import Final

import msgspec

from pipelines.audiences.rules import Verdict
from pipelines.ingest import traffic
from pipelines.ingest.dedupe import Seen
from pipelines.rows import Row
from pipelines.wire import Value

_FIXED_ARRAY: Final = 0x90
"""The first byte of a msgpack array of at most 15 entries, without their number."""


def format_of(blob: bytes) -> int:
    """The format number that state begins with: behind the number of fields, which takes one byte up to 15 and three beyond."""
    return blob[1] if blob[0] & 0xF0 == _FIXED_ARRAY else blob[3]


class Sessions(msgspec.Struct, array_like=True):
    """Spans that a waiting event may still touch, and the number of those it cannot."""

    closed: int = 0
    starts: list[int] = []
    ends: list[int] = []


class Recent(msgspec.Struct, array_like=True):
    """What a node remembered of its traffic: target -> event time; rule -> number of a stretch -> events in it."""

    acts: dict[int, int] = {}
    stretches: dict[str, dict[int, int]] = {}

    def row(self) -> Row:
        """The same as it is kept now."""
        row = traffic.nothing()
        acts = [number for pair in self.acts.items() for number in pair]
        if acts:
            row[len(row) - len(acts) :] = array("q", acts)
        for name, stretches in self.stretches.items():
            known = [number for pair in sorted(stretches.items()) for number in pair]
            missing = traffic.STRETCHES_KEPT - len(stretches)
            row.extend((traffic.rule_number(name), *(-1, 0) * missing, *known))
        return row


class Node(msgspec.Struct, array_like=True):
    """A node up to format 3."""

    format: int
    tenant: str
    profile_id: str
    epoch: int
    seq: int = 0
    clock: int = 0
    timer: int = 0
    series: dict[str, tuple[bytes, bytes, bytes]] = {}
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


class Part(msgspec.Struct, array_like=True):
    """What one node had told."""

    seq: int
    epoch: int
    values: dict[str, Value]


class Profile(msgspec.Struct, array_like=True):
    """A profile of format 1."""

    format: int
    tenant: str
    nodes: dict[str, Part] = {}
    version: int = 0
    clock: int = 0
    timer: int = 0
    publish_by: int = 0
    flip_at: int = 0
    verdict: Verdict | None = None
    published_tags: list[str] = []
    roster: list[str] | None = None
    roster_epoch: int = 0
    incarnation: int = 0
    left_to: str = ""
    hold: int = 0


node = msgspec.msgpack.Decoder(Node).decode
profile = msgspec.msgpack.Decoder(Profile).decode
