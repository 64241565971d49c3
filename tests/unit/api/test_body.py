"""Unpacking bodies: bounded, byte for byte."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.collector import body
from api.collector.body import TooLargeError, UnreadableError

PACKED = gzip.compress(b"x", mtime=0)  # without a time, so that the tests' names are the same in every process


@given(st.binary(max_size=2000))
def test_gzip_gives_back_what_was_packed(data: bytes) -> None:
    assert body.unpack(gzip.compress(data), "gzip", 2000) == data


def test_a_decompression_bomb_is_given_up_at_the_limit() -> None:
    packer = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()
    assert len(bomb) < 250_000
    with pytest.raises(TooLargeError):
        body.unpack(bomb, "gzip", 512_000)
    assert len(body.unpack(gzip.compress(bytes(512_000)), "gzip", 512_000)) == 512_000
    with pytest.raises(TooLargeError):
        body.unpack(gzip.compress(bytes(512_001)), "gzip", 512_000)


@pytest.mark.parametrize("data", [b"", b"{}", PACKED[:-4], PACKED + b"y", PACKED + PACKED[:-1], zlib.compress(b"x")])
def test_what_is_no_whole_gzip_is_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableError):
        body.unpack(data, "gzip", 1000)
