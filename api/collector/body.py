"""Read a request's body: unpack it within bounds, and take its JSON apart without parsing what nobody needs.

Values stay the bytes the client sent (`msgspec.Raw`). What strict JSON does not allow inside one event (NaN, half a surrogate pair, a
control character) must not cost its neighbours: then a tolerant scan finds where each event ends, and the pipeline rejects that one.
"""

import json
import zlib
from collections.abc import Callable
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

import msgspec

Members = dict[str, msgspec.Raw]

GZIP_WINDOW = 16 + zlib.MAX_WBITS
_SPACE = " \t\n\r"

_members: Callable[[bytes], Members] = msgspec.json.Decoder(Members).decode
_elements: Callable[[bytes], list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw]).decode
_text: Callable[[bytes], str] = msgspec.json.Decoder(str).decode
_skip: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder(strict=False).raw_decode


class UnreadableError(ValueError):
    """The body is not what it says it is; the message says what was expected, never what was found."""


class TooLargeError(ValueError):
    """The body is larger than a request may be."""


def unzip(packed: bytes, limit: int) -> bytes:
    """Unpack gzip, giving up as soon as more than `limit` bytes come out.

    Raises:
        TooLargeError: more than `limit` bytes.
        UnreadableError: not gzip, cut off, or something follows it.
    """
    unpacker = zlib.decompressobj(GZIP_WINDOW)
    try:
        data = unpacker.decompress(packed, limit + 1)
    except zlib.error:
        raise UnreadableError("Content-Encoding says gzip, the body is not") from None
    if len(data) > limit:
        raise TooLargeError
    if not unpacker.eof or unpacker.unused_data:
        raise UnreadableError("the gzip body is cut off or something follows it")
    return data


def members(data: bytes) -> Members | None:
    """The members of a JSON object; None when it is JSON, but no object.

    Raises:
        UnreadableError: not JSON.
    """
    try:
        return _members(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _scan_object(data)


def elements(data: bytes, at_most: int) -> list[msgspec.Raw]:
    """The elements of a JSON array.

    Args:
        data: the array.
        at_most: so many are wanted; a scan may stop after one more, so a longer list only says that there are too many.

    Raises:
        UnreadableError: no array.
    """
    try:
        return _elements(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _scan_array(data, at_most)


def text(value: bytes | None) -> str:
    """A JSON string; empty when it is missing or something else."""
    try:
        return _text(value) if value is not None else ""
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def _scan_object(data: bytes) -> Members | None:
    found: Members = {}
    whole = _lenient(data)
    at = _past_space(whole, 0)
    if whole[at : at + 1] != "{":
        _past_value(whole, at, to_the_end=True)
        return None
    at = _past_space(whole, at + 1)
    while whole[at : at + 1] != "}":
        if found:
            at = _past_space(whole, _past(",", whole, at))
        begin = _past('"', whole, at)
        try:
            name, at = scanstring(whole, begin, False)
        except ValueError:
            raise UnreadableError("the body is not JSON") from None
        at = _past_space(whole, _past(":", whole, _past_space(whole, at)))
        end = _past_value(whole, at)
        found[name] = _raw(whole, at, end)
        at = _past_space(whole, end)
    _must_end(whole, at + 1)
    return found


def _scan_array(data: bytes, at_most: int) -> list[msgspec.Raw]:
    found: list[msgspec.Raw] = []
    whole = _lenient(data)
    at = _past_space(whole, _past("[", whole, _past_space(whole, 0)))
    while whole[at : at + 1] != "]":
        if len(found) > at_most:
            return found
        if found:
            at = _past_space(whole, _past(",", whole, at))
        end = _past_value(whole, at)
        found.append(_raw(whole, at, end))
        at = _past_space(whole, end)
    _must_end(whole, at + 1)
    return found


def _lenient(data: bytes) -> str:
    """Bytes that are not UTF-8 survive the way to text and back."""
    return bytes(data).decode("utf-8", "surrogateescape")  # a msgspec.Raw only looks like bytes to the type checker


def _raw(whole: str, begin: int, end: int) -> msgspec.Raw:
    return msgspec.Raw(whole[begin:end].encode("utf-8", "surrogateescape"))


def _past_space(whole: str, at: int) -> int:
    while at < len(whole) and whole[at] in _SPACE:
        at += 1
    return at


def _past(sign: str, whole: str, at: int) -> int:
    if whole[at : at + 1] != sign:
        raise UnreadableError("the body is not JSON")
    return at + 1


def _past_value(whole: str, at: int, to_the_end: bool = False) -> int:
    try:
        end = _skip(whole, at)[1]
    except (ValueError, RecursionError):
        raise UnreadableError("the body is not JSON") from None
    if to_the_end:
        _must_end(whole, end)
    return end


def _must_end(whole: str, at: int) -> None:
    if _past_space(whole, at) != len(whole):
        raise UnreadableError("something follows the JSON body")
