"""Windows: exact while few, on tile boundaries when many."""

from tests.oracle.windows import Series
from tests.unit.oracle.cases import DAY_MS, RULES, Writer, at

MIN_MS = 60_000
NODE = "demo|user_id|17850"
PHASE_MS = 0x6E32B7E3 % (7680 * MIN_MS)
"""blake2b("demo|user_id|17850", 8 bytes) begins with 6e32b7e3."""


def series(*times_ms: int) -> Series:
    return Series(NODE, [(time_ms, 100) for time_ms in times_ms], RULES)


def test_the_phase_is_what_b2sum_says() -> None:
    import hashlib

    assert hashlib.blake2b(NODE.encode(), digest_size=8).hexdigest()[:8] == f"{0x6E32B7E3:08x}"


def test_a_window_is_open_at_its_old_end_and_closed_at_now() -> None:
    now = at(100)
    few = series(now - 7 * DAY_MS, now - 7 * DAY_MS + 1, now)
    assert few.measure("7d", now) == (2, 200)
    assert few.measure("7d", now - 1) == (2, 200)
    assert few.measure("7d", now + 1) == (1, 100)
    assert few.measure("lifetime", now) == (3, 300)


def test_the_same_millisecond_is_one_entry() -> None:
    now = at(100)
    crowd = Series(NODE, [(now, 5)] * 200 + [(now - DAY_MS, 5)], RULES)
    assert crowd.measure("1d", now) == (200, 1000)
    assert crowd.measure("7d", now) == (201, 1005)


def test_sixty_four_entries_move_the_old_end_back_to_a_tile_boundary() -> None:
    # 30 d: hop 640 min. `boundary` is the last boundary at or before now - 30 d; 12 minutes lie between.
    boundary = PHASE_MS + 33_700 * 640 * MIN_MS
    now = boundary + 12 * MIN_MS + 30 * DAY_MS
    recent = [now - second * 1000 for second in range(63)]
    assert series(*recent, boundary + 1).measure("30d", now) == (63, 6300)
    assert series(*recent, now - DAY_MS, boundary + 1).measure("30d", now) == (65, 6500)
    assert series(*recent, now - DAY_MS, boundary).measure("30d", now) == (64, 6400)


def test_a_boundary_that_is_the_exact_end_stays() -> None:
    now = PHASE_MS + 33_700 * 640 * MIN_MS + 30 * DAY_MS
    many = [now - second * 1000 for second in range(70)]
    assert series(*many, now - 30 * DAY_MS).measure("30d", now) == (70, 7000)


def test_previous_thirty_days_are_sixty_minus_thirty() -> None:
    writer = Writer()
    for day in (1, 20, 35, 36, 59):
        writer.call(day, "page")
    fields = writer.profile(65)
    assert (fields["interactions_30d"], fields["interactions_prev_30d"]) == (2, 2)


def test_what_interacts() -> None:
    writer = Writer()
    writer.call(1, "page")
    writer.call(2, "screen")
    writer.call(3, "identify")
    writer.call(4, event="Product Viewed", properties={"product_id": "a"})
    writer.call(5, event="Product Added", properties={"product_id": "a"})
    writer.order(6, "o", ("a", 1, 1.0))
    writer.refund(7, "r", ("a", 1, 1.0))
    writer.call(8, event="Ticket Opened", properties={"ticket_id": "t"})
    writer.call(9, event="Ticket Closed", properties={"ticket_id": "t"})
    fields = writer.profile(10)
    assert fields["interactions_30d"] == 6
    assert (fields["views_30d"], fields["tickets_30d"], fields["views_lifetime"]) == (1, 1, 1)
