"""A node's records in a dict, which counts what is read and written."""

from collections.abc import Iterable


class CountingStore:
    """Where the job has MapState.

    Attributes:
        records: what is stored.
        calls: reads, writes and deletions so far.
        bytes_put: length of all keys and values written so far.
        bytes_got: length of all values read so far.
    """

    def __init__(self) -> None:
        self.records: dict[str, bytes] = {}
        self.calls = self.bytes_put = self.bytes_got = 0

    def get(self, key: str) -> bytes | None:
        self.calls += 1
        found = self.records.get(key)
        self.bytes_got += len(found or b"")
        return found

    def put(self, key: str, value: bytes) -> None:
        self.calls += 1
        self.bytes_put += len(key.encode()) + len(value)
        self.records[key] = value

    def remove(self, key: str) -> None:
        self.calls += 1
        del self.records[key]

    def items(self) -> Iterable[tuple[str, bytes]]:
        raise AssertionError("no event may look at all of a node's records")
