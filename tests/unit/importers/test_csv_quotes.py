"""A bad cell in CSV costs its row at most, the row's own bytes are kept, and no row is made up."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importers.files.failures import Failures
from importers.files.opening import open_rows
from importers.files.rows import Row
from importers.files.units import Unit
from importers.mapping.options import Options

HEADER = "no;customer;opened;subject\n"


def rows(path: Path, content: str | bytes, **options: Any) -> list[Row]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    reader = open_rows(path, Options(**{"delimiter": ";", **options}))
    try:
        return list(reader.rows())
    finally:
        reader.close()


def good(found: list[Row]) -> list[str]:
    return [row.record["no"] for row in found if row.failed is None]


def bad(found: list[Row]) -> list[tuple[int, str, Any]]:
    return [(row.number, row.failed.field, row.original) for row in found if row.failed]


LINE = "{};c02{:02d};2026-11-28 09:{:02d};{}\n"


def file_of(*subjects: str) -> str:
    return HEADER + "".join(LINE.format(at, at, at, subject) for at, subject in enumerate(subjects, 1))


@pytest.mark.parametrize(
    ("subjects", "lost"),
    [
        (["a", '"22 inch', "b", "c"], [2]),  # to the end of the file
        (['"22 inch', "b", "c"], [1]),  # in the first row
        (["a", "b", '"22 inch'], [3]),  # in the last one
        (["a", "b", '"'], [3]),
        (["a", '"22 inch', '"quoted"', "b"], [2]),  # the next quote opens a cell
        (["a", '"22 inch', '"two\nlines"', "b"], [2]),
        (["a", '"22 inch', "b", '"; with a delimiter"', "c"], [2]),  # the next quote closes it, and a cell is too many
        (["a", '"22 inch', "b", 'a frame of 19"', "c"], [2]),  # the next quote closes it and the width is right
        (["a", '"22 inch', "b", 'a 19" frame', "c"], [2]),  # the next quote stands inside a cell
        (["a", '"22 inch', "b", '""', "c"], [2]),  # doubled quotes close nothing
        (["a", '"22 inch', '"19 inch', '"17 inch', "b"], [2, 3, 4]),
        (["a", '"22 inch', "b", '"19 inch', "c"], [2, 4]),
        (["a", '"22" inch', "b"], [2]),  # closed, and something behind it
        (["a", '"two\nlines" more', "b"], [2]),  # a cell of two lines with something behind it is one row
        (["a", '"two\nlines";x', "b"], [2]),  # and one cell too many is one row
    ],
)
def test_an_open_quote_costs_its_row_and_the_rows_behind_it_arrive(tmp_path: Path, subjects: list[str], lost: list[int]) -> None:
    content = file_of(*subjects)
    found = rows(tmp_path / "a.csv", content)
    assert good(found) == [str(at) for at in range(1, len(subjects) + 1) if at not in lost]
    assert [number for number, _, _ in bad(found)] == lost
    for number, _, original in bad(found):
        assert original == LINE.format(number, number, number, subjects[number - 1]).rstrip("\n")


def test_an_open_quote_names_its_column_and_line(tmp_path: Path) -> None:
    found = rows(tmp_path / "a.csv", HEADER + '1;"c0201;2026-11-28 09:00;a\n2;c0202;2026-11-28 09:01;b\n')
    assert [(row.number, row.line, row.failed.field, row.original) for row in found if row.failed] == [
        (1, 2, "customer", '1;"c0201;2026-11-28 09:00;a')
    ]
    assert good(found) == ["2"]


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ('"two\nlines"', "two\nlines"), ('"two\r\nlines"', "two\r\nlines"), ('"a;b"', "a;b"), ('"a ""quoted"" word"', 'a "quoted" word'),
        ('22" frame', '22" frame'), ('a 22"', 'a 22"'), ('""', None), ('"\n\n"', "\n\n"), ('"1\n2\n3"', "1\n2\n3"), ('"""', '"\n'),
        ('"Dear all; hello\n5;6;7;8"', "Dear all; hello\n5;6;7;8"), ('"a\rb"', "a\rb"), ("a\rb", "a\rb"),
    ],
)  # fmt: skip
def test_what_is_meant_so_stays_what_it_is(tmp_path: Path, cell: str, value: str | None) -> None:
    content = file_of("x", cell, "y")
    if cell == '"""':  # opens, says a quote, and ends with the next line's
        content = file_of("x").replace("x", '"""\n"')
        assert [row.record["subject"] for row in rows(tmp_path / "a.csv", content)] == ['"\n']
        return
    found = rows(tmp_path / "a.csv", content)
    assert [row.failed for row in found] == [None] * 3
    assert [row.record["subject"] for row in found] == ["x", value, "y"]


@pytest.mark.parametrize("ends", [["\r\n"], ["\n"], ["\r"], ["\r\n", "\n"], ["\n", "\r"], ["\r\r\n"], ["\n", "\r\n", "\r"]])
def test_rows_end_as_they_end_in_any_mixture(tmp_path: Path, ends: list[str]) -> None:
    lines = file_of(*"abcdef").splitlines()
    content = "".join(line + ends[at % len(ends)] for at, line in enumerate(lines))
    found = rows(tmp_path / "a.csv", content)
    assert bad(found) == []
    assert [row.record["subject"] for row in found] == list("abcdef")


