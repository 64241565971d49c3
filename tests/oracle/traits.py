"""What is said of people and groups, and which of it counts: docs/traits.md, as slowly as it is said there."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from tests.oracle.ledger import Place
from tests.oracle.objects import Told
from tests.oracle.rulebook import Rulebook

MAX_TRAIT_NAME = 64
MAX_VALUE_CHARS = 1024
MOST_SOURCES = 16
MOST_LOGS = 8
MOST_UNLISTED = 100
MOST_GROUPS = 50
NOTHING = ""
"""Instead of the JSON in a word that takes back what its source has said before."""
Fields = dict[str, Any]
Source = tuple[str, str]
"""`context.source`, which is one voice among several, and `origin_log`, within which orders are compared."""


class Word(NamedTuple):
    """What one call says of one trait; `text` is the value's JSON, `record` where the call stands in the raw topics."""

    trait: str
    source: Source
    order: str
    event_ms: int
    record: Place
    verified: bool
    text: str

    @property
    def newness(self) -> tuple[str, int, Place]:
        """Of two words of one log the greater is the newer."""
        return self.order, self.event_ms, self.record

    @property
    def moment(self) -> tuple[int, Place]:
        """Of two words of two logs the greater is the newer."""
        return self.event_ms, self.record

    @property
    def value(self) -> Any:
        """As the profile shows it."""
        return json.loads(self.text)


class Shown(NamedTuple):
    """What a profile shows of traits.

    Attributes:
        fields: `trait:<name>` and `traits`; of a group all its fields.
        personal: name -> value and conflicts of a personal trait, in plain text.
    """

    fields: Fields
    personal: Fields


