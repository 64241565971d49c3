"""Container files made by joining bytes read back as what was written."""

import io
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.history.container import file_of, files_of, varint
from schemas import clean


def link(offset: int, text: str) -> dict[str, Any]:
    place = {"source": "s", "partition": 0, "offset": offset, "log_time": offset}
    return {"tenant": "t", "a": text, "b": "b", "message_id": "m", **place, "kind": "link", "rule": "seen", "reason": "", "body": ""}


def duplicate(offset: int, text: str) -> dict[str, Any]:
    return {"tenant": "t", "node": text, "message_id": "m", "source": "s", "partition": 0, "offset": offset, "log_time": offset}


def read(data: bytes) -> list[Any]:
    plain = fastavro.reader(io.BytesIO(data))
    return [record["offset"] for record in plain if isinstance(record, dict)]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2**40), st.text(max_size=20)), max_size=30))
def test_records_read_back_in_order_by_schema(entries: list[tuple[bool, int, str]]) -> None:
    encoded = [clean.encode("link", link(o, t)) if is_link else clean.encode("duplicate", duplicate(o, t)) for is_link, o, t in entries]
    files = files_of(encoded)
    assert {written.subject: read(data) for written, data in files.items()} == {
        subject: wanted
        for subject, flag in (("duplicate", False), ("link", True))
        if (wanted := [offset for is_link, offset, _ in entries if is_link == flag])
    }


def test_the_same_records_make_the_same_file() -> None:
    messages = [clean.encode("link", link(number, "x")) for number in range(3)]
    assert files_of(messages) == files_of(messages)


def test_an_empty_file_is_valid() -> None:
    assert read(file_of(clean.newest("link"), [])) == []


@given(st.integers(-(2**63), 2**63 - 1))
def test_varints_are_avros(number: int) -> None:
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, {"type": "long"}, number)
    assert varint(number) == buffer.getvalue()


def test_an_unknown_schema_is_refused() -> None:
    with pytest.raises(clean.UnknownSchemaError):
        files_of([b"\0\0\0\0\x63body"])
