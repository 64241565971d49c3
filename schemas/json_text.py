"""JSON text of strangers: one reader and one writer, so that everybody understands the same of it.

Readers of JSON differ where RFC 8259 leaves them free: some round whole numbers beyond 64 bits to floats, of a name told twice some take
the first value and some the last, half a surrogate pair or the character U+0000 breaks only some of them. So a stranger's text is read here
and nowhere else (a test lists all decoders), and what is stored is not the stranger's spelling but what was understood, written by `write`.

What is understood: UTF-8 (a byte order mark in front is ignored); of a name told twice in one object, however it is escaped, the last
value; whole numbers to the digit; other numbers as the nearest 64-bit float. Refused: numbers beyond a 64-bit float, NaN and infinity, half
of a surrogate pair, nesting beyond a bound.
"""

import json
import math
from collections.abc import Callable, Iterator
from typing import Any, Final, NoReturn

import msgspec
import orjson

MAX_NESTING: Final = 200
"""Arrays and objects in one another. Whoever walks through JSON, Python's and C's own code included, goes at least so deep."""
WIDE: Final = "a whole number of at most 64 bits; send longer ones as text"
HUGE: Final = "a number that a 64-bit float can hold"
_LEAST: Final = -(2**63)
_MOST: Final = 2**64 - 1
_BOM: Final = b"\xef\xbb\xbf"
_DIGITS_AS_ZEROS: Final = bytes(ord("0") if chr(byte).isdigit() else byte for byte in range(128)) + bytes(range(128, 256))
_LONG_NUMBER: Final = b"0" * 19
"""2^63 has 19 digits: where no 19 digits stand in a row, no whole number is beyond 64 bits."""
_NAME_SHOWN: Final = 100
_MOST_DIGITS: Final = 4300
"""Of a whole number: Python's and msgspec's own bound."""
_encode: Final[Callable[[Any], bytes]] = msgspec.json.Encoder(enc_hook=str).encode
_exact: Final[Callable[[bytes], Any]] = msgspec.json.Decoder().decode


class JsonTextError(ValueError):
    """A text is not JSON as we read it, or a value is none that JSON can hold.

    Attributes:
        path: where, e.g. `.properties.lines[3]`; empty for the whole, or where it cannot be told.
        rule: what was expected; free of what was found.
        is_json: whether it is JSON by the standard, and only more than we take.
    """

    def __init__(self, path: str, rule: str, is_json: bool = True) -> None:
        super().__init__(f"{path or '.'}: {rule}")
        self.path, self.rule, self.is_json = path, rule, is_json


