"""Public troubles with files, tables and money (tests/cases), through mapping, checks and profiles: each comes out right or is refused."""

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from importers.envelope import Origin
from importers.files.opening import open_rows, sha256_of
from importers.files.run import Import, made, prepare
from importers.mapping import Failed, load
from importers.mapping.options import DEFAULT
from importers.profiling.reading import of_file
from importers.profiling.survey import Surveyor
from stack.settings import PROJECT
from tests.in_process import InProcess

CASES = PROJECT / "tests" / "cases"
NOW_MS = int(dt.datetime(2026, 11, 28, 12, tzinfo=dt.UTC).timestamp() * 1000)
Seen = list[dict[str, Any] | Failed]


def imported(data: Path, mapping: str) -> Seen:
    """What each row of a file becomes: the envelope of its event, or the failure."""
    job = Import(data, sha256_of(data), load(CASES / mapping), Origin("case", "demo"), "cdp.raw.service")
    prepare(job)
    reader = open_rows(data, job.rules.options)
    try:
        return list(_outcomes(job, reader))
    finally:
        reader.close()


def _outcomes(job: Import, reader: Any) -> Iterator[dict[str, Any] | Failed]:
    for one in made(job, reader):
        if isinstance(one.outcome, Failed):
            yield one.outcome
        else:
            assert isinstance(one.outcome, list)
            yield from (message.envelope for message in one.outcome)


def sent(seen: Seen) -> list[dict[str, Any]]:
    return [one for one in seen if isinstance(one, dict)]


def failed(seen: Seen) -> list[Failed]:
    return [one for one in seen if isinstance(one, Failed)]


def applied(platform: InProcess, envelopes: list[dict[str, Any]]) -> list[str]:
    """What job `profiles` makes of events."""
    for offset, envelope in enumerate(envelopes):
        platform.record(orjson.dumps(envelope), "cdp.raw.service", 0, offset, NOW_MS + offset)
    return [platform.outcomes["cdp.raw.service", 0, offset] for offset in range(len(envelopes))]


@pytest.fixture
def platform() -> InProcess:
    return InProcess()


def test_01_a_dash_for_empty_cents_is_no_minus() -> None:
    seen = imported(CASES / "01-dash-prices.csv", "01-dash-prices.yaml")
    assert [(one["properties"]["offer_id"], one["properties"]["amount"]) for one in sent(seen)] == [("o1", 49), ("o2", 1299), ("o3", -49)]


def far_year(path: Path) -> Path:
    """Case 03: one row was written in microseconds into a column of milliseconds."""
    at = pa.array([1795860000000, 1795860000000123, 1795860060000], pa.timestamp("ms"))
    pq.write_table(pa.table({"no": ["1", "2", "3"], "customer": ["c0301", "c0302", "c0303"], "at": at}), path)
    return path


def long_ids(path: Path, kind: pa.DataType) -> Path:
    """Case 05: NUMBER(38,0) of a warehouse; the two customers differ in the last digit."""
    ids = [Decimal("20261128000012345678"), Decimal("20261128000012345679")]
    pq.write_table(pa.table({"no": ["1", "2"], "customer": pa.array(ids, kind)}), path)
    return path


def test_03_a_far_year_costs_its_row_and_no_other(tmp_path: Path) -> None:
    seen = imported(far_year(tmp_path / "a.parquet"), "03-year-58879.yaml")
    assert [(one["properties"]["ticket_id"], one["timestamp"]) for one in sent(seen)] == [
        ("1", "2026-11-28T10:00:00.000Z"), ("3", "2026-11-28T10:01:00.000Z"),
    ]  # fmt: skip
    assert [(one.code, one.field) for one in failed(seen)] == [("unreadable", "at")]


