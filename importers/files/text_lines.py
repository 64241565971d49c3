"""Lines of a text file in any encoding, with their bytes: what is not of the encoding damages the line it stands in and no other."""

import codecs
import io
from typing import Final, NamedTuple

MAX_LINE: Final = 16 << 20
"""Bytes of one line; what goes beyond is left out and the line marked as cut."""
UNREADABLE_CHARACTER: Final = "\ufdd1"
"""Stands in a line's text for each byte that is not of the encoding: a noncharacter of Unicode, which no text has."""
_PEEKED: Final = 1 << 20
_HANDLER: Final = "cdp-unreadable"
_MARKS: Final = {
    "utf-16": {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"},
    "utf-32": {codecs.BOM_UTF32_LE: "utf-32-le", codecs.BOM_UTF32_BE: "utf-32-be"},
}


def _mark(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return UNREADABLE_CHARACTER, error.end


codecs.register_error(_HANDLER, _mark)


class Line(NamedTuple):
    """A line.

    Attributes:
        number: from 1.
        raw: its bytes, its end included.
        text: the same as text.
        is_text: whether all bytes are of the encoding.
        is_cut: whether it is longer than `MAX_LINE` and what is beyond was left out.
    """

    number: int
    raw: bytes
    text: str
    is_text: bool = True
    is_cut: bool = False


class TextLines:
    """Reads lines, which end with a line feed; with a carriage return where the file has no line feed at all.

    Args:
        stream: bytes; is read on from where it stands.
        encoding: as Python names it; a byte order mark is left out.
    """

    def __init__(self, stream: io.BufferedIOBase, encoding: str) -> None:
        self._stream = io.BufferedReader(stream, _PEEKED)
        beginning = self._stream.peek(_PEEKED)
        self.encoding = _encoding(encoding, beginning)
        self._end = "\n".encode(self.encoding)
        told = beginning.decode(self.encoding, errors="replace")
        if "\n" not in told and "\r" in told:
            self._end = "\r".encode(self.encoding)
        self._number = 0

    def read(self) -> Line | None:
        """The next line; None at the end.

        Raises:
            EOFError, OSError: the stream breaks off.
        """
        raw = self._raw()
        if not raw:
            return None
        is_cut = len(raw) > MAX_LINE
        while is_cut and not raw.endswith(self._end):
            rest = self._raw()
            if len(rest) <= MAX_LINE:
                break
        self._number += 1
        try:
            text, is_text = raw.decode(self.encoding), True
        except UnicodeDecodeError:
            text, is_text = raw.decode(self.encoding, errors=_HANDLER), False
        if self._number == 1:
            text = text.removeprefix("\ufeff")
        return Line(self._number, raw, text, is_text, is_cut)

    def _raw(self) -> bytes:
        """Bytes up to a line's end, but for about as many as a line may have."""
        last, width = self._end[-1:] if self._end[-1] else self._end[:1], len(self._end)
        if width == 1:
            return self._readline(MAX_LINE + 1, last)
        found = b""
        while len(found) <= MAX_LINE:
            part = self._readline(MAX_LINE + 1, last)
            found += part
            if len(found) % width:
                found += self._stream.read(width - len(found) % width)
            if not part or found.endswith(self._end):
                break
        return found

    def _readline(self, limit: int, last: bytes) -> bytes:
        if last == b"\n":
            return self._stream.readline(limit)
        found = bytearray()
        while len(found) < limit:
            waiting = self._stream.peek(1)
            if not waiting:
                break
            at = waiting.find(last)
            found += self._stream.read(at + 1 if at >= 0 else len(waiting))
            if at >= 0:
                break
        return bytes(found)


def _encoding(encoding: str, beginning: bytes) -> str:
    """The encoding without a byte order mark of its own, which would be looked for in each line."""
    name = codecs.lookup(encoding).name
    for mark, exact in _MARKS.get(name, {}).items():
        if beginning.startswith(mark):
            return exact
    return {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(name, name)