def read(data: bytes | str, nesting: int = MAX_NESTING, *, wide: bool = False) -> Any:
    """Read a JSON text.

    Args:
        data: the text; bytes are UTF-8.
        nesting: how deep arrays and objects may lie in one another.
        wide: whether whole numbers may be longer than 64 bits (they are exact, up to 4,300 digits). What reads them has to end in `write`,
            which refuses them.

    Returns:
        dict, list, str, int, float, bool or None.

    Raises:
        JsonTextError: it is no such JSON.
    """
    try:
        text = data.encode() if isinstance(data, str) else data
    except UnicodeEncodeError as error:
        raise JsonTextError("", "text without half a surrogate pair") from error
    if text[:3] == _BOM:
        text = text[3:]
    is_long = _LONG_NUMBER in text.translate(_DIGITS_AS_ZEROS)
    try:
        found = _exact(text) if is_long else orjson.loads(text)
    except (orjson.JSONDecodeError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(text, error, nesting) from error
    if text.count(b"{") + text.count(b"[") > nesting and is_deeper(found, nesting):
        raise JsonTextError("", f"nesting of at most {nesting}")
    if is_long and not wide:
        path = _first(found, _is_wide)
        if path is not None:
            raise JsonTextError(path, WIDE)
    return found


def read_object(data: bytes | str, nesting: int = MAX_NESTING, *, wide: bool = False) -> dict[str, Any]:
    """Read the text of a JSON object; see `read`.

    Raises:
        JsonTextError: it is something else.
    """
    found = read(data, nesting, wide=wide)
    if not isinstance(found, dict):
        raise JsonTextError("", "a JSON object")
    return found


def read_generously(data: bytes | str) -> Any:
    """Read what `read` refuses as far as it can be mended: NaN, numbers and nesting of any size, half a surrogate pair.

    Whole numbers keep their digits, and of a name told twice the last value counts, as in `read`. Only for what goes back to where it is
    read strictly.

    Raises:
        JsonTextError: it is no JSON even so.
    """
    try:
        return json.loads(data.decode("utf-8-sig") if isinstance(data, bytes) else data.removeprefix("\ufeff"))
    except RecursionError as error:
        raise JsonTextError("", "less nesting") from error
    except ValueError as error:
        raise JsonTextError("", "valid JSON in UTF-8", is_json=False) from error


def write(value: Any) -> bytes:
    """The JSON of a value, read alike by all: UTF-8, no name twice, whole numbers within 64 bits, floats in their shortest form.

    Args:
        value: what JSON can hold; also times (RFC 3339).

    Raises:
        JsonTextError: the value holds a whole number beyond 64 bits, NaN, infinity or half a surrogate pair, nests too deeply, or is none
            that JSON can hold.
    """
    try:
        text = orjson.dumps(value)
    except (TypeError, RecursionError) as error:
        raise _unwritable(value, error) from error
    if b"null" in text:  # what orjson makes of NaN and infinity
        path = _first(value, _is_not_finite)
        if path is not None:
            raise JsonTextError(path, HUGE)
    return text


def write_wide(value: Any) -> bytes:
    """The JSON of a value for those who read it by `read(..., wide=True)`: whole numbers of any length; what JSON has no form for, as text.

    Raises:
        JsonTextError: half a surrogate pair, or nesting too deep.
    """
    try:
        return _encode(value)
    except (UnicodeEncodeError, RecursionError, TypeError) as error:
        raise _unwritable(value, error) from error


def written(value: Any) -> str:
    """What `write` makes of a value that `read` has given, as a text; spares the search for what `read` lets nobody have."""
    return orjson.dumps(value).decode()


def is_deeper(value: Any, nesting: int) -> bool:
    """Whether arrays and objects lie in one another more than `nesting` times."""
    level = [value]
    for _ in range(nesting + 1):
        level = [one for one in level if isinstance(one, dict | list)]
        if not level:
            return False
        level = [inner for one in level for inner in (one.values() if isinstance(one, dict) else one)]
    return True


def step(name: str | int) -> str:
    """A step of a path: `.name`, `[3]`, or `["odd name"]`."""
    if isinstance(name, int):
        return f"[{name}]"
    shown = name[:_NAME_SHOWN]
    return f".{shown}" if shown.isidentifier() else f"[{json.dumps(shown)}]"


def places(value: Any) -> Iterator[tuple[str, Any]]:
    """Everything in a value, the value itself included, with its path; does not recurse."""
    waiting = [("", value)]
    while waiting:
        path, one = waiting.pop()
        yield path, one
        if isinstance(one, dict):
            waiting.extend((path + step(name), inner) for name, inner in reversed(one.items()))
        elif isinstance(one, list):
            waiting.extend((f"{path}[{index}]", one[index]) for index in range(len(one) - 1, -1, -1))


def _first(value: Any, is_wrong: Callable[[Any], bool]) -> str | None:
    return next((path for path, one in places(value) if is_wrong(one)), None)


def _is_wide(value: Any) -> bool:
    return isinstance(value, int) and not _LEAST <= value <= _MOST


def _is_not_finite(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


class _Huge:
    """Stands, while its place is looked for, for a number that cannot be held."""


def _number(text: str) -> Any:
    return 0.0 if math.isfinite(float(text)) else _Huge()


def _integer(text: str) -> Any:
    return 0 if len(text) < _MOST_DIGITS else _Huge()


def _constant(_text: str) -> NoReturn:
    raise ValueError


def _unreadable(text: bytes, error: Exception, nesting: int) -> JsonTextError:
    """Both readers say where a text breaks, but not in which field a number is too large."""
    reason = "bytes that are not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
    if isinstance(error, RecursionError) or "depth limit" in reason:
        return JsonTextError("", f"nesting of at most {nesting}")
    if "out of range" not in reason and "infinity" not in reason:
        return JsonTextError("", f"valid JSON in UTF-8: {reason}", is_json=False)
    try:
        marked = json.loads(text.decode(), parse_float=_number, parse_int=_integer, parse_constant=_constant)
        path = _first(marked, lambda one: isinstance(one, _Huge))
    except (ValueError, RecursionError):
        path = None
    return JsonTextError(path or "", HUGE)


def _unwritable(value: Any, error: Exception) -> JsonTextError:
    if is_deeper(value, MAX_NESTING):
        return JsonTextError("", f"nesting of at most {MAX_NESTING}")
    path = _first(value, _is_wide)
    if path is not None:
        return JsonTextError(path, WIDE)
    path = _first(value, _has_half_a_pair)
    if path is not None:
        return JsonTextError(path, "text without half a surrogate pair")
    return JsonTextError("", f"something that JSON can hold ({type(error).__name__})")


def _has_half_a_pair(value: Any) -> bool:
    texts = [value] if isinstance(value, str) else [name for name in value if isinstance(name, str)] if isinstance(value, dict) else []
    return any("\ud800" <= sign <= "\udfff" for text in texts for sign in text)
