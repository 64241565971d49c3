"""Message ids are remembered for as long as promised, inline or spilled, and then forgotten."""

from pipelines.ingest.dedupe import DAY_MS, INLINE, Seen
from tests.in_process import MapStore

WEEK = 7 * DAY_MS
NOW = 20_000 * DAY_MS


def test_every_id_is_found_for_seven_days_and_its_body_told_apart() -> None:
    seen, store = Seen(), MapStore()
    for number in range(5 * INLINE):
        assert seen.find(number, store) is None
        seen.remember(number, number * 7, NOW + number, WEEK, store)
    assert len(seen.inline) <= INLINE
    assert all(seen.find(number, store) == number * 7 for number in range(5 * INLINE))
    seen.remember(-1, 0, NOW + WEEK - 1, WEEK, store)
    assert all(seen.find(number, store) == number * 7 for number in range(5 * INLINE))


def test_old_ids_leave_head_and_store() -> None:
    seen, store = Seen(), MapStore()
    for number in range(5 * INLINE):
        seen.remember(number, number, NOW, WEEK, store)
    for number in range(5 * INLINE, 7 * INLINE):
        seen.remember(number, number, NOW + 9 * DAY_MS, WEEK, store)
    assert all(seen.find(number, store) is None for number in range(5 * INLINE))
    assert all(seen.find(number, store) == number for number in range(5 * INLINE, 7 * INLINE))
    assert len(store.records) <= 2 * INLINE
    assert len(store.batches) == len(seen.batches)
