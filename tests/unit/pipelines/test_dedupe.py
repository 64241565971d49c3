"""Message ids are remembered for as long as promised, in the head or spilled, and then forgotten."""

import msgspec

from bench.core import MapStore
from pipelines.ingest.dedupe import CHUNK, CHUNKS_INLINE, DAY_MS, Seen

WEEK = 7 * DAY_MS
NOW = 20_000 * DAY_MS
INLINE = CHUNK * (CHUNKS_INLINE + 1)


def test_every_id_is_found_for_seven_days_and_its_body_told_apart() -> None:
    seen, store = Seen(), MapStore()
    for number in range(5 * INLINE):
        assert seen.find(number, store) is None
        seen.remember(number, number * 7, NOW + number, NOW + number - WEEK, store)
    assert len(seen.chunks) <= CHUNKS_INLINE
    assert store.batches
    for number in range(-CHUNK, 0):
        seen.remember(number, 0, NOW + WEEK - 1, NOW - 1, store)
    for index in (seen, msgspec.msgpack.decode(msgspec.msgpack.encode(seen), type=Seen)):  # as it is, and as read back from state
        assert all(index.find(number, store) == number * 7 for number in range(5 * INLINE))


def test_old_ids_leave_head_and_store() -> None:
    seen, store = Seen(), MapStore()
    for number in range(5 * INLINE):
        seen.remember(number, number, NOW, NOW - WEEK, store)
    for number in range(5 * INLINE, 7 * INLINE):
        seen.remember(number, number, NOW + 9 * DAY_MS, NOW + 2 * DAY_MS, store)
    assert all(seen.find(number, store) is None for number in range(5 * INLINE))
    assert all(seen.find(number, store) == number for number in range(5 * INLINE, 7 * INLINE))
    assert len(store.records) <= 2 * INLINE
    assert len(store.batches) == seen.next_batch - seen.first_batch


def test_what_a_busy_node_carries_does_not_grow_with_its_past() -> None:
    seen, store = Seen(), MapStore()
    for number in range(20_000):
        seen.remember(number, number, NOW + number * 60_000, NOW + number * 60_000 - WEEK, store)
        assert len(seen.batches) <= WEEK // DAY_MS + 2
    assert seen.find(20_000 - 7 * 1440, store) is not None
    assert seen.find(0, store) is None
    assert len(store.records) < 9 * 1440 + 5 * CHUNK
