"""A sorted set in a mapping that cannot sort: pages of keys, each a record of its own, so that a change costs a few small records.

A B+ tree without rebalancing: a full page is halved, an empty one is dropped. Times and names have up to millions of entries at one node;
the mapping (Flink's MapState) can neither be asked for a range nor for the least key.
"""

from bisect import bisect_right, insort
from collections.abc import Iterator
from typing import Final, Protocol

import msgspec

PAGE: Final = 64
"""Keys a page holds at most."""
Key = tuple[int, str]


class Pages(Protocol):
    """Where pages lie."""

    def get(self, key: str) -> bytes | None:
        """The record or None."""

    def put(self, key: str, value: bytes) -> None:
        """Write a record."""

    def remove(self, key: str) -> None:
        """Delete a record that is there."""


class _Page(msgspec.Struct, array_like=True):
    """Keys in order; of an inner page each is a lower bound of a page below. `made` (at the root) numbers new pages."""

    keys: list[Key] = []
    below: list[int] = []
    made: int = 0


_decode = msgspec.msgpack.Decoder(_Page).decode
_encode = msgspec.msgpack.Encoder().encode
_ROOT: Final = 0


class Index:
    """A sorted set of `(number, text)`.

    Args:
        pages: where they lie.
        name: begins their keys.
    """

    def __init__(self, pages: Pages, name: str) -> None:
        self._pages, self._name = pages, name

    def add(self, key: Key) -> None:
        """Add a key that is not there."""
        path = self._path(key)
        root, (number, _, page) = path[0][2], path[-1]
        insort(page.keys, key)
        changed = {number: page}
        for depth in range(len(path) - 1, -1, -1):
            number, at, page = path[depth]
            if len(page.keys) <= PAGE:
                break
            half = len(page.keys) // 2
            right = _Page(page.keys[half:], page.below[half:])
            root.made += 1
            changed[root.made] = right
            changed[_ROOT] = root
            page.keys, page.below = page.keys[:half], page.below[:half]
            if depth:
                parent_number, _, parent = path[depth - 1]
                parent.keys.insert(at + 1, right.keys[0])
                parent.below.insert(at + 1, root.made)
                changed[parent_number] = parent
            else:  # the tree grows by a level: what the root held becomes two pages below it
                left = _Page(page.keys, page.below)
                root.made += 1
                changed[root.made] = left
                root.keys, root.below = [left.keys[0], right.keys[0]], [root.made, root.made - 1]
        for number, page in changed.items():
            self._pages.put(self._record(number), _encode(page))

    def remove(self, key: Key) -> None:
        """Remove a key that is there."""
        path = self._path(key)
        path[-1][2].keys.remove(key)
        for depth in range(len(path) - 1, -1, -1):
            number, at, page = path[depth]
            if page.keys or not depth:
                self._pages.put(self._record(number), _encode(page))
                return
            self._pages.remove(self._record(number))
            parent = path[depth - 1][2]
            del parent.keys[at], parent.below[at]

    def first(self, number: int) -> list[Key]:
        """So many of the least keys, or all there are."""
        found: list[Key] = []
        for page in self._leaves(self._read(_ROOT), backwards=False):
            found += page.keys[: number - len(found)]
            if len(found) == number:
                break
        return found

    def last(self) -> Key | None:
        """The greatest key; None when there is none."""
        return next((page.keys[-1] for page in self._leaves(self._read(_ROOT), backwards=True) if page.keys), None)

    def _path(self, key: Key) -> list[tuple[int, int, _Page]]:
        """From the root to the leaf of a key: number of the page, its place in the one above, the page."""
        path = [(_ROOT, 0, self._read(_ROOT))]
        while path[-1][2].below:
            above = path[-1][2]
            at = max(0, bisect_right(above.keys, key) - 1)
            path.append((above.below[at], at, self._read(above.below[at])))
        return path

    def _leaves(self, page: _Page, *, backwards: bool) -> Iterator[_Page]:
        if not page.below:
            yield page
            return
        for number in reversed(page.below) if backwards else page.below:
            yield from self._leaves(self._read(number), backwards=backwards)

    def _read(self, number: int) -> _Page:
        blob = self._pages.get(self._record(number))
        return _Page() if blob is None else _decode(blob)

    def _record(self, number: int) -> str:
        return f"{self._name}:{number}"
