"""Rows out of files: what people's files look like, and that a broken row costs itself only."""

import datetime as dt
import gzip
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importers.files.csv_rows import MAX_CELL
from importers.files.opening import check_columns, open_rows, sha256_of
from importers.files.rows import FileError, Row
from importers.mapping import compile_mapping
from importers.mapping.options import Options

EVENTS = "events: [{track: A, identifiers: {user_id: id}, properties: {n: name}}]"


def rows(path: Path, **options: Any) -> list[Row]:
    reader = open_rows(path, Options(**options))
    try:
        return list(reader.rows())
    finally:
        reader.close()


def written(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_csv_with_another_delimiter_quotes_and_lines_inside_cells(tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", 'id;name\r\n1;"two\nlines; ""quoted"""\r\n\r\n2;\r\n')
    found = rows(file, delimiter=";")
    assert [(row.number, row.line, row.record) for row in found] == [
        (1, 3, {"id": "1", "name": 'two\nlines; "quoted"'}), (2, 5, {"id": "2", "name": None}),
    ]  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252"])
def test_csv_in_many_encodings(tmp_path: Path, encoding: str) -> None:
    file = written(tmp_path / "a.csv", "id,naïve\n1,£é\n".encode(encoding))
    assert [row.record for row in rows(file, encoding=encoding)] == [{"id": "1", "naïve": "£é"}]


def test_a_broken_row_costs_itself_only(tmp_path: Path) -> None:
    broken = b'id,name\n1,a\n2,b,c\n3\n4,\xff\n5,"x"y\n6,f\n'
    found = rows(written(tmp_path / "a.csv", broken))
    assert [row.number for row in found if row.failed is None] == [1, 6]
    assert [(row.number, row.line, row.failed.code) for row in found if row.failed] == [
        (2, 3, "unreadable"), (3, 4, "unreadable"), (4, 5, "unreadable"), (5, 6, "unreadable"),
    ]  # fmt: skip
    assert found[1].failed.rule == "2 cells, as in the header; found 3"
    assert [row.original for row in found if row.failed] == ["2,b,c", "3", b"4,\xff\n", '5,"x"y']


def test_a_quote_that_is_never_closed_is_told_and_does_not_take_all_memory(tmp_path: Path) -> None:
    after = MAX_CELL // 4 + 10
    found = rows(written(tmp_path / "a.csv", 'id,name\n1,"open\n' + "2,x\n" * after))
    assert found[0].failed is not None
    assert "closing quote" in found[0].failed.rule
    assert [row.record for row in found[1:]] == [{"id": "2", "name": "x"}] * after


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        ("", {}, "has no header"),
        ("a,b,a\n", {}, "the column `a` is there twice"),
        (b"a,\xff\n", {}, "the header is not utf-8"),
    ],
)
def test_a_header_that_is_no_use_is_refused_with_the_way_out(tmp_path: Path, content: bytes | str, options: Any, said: str) -> None:
    with pytest.raises(FileError, match=said):
        rows(written(tmp_path / "a.csv", content), **options)


def test_columns_can_be_named_by_the_mapping(tmp_path: Path) -> None:
    file = written(tmp_path / "a.tsv", "exported today\nid\tname\n1\tx\n")
    assert [row.record for row in rows(file, delimiter="\t", header=["no", "who"], skip_lines=2)] == [{"no": "1", "who": "x"}]
    assert rows(file, delimiter="\t", header=["no", "who"], skip_lines=2)[0].line == 3


def test_packed_files_are_read_and_damaged_ones_are_told(tmp_path: Path) -> None:
    packed = gzip.compress(b"id,name\n" + b"".join(b"%d,x\n" % number for number in range(5000)))
    assert len(rows(written(tmp_path / "a.csv.gz", packed))) == 5000
    with pytest.raises(FileError, match="breaks off or is damaged"):
        rows(written(tmp_path / "b.csv.gz", packed[:-20]))
    assert [row.record for row in rows(written(tmp_path / "a.jsonl.gz", gzip.compress(b'{"a": 1}\n')))] == [{"a": 1}]
    with pytest.raises(FileError, match="breaks off or is damaged"):
        rows(written(tmp_path / "b.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 9)[:-9]))


def test_json_lines(tmp_path: Path) -> None:
    file = written(tmp_path / "a.jsonl", b'\xef\xbb\xbf{"a": {"b": [1]}}\n\n[1]\n{"a": NaN}\n{"a": 1\n{"a": "\xff"}\n{"a": ""}')
    found = rows(file, nulls=[""])
    assert [(row.number, row.line) for row in found] == [(1, 1), (2, 3), (3, 4), (4, 5), (5, 6), (6, 7)]
    assert [row.record for row in found if not row.failed] == [{"a": {"b": [1]}}, {"a": None}]


def test_parquet_of_every_type(tmp_path: Path) -> None:
    naive, aware = dt.datetime(2020, 1, 2, 3, 4, 5, 678000), dt.datetime(2020, 1, 2, tzinfo=dt.UTC)
    table = pa.table(
        {
            "text": ["x", ""], "whole": [1, 2], "hole": pa.array([1, None], pa.int64()), "real": [1.5, float("nan")], "yes": [True, False],
            "at": [naive, None], "zoned": pa.array([aware, None], pa.timestamp("us", "UTC")), "day": [dt.date(2020, 1, 2), None],
            "money": [Decimal("1.50"), Decimal("2.00")], "bytes": [b"abc", b"\xff"], "list": [[{"a": 1}], None],
            "took": [dt.timedelta(seconds=90), None],
        }
    )  # fmt: skip
    pq.write_table(table, tmp_path / "a.parquet")
    first, second = (row.record for row in rows(tmp_path / "a.parquet", nulls=[""]))
    assert first == {
        "text": "x", "whole": 1, "hole": 1, "real": 1.5, "yes": True,
        "at": "2020-01-02T03:04:05.678000", "zoned": "2020-01-02T00:00:00+00:00", "day": "2020-01-02",
        "money": 1.5, "bytes": "abc", "list": [{"a": 1}], "took": 90.0,
    }  # fmt: skip
    assert second == {
        "text": None, "whole": 2, "hole": None, "real": None, "yes": False,
        "at": None, "zoned": None, "day": None, "money": 2, "bytes": "/w==", "list": None, "took": None,
    }  # fmt: skip


def test_a_value_that_json_lacks_costs_its_row_only(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1.0, float("inf"), 2.0]}), tmp_path / "a.parquet")
    assert [row.failed is None for row in rows(tmp_path / "a.parquet")] == [True, False, True]


def test_what_is_no_parquet_or_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="is no Parquet file"):
        rows(written(tmp_path / "a.parquet", "id,name\n"))
    with pytest.raises(FileError, match="No such file"):
        rows(tmp_path / "none.csv")
    with pytest.raises(FileError, match="does not tell what it is"):
        rows(written(tmp_path / "a.dat", "id,name\n"))
    with pytest.raises(FileError, match="No such file"):
        sha256_of(tmp_path / "none.csv")


def test_a_column_that_the_mapping_reads_and_the_file_lacks_is_told_before_a_row_is_read(tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", "id,nmae\n1,x\n")
    reader = open_rows(file, Options())
    with pytest.raises(FileError, match=r"has no column `name`, which m\.yaml reads; did you mean `nmae`"):
        check_columns(file, reader, compile_mapping(EVENTS, "m.yaml"))
    check_columns(file, reader, compile_mapping("input: {optional: [name]}\n" + EVENTS, "m.yaml"))


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), min_size=1, max_size=5)


@settings(deadline=None)
@given(st.lists(st.tuples(cells, cells), max_size=20))
def test_what_is_written_as_csv_is_read_back(tmp_path_factory: pytest.TempPathFactory, table: list[tuple[str, str]]) -> None:
    import csv

    path = tmp_path_factory.mktemp("csv") / "a.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["a", "b"])
        writer.writerows(table)
    assert [(row.record["a"], row.record["b"]) for row in rows(path)] == table