def test_03_and_05_such_files_can_be_profiled(tmp_path: Path) -> None:
    for path, rows, unreadable in (
        (far_year(tmp_path / "a.parquet"), 2, 1),
        (long_ids(tmp_path / "b.parquet", pa.decimal128(38, 0)), 2, 0),
    ):
        with Surveyor("x", ["user_id"]) as surveyor:
            for look in of_file(path, DEFAULT):
                surveyor.unreadable() if look.record is None else surveyor.add(look.record)
            found = surveyor.result(whole=True)
        assert (found.rows, found.unreadable, found.duplicates) == (rows, unreadable, 0)


@pytest.mark.parametrize("kind", [pa.decimal128(38, 0), pa.decimal128(38, 10), pa.decimal256(76, 0)])
@pytest.mark.parametrize("grouped", [False, True])
def test_05_long_ids_are_two_customers_digit_by_digit(tmp_path: Path, platform: InProcess, kind: pa.DataType, grouped: bool) -> None:
    mapping = tmp_path / "m.yaml"
    text = (CASES / "05-number-38-ids.yaml").read_text()
    if grouped:
        text = "group_by: no\ngroups: scattered\n" + text.replace("text(customer)", '"text(rows[0].customer)"').replace(": no", ": key")
        text = text.replace("group_by: key", "group_by: no")
    mapping.write_text(text)
    seen = imported(long_ids(tmp_path / "a.parquet", kind), str(mapping))
    assert [one["userId"] for one in sent(seen)] == ["20261128000012345678", "20261128000012345679"]
    assert applied(platform, sent(seen)) == ["applied", "applied"]
    assert len(platform.newest) == 2


def test_17_a_telephone_that_a_spreadsheet_rounded_is_nobodys() -> None:
    seen = imported(CASES / "17-phone-in-thousands.csv", "17-phone-in-thousands.yaml")
    assert [one.field for one in failed(seen)] == ["events[0].identifiers.phone"] * 2
    assert [one["context"]["externalIds"] for one in sent(seen)] == [[{"type": "phone", "id": "+447700900003"}]]


@pytest.mark.parametrize("text", ["4.47701E+11", "4,47701E+11", "4.47701e11", "4E+11", "-4.4E+11", " 4.47701E+11 ", "1.E+5"])
def test_17_a_rounded_number_is_refused_as_any_identifier(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f'no,name,phone,opened\n1,x,"{text}",2026-11-28 09:00\n')
    assert [one.field for one in failed(imported(tmp_path / "a.csv", "17-phone-in-thousands.yaml"))] == ["events[0].identifiers.phone"]
    (tmp_path / "b.csv").write_text(f'no,name,phone,opened\n"{text}",x,+447700900003,2026-11-28 09:00\n')
    assert [one.field for one in failed(imported(tmp_path / "b.csv", "17-phone-in-thousands.yaml"))] == ["events[0].message_id"]


@pytest.mark.parametrize("code", ["12e45", "7e-12", "e+5", "SKU.5E+3", "447701E"])
def test_17_a_code_that_looks_like_one_is_let_through(code: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"no,name,phone,opened\n{code},x,+447700900003,2026-11-28 09:00\n")
    assert [one["messageId"] for one in sent(imported(tmp_path / "a.csv", "17-phone-in-thousands.yaml"))] == [f"case:{code}"]


def test_02_an_open_quote_costs_its_row_and_no_other() -> None:
    seen = imported(CASES / "02-open-quote.csv", "02-open-quote.yaml")
    assert [one["properties"]["ticket_id"] for one in sent(seen)] == ["1", "3", "4", "5"]
    assert [(one.code, one.field) for one in failed(seen)] == [("unreadable", "subject")]


def test_26_a_spreadsheets_unicode_text_and_one_of_china_are_read_and_the_bad_row_fails_alone() -> None:
    seen = imported(CASES / "26-excel-unicode-text.txt", "26-excel-unicode-text.yaml")
    assert [one["properties"]["subject"] for one in sent(seen)] == ["grüße, ✓", "快递"]
    seen = imported(CASES / "26-gbk.csv", "26-gbk.yaml")
    assert [one["properties"] for one in sent(seen)] == [{"ticket_id": "1", "subject": "快递没到"}, {"ticket_id": "3", "subject": "ok"}]
    assert [(one.code, one.field) for one in failed(seen)] == [("unreadable", "subject")]


