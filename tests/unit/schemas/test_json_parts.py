"""Taking JSON apart: byte for byte, and no part costs its neighbours."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import json_parts
from schemas.json_text import JsonTextError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
MANY = 1000
SPELLING = st.sampled_from([{}, {"indent": 1}, {"separators": (",", ":")}, {"ensure_ascii": False}])


@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=5), SPELLING)
def test_members_are_those_of_the_object_however_it_is_spelled(value: dict[str, object], spelling: dict[str, object]) -> None:
    data = json.dumps(value, **spelling).encode()  # type: ignore[arg-type]
    found = json_parts.members(data)
    assert found is not None
    assert {name: json.loads(raw) for name, raw in _plain(found).items()} == value
    assert all(raw in data for raw in _plain(found).values()), "a value is the very bytes that came"


@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=5), st.lists(VALUES, max_size=5), SPELLING)
def test_the_tolerant_scan_agrees_with_the_strict_one_where_both_read(
    value: dict[str, object], items: list[object], spelling: dict[str, object]
) -> None:
    data, array = json.dumps(value, **spelling).encode(), json.dumps(items, **spelling).encode()  # type: ignore[arg-type]
    assert _plain(json_parts._scan_object(data) or {}) == _plain(json_parts.members(data) or {})
    assert [bytes(raw) for raw in json_parts._scan_array(array, MANY)] == [bytes(raw) for raw in json_parts.elements(array, MANY)]


@given(
    st.lists(VALUES, min_size=1, max_size=5), st.integers(0, 5), st.sampled_from(["NaN", '"half \\ud83d"', '"line\nbreak"', "[-Infinity]"])
)
def test_what_strict_json_forbids_in_one_event_leaves_the_others_as_they_are(items: list[object], where: int, bad: str) -> None:
    texts = [json.dumps(item) for item in items]
    texts.insert(min(where, len(items)), bad)
    found = json_parts.members(('{"batch": [' + " , ".join(texts) + "]}").encode())
    assert found is not None
    assert [bytes(raw).decode() for raw in json_parts.elements(found["batch"], MANY)] == texts


def test_bytes_that_are_not_utf_8_survive_in_their_event() -> None:
    found = json_parts.members(b'{"batch":[{"a":"\xff"},{"b":NaN},{"\xfe":1}],"sentAt":"x"}')
    assert found is not None
    assert [bytes(raw) for raw in json_parts.elements(found["batch"], MANY)] == [b'{"a":"\xff"}', b'{"b":NaN}', b'{"\xfe":1}']


@pytest.mark.parametrize("data", [b"[1]", b"5", b'"x"', b"null", b"NaN", b'"\\ud800"'])
def test_json_that_is_no_object_is_told_from_what_is_no_json(data: bytes) -> None:
    assert json_parts.members(data) is None


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
    ],
)
def test_what_is_no_json_is_unreadable_and_never_quoted(data: bytes) -> None:
    with pytest.raises(JsonTextError) as caught:
        json_parts.members(data)
    assert caught.value.rule in ("the body is not JSON", "something follows the JSON body")


@pytest.mark.parametrize("depth", [1, 63, 64, 65, 199, 201, 254, 255, 900, 990, 1100, 5000, 100_000])
@pytest.mark.parametrize(("begin", "end"), [(b'{"a":', b"}"), (b"[", b"]"), (b'[{"a":', b"}]")])
def test_what_nests_deeply_leaves_its_neighbours_as_they_are(depth: int, begin: bytes, end: bytes) -> None:
    deep = begin * depth + b'"}]\\""' + end * depth
    found = json_parts.members(b'{"batch": [{"a": 1}, ' + deep + b' , {"b": 2}], "sentAt": "x"}')
    assert found is not None
    assert list(found) == ["batch", "sentAt"]
    assert [bytes(raw) for raw in json_parts.elements(found["batch"], MANY)] == [b'{"a": 1}', deep, b'{"b": 2}']


@pytest.mark.parametrize("bad", ['{"total": ,"a":1}', '{"a":tru}', "{'a':1}", '{"a":1,,}', "[1,]", '{"a":01}', '{"a" 1}'])
def test_what_is_no_json_inside_one_event_leaves_the_others_as_they_are(bad: str) -> None:
    found = json_parts.members(f'{{"batch":[{{"a":1}},{bad},{{"b":2}}]}}'.encode())
    assert found is not None
    assert [bytes(raw).decode() for raw in json_parts.elements(found["batch"], MANY)] == ['{"a":1}', bad, '{"b":2}']


def test_of_a_name_told_twice_the_last_value_counts_however_it_is_spelled() -> None:
    strict, scanned = (json_parts.members(b'{"a":1,"\\u0061":2,"b":' + value + b"}") for value in (b"3", b"NaN"))
    assert strict is not None
    assert scanned is not None
    assert bytes(strict["a"]) == bytes(scanned["a"]) == b"2"


@pytest.mark.parametrize("data", [b"{}", b"5", b'"[1]"', b"null", b"[1,]", b"[1 2]", b"[1]]"])
def test_elements_need_an_array(data: bytes) -> None:
    with pytest.raises(JsonTextError):
        json_parts.elements(data, MANY)


def test_a_hostile_array_is_not_scanned_to_its_end() -> None:
    assert len(json_parts.elements(b"[" + b"NaN," * 100_000 + b"1]", 10)) == 11


@pytest.mark.parametrize(("value", "said"), [(b'"x"', "x"), (b'"\\u00e9"', "é"), (b"5", ""), (b"null", ""), (b'"\\ud800"', ""), (None, "")])
def test_a_text_is_a_text_and_everything_else_is_none(value: bytes | None, said: str) -> None:
    assert json_parts.text(value) == said


def _plain(found: dict[str, msgspec.Raw]) -> dict[str, bytes]:
    return {name: bytes(raw) for name, raw in found.items()}
