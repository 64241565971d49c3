"""The golden record: of all that is claimed of a person, the value of each trait that counts, and who says otherwise. Pure."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, NamedTuple

import orjson

from config.traits import TraitRule, Traits
from pipelines.ingest.sealing import PREFIX
from pipelines.traits.claims import TAKEN_BACK, VERIFIED, Claim, Claims

FIELD: Final = "trait:"
"""Begins the name of a profile's field that holds a trait."""


class Golden(NamedTuple):
    """What a profile shows.

    Attributes:
        fields: `trait:<name>` of each trait that is not personal, and `traits`.
        personal: JSON object: name of a personal trait -> its sealed value and conflicts.
        written: the fields as JSON, without its braces.
    """

    fields: dict[str, Any]
    personal: str
    written: str


MAX_SHOWN: Final = 131_072
"""Characters of values that a profile shows: of a person of many identifiers the first traits by name, with their conflicts."""
EMPTY: Final = Golden({"traits": {}}, "{}", '"traits":{}')


def golden(claims: Claims, tenant: str, rules: Traits) -> Golden:
    """Choose.

    Args:
        claims: of all the person's nodes.
        tenant: owner.
        rules: by trait.
    """
    fields: dict[str, Any] = {}
    said: dict[str, Any] = {}
    personal: dict[str, Any] = {}
    shown_so_far = 0
    for name in sorted(claims):
        ranked = _ranked(claims[name], rules.of(tenant, name))
        shown_so_far += sum(len(claim.value) for claim in ranked)
        if not ranked or shown_so_far > MAX_SHOWN:
            continue
        best = ranked[0]
        others = [claim for claim in ranked if claim.value != best.value]
        said[name] = {**_shown(best), "conflicts": [_shown(claim) for claim in others]}
        if best.value.startswith(PREFIX):
            said[name]["personal"] = True
            personal[name] = {"value": best.value, "conflicts": [{"value": claim.value, **_shown(claim)} for claim in others]}
            continue
        for shown, claim in zip(said[name]["conflicts"], others, strict=True):
            shown["value"] = orjson.loads(claim.value)
        fields[FIELD + name] = orjson.loads(best.value)
    fields["traits"] = said
    return Golden(fields, orjson.dumps(personal).decode(), orjson.dumps(fields)[1:-1].decode())


def standing(claims: Sequence[Claim], *, keeps_verified: bool) -> list[Claim]:
    """The words that count of those that were said: each source's newest, unless it has been taken back.

    Args:
        claims: of one trait.
        keeps_verified: a source's newest verified word stands beside its newest.
    """
    by_source: dict[str, list[Claim]] = {}
    for claim in claims:
        by_source.setdefault(claim.source, []).append(claim)
    found = []
    for own in by_source.values():
        taken_back = [claim for claim in own if claim.kind == TAKEN_BACK]
        # What a log has said before does not come back when its last word is taken back by another log.
        words = _alive(_last_of_each_log([claim for claim in own if claim.kind != TAKEN_BACK]), taken_back)
        newest = max(words, key=_rank, default=None)
        if newest is not None:
            found.append(newest)
        if keeps_verified:
            verified = _alive([claim for claim in own if claim.kind == VERIFIED], taken_back)
            surest = max(verified, key=_rank, default=None)
            if surest is not None and surest is not newest:
                found.append(surest)
    return found


def _last_of_each_log(claims: Sequence[Claim]) -> Collection[Claim]:
    heads: dict[str, Claim] = {}
    for claim in claims:
        head = heads.get(claim.told.log)
        if head is None or head.newness < claim.newness:
            heads[claim.told.log] = claim
    return heads.values()


def _alive(claims: Collection[Claim], taken_back: Sequence[Claim]) -> list[Claim]:
    return [claim for claim in claims if not any(_is_later(null, claim) for null in taken_back)]


def _rank(claim: Claim) -> tuple[int, tuple[int, str, int, int]]:
    return claim.told.rank


def _is_later(one: Claim, other: Claim) -> bool:
    """Whether a source has said the one after the other: by its own order within one log, else by time."""
    return one.newness > other.newness if one.told.log == other.told.log else one.told.rank > other.told.rank


def _ranked(claims: Sequence[Claim], rule: TraitRule) -> list[Claim]:
    """The standing words, the best first."""
    words = standing(claims, keeps_verified="verified" in rule.survivorship)
    if len(words) < 2:
        return words
    # A trait may have been made personal, or not any more: the newest word says what it is now.
    is_sealed = max(words, key=lambda claim: claim.told.rank).value.startswith(PREFIX)
    words = [claim for claim in words if claim.value.startswith(PREFIX) == is_sealed]
    says: dict[str, set[str]] = {}
    for claim in words:
        says.setdefault(claim.value, set()).add(claim.source)
    ranks: dict[str, Callable[[Claim], int]] = {
        "newest": lambda claim: claim.told.time,
        "source": lambda claim: -rule.sources.index(claim.source) if claim.source in rule.sources else -len(rule.sources),
        "most_frequent": lambda claim: len(says[claim.value]),
        "verified": lambda claim: int(claim.kind == VERIFIED),
        "longest": lambda claim: claim.length,
    }
    asked = [ranks[criterion] for criterion in rule.survivorship]
    return sorted(words, key=lambda claim: ([rank(claim) for rank in asked], claim.told.rank), reverse=True)


def _shown(claim: Claim) -> dict[str, Any]:
    return {"source": claim.source, "at": claim.told.time, "verified": claim.kind == VERIFIED}
