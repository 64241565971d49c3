"""Unpack a request's body within bounds, and tell its text's encoding. Its JSON is taken apart by `schemas.json_parts`."""

import zlib
from typing import Final

ENCODINGS: Final = ("gzip", "x-gzip", "deflate")
PLAIN: Final = ("", "identity")
MAX_MEMBERS: Final = 2500
"""Members of one gzip body: as many as events in a request."""
_GZIP: Final = 16 + zlib.MAX_WBITS
_STEP: Final = 16_384
_UTF_8_MARK: Final = b"\xef\xbb\xbf"
_OTHER_MARKS: Final = ((b"\xff\xfe\x00\x00", "UTF-32"), (b"\x00\x00\xfe\xff", "UTF-32"), (b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"))


class UnreadableError(ValueError):
    """The body is not what it says it is; the message says what was expected, never what was found."""


class TooLargeError(ValueError):
    """The body is larger than a request may be."""


def unpack(packed: bytes, encoding: str, limit: int) -> bytes:
    """Unpack a body, giving up as soon as more than `limit` bytes come out.

    gzip may have several members, which are one text (RFC 1952), and zeros behind them, as tapes and `tar` leave. deflate is zlib's format
    (RFC 9110) or, as some clients send it, the bare one.

    Args:
        packed: as it came.
        encoding: one of `ENCODINGS`, in lower case.
        limit: most bytes.

    Raises:
        TooLargeError: more than `limit` bytes.
        UnreadableError: not packed like that, cut off, or something else follows it.
    """
    try:
        if encoding == "deflate":
            return _deflated(packed, limit)
        return _members(packed, limit)
    except zlib.error:
        raise UnreadableError(f"Content-Encoding says {encoding}, the body is not, or it is damaged") from None


def text(data: bytes) -> bytes:
    """A body without the byte order mark in front.

    Raises:
        UnreadableError: it is UTF-16 or UTF-32.
    """
    if data[:3] == _UTF_8_MARK:
        return data[3:]
    for mark, name in _OTHER_MARKS:
        if data.startswith(mark):
            raise UnreadableError(f"the body is {name}; JSON is sent in UTF-8")
    if b"\x00" in data[:4]:  # RFC 4627, section 3: the first two signs of a JSON text are ASCII
        raise UnreadableError("the body is UTF-16 or UTF-32; JSON is sent in UTF-8")
    return data


def _members(packed: bytes, limit: int) -> bytes:
    parts: list[bytes] = []
    at = size = 0
    for _ in range(MAX_MEMBERS):
        part, at = _stream(zlib.decompressobj(_GZIP), packed, at, limit - size)
        parts.append(part)
        size += len(part)
        if not packed[at : at + _STEP].strip(b"\x00") and not packed[at:].strip(b"\x00"):
            return b"".join(parts)
    raise UnreadableError(f"a gzip body of at most {MAX_MEMBERS} members")


def _deflated(packed: bytes, limit: int) -> bytes:
    try:
        whole, at = _stream(zlib.decompressobj(zlib.MAX_WBITS), packed, 0, limit)
    except zlib.error:
        whole, at = _stream(zlib.decompressobj(-zlib.MAX_WBITS), packed, 0, limit)
    if at != len(packed):
        raise UnreadableError("something follows the deflate body")
    return whole


def _stream(unpacker: "zlib._Decompress", packed: bytes, at: int, limit: int) -> tuple[bytes, int]:
    """One packed stream from a place on, and the place behind it; in steps, as what follows a stream is copied each time."""
    parts: list[bytes] = []
    size = 0
    while not unpacker.eof:
        step = packed[at : at + _STEP]
        if not step:
            raise UnreadableError("the packed body is cut off")
        part = unpacker.decompress(step, limit - size + 1)
        size += len(part)
        if size > limit:
            raise TooLargeError
        parts.append(part)
        at += len(step) - len(unpacker.unused_data)
    return b"".join(parts), at
