"""The order of a source: texts that compare byte by byte as the source means them, alike here and in the oracle."""

import datetime as dt
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.ingest.source_order import MAX_CHARS, canonical
from schemas.validators import Violation
from tests.oracle.envelope import _place
from tests.oracle.shapes import Violation as Refused

LATER = [
    (9, 10),
    ("9", 10),
    ("0099", "100"),
    (2**63, 2**64 - 1),
    ("9" * 95, "1" + "0" * 95),
    ("mysql-bin.999999-4", "mysql-bin.1000000-4"),
    ("mysql-bin.000012-9", "mysql-bin.000012-10"),
    ("v1.9", "v1.10"),
    ("a", "b"),
    ("16/B374D848", "16/B37ADFFF"),
    ("16/9FFFFFFF", "16/A0000000"),
    ("F/FFFFFFFF", "10/0"),
    ("00000027:00000ac0:0002", "00000027:00000b00:0001"),
    ("00000027:00000099:0002", "00000027:000000a0:0001"),
    ("0x00000027000000990002", "0x00000027000000A00001"),
    ("2026-11-28T10:00:00.5Z", "2026-11-28T10:00:00.75Z"),
    ("2026-11-28T10:00:00.5Z", "2026-11-28T10:00:00.500000000000000001Z"),
    ("2026-11-28T10:00:00.123Z", "2026-11-28T10:00:00.9Z"),
    ("2026-11-28T10:00:00Z", "2026-11-28T10:00:00.001Z"),
    ("2026-11-28T12:00:00+09:00", "2026-11-28T04:00:00Z"),
    ("2016-12-31T23:59:59.9Z", "2016-12-31T23:59:60Z"),
    ("2026-11-28 10:00:00.123", "2026-11-28 10:00:00.9"),
    ("0001-01-01T00:00:00+23:59", "0001-01-01T00:00:00Z"),
    ("0999-12-31T00:00:00Z", "9999-12-31T23:59:59Z"),
]
ALIKE = [
    (12, "0012"),
    (0, "000"),
    (5, " 5 "),
    ("2026-11-28T10:00:00Z", "2026-11-28 12:00:00.000+0200"),
    ("2026-11-28T10:00:00", "2026-11-28t10:00:00z"),
    ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
    ("16/b374d848", "00000016/B374D848"),
    ("0XAC", "0x000ac"),
    ("12/34", "012/034"),
]
REFUSED = [
    -1, "", " ", "x" * (MAX_CHARS + 1), "2026-02-30T10:00:00Z", "2026-11-28T24:00:00Z", "2026-11-28T10:60:00Z", "2026-11-28T10:00:61Z",
    "2026-11-28T10:00:00+24:00", "2026-11-28T10:00:00+01:60", "0000-01-01T00:00:00Z", "2026-11-28T10:00:00." + "1" * 19 + "Z",
]  # fmt: skip
orders = st.one_of(
    st.integers(0, 2**64 - 1),
    st.from_regex(r"(?a:[a-z.\-]{0,3}\d{1,12}[.\-:/][0-9a-fA-F]{0,8}\d{0,6})", fullmatch=True),
    st.from_regex(r"(?a:[0-9a-fA-F]{1,8}/[0-9a-fA-F]{1,8}|0x[0-9a-f]{1,20}|[0-9a-f]{8}:[0-9a-f]{8}:[0-9a-f]{4})", fullmatch=True),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
    st.builds(
        lambda at, decimals, zone: f"{at.isoformat()}{decimals}{zone}",
        st.datetimes(min_value=dt.datetime(1, 1, 1)).map(lambda at: at.replace(microsecond=0)),
        st.sampled_from(["", ".5", ".123", ".1230", ".000000001", ".123456789012345678", "." + "0" * 19]),
        st.sampled_from(["Z", "z", "", "+00:00", "-05:30", "+2359", "+24:00"]),
    ),
)


def judged(told: int | str) -> str:
    return _place({"sourceOrder": told}, "topic")[1]


@pytest.mark.parametrize(("older", "newer"), LATER)
def test_the_newer_one_is_the_greater_text(older: int | str, newer: int | str) -> None:
    assert canonical(older).encode() < canonical(newer).encode()


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_one_place_has_one_text_however_it_is_spelt(one: int | str, other: int | str) -> None:
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize("told", REFUSED)
def test_what_is_no_place_is_refused(told: int | str) -> None:
    with pytest.raises(Violation, match="whole number from 0 on"):
        canonical(told)
    with pytest.raises(Refused):
        judged(told)


@given(orders)
def test_every_order_is_the_oracles(told: int | str) -> None:
    outcomes: list[Any] = []
    for reading in (canonical, judged):
        try:
            outcomes.append(reading(told))
        except (Violation, Refused):
            outcomes.append(None)
    assert outcomes[0] == outcomes[1]


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_whole_numbers_compare_as_numbers_told_as_number_or_text(one: int, other: int) -> None:
    assert (canonical(one) < canonical(other)) == (canonical(str(one)) < canonical(other)) == (one < other)


@given(*[st.tuples(st.sampled_from(["", "a", "bin."]), st.integers(0, 10**12), st.sampled_from("-.:"), st.integers(0, 10**12))] * 2)
def test_runs_of_digits_compare_as_numbers_and_all_else_by_characters(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    texts = ["{}{}{}{}".format(*parts) for parts in (one, other)]
    # Against another character a number stands as its first digit: `-` and `.` are before all digits, `:` and letters behind them.
    keys = [[("0", int(part)) if part.isdigit() else (part, 0) for part in re.findall(r"\d+|\D", text)] for text in texts]
    assert (canonical(texts[0]) < canonical(texts[1])) == (keys[0] < keys[1])


@given(*[st.datetimes(min_value=dt.datetime(2, 1, 1), max_value=dt.datetime(9998, 1, 1), timezones=st.timezones(no_cache=False))] * 2)
def test_moments_compare_as_moments_in_whatever_zone(one: dt.datetime, other: dt.datetime) -> None:
    def whole_minutes(at: dt.datetime) -> dt.datetime:
        offset = at.utcoffset() or dt.timedelta()
        return at.astimezone(dt.timezone(dt.timedelta(minutes=offset // dt.timedelta(minutes=1))))

    one, other = whole_minutes(one), whole_minutes(other)
    assert (canonical(one.isoformat()) < canonical(other.isoformat())) == (one < other)
