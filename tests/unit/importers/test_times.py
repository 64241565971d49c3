"""Times: read back exactly, in every zone; and what a clock change makes ambiguous is decided by the mapping or refused."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importers.mapping import times
from importers.mapping.unfit import Unfit

FORM = "%Y-%m-%d %H:%M:%S.%f"
moments = st.datetimes(dt.datetime(1971, 1, 1), dt.datetime(2037, 1, 1)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=dt.UTC)
)
zones = st.sampled_from(
    ["UTC", "Europe/London", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Casablanca"]
)


def moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


@settings(deadline=None)
@given(moments, zones)
def test_what_a_wall_clock_shows_is_read_back_by_one_of_the_two_choices(at: dt.datetime, zone: str) -> None:
    shown = at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    found = {times.parse_time(shown.strftime(FORM), FORM, zone, choice) for choice in ("earlier", "later")}
    assert at in {moment(text) for text in found}
    if len(found) == 1:
        assert {times.parse_time(shown.strftime(FORM), FORM, zone)} == found
    else:
        with pytest.raises(Unfit, match="twice"):
            times.parse_time(shown.strftime(FORM), FORM, zone)


@settings(deadline=None)
@given(moments)
def test_seconds_since_1970_are_read_back_in_every_unit(at: dt.datetime) -> None:
    ms = round(at.timestamp() * 1000)
    texts = {times.parse_time(ms * factor, form) for form, factor in (("unix_ms", 1), ("unix_us", 1000), ("unix_ns", 1_000_000))}
    texts |= {times.parse_time(ms / 1000, "unix_s"), times.parse_time(str(ms), "unix_ms"), times.parse_time(at.isoformat(), "iso")}
    assert {moment(text) for text in texts} == {at}


@settings(deadline=None)
@given(st.lists(moments, min_size=2))
def test_texts_sort_as_the_moments_do(many: list[dt.datetime]) -> None:
    assert [times.to_text(at) for at in sorted(many)] == sorted(times.to_text(at) for at in many)


def test_a_time_that_happens_twice_is_one_of_two_moments_by_choice() -> None:
    read = [times.parse_time("2024-10-27 01:30", "%Y-%m-%d %H:%M", "Europe/London", choice) for choice in ("earlier", "later")]
    assert read == ["2024-10-27T00:30:00.000Z", "2024-10-27T01:30:00.000Z"]


def test_a_time_that_no_clock_showed_is_refused_or_taken_before_or_after_the_gap() -> None:
    with pytest.raises(Unfit, match="never"):
        times.parse_time("2024-03-31 01:30", "%Y-%m-%d %H:%M", "Europe/London")
    read = [times.parse_time("2024-03-31 01:30", "%Y-%m-%d %H:%M", "Europe/London", choice) for choice in ("earlier", "later")]
    assert read == ["2024-03-31T00:30:00.000Z", "2024-03-31T01:30:00.000Z"]


@pytest.mark.parametrize(
    ("value", "form", "zone", "expected"),
    [
        ("01/12/2010 08:26", "%d/%m/%Y %H:%M", "Europe/London", "2010-12-01T08:26:00.000Z"),
        ("2020-06-01T12:00:00+02:00", "iso", None, "2020-06-01T10:00:00.000Z"),
        ("2020-06-01T12:00:00+02:00", "iso", "Asia/Tokyo", "2020-06-01T10:00:00.000Z"),  # what the text says counts
        ("2020-06-01", "iso", "Asia/Tokyo", "2020-05-31T15:00:00.000Z"),
        ("1 Jun 2020 12:00 +0200", "%d %b %Y %H:%M %z", None, "2020-06-01T10:00:00.000Z"),
        (1591005600000000, "wall_us", "Europe/London", "2020-06-01T09:00:00.000Z"),
        ("2020-06-01T12:00:00.123456Z", "iso", None, "2020-06-01T12:00:00.123Z"),
        (-1, "unix_ms", None, "1969-12-31T23:59:59.999Z"),
    ],
)
def test_forms(value: str | int, form: str, zone: str | None, expected: str) -> None:
    assert times.parse_time(value, form, zone) == expected


@pytest.mark.parametrize(
    ("value", "form", "zone"),
    [
        ("31/02/2020", "%d/%m/%Y", "UTC"),
        ("yesterday", "iso", "UTC"),
        ("2020-06-01 12:00", "iso", None),
        (5, "iso", "UTC"),
        (True, "unix_s", None),
        ("x", "unix_s", None),
        (1e300, "unix_s", None),
        (10**30, "unix_s", None),
        ("0001-01-01T00:00:00", "iso", "Asia/Tokyo"),
        (["2020"], "iso", "UTC"),
        ("2020-06-01", None, "UTC"),
        ("2020-06-01", "iso", 5),
        ("2020-06-01", "iso", "Mars/Olympus"),
    ],
)
def test_what_is_no_time_is_refused(value: object, form: str, zone: str | None) -> None:
    with pytest.raises(Unfit):
        times.parse_time(value, form, zone)


@settings(deadline=None)
@given(st.dates(dt.date(1, 1, 2), dt.date(9999, 1, 1)))
def test_days_are_read_back(day: dt.date) -> None:
    assert times.parse_date((day - dt.date(1970, 1, 1)).days, "days") == day.isoformat()
    assert times.parse_date(day.isoformat(), "iso") == day.isoformat()


@pytest.mark.parametrize(
    ("value", "form"), [("x", "iso"), (5.5, "days"), (True, "days"), (10**9, "days"), (5, "iso"), ("2020-01-01", None)]
)
def test_what_is_no_day_is_refused(value: object, form: str) -> None:
    with pytest.raises(Unfit):
        times.parse_date(value, form)


@pytest.mark.parametrize(
    ("literals", "said"),
    [
        (["%d/%m/%Y"], "time zone"),
        (["dd/mm/yyyy", "UTC"], "no format"),
        (["iso", "Europe/Londn"], "no time zone"),
        (["iso", "UTC", "first"], "earlier"),
        (["unix_ms", "UTC"], "wall_ms"),
        (["wall_ms"], "time zone"),
        (["%d/%Q", "UTC"], "bad directive"),
    ],
)
def test_what_cannot_work_is_told_before_there_is_a_record(literals: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        times.check_time(literals)


@pytest.mark.parametrize(
    ("text", "zone", "found"),
    [
        ("2026-11-28+02:00", "Europe/Berlin", "2026-11-27T22:00:00.000Z"),  # XML's xs:date: the offset is none of a time of day
        ("2026-11-28-05:00", "America/New_York", "2026-11-28T05:00:00.000Z"),
        ("2026-11-28Z", "Europe/Berlin", "2026-11-28T00:00:00.000Z"),
        ("2026-11-28 10:00", "UTC", "2026-11-28T10:00:00.000Z"),
        ("20261128T100000", "UTC", "2026-11-28T10:00:00.000Z"),
        ("2026-W48-6", "UTC", "2026-11-28T00:00:00.000Z"),
    ],
)
def test_an_offset_behind_a_mere_day_is_that_of_its_midnight(text: str, zone: str, found: str) -> None:
    assert times.parse_time(text, "iso", zone) == found


@pytest.mark.parametrize("text", ["20260101120", "2026-11-28x10:00", "2026-11-28_10:00", "2026-11-28+02"])
def test_another_sign_between_day_and_time_is_refused(text: str) -> None:
    with pytest.raises(Unfit):
        times.parse_time(text, "iso", "UTC")


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("%Y-%m-%d %H:%M %Z", "read and forgotten"),
        ("%d/%m/%Y %H:%M %p", "%I"),
        ("%d/%m/%Y %I:%M", "%p"),
        ("%Y-W%W", "weekday"),
        ("%U/%Y", "weekday"),
        ("%d/%m", "no year"),
        ("%H:%M", "no year"),
    ],
)
def test_a_format_of_which_python_forgets_a_part_is_refused_when_the_mapping_is_loaded(form: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        times.check_date([form])
    with pytest.raises(ValueError, match=said):
        times.check_time([form, "UTC"])


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d/%m/%Y %I:%M %p", "%G-W%V-%u", "%a %Y %W", "%y%m%d", "%a, %d %b %Y %H:%M:%S %z"])
def test_formats_that_python_reads_whole_are_taken(form: str) -> None:
    times.check_date([form])
