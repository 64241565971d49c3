"""Keys seen before, exactly and in bounded memory: SQLite's private temporary database, which goes to disk when it grows."""

import hashlib
import sqlite3
from typing import Self


class SeenKeys:
    """A set of texts, remembered by 16 bytes of their digest. A context manager."""

    def __init__(self) -> None:
        self._store = sqlite3.connect("", isolation_level=None)
        self._store.execute("CREATE TABLE seen (key BLOB PRIMARY KEY) WITHOUT ROWID")
        self._store.execute("BEGIN")

    def add(self, key: str) -> bool:
        """Remember a key; whether it is new."""
        digest = hashlib.blake2b(key.encode(), digest_size=16).digest()
        return self._store.execute("INSERT OR IGNORE INTO seen VALUES (?)", (digest,)).rowcount == 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._store.close()
