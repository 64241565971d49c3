"""The state of an object: what is persisted of it."""

from collections.abc import Iterable
from typing import Final, Protocol

import msgspec

from pipelines.features.documents import MAX_GROUPS
from pipelines.ingest.dedupe import Seen
from pipelines.wire import Telling

FORMAT: Final = 1
Claim = tuple[int, int, str]
"""Rank of the claiming node's namespace, event time (ms), node key: the least one wins."""


class ObjectState(msgspec.Struct, array_like=True):
    """What is persisted of an object on each event ("head"); documents, business keys and spilled message ids lie apart.

    Attributes:
        format: version of this encoding; new fields go to the end with a default.
        version: grows by 1 with each change of owner or stages.
        claim: the best one so far; its node owns the object.
        stages: stage -> the earliest event time at which it was told, ms.
        documents: names of the documents there are.
        seen: message ids.
    """

    format: int
    version: int = 0
    claim: Claim | None = None
    stages: dict[str, int] = {}
    documents: list[str] = []
    seen: Seen = msgspec.field(default_factory=Seen)

    @property
    def owner(self) -> str:
        """Node key, empty without a claim."""
        return "" if self.claim is None else self.claim[2]


class Records(Protocol):
    """A mapping of bytes that outlives the process (Flink MapState in the job, a dict in tests)."""

    def get(self, key: str) -> bytes | None:
        """The record or None."""

    def put(self, key: str, value: bytes) -> None:
        """Write a record."""


class Documents:
    """What was told of an object's documents.

    Args:
        records: keys `d:<document>`.
        names: of those there are; new ones are added.
    """

    def __init__(self, records: Records, names: list[str]) -> None:
        self._records = records
        self._names = names

    def add(self, name: str, telling: Telling) -> None:
        """Keep what is needed of a telling and those before."""
        blob = self._records.get("d:" + name)
        if blob is None:
            self._names.append(name)
        self._records.put("d:" + name, _encode(kept([*(_decode(blob) if blob else ()), telling])))

    def all(self) -> list[Telling]:
        """Everything that a new owner has to know."""
        return [telling for name in self._names for telling in _decode(self._records.get("d:" + name) or _NOTHING)]


def kept(tellings: Iterable[Telling]) -> list[Telling]:
    """What of a document's tellings makes a ledger the same as all of them: the newest of each source's log, and the earliest."""
    newest: dict[str, Telling] = {}
    earliest: Telling | None = None
    for telling in tellings:
        told = telling.told
        held = newest.get(told.log)
        if held is None or (held.told.order, held.told.rank) < (told.order, told.rank):
            newest[told.log] = telling
        if earliest is None or told.time < earliest.told.time:
            earliest = telling
    found = sorted(newest.values(), key=lambda telling: telling.told.rank)[-MAX_GROUPS:]
    return found if earliest is None or earliest in found else [earliest, *found]


_decode = msgspec.msgpack.Decoder(list[Telling]).decode
_encode = msgspec.msgpack.Encoder().encode
_NOTHING: Final = _encode([])
