"""Every type of Parquet at its far ends: a value that JSON or the calendar lacks costs its row, and no digit is changed."""

import datetime as dt
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importers.files.arrow_values import NoJson, plain_column
from importers.files.opening import open_rows
from importers.files.rows import FileError, Row
from importers.mapping.options import Options

UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
FAR = [-(2**63), -(2**63) + 1, 2**63 - 1]
BERLIN = "Europe/Berlin"
FIRST, LAST = dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59)
EPOCH = dt.datetime(1970, 1, 1)


def rows(path: Path, table: pa.Table, **options: Any) -> list[Row]:
    pq.write_table(table, path, **options)
    reader = open_rows(path, Options())
    try:
        return list(reader.rows())
    finally:
        reader.close()


def stored(values: list[int | None], kind: pa.DataType) -> pa.Array:
    """An array of times out of the whole numbers that they are stored as, whatever Python can hold."""
    return pa.array(values, pa.int32() if kind in (pa.date32(), pa.time32("s"), pa.time32("ms")) else pa.int64()).view(kind)


def outcomes(column: Any) -> list[Any]:
    return [f"refused: {value.rule}" if isinstance(value, NoJson) else value for value in plain_column(column)]


@pytest.mark.parametrize("zone", [None, "UTC", BERLIN, "+05:30"])
@pytest.mark.parametrize("unit", UNITS)
def test_timestamps_of_every_unit_and_zone(unit: str, zone: str | None) -> None:
    kind, second = pa.timestamp(unit, zone), UNITS[unit]
    noon = int((dt.datetime(2026, 11, 28, 12) - EPOCH).total_seconds()) * second
    found = outcomes(stored([noon, None, *FAR], kind))
    expected = {None: "2026-11-28T12:00:00", "UTC": "2026-11-28T12:00:00+00:00", BERLIN: "2026-11-28T13:00:00+01:00"}
    assert found[0] == expected.get(zone, "2026-11-28T17:30:00+05:30")
    assert found[1] is None
    if unit == "ns":
        assert [text[:10] for text in found[2:]] == [
            "1677-09-21",
            "1677-09-21",
            "2262-04-12" if zone in ("+05:30", BERLIN) else "2262-04-11",
        ]
    else:
        assert found[2:] == ["refused: a time between the years 1 and 9999"] * 3
        ends = [int((end - EPOCH).total_seconds()) * second for end in (FIRST, LAST)]
        early, late = outcomes(stored(ends, kind))
        assert (early[:4], late[:4]) == ("0001", "9999")
        assert outcomes(stored([ends[0] - 1, ends[1] + second], kind)) == ["refused: a time between the years 1 and 9999"] * 2


