"""One reading of a text: what is refused, what is understood, and that what is written is read alike by every reader there is here."""

import json
import math
from collections.abc import Iterator
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import json_text
from schemas.json_text import MAX_NESTING, JsonTextError, read, read_generously, read_object, write, write_wide

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES, st.sampled_from([{}, {"indent": 1}, {"separators": (",", ":")}, {"ensure_ascii": False}]))
def test_what_is_written_is_what_was_read_and_every_reader_reads_the_same(value: Any, spelling: dict[str, Any]) -> None:
    understood = read(json.dumps(value, **spelling).encode())
    stored = write(understood)
    assert _same(understood, value)
    for reader in (read, orjson.loads, json.loads, msgspec.json.decode, read_generously):
        assert _same(reader(stored), value)
    assert write(read(stored)) == stored


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("18446744073709551615", 2**64 - 1),
        ("-9223372036854775808", -(2**63)),
        ("-0", 0),
        ("2.0", 2.0),
        ("1E2", 100.0),
        ("1e19", 1e19),
        ("12345678901234567890.0", 12345678901234567890.0),
        ("0.1000000000000000055511151231257827", 0.1),
        ("0." + "1" * 6000, 0.1111111111111111),
        ("1e-400", 0.0),
        ('"1234567890123456789012345"', "1234567890123456789012345"),
        ('{"a":1,"a":2}', {"a": 2}),
        ('{"a":1,"\\u0061":2}', {"a": 2}),
        ('{"a":{"x":1},"b":0,"a":{"y":1234567890123456789}}', {"a": {"y": 1234567890123456789}, "b": 0}),
        ('"\\ud83d\\ude00"', "😀"),
        ('"\\u0000"', "\0"),
        ("\ufeff{}", {}),
        (" [1] ", [1]),
    ],
)
def test_what_is_understood(text: str, value: Any) -> None:
    assert _same(read(text), value)
    assert _same(read(text.encode()), value)


def test_minus_zero_keeps_its_sign() -> None:
    assert math.copysign(1, read(b"-0.0")) == -1
    assert write(read(b"-0.0")) == b"-0.0"


@pytest.mark.parametrize("number", ["18446744073709551616", "-9223372036854775809", "9" * 30, "-" + "1" * 20, "9" * 309, "1" * 4000])
def test_a_whole_number_beyond_64_bits_is_refused_with_its_path_or_exact(number: str) -> None:
    text = f'{{"properties":{{"lines":[1,{{"odd name":{number}}}]}}}}'
    with pytest.raises(JsonTextError) as caught:
        read(text)
    assert (caught.value.path, caught.value.rule) == ('.properties.lines[1]["odd name"]', json_text.WIDE)
    exact = read(text, wide=True)
    assert exact["properties"]["lines"][1]["odd name"] == int(number)
    assert read(write_wide(exact), wide=True) == exact
    assert read_generously(text) == exact
    with pytest.raises(JsonTextError) as caught:
        write(exact)
    assert (caught.value.path, caught.value.rule) == ('.properties.lines[1]["odd name"]', json_text.WIDE)


@pytest.mark.parametrize("number", ["1e400", "-1e400", "9" * 309 + ".0", "9" * 309 + "e1", "1" * 5000])
def test_a_number_that_no_float_holds_is_refused_with_its_path(number: str) -> None:
    for wide in (False, True):
        with pytest.raises(JsonTextError) as caught:
            read(f'{{"a":[0,{number}]}}', wide=wide)
        assert caught.value.path == ".a[1]"


@pytest.mark.parametrize(
    "text",
    [
        b"", b" ", b"NaN", b"[Infinity]", b"01", b"1.", b".5", b"+1", b'"\x01"', b"[1,]", b"{'a':1}", b'"\\x41"', b"[1] x", b'"\xff"',
        b'"\\ud800"', b'"\xed\xa0\x80"', b"\xff\xfe{\x00}\x00", b'{"a":1,}', b'{"a":1 "b":2}', b'{1:2}', b"\xef\xbb\xbf\xef\xbb\xbf{}",
    ],
)  # fmt: skip
def test_what_is_no_json_is_refused_whoever_reads_it(text: bytes) -> None:
    for data in (text, text + b"1234567890123456789" if text[:1] == b"[" else b'["12345678901234567890",' + text + b"]"):
        with pytest.raises(JsonTextError) as caught:
            read(data)
        assert not caught.value.is_json
        assert "properties" not in caught.value.rule


@pytest.mark.parametrize("depth", [MAX_NESTING + 1, 254, 255, 256, 900, 1000, 1024, 1025, 5000, 100_000])
@pytest.mark.parametrize("inside", ["1", "12345678901234567890123"])
def test_nesting_beyond_the_bound_is_refused_at_every_depth(depth: int, inside: str) -> None:
    with pytest.raises(JsonTextError, match="nesting of at most 200"):
        read(b"[" * depth + inside.encode() + b"]" * depth, wide=True)
    with pytest.raises(JsonTextError, match="nesting of at most 200"):
        read(b'{"a":' * depth + inside.encode() + b"}" * depth, wide=True)


def test_nesting_up_to_the_bound_is_read_and_written() -> None:
    text = b"[" * MAX_NESTING + b"]" * MAX_NESTING
    assert write({"properties": {"lines": [read(text)]}}) == b'{"properties":{"lines":[' + text + b"]}}"
    assert read(b"[" * 64 + b"[],[]" + b"]" * 64, 65) is not None
    with pytest.raises(JsonTextError):
        read(b"[" * 64 + b"[],[]" + b"]" * 64, 64)


@pytest.mark.parametrize(
    ("value", "path"),
    [(math.nan, ""), ({"a": [math.inf]}, ".a[0]"), ({"a": "\ud800"}, ".a"), ({"\udfff": 1}, ""), ([{"b": 2**64}], "[0].b")],
)
def test_nothing_is_written_that_was_not_there(value: Any, path: str) -> None:
    with pytest.raises(JsonTextError) as caught:
        write(value)
    assert caught.value.path == path


def test_an_object_is_asked_for() -> None:
    assert read_object(b'{"a":1}') == {"a": 1}
    with pytest.raises(JsonTextError, match="a JSON object"):
        read_object(b"[1]")


def _same(one: Any, other: Any) -> bool:
    """Equal, and of the same kinds: for Python 1, 1.0 and true are equal."""
    return list(map(repr, _leaves(one))) == list(map(repr, _leaves(other)))


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield sorted(value)
        for name in sorted(value):
            yield from _leaves(value[name])
    elif isinstance(value, list):
        yield len(value)
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value
