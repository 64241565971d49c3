"""Exact dedupe of one node: message ids of at least seven days, with a fingerprint of the body.

The newest ids stand in the node's head; when they are many the older ones move to a mapping with one entry an id, so that a busy node costs a point
read an event and no growing blob. Days of the log's clock decide when an id is forgotten.
"""

from typing import Protocol

import msgspec

INLINE = 128
_SPILL = 64
DAY_MS = 86_400_000
_UINT = 0xFFFFFFFF


class IdStore(Protocol):
    """Mapping for spilled ids; keys are ints, values ints or packed bytes."""

    def get(self, key: int) -> int | None:
        """Fingerprint of an id hash, or None."""

    def put(self, key: int, value: int) -> None:
        """Remember the fingerprint of an id hash."""

    def put_batch(self, number: int, ids: list[int]) -> None:
        """Remember which ids were spilled together, so that they can be forgotten together."""

    def drop_batch(self, number: int) -> None:
        """Forget a batch and its ids."""


class Seen(msgspec.Struct, array_like=True):
    """Ids this node has seen.

    Attributes:
        inline: id hash -> (fingerprint, day), oldest first.
        batches: `(batch number, newest day in it)` of spilled ids.
        next_batch: number of the next batch.
    """

    inline: dict[int, tuple[int, int]] = {}
    batches: list[tuple[int, int]] = []
    next_batch: int = 0

    def find(self, id_hash: int, store: IdStore) -> int | None:
        """Fingerprint remembered for an id, or None when it is new."""
        found = self.inline.get(id_hash)
        if found is not None:
            return found[0]
        return store.get(id_hash) if self.batches else None

    def remember(self, id_hash: int, fingerprint: int, clock: int, keep_ms: int, store: IdStore) -> None:
        """Remember a new id and forget those that are too old.

        Args:
            id_hash: hash of the message id.
            fingerprint: hash of the body.
            clock: the node's clock, ms.
            keep_ms: how long ids are kept at least.
            store: where ids go when they are many.
        """
        day = clock // DAY_MS
        oldest = (clock - keep_ms) // DAY_MS  # days before this one lie wholly outside
        while self.batches and self.batches[0][1] < oldest:
            store.drop_batch(self.batches.pop(0)[0])
        inline = self.inline
        inline[id_hash] = (fingerprint, day)
        if len(inline) <= INLINE:
            return
        for old in [known for known, (_, seen) in inline.items() if seen < oldest]:
            del inline[old]
        if len(inline) <= INLINE:
            return
        moved = list(inline.items())[:_SPILL]
        for old, (body, _) in moved:
            store.put(old, body)
            del inline[old]
        self.batches.append((self.next_batch, max(seen for _, (_, seen) in moved)))
        store.put_batch(self.next_batch, [old for old, _ in moved])
        self.next_batch += 1
