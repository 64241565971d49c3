"""The state of a profile: what is persisted of it, and what it is decoded to."""

from typing import Any, Final

import msgspec

from pipelines.audiences.rules import Verdict
from pipelines.traits.golden import EMPTY
from pipelines.wire import Value

FORMAT: Final = 1


class Part(msgspec.Struct, array_like=True):
    """What one node has told: its counter, the epoch of its membership, its values."""

    seq: int
    epoch: int
    values: dict[str, Value]


class ProfileState(msgspec.Struct, array_like=True):
    """What is persisted of a profile.

    Attributes:
        format: version of this encoding; new fields go to the end with a default.
        nodes: node key -> its part.
        version: of the last published change.
        clock: newest log time seen or timer fired, ms.
        timer: earliest event-time timer outstanding, 0 if none.
        publish_by: moment by which unpublished changes must be published, 0 if there are none.
        flip_at: moment at which time alone turns a rule, 0 if never.
        verdict: what the rules said last.
        published_tags: tags that the last published change showed.
        roster: nodes that must be present before the profile may publish; None without a resolver's word.
        roster_epoch: epoch of that word.
        incarnation: of the writer that published `version`.
        left_to: profile to which a node went that this one never held; empty when there was none.
        hold: silent until the watermark reaches this, ms; 0: need not be.
    """

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


class LiveProfile:
    """A decoded profile.

    Attributes:
        profile_id: its id.
        state: the persisted part.
        values: combined node values; of a single node that node's own.
        fields: fields as last computed; None until they are (first touch).
        changed: names of fields that differ from what is published.
        published: whether this writer has published the profile whole, so that changed fields suffice.
        personal: its personal traits, sealed, as JSON (`golden.Golden.personal`).
    """

    __slots__ = ("changed", "fields", "personal", "profile_id", "published", "state", "values")

    def __init__(self, profile_id: str, state: ProfileState) -> None:
        self.profile_id = profile_id
        self.state = state
        self.values: dict[str, Value] = {}
        self.fields: dict[str, Any] | None = None
        self.changed: dict[str, None] = {}
        self.published = False
        self.personal = EMPTY.personal


decode = msgspec.msgpack.Decoder(ProfileState).decode
encode = msgspec.msgpack.Encoder().encode
