"""What the identity graph remembers, and where: one record an identifier, one a profile."""

from typing import Final, Protocol

import msgspec

OPEN, SHARED, BLOCKED = "", "shared", "blocked"
CLOCK: Final = "clock"
RULES: Final = "rules"


class Tie(msgspec.Struct, array_like=True):
    """A link that is in force.

    Attributes:
        epoch: of the record that made it.
        is_stated: see `Link`.
    """

    epoch: int
    is_stated: bool


class NodeRecord(msgspec.Struct, array_like=True):
    """An identifier.

    Attributes:
        profile_id: profile it belongs to.
        first: place in the log of the first record that named it; the two of one record differ.
        first_at: log time of that record, ms.
        ties: links in force, by the other node.
        apart: nodes it must not be together with.
        refused: those that could not be joined with it, as 64-bit hashes; no more than it takes to call it shared.
        status: open, shared or blocked.
    """

    profile_id: str
    first: int
    first_at: int
    ties: dict[str, Tie] = {}
    apart: list[str] = []
    refused: list[int] = []
    status: str = OPEN


class Member(msgspec.Struct, array_like=True):
    """A node of a profile.

    Attributes:
        first, first_at: as in `NodeRecord`.
        group: one node for all that were stated to be one with it; they count once.
        is_told: whether the node has been told where it belongs.
    """

    first: int
    first_at: int
    group: str
    is_told: bool = False


class ProfileRecord(msgspec.Struct, array_like=True):
    """A profile's nodes.

    Attributes:
        members: by node key.
        apart: pairs of nodes that must not be together, of which one at least is a member.
        weakest: no tie of the profile is weaker than this (`Limits.strength`); empty without ties.
        judged: epoch of the limits (`Limits.since`) by which all ties of the profile are known to agree; by later ones they may not.
    """

    members: dict[str, Member] = {}
    apart: list[tuple[str, str]] = []
    weakest: list[int] = []
    judged: int = 0


class Store(Protocol):
    """A mapping of bytes that outlives the process (Flink MapState in the job, a dict in tests)."""

    def get(self, key: str) -> bytes | None:
        """The record or None."""

    def put(self, key: str, value: bytes) -> None:
        """Write a record."""

    def remove(self, key: str) -> None:
        """Delete a record that is there."""


_node = msgspec.msgpack.Decoder(NodeRecord).decode
_profile = msgspec.msgpack.Decoder(ProfileRecord).decode
_encode = msgspec.msgpack.Encoder().encode


class GraphState:
    """One tenant's graph while a record of the log is taken in: reads each record once, writes those that changed.

    Args:
        store: keys `n:<node>`, `p:<profile>`, `clock` and `rules`.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._nodes: dict[str, NodeRecord] = {}
        self._profiles: dict[str, ProfileRecord | None] = {}
        self._changed: set[str] = set()

    def clock(self, at: int) -> int:
        """Move the graph's clock, which never goes back, to `at` (ms); returns it."""
        before = int(self._store.get(CLOCK) or b"0")
        if at > before:
            self._store.put(CLOCK, str(at).encode())
        return max(at, before)

    def rules(self) -> tuple[int, str] | None:
        """The epoch and the body of the newest `rules` record that changed the limits; None when there was none."""
        blob = self._store.get(RULES)
        if blob is None:
            return None
        epoch, body = blob.decode().split("|", 1)
        return int(epoch), body

    def set_rules(self, epoch: int, body: str) -> None:
        """Keep a `rules` record."""
        self._store.put(RULES, f"{epoch}|{body}".encode())

    def find(self, key: str) -> NodeRecord | None:
        """A node, None when the log has not named it yet."""
        node = self._nodes.get(key)
        if node is None:
            blob = self._store.get("n:" + key)
            if blob is None:
                return None
            node = self._nodes[key] = _node(blob)
        return node

    def node(self, key: str) -> NodeRecord:
        """A node that the log has named."""
        node = self.find(key)
        assert node is not None
        return node

    def begin(self, key: str, node: NodeRecord, judged: int) -> NodeRecord:
        """A node is named for the first time: it is a profile of its own."""
        self._nodes[key] = node
        self.changed(key)
        self.set_profile(node.profile_id, ProfileRecord({key: Member(node.first, node.first_at, key)}, judged=judged))
        return node

    def find_profile(self, profile_id: str) -> ProfileRecord | None:
        """A profile, None when it has ended or never was."""
        if profile_id not in self._profiles:
            blob = self._store.get("p:" + profile_id)
            self._profiles[profile_id] = None if blob is None else _profile(blob)
        return self._profiles[profile_id]

    def profile(self, profile_id: str) -> ProfileRecord:
        """A profile that is there."""
        profile = self.find_profile(profile_id)
        assert profile is not None
        return profile

    def set_profile(self, profile_id: str, profile: ProfileRecord | None) -> None:
        """A profile becomes another one, or ends."""
        self._profiles[profile_id] = profile
        self._changed.add("p:" + profile_id)

    def changed(self, key: str) -> None:
        """Note that a node has to be written."""
        self._changed.add("n:" + key)

    def write(self) -> None:
        """Write what changed."""
        for key in sorted(self._changed):
            name = key[2:]
            record = self._nodes.get(name) if key[0] == "n" else self._profiles.get(name)
            if record is not None:
                self._store.put(key, _encode(record))
            elif self._store.get(key) is not None:
                self._store.remove(key)