@settings(deadline=None)
@given(st.sampled_from(["s", "ms", "us", "ns"]), st.integers(-(2**63), 2**63 - 1))
def test_a_timestamp_is_read_to_its_last_digit(unit: str, value: int) -> None:
    (found,) = outcomes(stored([value], pa.timestamp(unit)))
    if found.startswith("refused"):
        assert not (FIRST - EPOCH).total_seconds() <= value / UNITS[unit] < (LAST - EPOCH).total_seconds() + 1
        return
    whole, _, fraction = found.partition(".")
    seconds = (dt.datetime.fromisoformat(whole) - EPOCH) // dt.timedelta(seconds=1)
    assert seconds * 10**9 + int(fraction.ljust(9, "0")) == value * (10**9 // UNITS[unit])


def test_days_times_of_day_and_durations() -> None:
    assert outcomes(stored([0, -719_162, 2_932_896, 2**31 - 1, -(2**31), None], pa.date32())) == [
        "1970-01-01", "0001-01-01", "9999-12-31", *["refused: a day between the years 1 and 9999"] * 2, None,
    ]  # fmt: skip
    assert outcomes(stored([86_400_000 * 2, -1, *FAR], pa.date64())) == [
        "1970-01-03", "1969-12-31", *["refused: a day between the years 1 and 9999"] * 3,
    ]  # fmt: skip
    for kind in (pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")):
        second = UNITS[kind.unit]
        wide = [2**31 - 1, -1] if kind.bit_width == 32 else [2**63 - 1, -1]
        assert outcomes(stored([0, 86_399 * second, 86_400 * second, *wide], kind)) == [
            "00:00:00",
            "23:59:59",
            *["refused: a time of day"] * 3,
        ]
    assert outcomes(stored([1_000_000_001], pa.time64("ns"))) == ["00:00:01.000000001"]
    for unit, second in UNITS.items():
        assert outcomes(stored([90 * second, *FAR], pa.duration(unit))) == [
            90,
            *(far // second if second == 1 else far / second for far in FAR),
        ]


def test_a_far_year_costs_its_row_which_says_what_is_stored(tmp_path: Path) -> None:
    at = pa.array([1_795_860_000_000, 1_795_860_000_000_123, None], pa.timestamp("ms"))
    found = rows(tmp_path / "a.parquet", pa.table({"no": ["1", "2", "3"], "at": at}))
    assert [row.failed is None for row in found] == [True, False, True]
    assert found[1].failed is not None
    assert (found[1].number, found[1].failed.field) == (2, "at")
    assert found[1].original == {"no": "2", "at": "1795860000000123"}


def test_times_nested_at_any_depth_cost_their_row_and_name_their_place(tmp_path: Path) -> None:
    inner = pa.struct([("at", pa.timestamp("us", "UTC")), ("tags", pa.map_(pa.string(), pa.timestamp("ms")))])
    kind = pa.list_(pa.struct([("lines", pa.list_(inner)), ("day", pa.date32())]))
    good = [{"lines": [{"at": 0, "tags": [("a", 0)]}], "day": 1}]
    wrong_time = [{"lines": [{"at": 0, "tags": []}, {"at": 2**62, "tags": []}], "day": 1}]
    wrong_tag = [{"lines": [{"at": None, "tags": [("a", 0), ("b", 2**62)]}], "day": None}]
    plain = pa.list_(
        pa.struct([("lines", pa.list_(pa.struct([("at", pa.int64()), ("tags", pa.map_(pa.string(), pa.int64()))]))), ("day", pa.int32())])
    )
    found = rows(tmp_path / "a.parquet", pa.table({"x": pa.array([good, wrong_time, None, wrong_tag], plain).view(kind)}))
    assert found[0].record == {
        "x": [{"lines": [{"at": "1970-01-01T00:00:00+00:00", "tags": {"a": "1970-01-01T00:00:00"}}], "day": "1970-01-02"}]
    }
    assert found[2].record == {"x": None}
    assert [row.failed and row.failed.field for row in found] == [None, "x[0].lines[1].at", None, "x[0].lines[0].tags.b"]


def test_old_96_bit_times_beyond_2262_are_what_they_are(tmp_path: Path) -> None:
    at = pa.array([dt.datetime(9999, 12, 31, 1), dt.datetime(1, 1, 1), dt.datetime(2026, 11, 28, 9, 0, 0, 123456)], pa.timestamp("us"))
    found = rows(tmp_path / "a.parquet", pa.table({"at": at}), use_deprecated_int96_timestamps=True)
    assert [row.record for row in found] == [
        {"at": "9999-12-31T01:00:00"},
        {"at": "0001-01-01T00:00:00"},
        {"at": "2026-11-28T09:00:00.123456"},
    ]


@settings(deadline=None)
@given(st.integers(-(10**38) + 1, 10**38 - 1), st.integers(0, 38))
def test_a_decimal_of_38_digits_keeps_each_of_them(unscaled: int, scale: int) -> None:
    value = Decimal((int(unscaled < 0), tuple(int(one) for one in str(abs(unscaled))), -scale))
    for kind in (pa.decimal128(38, scale), pa.decimal256(76, scale)):
        for column, dig in (
            (pa.array([value], kind), lambda found: found),
            (pa.array([{"a": [value]}], pa.struct([("a", pa.list_(kind))])), lambda found: found["a"][0]),
        ):
            found = dig(plain_column(column)[0])
            assert Decimal(repr(found) if isinstance(found, float) else found) == value
            assert isinstance(found, int) == (value == value.to_integral_value())


def test_wide_decimals_at_their_ends() -> None:
    most = 10**76 - 1
    assert plain_column(pa.array([Decimal(most), Decimal(-most), None], pa.decimal256(76, 0))) == [most, -most, None]
    assert plain_column(pa.array([Decimal("1.50"), Decimal("2.00"), Decimal("1e2")], pa.decimal128(10, 2))) == [1.5, 2, 100]
    assert plain_column(pa.array([Decimal("12345678901234567890.12")], pa.decimal128(30, 2))) == ["12345678901234567890.12"]
    assert plain_column(pa.array([Decimal("1200")], pa.decimal128(5, -2))) == [1200]


def test_the_other_types(tmp_path: Path) -> None:
    known = uuid.UUID("0b8f6a0e-7f7b-4a52-9e0e-6f4a1d6f2b11")
    cases: list[tuple[pa.Array, list[Any]]] = [
        (pa.array([2**64 - 1, None], pa.uint64()), [2**64 - 1, None]),
        (pa.array([2**64 - 1, 0], pa.uint64()), [2**64 - 1, 0]),
        (pa.array([-(2**63), 2**63 - 1], pa.int64()), [-(2**63), 2**63 - 1]),
        (pa.array([np.float16(1.5), np.float16("nan"), None], pa.float16()), [1.5, None, None]),
        (pa.array([b"abc", b"\xff", None], pa.binary()), ["abc", "/w==", None]),
        (pa.array([b"abc", b"ab\xff"], pa.binary(3)), ["YWJj", "YWL/"]),
        (pa.array(["x", None, "y", "x"]).dictionary_encode(), ["x", None, "y", "x"]),
        (pa.array([[("a", 1), ("b", None)], [], None], pa.map_(pa.string(), pa.int64())), [{"a": 1, "b": None}, {}, None]),
        (pa.array([[(1, "x")]], pa.map_(pa.int64(), pa.string())), [{"1": "x"}]),
        (pa.array([[1, 2], [3, 4]], pa.list_(pa.int64(), 2)), [[1, 2], [3, 4]]),
        (pa.array([[1], None], pa.large_list(pa.int64())), [[1], None]),
        (pa.array(["x", None], pa.large_string()), ["x", None]),
        (pa.array([None, None], pa.null()), [None, None]),
        (pa.array([True, None]), [True, None]),
        (pa.array([{"d": "x"}], pa.struct([("d", pa.dictionary(pa.int32(), pa.string()))])), [{"d": "x"}]),
    ]
    for number, (column, expected) in enumerate(cases):
        assert plain_column(column) == expected, column.type
        if not pa.types.is_float16(column.type):
            found = rows(tmp_path / f"{number}.parquet", pa.table({"x": column}))
            assert [row.record["x"] for row in found] == expected, column.type
    assert plain_column(pa.array([known.bytes], pa.binary(16)), is_uuid=True) == [str(known)]


def test_a_map_that_has_a_key_twice_and_numbers_without_end_cost_their_row() -> None:
    assert outcomes(pa.array([[("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int64()))) == ["refused: a map that has each key once"]
    assert outcomes(pa.array([[1.0, float("inf")], [float("nan")]])) == ["refused: a finite number", [None]]


def test_text_that_is_no_utf_8_costs_its_row(tmp_path: Path) -> None:
    broken = pa.array([b"a", b"\xff\xfe", "ü".encode()], pa.binary()).view(pa.string())
    found = rows(tmp_path / "a.parquet", pa.table({"no": [1, 2, 3], "name": broken}))
    assert [row.record.get("name") for row in found] == ["a", None, "ü"]
    assert found[1].failed is not None
    assert (found[1].failed.field, found[1].failed.rule) == ("name", "text in UTF-8")
    assert found[1].original == {"no": 2, "name": "b'\\xff\\xfe'"}


def test_a_file_that_has_a_column_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="the column `a` is there twice"):
        rows(tmp_path / "a.parquet", pa.table([[1], [2]], names=["a", "a"]))


def test_old_times_that_arrow_wrote_before_1970_are_refused_instead_of_being_584_years_late(tmp_path: Path) -> None:
    late = [dt.datetime(1965, 3, 9, 23), dt.datetime(1900, 1, 1, 12), dt.datetime(1969, 12, 31, 23, 59, 59)]
    well = [
        dt.datetime(1969, 12, 31),
        dt.datetime(1970, 1, 1),
        dt.datetime(2026, 11, 28, 9, 30),
        dt.datetime(2261, 1, 1, 1),
        dt.datetime(2300, 1, 1),
    ]
    table = pa.table({"at": pa.array([*late, *well], pa.timestamp("us"))})
    found = rows(tmp_path / "old.parquet", table, use_deprecated_int96_timestamps=True)
    assert [row.failed is not None and "one way" in row.failed.rule for row in found] == [True] * 3 + [False] * 5
    assert [row.record["at"] for row in found[3:] if row.record] == [at.isoformat() for at in well]
    nested = pa.table({"line": pa.array([{"at": late[0]}, {"at": well[2]}], pa.struct([("at", pa.timestamp("us"))]))})
    found = rows(tmp_path / "nested.parquet", nested, use_deprecated_int96_timestamps=True)
    assert [row.failed is not None for row in found] == [True, False]


def test_numbers_of_32_bits_are_the_decimals_that_they_stand_for_and_none_that_has_lost_digits(tmp_path: Path) -> None:
    written = [19.99, 0.1, -3.0, 16_777_215.0, 16_777_216.0, 20_000_001.0]
    found = rows(tmp_path / "short.parquet", pa.table({"x": pa.array(written, pa.float32())}))
    assert [row.record["x"] for row in found[:4] if row.record] == written[:4]
    assert [row.failed is not None and "32 bits" in row.failed.rule for row in found[4:]] == [True, True]
    halves = rows(tmp_path / "half.parquet", pa.table({"x": pa.array(np.array([1.5, 2050], np.float16))}))
    assert [row.failed is None for row in halves] == [True, False]