def json_text(value: Any) -> str:
    """A spelling that equal values share: objects in the order of their names, whole numbers without a fraction."""
    return json.dumps(_whole(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole(entry) for entry in value]
    if isinstance(value, dict):
        return {name: _whole(inner) for name, inner in value.items()}
    return value


def words(told: Told, rules: Rulebook) -> list[Word]:
    """What a call says of each trait that it names. A name or a value that is too long says nothing.

    Args:
        told: an `identify` or `group` call.
        rules: which trait verifies which.
    """
    record, event = told
    found = []
    for name, value in event.traits.items():
        said = value.strip() if isinstance(value, str) else value
        text = NOTHING if said is None or said == "" else json_text(said)
        if 1 <= len(name) <= MAX_TRAIT_NAME and len(text) <= MAX_VALUE_CHARS:
            verifier = rules.trait_rule(event.tenant, name).get("verified_by")
            verified = verifier is not None and event.traits.get(verifier) is True
            found.append(Word(name, (event.source, event.log), event.order, event.event_ms, record, verified, text))
    return found


def kept(calls: Iterable[Told], tenant: str, rules: Rulebook) -> list[Word]:
    """What one node keeps of all that was said under it."""
    by_trait: dict[str, list[Word]] = defaultdict(list)
    for told in calls:
        for word in words(told, rules):
            by_trait[word.trait].append(word)
    others = sorted(name for name in by_trait if not rules.lists_trait(tenant, name))
    valued = [name for name in others if any(word.text != NOTHING for word in by_trait[name])]
    unlisted = valued[MOST_UNLISTED:] + [name for name in others if name not in valued][MOST_UNLISTED:]
    left = []
    for name, said in by_trait.items():
        if name not in unlisted:
            named = sorted({word.source[0] for word in said})[:MOST_SOURCES]
            logs = {name: sorted({word.source[1] for word in said if word.source[0] == name and word.source[1]}) for name in named}
            heard = {(name, log) for name in named for log in ["", *logs[name][-MOST_LOGS:]]}
            left += [word for word in said if word.source in heard]
    return left


def shown(said: Iterable[Word], tenant: str, rules: Rulebook, personal_names: Sequence[str]) -> Shown:
    """Of each trait the value that counts, who said it, and who says otherwise.

    Args:
        said: what all nodes of the profile keep.
        tenant: owner.
        rules: survivorship.
        personal_names: of traits, in whatever spelling.
    """
    by_trait: dict[str, list[Word]] = defaultdict(list)
    for word in said:
        by_trait[word.trait].append(word)
    fields: Fields = {"traits": {}}
    personal: Fields = {}
    for name, spoken in by_trait.items():
        rule = rules.trait_rule(tenant, name)
        standing = [word for mine in _by_source(spoken).values() for word in _standing(mine, "verified" in rule["survivorship"])]
        if not standing:
            continue
        best, *others = _ranked(standing, rule)
        conflicts = [word for word in others if word.text != best.text]
        full = [{"value": word.value, **_about(word)} for word in conflicts]
        if any(is_personal(inner, personal_names) for inner in [name, *_names_in(max(standing, key=_moment).value)]):
            fields["traits"][name] = {**_about(best), "conflicts": [_about(word) for word in conflicts], "personal": True}
            personal[name] = {"value": best.value, "conflicts": full}
        else:
            fields["traits"][name] = {**_about(best), "conflicts": full}
            fields[f"trait:{name}"] = best.value
    return Shown(fields, personal)


def _names_in(value: Any) -> list[str]:
    """All names of fields inside a value."""
    if isinstance(value, dict):
        return [*value, *(name for inner in value.values() for name in _names_in(inner))]
    return [name for entry in value for name in _names_in(entry)] if isinstance(value, list) else []


def is_personal(name: str, personal_names: Sequence[str]) -> bool:
    """Whether a trait is one of those, however its name is spelled."""
    return _folded(name) in {_folded(personal) for personal in personal_names}


def memberships(nodes: Iterable[Sequence[Told]]) -> dict[str, list[str]]:
    """Kind -> ids of the groups that a person was told to be in.

    Args:
        nodes: for each node of the person its `group` calls.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for calls in nodes:
        last: dict[str, int] = {}
        for _, event in calls:
            if event.group:
                last[event.group] = max(last.get(event.group, 0), event.event_ms)
        for group in sorted(last, key=lambda group: (last[group], group), reverse=True)[:MOST_GROUPS]:
            _, kind, name = group.split("|", 2)
            found[kind].add(name)
    return {kind: sorted(names) for kind, names in found.items()}


def group_profile(calls: Sequence[Told], rules: Rulebook) -> Shown:
    """Every field of the profile of a group.

    Args:
        calls: the applied `group` calls that name it, without late ones; at least one.
        rules: configuration.
    """
    tenant, kind, _ = calls[0][1].group.split("|", 2)
    traits = shown(kept(calls, tenant, rules), tenant, rules, rules.pii_properties)
    times_ms = [event.event_ms for _, event in calls]
    fields = {
        "kind": kind,
        "members": len({event.node for _, event in calls}),
        "first_seen_at": min(times_ms),
        "last_seen_at": max(times_ms),
    }
    return Shown(fields | traits.fields, traits.personal)


def _by_source(said: Iterable[Word]) -> dict[str, list[Word]]:
    found: dict[str, list[Word]] = defaultdict(list)
    for word in said:
        found[word.source[0]].append(word)
    return found


def _standing(mine: Sequence[Word], is_verified_apart: bool) -> list[Word]:
    """The words that one source has on one trait now: one or none, or two where the verified one is apart."""
    nothing = _last_of_each_log([word for word in mine if word.text == NOTHING])

    def left(said: list[Word]) -> list[Word]:
        return [word for word in _last_of_each_log(said) if not any(_is_later(later, word) for later in nothing)]

    valued = [word for word in mine if word.text != NOTHING]
    found = sorted(left(valued), key=_moment)[-1:]
    if is_verified_apart:
        found += [word for word in sorted(left([word for word in valued if word.verified]), key=_moment)[-1:] if word not in found]
    return found


def _last_of_each_log(said: list[Word]) -> list[Word]:
    return [word for word in said if not any(_is_later(other, word) for other in said if other.source == word.source)]


def _is_later(one: Word, other: Word) -> bool:
    return one.newness > other.newness if one.source == other.source else one.moment > other.moment


def _ranked(standing: Sequence[Word], rule: Fields) -> list[Word]:
    """The best first, by the rule's criteria one after the other."""
    sources = rule.get("sources", [])

    def mark(word: Word, criterion: str) -> int:
        if criterion == "newest":
            return word.event_ms
        if criterion == "source":
            return -sources.index(word.source[0]) if word.source[0] in sources else -len(sources)
        if criterion == "most_frequent":
            return len({other.source[0] for other in standing if other.text == word.text})
        if criterion == "verified":
            return int(word.verified)
        assert criterion == "longest"
        return len(word.value) if isinstance(word.value, str) else len(word.text)

    return sorted(standing, key=lambda word: ([mark(word, criterion) for criterion in rule["survivorship"]], word.moment), reverse=True)


def _about(word: Word) -> Fields:
    return {"source": word.source[0], "at": word.event_ms, "verified": word.verified}


def _moment(word: Word) -> tuple[int, Place]:
    return word.moment


def _folded(name: str) -> str:
    return "".join(sign for sign in name.lower() if sign.isalnum())
