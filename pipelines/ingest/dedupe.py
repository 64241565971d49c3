"""Exact dedupe of one node: message ids of at least seven days, with a fingerprint of the body.

The newest ids stand in the node's head, in chunks that are packed once and copied as they are on each write. When there are many, the
oldest chunk moves to a mapping with one entry an id, so that a busy node costs a point read an event and no growing blob. The watermark
decides when an id is forgotten: a node hears of several partitions, and one that is being caught up may lie days behind the others.
"""

import struct
from typing import Final, Protocol

import msgspec

DAY_MS: Final = 86_400_000
CHUNK: Final = 32
CHUNKS_INLINE: Final = 4
BATCHES_FORGOTTEN: Final = 4
_PACKED: Final = struct.Struct(">qq")
_HASH: Final = struct.Struct(">q")


class Duplicate(msgspec.Struct, frozen=True):
    """The event repeats one that was applied: `reason` is `message_id` or `business_key`."""

    reason: str


class Conflict(msgspec.Struct):
    """The event has the message id of another one."""


BY_MESSAGE_ID: Final = Duplicate("message_id")
BY_BUSINESS_KEY: Final = Duplicate("business_key")


class IdStore(Protocol):
    """Mapping for spilled ids; keys are ints, values ints."""

    def get(self, key: int) -> int | None:
        """Fingerprint of an id hash, or None."""

    def put(self, key: int, value: int) -> None:
        """Remember the fingerprint of an id hash."""

    def put_batch(self, number: int, ids: list[int]) -> None:
        """Remember which ids were spilled together, so that they can be forgotten together."""

    def drop_batch(self, number: int) -> None:
        """Forget a batch and its ids."""


class Records(Protocol):
    """Mapping for what is remembered without a time limit: the ledger's."""

    def get(self, key: str) -> bytes | None:
        """The record or None."""

    def put(self, key: str, value: bytes) -> None:
        """Write a record."""


def tell_again(store: Records, key: str, content: int) -> bool:
    """Whether a node has been told this already, under whatever message id; if not it is remembered, for ever.

    Each content has a record of its own: the millionth version of an order costs what the first did.

    Args:
        store: the node's records; keys `b:<business key>|<content>`.
        key: business key.
        content: hash of what was told, its event time included.
    """
    record = f"b:{key}|{content:x}"
    if store.get(record) is not None:
        return True
    store.put(record, b"1")
    return False


class Seen(msgspec.Struct, array_like=True):
    """The ids of one node, as they are persisted.

    The packed chunks are searched as they are: an index would be quicker by a microsecond and take ten times their memory, which the
    caches would rather spend on more nodes.

    Attributes:
        chunks: packed chunks of `(id hash, fingerprint)`, oldest first.
        days: newest day in each chunk.
        open: the newest ids, packed alike, fewer than a chunk.
        day: newest day among them.
        batches: of spilled chunks, by the newest day in them, oldest first: `(day, number after its last one)`.
        first_batch: number of the oldest spilled chunk that is still there.
        next_batch: number of the next one.
    """

    chunks: tuple[bytes, ...] = ()
    days: tuple[int, ...] = ()
    open: bytes = b""
    day: int = 0
    batches: tuple[tuple[int, int], ...] = ()
    first_batch: int = 0
    next_batch: int = 0

    def find(self, id_hash: int, store: IdStore) -> int | None:
        """Fingerprint remembered for an id, or None when it is new."""
        wanted = _HASH.pack(id_hash)
        for chunk in (self.open, *self.chunks):
            at = chunk.find(wanted)
            while at >= 0:
                if at % _PACKED.size == 0:
                    found: int = _PACKED.unpack_from(chunk, at)[1]
                    return found
                at = chunk.find(wanted, at + 1)
        return store.get(id_hash) if self.batches else None

    def remember(self, id_hash: int, fingerprint: int, log_time: int, needed_from: int, store: IdStore) -> None:
        """Remember a new id and forget those that are too old.

        Args:
            id_hash: hash of the message id.
            fingerprint: hash of the body.
            log_time: of the record, ms.
            needed_from: no record that is still to come has to be told from one with a log time before this, ms.
            store: where ids go when they are many.
        """
        self.open += _PACKED.pack(id_hash, fingerprint)
        self.day = max(self.day, log_time // DAY_MS)
        if len(self.open) < _PACKED.size * CHUNK:
            return
        self.chunks += (self.open,)
        self.days += (self.day,)
        self.open = b""
        self._forget(needed_from // DAY_MS, store)
        if len(self.chunks) > CHUNKS_INLINE:
            self._spill(store)

    def _forget(self, oldest: int, store: IdStore) -> None:
        """Drop what lies wholly before the day `oldest`; of a busy node's past a few batches at a time, more than come in."""
        for _ in range(BATCHES_FORGOTTEN):
            if not self.batches or self.batches[0][0] >= oldest:
                break
            store.drop_batch(self.first_batch)
            self.first_batch += 1
            if self.first_batch == self.batches[0][1]:
                self.batches = self.batches[1:]
        while self.days and self.days[0] < oldest:
            self.days, self.chunks = self.days[1:], self.chunks[1:]

    def _spill(self, store: IdStore) -> None:
        moved = list(_PACKED.iter_unpack(self.chunks[0]))
        day, self.days, self.chunks = self.days[0], self.days[1:], self.chunks[1:]
        for known, body in moved:
            store.put(known, body)
        store.put_batch(self.next_batch, [known for known, _ in moved])
        self.next_batch += 1
        if self.batches and self.batches[-1][0] >= day:
            self.batches = (*self.batches[:-1], (self.batches[-1][0], self.next_batch))
        else:
            self.batches += ((day, self.next_batch),)
