"""Reading bodies: bounded, byte for byte, and no event costs its neighbours."""

import gzip
import json
import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.collector import body
from api.collector.body import TooLargeError, UnreadableError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
MANY = 1000
PACKED = gzip.compress(b"x", mtime=0)  # without a time, so that the tests' names are the same in every process
SPELLING = st.sampled_from([{}, {"indent": 1}, {"separators": (",", ":")}, {"ensure_ascii": False}])


@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=5), SPELLING)
def test_members_are_those_of_the_object_however_it_is_spelled(value: dict[str, object], spelling: dict[str, object]) -> None:
    data = json.dumps(value, **spelling).encode()  # type: ignore[arg-type]
    found = body.members(data)
    assert found is not None
    assert {name: json.loads(raw) for name, raw in _plain(found).items()} == value
    assert all(raw in data for raw in _plain(found).values()), "a value is the very bytes that came"


@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=5), st.lists(VALUES, max_size=5), SPELLING)
def test_the_tolerant_scan_agrees_with_the_strict_one_where_both_read(
    value: dict[str, object], items: list[object], spelling: dict[str, object]
) -> None:
    data, array = json.dumps(value, **spelling).encode(), json.dumps(items, **spelling).encode()  # type: ignore[arg-type]
    assert _plain(body._scan_object(data) or {}) == _plain(body.members(data) or {})
    assert [bytes(raw) for raw in body._scan_array(array, MANY)] == [bytes(raw) for raw in body.elements(array, MANY)]


@given(
    st.lists(VALUES, min_size=1, max_size=5), st.integers(0, 5), st.sampled_from(["NaN", '"half \\ud83d"', '"line\nbreak"', "[-Infinity]"])
)
def test_what_strict_json_forbids_in_one_event_leaves_the_others_as_they_are(items: list[object], where: int, bad: str) -> None:
    texts = [json.dumps(item) for item in items]
    texts.insert(min(where, len(items)), bad)
    found = body.members(('{"batch": [' + " , ".join(texts) + "]}").encode())
    assert found is not None
    assert [bytes(raw).decode() for raw in body.elements(found["batch"], MANY)] == texts


def test_bytes_that_are_not_utf_8_survive_in_their_event() -> None:
    found = body.members(b'{"batch":[{"a":"\xff"},{"b":NaN},{"\xfe":1}],"sentAt":"x"}')
    assert found is not None
    assert [bytes(raw) for raw in body.elements(found["batch"], MANY)] == [b'{"a":"\xff"}', b'{"b":NaN}', b'{"\xfe":1}']


@pytest.mark.parametrize("data", [b"[1]", b"5", b'"x"', b"null", b"NaN", b'"\\ud800"'])
def test_json_that_is_no_object_is_told_from_what_is_no_json(data: bytes) -> None:
    assert body.members(data) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"{",
        b"[1,2",
        b"{} x",
        b"[1] x",
        b"{'a':1}",
        b'{"a":}',
        b'{"a" 1}',
        b'{"a":1,}',
        b'{"a":tru}',
        b'{"a',
        b"\xff",
        b"[" * 5000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
    ],
)
def test_what_is_no_json_is_unreadable_and_never_quoted(data: bytes) -> None:
    with pytest.raises(UnreadableError) as caught:
        body.members(data)
    assert str(caught.value) in ("the body is not JSON", "something follows the JSON body")


@pytest.mark.parametrize("data", [b"{}", b"5", b'"[1]"', b"null", b"[1,]", b"[1 2]", b"[1]]"])
def test_elements_need_an_array(data: bytes) -> None:
    with pytest.raises(UnreadableError):
        body.elements(data, MANY)


def test_a_hostile_array_is_not_scanned_to_its_end() -> None:
    assert len(body.elements(b"[" + b"NaN," * 100_000 + b"1]", 10)) == 11


@given(st.binary(max_size=2000))
def test_gzip_gives_back_what_was_packed(data: bytes) -> None:
    assert body.unzip(gzip.compress(data), 2000) == data


def test_a_decompression_bomb_is_given_up_at_the_limit() -> None:
    packer = zlib.compressobj(9, wbits=body.GZIP_WINDOW)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()
    assert len(bomb) < 250_000
    with pytest.raises(TooLargeError):
        body.unzip(bomb, 512_000)
    assert len(body.unzip(gzip.compress(bytes(512_000)), 512_000)) == 512_000
    with pytest.raises(TooLargeError):
        body.unzip(gzip.compress(bytes(512_001)), 512_000)


@pytest.mark.parametrize("data", [b"", b"{}", PACKED[:-4], PACKED + b"y", PACKED * 2, zlib.compress(b"x")])
def test_what_is_no_single_whole_gzip_is_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableError):
        body.unzip(data, 1000)


@pytest.mark.parametrize(("value", "said"), [(b'"x"', "x"), (b'"\\u00e9"', "é"), (b"5", ""), (b"null", ""), (b'"\\ud800"', ""), (None, "")])
def test_a_text_is_a_text_and_everything_else_is_none(value: bytes | None, said: str) -> None:
    assert body.text(value) == said


def _plain(found: dict[str, msgspec.Raw]) -> dict[str, bytes]:
    return {name: bytes(raw) for name, raw in found.items()}
