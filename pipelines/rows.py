"""Rows of 64-bit whole numbers: what is packed and unpacked by a copy of memory, and changed in place."""

from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Row = array[int]
else:
    Row = array


def unpacked(packed: bytes) -> Row:
    """A row from the bytes of `tobytes`: 8 a number, in the machine's order (all that we run on are little-endian)."""
    row = array("q")
    row.frombytes(packed)
    return row
