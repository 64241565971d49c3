"""Unpack a request's body within bounds. Its JSON is taken apart by `schemas.json_parts`."""

import zlib

GZIP_WINDOW = 16 + zlib.MAX_WBITS


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
