"""People recomputed from the link log: docs/identity.md, by code that shares nothing with the resolver.

Where the resolver keeps what it has decided and looks again only at what is in conflict, this takes all links of the persons that a record
concerns, from the strongest to the weakest, at every record. Persons from before a change of limits are the exception: they stay as they
are until a record brings them into conflict, takes something from them, or settles them.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from config.identity import Identity
from schemas import json_text

DAY_MS: Final = 86_400_000
_STATED: Final = ("alias", "bind")
_FIELDS: Final = {"most": (1, None), "days": (1, 36_500), "shared_after": (1, 10_000)}
_SIZES: Final = (2, 10_000)
_MOST_NAMESPACES: Final = 256
_MAX_NESTING: Final = 8
_Pair = tuple[str, str]
_Link = tuple[int, bool]
"""Place in the log, and whether it was stated."""


class Replay:
    """One tenant's people.

    Args:
        identity: the order of namespaces, and the limits until the log says others.
        tenant: whose.

    Attributes:
        person: node key -> profile id, of every node that the log names.
        epoch: place of the last record taken in.
    """

    def __init__(self, identity: Identity, tenant: str) -> None:
        own = identity.graph.tenants.get(tenant, {})
        self._spaces = [namespace.name for namespace in identity.namespaces]
        limits = {namespace.name: own.get(namespace.name, namespace.limits) for namespace in identity.namespaces}
        self._go_by(
            {
                "most_identifiers": identity.graph.most_identifiers,
                "namespaces": {
                    name: {"most": one.most, "days": one.days, "shared_after": one.shared_after} for name, one in limits.items()
                },
            }
        )
        self._says_limits = False
        self._unjudged: set[str] = set()
        self.person: dict[str, str] = {}
        self.epoch = 0
        self._together: dict[str, set[str]] = {}
        self._first: dict[str, tuple[int, int]] = {}
        self._since: dict[str, int] = {}
        self._links: dict[str, dict[str, _Link]] = {}
        self._apart: dict[str, set[str]] = {}
        self._aside: dict[str, str] = {}
        self._strangers: dict[str, set[str]] = {}
        self._unlucky: list[str] = []
        self._clock = 0

    def take(self, record: Mapping[str, Any], epoch: int) -> None:
        """Take in a record of `cdp.links`, decoded."""
        self.epoch, self._clock = epoch, max(self._clock, record["log_time"])
        if record["kind"] == "rules":
            self._rule(record["body"])
            return
        nodes = [record["a"], record["b"]] if record["kind"] in ("link", "unbind") else [record["a"]]
        for place, node in enumerate(nodes):
            if node not in self._first:
                self._first[node], self._since[node] = (epoch, place), record["log_time"]
                self.person[node] = founded_by(node, 0)
                self._together[self.person[node]] = {node}
        if record["kind"] == "block":
            self._put_aside(nodes[0], "blocked")
        elif record["kind"] == "settle":
            self._unlucky += nodes
            self._sort_out({self.person[nodes[0]]}, {})
        elif record["kind"] == "release":
            self._aside.pop(nodes[0], None)
            self._strangers.pop(nodes[0], None)
        elif nodes[0] != nodes[1]:
            if record["kind"] == "unbind":
                self._unbind(*nodes)
            else:
                self._link(*nodes, stated=record["rule"] in _STATED)
        self._part_with_shared()

    def members(self) -> dict[str, frozenset[str]]:
        """Profile id -> node keys."""
        return {profile: frozenset(nodes) for profile, nodes in self._together.items()}

    def _go_by(self, limits: dict[str, Any]) -> None:
        spaces = limits["namespaces"]
        self._size: int = limits["most_identifiers"]
        self._most: list[tuple[str, int, int | None]] = [
            (name, one["most"], one.get("days")) for name, one in spaces.items() if one.get("most") is not None
        ]
        self._patience: dict[str, int] = {name: one["shared_after"] for name, one in spaces.items() if one.get("shared_after") is not None}
        self._limits = self._size, {name: one for name, given in spaces.items() if (one := _without_none(given))}

    def _rule(self, body: str) -> None:
        before, found = self._limits, limits_of(body)
        if found is None:
            raise ValueError("the record holds no limits; ask `limits_of` first")
        self._go_by(found)
        if before != self._limits or not self._says_limits:
            self._says_limits, self._unjudged = True, set(self._together)

    def _link(self, a: str, b: str, *, stated: bool) -> None:
        if a in self._aside or b in self._aside:
            return
        known = self._links.get(a, {}).get(b)
        if known is not None:
            if stated:
                self._links[a][b] = self._links[b][a] = (known[0], True)
            return
        if stated:
            self._apart.get(a, set()).discard(b)
            self._apart.get(b, set()).discard(a)
        both, new = {self.person[a], self.person[b]}, {(a, b): (self.epoch, stated)}
        if both.isdisjoint(self._unjudged) or (len(both) > 1 and self._is_made_worse(a, b, stated=stated)):
            self._sort_out(both, new)
            return
        self._keep(a, b, (self.epoch, stated))
        self._name(both, [set().union(*(self._together[one] for one in both))])
        self._unjudged = (self._unjudged - both) | {self.person[a]}

    def _is_made_worse(self, a: str, b: str, *, stated: bool) -> bool:
        """Whether two persons that limits of before have made would be one with more than the limits allow, and more than either has."""
        here, there = (self._together[self.person[node]] for node in (a, b))
        said = {node: {node} for node in here | there}
        for node in said:
            for other, link in self._links.get(node, {}).items():
                if link[1]:
                    _unite(said, node, other)
        if self._obstacle(here, there, said, stated=True):
            return True
        before = [max(self._count(side, said, name, days) for side in (here, there)) for name, _, days in self._most]
        if stated:
            _unite(said, a, b)
        then = [self._count(here | there, said, name, days) for name, _, days in self._most]
        return any(count > max(most, had) for (_, most, _), had, count in zip(self._most, before, then, strict=True))

    def _unbind(self, a: str, b: str) -> None:
        self._apart.setdefault(a, set()).add(b)
        self._apart.setdefault(b, set()).add(a)
        if self.person[a] == self.person[b]:
            self._sort_out({self.person[a]}, {})

    def _put_aside(self, node: str, status: str) -> None:
        if self._aside.get(node) == status:
            return
        self._aside[node] = status
        for other in self._links.pop(node, {}):
            del self._links[other][node]
        self._sort_out({self.person[node]}, {})

    def _sort_out(self, profiles: set[str], new: dict[_Pair, _Link]) -> None:
        """Keep of all links of some profiles, and of new ones, what can be kept; the strongest first."""
        self._unjudged -= profiles
        nodes = {node for profile in profiles for node in self._together[profile]}
        links = {(a, b): link for a in nodes for b, link in self._links.get(a, {}).items() if a < b} | new
        whole = {node: {node} for node in nodes}
        said = {node: {node} for node in nodes}
        for (a, b), (place, stated) in sorted(links.items(), key=lambda item: self._weakness(*item)):
            why = "" if whole[a] is whole[b] else self._obstacle(whole[a], whole[b], said, stated=stated)
            if why:
                if (a, b) not in new:
                    del self._links[a][b], self._links[b][a]
                for node, other in ((a, b), (b, a)) if why != "apart" else ():
                    if _space(node) in self._patience:
                        self._unlucky.append(node)
                        self._strangers.setdefault(node, set()).add(other)
                continue
            self._keep(a, b, (place, stated))
            _unite(whole, a, b)
            if stated:
                _unite(said, a, b)
        self._name(profiles, {id(part): part for part in whole.values()}.values())

    def _part_with_shared(self) -> None:
        """Nodes that could not be joined with too many are nobody's, the one that was named first before the others."""
        while shared := [node for node in self._unlucky if self._is_shared(node)]:
            self._put_aside(min(shared, key=self._first.__getitem__), "shared")
        self._unlucky.clear()

    def _is_shared(self, node: str) -> bool:
        patience = self._patience.get(_space(node))
        return patience is not None and node not in self._aside and len(self._strangers.get(node, ())) >= patience

    def _keep(self, a: str, b: str, link: _Link) -> None:
        self._links.setdefault(a, {})[b] = self._links.setdefault(b, {})[a] = link

    def _obstacle(self, here: set[str], there: set[str], said: dict[str, set[str]], *, stated: bool) -> str:
        if any(not self._apart.get(node, set()).isdisjoint(there) for node in here):
            return "apart"
        if len(here) + len(there) > self._size:
            return "size"
        for name, most, days in () if stated else self._most:
            if sum(self._count(side, said, name, days) for side in (here, there)) > most:
                return name
        return ""

    def _count(self, side: set[str], said: dict[str, set[str]], name: str, days: int | None) -> int:
        """How many of a namespace a part has; those that were stated to be one count once."""
        since = 0 if days is None else self._clock - days * DAY_MS
        return len({id(said[node]) for node in side if _space(node) == name and self._since[node] >= since})

    def _name(self, profiles: set[str], parts: Any) -> None:
        """A part keeps the strongest, then oldest of the ids whose strongest, then oldest node it holds, or begins one."""
        heads = {min(self._together.pop(profile), key=self._age): profile for profile in profiles}
        for part in parts:
            mine = sorted(part & heads.keys(), key=self._age)
            profile = heads[mine[0]] if mine else founded_by(min(part, key=self._age), self.epoch)
            self._together[profile] = part
            for node in part:
                self.person[node] = profile

    def _weakness(self, pair: _Pair, link: _Link) -> tuple[bool, int, int, int]:
        ranks = sorted(self._rank(node) for node in pair)
        return not link[1], ranks[1], ranks[0], link[0]

    def _rank(self, node: str) -> int:
        name = _space(node)
        return self._spaces.index(name) if name in self._spaces else len(self._spaces)

    def _age(self, node: str) -> tuple[int, tuple[int, int]]:
        return self._rank(node), self._first[node]


