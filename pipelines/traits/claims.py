"""What sources say of one person, trait by trait. Pure; merging is commutative, associative and idempotent.

A source has at most three claims for each trait and each log of its own: its newest word that is verified, its newest that is not, its
newest `null`. Which of them stand is seen when they are read, so that nothing depends on the order in which they came.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from pipelines.wire import Told, Word

MAX_SOURCES: Final = 16
MAX_LOGS: Final = 8
MAX_UNLISTED: Final = 100
MAX_PACKED: Final = 32_768
"""Characters of one node's packed claims: a call that would go beyond tells nothing. So a person's are bounded too."""
SAID, VERIFIED, TAKEN_BACK = range(3)


class Claim(msgspec.Struct, array_like=True):
    """The newest word of its kind that a source has said.

    Attributes:
        source: name of the source; empty: a record that named none.
        told: event time, place in the log of Kafka and in that of the source.
        kind: `SAID`, `VERIFIED` or `TAKEN_BACK`.
        value, length: as in `Word`.
    """

    source: str
    told: Told
    kind: int
    value: str
    length: int

    @property
    def origin(self) -> tuple[str, str]:
        """Within which words are put in order by the source itself: its name, and the log that it names, empty for none."""
        return self.source, self.told.log

    @property
    def newness(self) -> tuple[str, tuple[int, tuple[int, str, int, int]]]:
        """Orders the words of one origin."""
        return self.told.order, self.told.rank


Claims = dict[str, list[Claim]]
"""Trait -> claims, those of one origin and kind once."""


def pack(claims: Claims) -> str:
    """Claims as one text, which is how values travel; empty for none."""
    return _encode(claims).decode() if claims else ""


def unpack(packed: str) -> Claims:
    """What `pack` was given."""
    return _decode(packed) if packed else {}


def claims_of(words: Iterable[Word], source: str, told: Told) -> Claims:
    """What the words of one call claim."""
    found: Claims = {}
    for word in words:
        kind = TAKEN_BACK if not word.value else VERIFIED if word.is_verified else SAID
        found[word.name] = [Claim(source, told, kind, word.value, word.length)]
    return found


def merged(parts: Iterable[Mapping[str, list[Claim]]]) -> Claims:
    """What several parts claim together."""
    found: Claims = {}
    for part in parts:
        for name, claims in part.items():
            found[name] = _newest([*found[name], *claims]) if name in found else claims
    return found


def bounded(claims: Claims, listed: frozenset[str]) -> tuple[Claims, bool]:
    """As many claims as one node keeps, and whether some had to go.

    What stays is chosen by name alone: by time it would depend on the order of arrival what is left.

    Args:
        claims: of one node.
        listed: traits with a rule of their own; of others only the first in alphabetical order are kept.
    """
    others = sorted(name for name in claims if name not in listed)
    if len(others) > MAX_UNLISTED:  # a name of which nobody has said anything but `null` must not take another one's place
        said = {name for name in others if any(claim.kind != TAKEN_BACK for claim in claims[name])}
        parts = ([name for name in others if name in said], [name for name in others if name not in said])
        dropped = {name for part in parts for name in part[MAX_UNLISTED:]}
    else:
        dropped = set()
    found = {name: told if len(told) <= MAX_LOGS else _of_few(told) for name, told in claims.items() if name not in dropped}
    return found, bool(dropped) or any(len(told) < len(claims[name]) for name, told in found.items())


def _of_few(claims: list[Claim]) -> list[Claim]:
    """The claims of the first sources, and of each those without a log and those of its last logs, in alphabetical order (of their age)."""
    logs: dict[str, set[str]] = {}
    for claim in claims:
        logs.setdefault(claim.source, set()).add(claim.told.log)
    kept = {source: ["", *sorted(logs[source] - {""})[-MAX_LOGS:]] for source in sorted(logs)[:MAX_SOURCES]}
    return [claim for claim in claims if claim.told.log in kept.get(claim.source, ())]


def _newest(claims: list[Claim]) -> list[Claim]:
    """The newest of each origin and kind."""
    found: dict[tuple[tuple[str, str], int], Claim] = {}
    for claim in claims:
        key = (claim.origin, claim.kind)
        if key not in found or found[key].newness < claim.newness:
            found[key] = claim
    return list(found.values())


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Claims).decode