def test_37_ragged_rows_fail_by_row_and_the_others_arrive() -> None:
    seen = imported(CASES / "37-ragged.csv", "37-ragged.yaml")
    assert [one["properties"]["ticket_id"] for one in sent(seen)] == ["3", "4", "5", "6"]
    assert len(failed(seen)) == 3


def test_32_whole_numbers_as_text_and_times_in_microseconds_are_read_to_the_digit(platform: InProcess) -> None:
    seen = imported(CASES / "32-ga4.jsonl", "32-ga4.yaml")
    page, order = sent(seen)
    assert (page["type"], page["timestamp"], page["anonymousId"]) == ("page", "2026-11-28T09:00:00.123Z", "1234567890.1795000000")
    assert page["properties"] == {"url": "https://shop.example/a?b=1"}
    assert (order["event"], order["timestamp"], order["userId"]) == ("Order Completed", "2026-11-28T09:00:01.000Z", "c3201")
    assert [line["quantity"] for line in order["properties"]["products"]] == [2, 1]
    assert applied(platform, sent(seen)) == ["applied", "applied"]
    fields = {event.event_time: event for event in platform.applied}
    assert list(fields) == [1_795_856_400_123, 1_795_856_401_000]
    (counted,) = (found for _, found in platform.fields() if found["orders_lifetime"])
    assert (counted["gross_lifetime"], counted["top_products"]) == (45.5, [["MUG", 2], ["CARD", 1]])


GA4 = (
    '{"event_timestamp":%s,"event_name":"purchase","user_pseudo_id":"1.2","user_id":%s,"ecommerce":{"transaction_id":"T","purchase_revenue":%s},'
    '"items":[{"item_id":"MUG","quantity":%s,"price":20.0}],"event_params":[{"key":"currency","value":{"string_value":"GBP"}}]}\n'
)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("2026-11-28T09:00:01.000Z", 40.0, 2)),
        ({"at": "1795856401000000"}, ("2026-11-28T09:00:01.000Z", 40.0, 2)),
        ({"at": '"1795856401999999"'}, ("2026-11-28T09:00:01.999Z", 40.0, 2)),
        ({"quantity": "2"}, ("2026-11-28T09:00:01.000Z", 40.0, 2)),
        ({"quantity": '"2.0"'}, ("2026-11-28T09:00:01.000Z", 40.0, 2)),
        ({"total": "null"}, ("2026-11-28T09:00:01.000Z", None, 2)),
        ({"quantity": '"2.5"'}, "events[1].properties.products[0].quantity"),
        ({"quantity": '"2E+0"'}, "events[1].properties.products[0].quantity"),
        ({"quantity": '"two"'}, "events[1].properties.products[0].quantity"),
        ({"at": '"1.79586E+15"'}, "events[1].timestamp"),
        ({"at": '"2026-11-28"'}, "events[1].timestamp"),
        ({"at": "1795856401000000000000"}, "events[1].timestamp"),
        ({"user": "1.5e+300"}, "events[1].identifiers.user_id"),
    ],
)
def test_32_other_rows_are_read_as_meant_or_refused_by_their_field(tmp_path: Path, changes: dict[str, str], expected: Any) -> None:
    told = {"at": '"1795856401000000"', "user": '"c3201"', "total": "40.0", "quantity": '"2"'} | changes
    (tmp_path / "a.jsonl").write_text(GA4 % tuple(told.values()))
    (seen,) = imported(tmp_path / "a.jsonl", str(CASES / "32-ga4.yaml"))
    if isinstance(expected, str):
        assert isinstance(seen, Failed), seen
        assert seen.field == expected
    else:
        assert isinstance(seen, dict), seen
        assert (seen["timestamp"], seen["properties"].get("total"), seen["properties"]["products"][0]["quantity"]) == expected
