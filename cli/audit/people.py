"""People recomputed from the link log: docs/identity.md, by code that shares nothing with the resolver.

Where the resolver keeps what it has decided and looks again only at what is in conflict, this takes all links of the persons that a record
concerns, from the strongest to the weakest, at every record.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from config.identity import Identity

DAY_MS: Final = 86_400_000
_STATED: Final = ("alias", "bind")
_Pair = tuple[str, str]
_Link = tuple[int, bool]
"""Place in the log, and whether it was stated."""


class Replay:
    """One tenant's people.

    Args:
        identity: the rules.
        tenant: whose.

    Attributes:
        person: node key -> profile id, of every node that the log names.
        epoch: place of the last record taken in.
    """

    def __init__(self, identity: Identity, tenant: str) -> None:
        own = identity.graph.tenants.get(tenant, {})
        self._spaces = [namespace.name for namespace in identity.namespaces]
        limits = {namespace.name: own.get(namespace.name, namespace.limits) for namespace in identity.namespaces}
        self._most = [(name, limit.most, limit.days) for name, limit in limits.items() if limit.most is not None]
        self._patience = {name: limit.shared_after for name, limit in limits.items() if limit.shared_after is not None}
        self._size = identity.graph.most_identifiers
        self.person: dict[str, str] = {}
        self.epoch = 0
        self._together: dict[str, set[str]] = {}
        self._first: dict[str, tuple[int, int]] = {}
        self._since: dict[str, int] = {}
        self._links: dict[str, dict[str, _Link]] = {}
        self._apart: dict[str, set[str]] = {}
        self._aside: dict[str, str] = {}
        self._strangers: dict[str, set[str]] = {}
        self._clock = 0

    def take(self, record: Mapping[str, Any], epoch: int) -> None:
        """Take in a record of `cdp.links`, decoded."""
        self.epoch, self._clock = epoch, max(self._clock, record["log_time"])
        nodes = [record["a"], record["b"]] if record["kind"] in ("link", "unbind") else [record["a"]]
        for place, node in enumerate(nodes):
            if node not in self._first:
                self._first[node], self._since[node] = (epoch, place), record["log_time"]
                self.person[node] = founded_by(node, 0)
                self._together[self.person[node]] = {node}
        if record["kind"] == "block":
            self._put_aside(nodes[0], "blocked")
        elif record["kind"] == "release":
            self._aside.pop(nodes[0], None)
            self._strangers.pop(nodes[0], None)
        elif nodes[0] != nodes[1]:
            if record["kind"] == "unbind":
                self._unbind(*nodes)
            else:
                self._link(*nodes, stated=record["rule"] in _STATED)

    def members(self) -> dict[str, frozenset[str]]:
        """Profile id -> node keys."""
        return {profile: frozenset(nodes) for profile, nodes in self._together.items()}

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
        self._sort_out({self.person[a], self.person[b]}, {(a, b): (self.epoch, stated)})

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
        nodes = {node for profile in profiles for node in self._together[profile]}
        links = {(a, b): link for a in nodes for b, link in self._links.get(a, {}).items() if a < b} | new
        whole = {node: {node} for node in nodes}
        said = {node: {node} for node in nodes}
        unlucky: list[str] = []
        for (a, b), (place, stated) in sorted(links.items(), key=lambda item: self._weakness(*item)):
            why = "" if whole[a] is whole[b] else self._obstacle(whole[a], whole[b], said, stated=stated)
            if why:
                if (a, b) not in new:
                    del self._links[a][b], self._links[b][a]
                if why != "apart":
                    unlucky += [a, b]
                    self._strangers.setdefault(a, set()).add(b)
                    self._strangers.setdefault(b, set()).add(a)
                continue
            self._links.setdefault(a, {})[b] = self._links.setdefault(b, {})[a] = (place, stated)
            _unite(whole, a, b)
            if stated:
                _unite(said, a, b)
        self._name(profiles, {id(part): part for part in whole.values()}.values())
        for node in unlucky:
            patience = self._patience.get(_space(node))
            if patience is not None and node not in self._aside and len(self._strangers[node]) >= patience:
                self._put_aside(node, "shared")

    def _obstacle(self, here: set[str], there: set[str], said: dict[str, set[str]], *, stated: bool) -> str:
        if any(not self._apart.get(node, set()).isdisjoint(there) for node in here):
            return "apart"
        if len(here) + len(there) > self._size:
            return "size"
        for name, most, days in () if stated else self._most:
            since = 0 if days is None else self._clock - days * DAY_MS
            counts = [
                len({id(said[node]) for node in side if _space(node) == name and self._since[node] >= since}) for side in (here, there)
            ]
            if sum(counts) > most:
                return name
        return ""

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


def founded_by(node: str, epoch: int) -> str:
    """The profile id that a node founds."""
    return hashlib.blake2b(f"{node}|{epoch}".encode(), digest_size=8).hexdigest()
