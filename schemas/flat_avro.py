"""Avro for records of plain fields, by one function a schema that is made from it.

The records of the clean topics are flat: texts, whole numbers, truth values, bytes, lists of texts and maps of whole numbers. A general
codec looks each type up again for each field of each record; here the schema is read once. What such a function does not take (another type
in a field, a field that is missing, a message cut short) it leaves to the general codec, which knows defaults and says what is wrong.
Encoding: Apache Avro 1.11, "Binary Encoding".
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

Write = Callable[[Mapping[str, Any]], bytes]
"""Raises KeyError, TypeError, AttributeError, ValueError or OverflowError for what it does not take."""
Read = Callable[[bytes, int], dict[str, Any] | None]
"""Of a message and where the record begins; None, IndexError or UnicodeDecodeError for what it does not take."""
_TEXTS: Final = {"type": "array", "items": "string"}
_NUMBERS: Final = {"type": "map", "values": "long"}
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
_LEAST_INT, _MOST_INT = -(1 << 31), (1 << 31) - 1
_SHORT: Final = 64
_ZIGZAG: Final = [bytes([2 * number]) for number in range(_SHORT)]
"""Whole numbers that take a byte: most lengths do."""


def long(number: int) -> bytes:
    """A whole number, zigzag: 7 bits a byte, the least ones first.

    Raises:
        OverflowError: it has more than 64 bits.
        TypeError: it is no whole number.
    """
    if not _LEAST <= number <= _MOST:
        raise OverflowError
    left = (number << 1) ^ (number >> 63)
    found = bytearray()
    while left > 0x7F:
        found.append(left & 0x7F | 0x80)
        left >>= 7
    found.append(left)
    return bytes(found)


def _int(number: int) -> bytes:
    if not _LEAST_INT <= number <= _MOST_INT:
        raise OverflowError
    return long(number)


def _bytes(value: bytes) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError
    return long(len(value)) + value


def _texts(values: list[str]) -> bytes:
    if not values:
        return b"\0"
    parts = [long(len(values))]
    for value in values:
        encoded = value.encode()
        parts += (long(len(encoded)), encoded)
    parts.append(b"\0")
    return b"".join(parts)


def _numbers(values: Mapping[str, int]) -> bytes:
    if not values:
        return b"\0"
    parts = [long(len(values))]
    for name, value in values.items():
        encoded = name.encode()
        parts += (long(len(encoded)), encoded, long(value))
    parts.append(b"\0")
    return b"".join(parts)


def _read_long(message: bytes, at: int) -> tuple[int, int]:
    """A whole number, and where what follows begins."""
    shift = found = 0
    while True:
        byte = message[at]
        at += 1
        found |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (found >> 1) ^ -(found & 1), at
        shift += 7


def _read_text(message: bytes, at: int) -> tuple[str, int]:
    size, at = _read_long(message, at)
    return message[at : at + size].decode(), at + size


def _read_texts(message: bytes, at: int) -> tuple[list[str], int]:
    found: list[str] = []
    while True:
        number, at = _read_long(message, at)
        if not number:
            return found, at
        if number < 0:
            number, (_, at) = -number, _read_long(message, at)
        for _ in range(number):
            text, at = _read_text(message, at)
            found.append(text)


def _read_numbers(message: bytes, at: int) -> tuple[dict[str, int], int]:
    found: dict[str, int] = {}
    while True:
        number, at = _read_long(message, at)
        if not number:
            return found, at
        if number < 0:
            number, (_, at) = -number, _read_long(message, at)
        for _ in range(number):
            name, at = _read_text(message, at)
            found[name], at = _read_long(message, at)


def fields_of(schema: Mapping[str, Any]) -> list[tuple[str, str]] | None:
    """Names and kinds of a schema's fields; None when one of them is not flat."""
    found: list[tuple[str, str]] = []
    for field in schema["fields"]:
        kind = field["type"]
        if kind in ("string", "long", "int", "boolean", "bytes"):
            found.append((field["name"], kind))
        elif kind == _TEXTS:
            found.append((field["name"], "texts"))
        elif kind == _NUMBERS:
            found.append((field["name"], "numbers"))
        else:
            return None
    return found


_WRITES: Final = {"long": "long(r[{0!r}])", "int": "int_(r[{0!r}])", "bytes": "bytes_(r[{0!r}])"} | {
    "texts": "texts(r[{0!r}])",
    "numbers": "numbers(r[{0!r}])",
    "boolean": "TRUTH[r[{0!r}]]",
}
_HELPERS: Final[dict[str, Any]] = {
    "__builtins__": {"len": len},
    "long": long,
    "int_": _int,
    "bytes_": _bytes,
    "texts": _texts,
    "numbers": _numbers,
    "TRUTH": {False: b"\0", True: b"\1"},
    "SHORT": _ZIGZAG,
    "join": b"".join,
    "read_long": _read_long,
    "read_texts": _read_texts,
    "read_numbers": _read_numbers,
}


def writer(schema: Mapping[str, Any], prefix: bytes = b"") -> Write | None:
    """A function that encodes records behind a prefix; None when the schema is not flat.

    Args:
        schema: as fastavro parses it, without logical types.
        prefix: comes before each record.
    """
    fields = fields_of(schema)
    if fields is None:
        return None
    lines, parts = ["def write(r):"], ["PREFIX"]
    for number, (name, kind) in enumerate(fields):
        if kind == "string":
            lines.append(f" t{number} = r[{name!r}].encode(); n{number} = len(t{number})")
            parts.append(f"SHORT[n{number}] if n{number} < {_SHORT} else long(n{number}), t{number}")
        else:
            parts.append(_WRITES[kind].format(name))
    lines.append(f" return join(({', '.join(parts)},))")
    found: Write = _function("write", lines, {"PREFIX": prefix})
    return found


def reader(schema: Mapping[str, Any]) -> Read | None:
    """A function that decodes records; None when the schema is not flat."""
    fields = fields_of(schema)
    if fields is None:
        return None
    lines = ["def read(m, at):"]
    for number, (_, kind) in enumerate(fields):
        value = f"v{number}"
        if kind in ("string", "bytes"):
            # Of a length below 64 the byte is twice the length.
            lines += [" n = m[at]; at += 1", " if n & 129: n, at = read_long(m, at - 1)", " else: n >>= 1", " if n < 0: return None"]
            lines.append(f" {value} = m[at:at + n]{'.decode()' if kind == 'string' else ''}; at += n")
        elif kind == "boolean":
            lines += [" n = m[at]; at += 1", " if n > 1: return None", f" {value} = n == 1"]
        else:
            lines.append(f" {value}, at = {'read_long' if kind in ('long', 'int') else 'read_' + kind}(m, at)")
    shown = ", ".join(f"{name!r}: v{number}" for number, (name, _) in enumerate(fields))
    lines.append(f" return {{{shown}}} if at == len(m) else None")
    found: Read = _function("read", lines, {})
    return found


def _function(name: str, lines: list[str], bound: Mapping[str, Any]) -> Any:
    reach = {**_HELPERS, **bound}
    exec(compile("\n".join(lines), "<flat avro>", "exec"), reach)
    return reach[name]