def _unite(parts: dict[str, set[str]], a: str, b: str) -> None:
    if parts[a] is not parts[b]:
        large, small = sorted((parts[a], parts[b]), key=len, reverse=True)
        large |= small
        for node in small:
            parts[node] = large


def _space(node: str) -> str:
    return node.split("|", 2)[1]


def limits_of(body: str) -> dict[str, Any] | None:
    """The limits that a `rules` record holds; None when it holds none, and the resolver rejects it."""
    try:
        found = json_text.read_object(body, _MAX_NESTING)
    except json_text.JsonTextError:
        return None
    if found.keys() != {"most_identifiers", "namespaces"}:
        return None
    size, spaces = found["most_identifiers"], found["namespaces"]
    if not _is_within(size, *_SIZES) or not isinstance(spaces, dict) or len(spaces) > _MOST_NAMESPACES:
        return None
    for given in spaces.values():
        if not isinstance(given, dict) or not given.keys() <= _FIELDS.keys():
            return None
        if not all(value is None or _is_within(value, *_FIELDS[field]) for field, value in given.items()):
            return None
    return found


def _is_within(value: Any, least: int, most: int | None) -> bool:
    return type(value) is int and value >= least and (most is None or value <= most)


def _without_none(given: dict[str, int | None]) -> dict[str, int]:
    return {field: value for field, value in given.items() if value is not None}


def founded_by(node: str, epoch: int) -> str:
    """The profile id that a node founds."""
    return hashlib.blake2b(f"{node}|{epoch}".encode(), digest_size=8).hexdigest()