def test_a_carriage_return_inside_a_cell_is_no_end_of_a_row(tmp_path: Path) -> None:
    found = rows(tmp_path / "a.csv", file_of("a\rb", "c"))
    assert [row.record["subject"] for row in found] == ["a\rb", "c"]
    found = rows(tmp_path / "a.csv", HEADER + "1;c0201\r;2026-11-28 09:00;a;and more\n2;c0202;2026-11-28 09:01;b\n")
    assert (good(found), [number for number, _, _ in bad(found)]) == (["2"], [1])


def test_a_nul_character_costs_its_row(tmp_path: Path) -> None:
    found = rows(tmp_path / "a.csv", file_of("a", "b\0c", "d"))
    assert good(found) == ["1", "3"]
    assert [(number, field) for number, field, _ in bad(found)] == [(2, "subject")]


@pytest.mark.parametrize(
    ("encoding", "damage"),
    [
        ("gbk", b"\x81"),
        ("utf-8", b"\xc3"),
        ("shift_jis", b"\x81"),
        ("big5", b"\x81"),
        ("ascii", b"\xe9"),
        ("cp1252", b"\x81"),
        ("gb18030", b"\x81"),
    ],
)
def test_a_byte_of_another_encoding_costs_its_row_and_is_kept(tmp_path: Path, encoding: str, damage: bytes) -> None:
    lines = file_of("a", "X", "c").encode(encoding).splitlines(keepends=True)
    lines[2] = lines[2].replace(b"X", damage)
    found = rows(tmp_path / "a.csv", b"".join(lines), encoding=encoding)
    assert good(found) == ["1", "3"]
    assert bad(found) == [(2, "subject", lines[2])]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_a_lone_surrogate_in_a_wide_encoding_costs_its_row(tmp_path: Path, encoding: str) -> None:
    broken = file_of("\u0a0a\u0d00", "X\ud800Y", "c").encode(encoding, "surrogatepass")
    found = rows(tmp_path / "a.csv", broken, encoding=encoding)
    assert good(found) == ["1", "3"]
    assert found[0].record["subject"] == "\u0a0a\u0d00", "characters that have a line feed's byte in them"
    ((number, field, original),) = bad(found)
    assert (number, field) == (2, "subject")
    assert isinstance(original, bytes)
    assert (
        "X\ud800Y".encode("utf-16-le" if encoding == "utf-16" else "utf-32-le" if encoding == "utf-32" else encoding, "surrogatepass")
        in original
    )


def test_the_file_of_failures_has_the_bytes_and_something_to_read(tmp_path: Path) -> None:
    found = rows(tmp_path / "a.csv", b"no,subject\n1," + b"\x81\n2," + b'"open\n', delimiter=",", encoding="gbk")
    with Failures(tmp_path / "a.csv", 0) as failures:
        for row in found:
            assert row.failed is not None
            failures.add(Unit(row.number, row.line, 1, row.record, row.failed, row.original), row.failed)
        failures.flush()
    first, second = (json.loads(line) for line in failures.path.read_text().splitlines())
    assert (first["original"], first["original_base64"], first["error"]["field"]) == ("1,\\x81", "MSyBCg==", "subject")
    assert (second["original"], "original_base64" in second, second["line"]) == ('2,"open', False, 3)


words = st.text(st.sampled_from("ab \"';,\n\té9"), max_size=8)


@settings(deadline=None)
@given(st.lists(words, min_size=1, max_size=8), st.data())
def test_one_open_quote_anywhere_costs_one_row_of_any_table(
    tmp_path_factory: pytest.TempPathFactory, subjects: list[str], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    table = [[str(at), f"c{at:04d}", f"2026-11-28 09:{at:02d}", subject] for at, subject in enumerate(subjects, 1)]
    broken = data.draw(st.integers(0, len(table)))
    text = io.StringIO(HEADER, newline="")
    text.seek(0, io.SEEK_END)
    for at, row in enumerate(table):
        if at == broken:
            text.write(f'999;c0999;2026-11-28 10:00;"{data.draw(st.text("ab 9", max_size=5))}\n')
        csv.writer(text, delimiter=";", lineterminator="\n").writerow(row)
    found = rows(path, text.getvalue())
    assert good(found) == [row[0] for row in table]
    assert [row.record["subject"] or "" for row in found if not row.failed] == subjects
    assert len(bad(found)) == (broken < len(table))


def test_quotes_behind_a_space_are_refused_or_by_option_what_they_mean(tmp_path: Path) -> None:
    quoted = rows(tmp_path / "quoted.csv", 'no,customer\no1," ""u1"""\n', delimiter=",")
    assert [row.record["customer"] if row.record else None for row in quoted] == [' "u1"']
    content = 'no,customer,total\no1, "u1",5\no2, u2,5\no3,u3,5\n'
    strict, lenient = (rows(tmp_path / "spaces.csv", content, delimiter=",", skip_spaces=skips) for skips in (False, True))
    assert [row.failed.field if row.failed else "" for row in strict] == ["customer", "", ""]
    assert [row.record["customer"] if row.record else None for row in lenient] == ["u1", "u2", "u3"]
