"""Check 4: Redis holds the newest change of every profile, field by field and with its personal traits, and nothing else."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from typing import Any, Final, NamedTuple

import msgspec
import orjson
from redis import Redis

from cli.audit.evidence import CleanEvidence, Owner, Rank
from cli.audit.report import Check
from profile_store import layout
from schemas import clean as codec

RECHECK_S: Final = 15.0
BATCH: Final = 500
ABSENT: Final = "not in Redis"
ORPHAN: Final = "in Redis, but no change of it is in the topic"
LEFT_OVER: Final = "personal traits in Redis, but no change of it is in the topic"
Hash = dict[bytes, bytes]
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Stored(NamedTuple):
    """What Redis holds of a profile: its fields, and its personal traits."""

    fields: Hash
    pii: Hash


class Served:
    """Compares Redis with the newest changes while both move.

    Redis is written before a change is committed, so it may be ahead of the topic for a moment: such a profile is kept as it was seen and
    compared when the record with its version comes.

    Args:
        redis: the profile store.
        clean: the clean topics; grows with `read_on`.
        read_on: reads the clean topics to their end as it is now.
    """

    def __init__(self, redis: Redis, clean: CleanEvidence, read_on: Callable[[], None]) -> None:
        self._redis: Any = redis
        self._clean = clean
        self._read_on = read_on
        self._ahead: dict[Owner, tuple[Rank, Stored]] = {}
        self._settled: set[Owner] = set()

    def profiles(self, tell: Callable[[int], None]) -> Check:
        """Every profile against its newest change, both ways.

        Args:
            tell: called now and then with the number of profiles compared.
        """
        self._read_on()
        suspects, seen = set(self._clean.newest), 0
        for keys in self._scan(layout.PROFILE_PATTERN):
            owners = [owner for key in keys if (owner := layout.parse_profile_key(key))]
            for owner, stored in self._stored(owners):
                seen += 1
                if self._wrong(owner, stored):
                    suspects.add(owner)
                else:
                    suspects.discard(owner)
            tell(seen)
        for keys in self._scan(layout.PII_PATTERN):  # of the others both hashes were compared above
            suspects.update(owner for key in keys if (owner := layout.parse_pii_key(key)) and owner not in self._clean.newest)
        found = self._recheck(suspects)
        expected = len(self._clean.newest)
        there = expected - sum(why == ABSENT for why in found.values()) + sum(why == ORPHAN for why in found.values())
        return Check("Redis profiles", expected, there, [f"{tenant} {profile}: {why}" for (tenant, profile), why in sorted(found.items())])

    def identifiers(self) -> Check:
        """Every identifier of a newest change leads to its profile, and no other identifier is there."""
        deadline = time.monotonic() + RECHECK_S
        while True:
            self._read_on()
            wanted = dict(self._wanted_identifiers())
            found: dict[str, str] = {}
            for keys in self._scan(layout.NODE_PATTERN):
                values = self._redis.mget(keys)
                found |= {key: layout.parse_node_value(value)[1] for key, value in zip(keys, values, strict=True) if value is not None}
            wrong = {key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key)}
            if not wrong or time.monotonic() > deadline:
                break
            time.sleep(1.0)
        lines = [f"{key}: leads to {found.get(key, 'nothing')}, belongs to {wanted.get(key, 'nobody')}" for key in sorted(wrong)]
        return Check("Redis identifiers", len(wanted), len(found), lines)

    def _wanted_identifiers(self) -> Iterator[tuple[str, str]]:
        for (tenant, profile), (_, message) in self._clean.newest.items():
            for node in codec.decode(message)["nodes"]:
                _, namespace, value = node.split("|", 2)
                yield layout.node_key(tenant, namespace, value), profile

    def _recheck(self, suspects: set[Owner]) -> dict[Owner, str]:
        deadline = time.monotonic() + RECHECK_S
        self._clean.on_change = self._settle
        wrong: dict[Owner, str] = {}
        while suspects:
            stored = dict(self._stored(suspects))
            self._note_ahead(stored)
            self._read_on()
            wrong = {owner: why for owner, both in stored.items() if owner not in self._settled and (why := self._wrong(owner, both))}
            if time.monotonic() > deadline:
                break
            suspects = set(wrong)
            if suspects:
                time.sleep(0.3)
        return wrong

    def _note_ahead(self, stored: Mapping[Owner, Stored]) -> None:
        for owner, both in stored.items():
            held, newest = _rank(both.fields), self._clean.newest.get(owner)
            if owner not in self._ahead and held and (newest is None or newest[0] < held):
                self._ahead[owner] = (held, both)

    def _settle(self, owner: Owner, rank: Rank, message: bytes) -> None:
        ahead = self._ahead.get(owner)
        if ahead is None or rank < ahead[0]:
            return
        del self._ahead[owner]
        if rank == ahead[0] and not _compare(ahead[1], message):
            self._settled.add(owner)

    def _wrong(self, owner: Owner, stored: Stored) -> str:
        newest = self._clean.newest.get(owner)
        if newest is None:
            return ORPHAN if stored.fields else LEFT_OVER if stored.pii else ""
        if not stored.fields:
            return ABSENT
        held = _rank(stored.fields)
        if held != newest[0]:
            return f"Redis has version {layout.version(*held) if held else 'none'}, the topic {layout.version(*newest[0])}"
        return _compare(stored, newest[1])

    def _stored(self, owners: Iterable[Owner]) -> Iterator[tuple[Owner, Stored]]:
        """Both hashes of each profile, as they are at one moment: a write changes them together."""
        listed = list(owners)
        for first in range(0, len(listed), BATCH):
            batch = listed[first : first + BATCH]
            pipeline = self._redis.pipeline(transaction=True)
            for tenant, profile in batch:
                pipeline.hgetall(layout.profile_key(tenant, profile))
                pipeline.hgetall(layout.pii_key(tenant, profile))
            replies = pipeline.execute()
            yield from zip(batch, map(Stored, replies[::2], replies[1::2]), strict=True)

    def _scan(self, pattern: str) -> Iterator[list[str]]:
        """Keys in batches, each key once (a scan of a table that grows may repeat some)."""
        seen: set[str] = set()
        cursor = 0
        while True:
            cursor, keys = self._redis.scan(cursor, match=pattern, count=2000)
            fresh = [key for raw in keys if (key := raw.decode()) not in seen]
            seen.update(fresh)
            if fresh:
                yield fresh
            if not cursor:
                return


def _rank(stored: Hash) -> Rank | None:
    text = stored.get(layout.VERSION.encode())
    return layout.parse_version(text) if text else None


def _compare(stored: Stored, message: bytes) -> str:
    """What differs between the two hashes and the change of the same version; empty when nothing does."""
    record = codec.decode(message)
    wanted = _FIELDS.decode(record["features"])
    wrong = []
    if int(stored.fields.get(layout.AT.encode(), b"-1")) != record["at"]:
        wrong.append(f"{layout.AT}: {stored.fields.get(layout.AT.encode(), b'missing').decode()} instead of {record['at']}")
    wrong += _differing("field", wanted, stored.fields, {layout.VERSION, layout.AT})
    # A profile that was merged away has none: they are those of the one that took it over.
    personal = {} if layout.MERGED_INTO in wanted else _FIELDS.decode(record["pii"])
    wrong += _differing("personal trait", personal, stored.pii)
    return "; ".join(wrong)


def _differing(what: str, wanted: Mapping[str, msgspec.Raw], stored: Hash, skipped: Set[str] = frozenset()) -> Iterator[str]:
    """Names of the entries of a hash that are missing, too much, or of another value."""
    held = {name.decode(): value for name, value in stored.items()}
    for name in sorted((wanted.keys() | held.keys()) - skipped):
        want, have = wanted.get(name), held.get(name)
        if want is None or have is None:
            yield f"{what} {name}: {'missing' if have is None else 'too much'}"
        elif not _same(bytes(want), have):
            yield f"{what} {name}: differs"


def _same(one: bytes, other: bytes) -> bool:
    """Do two JSON texts mean the same?"""
    if one == other:
        return True
    try:
        return bool(orjson.loads(one) == orjson.loads(other))
    except orjson.JSONDecodeError:
        return False
