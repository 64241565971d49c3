"""Take JSON apart without reading what nobody needs: members and elements stay the bytes they came as.

What is wrong inside one part (NaN, half a surrogate pair, nesting of any depth, a comma too many) must not cost its neighbours: where a
strict reader gives up, a scan that only knows strings and brackets finds where each part ends. Whoever needs the part reads it with
`json_text.read`, which then refuses that one. Of a name told twice the last value counts, as there.
"""

import re
from collections.abc import Callable
from typing import Final

import msgspec

from schemas.json_text import JsonTextError, read_generously

Members = dict[str, msgspec.Raw]

NO_JSON: Final = "the body is not JSON"
_BOM: Final = b"\xef\xbb\xbf"
_SPACE: Final = re.compile(rb"[ \t\n\r]*+")
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_MARK: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["{}\[\]]', re.DOTALL)
_WORD: Final = re.compile(rb'[^\s,:"{}\[\]]++')
_NUMBER: Final = re.compile(rb"-?[0-9][-+.0-9eE]*|-?Infinity|NaN|true|false|null")
_members: Final[Callable[[bytes], Members]] = msgspec.json.Decoder(Members).decode
_elements: Final[Callable[[bytes], list[msgspec.Raw]]] = msgspec.json.Decoder(list[msgspec.Raw]).decode
_text: Final[Callable[[bytes], str]] = msgspec.json.Decoder(str).decode
_REFUSED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def members(data: bytes, broken: bool = True) -> Members | None:
    """The members of a JSON object; None when it is JSON, but no object.

    Args:
        data: the object.
        broken: whether an object is taken apart too whose parts are no JSON. Nesting of any depth always is.

    Raises:
        JsonTextError: not JSON, as far as that can be told without reading its parts; with `broken` false also no object.
    """
    try:
        return _members(data)
    except RecursionError:
        held = bytes(data)  # a msgspec.Raw only looks like bytes to the type checker
    except _REFUSED as error:
        held = bytes(data)
        if not broken and not held.startswith(_BOM):
            raise JsonTextError("", NO_JSON) from error
    return _scan_object(held)


def elements(data: bytes, at_most: int) -> list[msgspec.Raw]:
    """The elements of a JSON array.

    Args:
        data: the array.
        at_most: so many are wanted; a scan may stop after one more, so a longer list only says that there are too many.

    Raises:
        JsonTextError: no array.
    """
    try:
        return _elements(data)
    except _REFUSED:
        return _scan_array(bytes(data), at_most)


def text(value: bytes | None) -> str:
    """A JSON string; empty when it is missing or something else."""
    try:
        return _text(value) if value is not None else ""
    except _REFUSED:
        return ""


def _scan_object(data: bytes) -> Members | None:
    found: Members = {}
    at = _past_space(data, len(_BOM) if data.startswith(_BOM) else 0)
    if data[at : at + 1] != b"{":
        _must_end(data, _past_value(data, at))
        return None
    at = _past_space(data, at + 1)
    while data[at : at + 1] != b"}":
        if found:
            at = _past_space(data, _past(b",", data, at))
        name, at = _name(data, at)
        at = _past_space(data, _past(b":", data, _past_space(data, at)))
        end = _past_value(data, at)
        found[name] = msgspec.Raw(data[at:end])
        at = _past_space(data, end)
    _must_end(data, at + 1)
    return found


def _scan_array(data: bytes, at_most: int) -> list[msgspec.Raw]:
    found: list[msgspec.Raw] = []
    at = _past_space(data, _past(b"[", data, _past_space(data, 0)))
    while data[at : at + 1] != b"]":
        if len(found) > at_most:
            return found
        if found:
            at = _past_space(data, _past(b",", data, at))
        end = _past_value(data, at)
        found.append(msgspec.Raw(data[at:end]))
        at = _past_space(data, end)
    _must_end(data, at + 1)
    return found


def _name(data: bytes, at: int) -> tuple[str, int]:
    string = _STRING.match(data, at)
    if string is None:
        raise JsonTextError("", NO_JSON)
    name = text(string[0])
    if not name and len(string[0]) > 2:  # with a control character or half a surrogate pair in it: nobody asks for such a name
        name = str(read_generously(string[0].decode(errors="replace").encode()))
    return name, string.end()


def _past_value(data: bytes, at: int) -> int:
    """Where a value ends. Of an object or array only strings and brackets are looked at, in a loop: depth costs nothing."""
    opening = data[at : at + 1]
    if opening not in (b"{", b"["):
        word = _STRING.match(data, at) if opening == b'"' else _WORD.match(data, at)
        if word is None or not (opening == b'"' or _NUMBER.fullmatch(word[0])):
            raise JsonTextError("", NO_JSON)
        return word.end()
    depth = 0
    for mark in _MARK.finditer(data, at):
        sign = mark[0]
        if sign in (b"{", b"["):
            depth += 1
        elif sign in (b"}", b"]"):
            depth -= 1
            if not depth:
                return mark.end()
        elif sign == b'"':  # a string that never ends
            break
    raise JsonTextError("", NO_JSON)


def _past_space(data: bytes, at: int) -> int:
    found = _SPACE.match(data, at)
    return found.end() if found else at


def _past(sign: bytes, data: bytes, at: int) -> int:
    if data[at : at + 1] != sign:
        raise JsonTextError("", NO_JSON)
    return at + 1


def _must_end(data: bytes, at: int) -> None:
    if _past_space(data, at) != len(data):
        raise JsonTextError("", "something follows the JSON body")
