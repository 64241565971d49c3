"""The identity graph the slow way: after every record of the link log all links are looked at anew (docs/identity.md).

Records are dicts as people would write them: kind, tenant, at, and a and b, or node, or body; links have a rule. Limits: namespaces from
the strongest to the weakest with `most`, `days`, `shared_after`.

Links of persons that were there when limits changed are not looked at until a record brings one of these persons into conflict, takes
something from it, or says that it shall be settled.
"""

import hashlib
import json
from itertools import combinations
from typing import Any

Record = dict[str, Any]


class SlowGraph:
    """The graph of one tenant."""

    def __init__(self, namespaces: list[dict[str, Any]], most_identifiers: int) -> None:
        self.order = [space["name"] for space in namespaces]
        self.limits = {space["name"]: _limits(space) for space in namespaces}
        self.most_identifiers = most_identifiers
        self.says_limits = False
        self.standing: set[str] = set()
        """Nodes of persons whose links are kept as they are: limits have changed since."""
        self.places: dict[str, tuple[int, int]] = {}
        self.seen_at: dict[str, int] = {}
        self.links: dict[tuple[str, str], tuple[int, bool]] = {}
        self.apart: set[tuple[str, str]] = set()
        self.status: dict[str, str] = {}
        self.refused: dict[str, set[str]] = {}
        self.profile: dict[str, str] = {}
        self.clock = 0
        self.log: list[tuple[str, str, str]] = []
        """(accepted, refused or dropped; the two nodes) in no particular order within a record."""

    def take(self, record: Record, epoch: int) -> None:
        """Take in a record."""
        self.clock = max(self.clock, record["at"])
        names = [record[field] for field in ("a", "b", "node") if record.get(field)]
        for number, node in enumerate(names):
            if node not in self.places:
                self.places[node] = (epoch, number)
                self.seen_at[node] = record["at"]
                self.profile[node] = _hash(node, 0)
        kind = record["kind"]
        if kind == "rules":
            self._rule(json.loads(record["body"]))
        elif kind == "settle":
            self._settle(names[0], epoch, [names[0]])
        elif kind == "block" and self.status.get(names[0]) != "blocked":
            if any(names[0] in pair for pair in self.links):
                self.standing -= _reached(names[0], self.links)
            self._put_aside(names[0], "blocked", epoch)
            self._settle(names[0], epoch)
        elif kind == "release":
            self.status.pop(names[0], None)
            self.refused.pop(names[0], None)
        elif kind == "unbind" and names[0] != names[1]:
            self.apart.add(_pair(*names))
            if names[1] in _reached(names[0], self.links):
                self.standing -= _reached(names[0], self.links)
            suspects = self._look_again(self.links)
            self._name(epoch)
            self._part_with_shared(suspects, epoch)
        elif kind == "link" and names[0] != names[1]:
            self._link(record["rule"] != "seen", _pair(*names), epoch)

    def _rule(self, body: dict[str, Any]) -> None:
        most, limits = body["most_identifiers"], {name: found for name, one in body["namespaces"].items() if (found := _limits(one))}
        if self.says_limits and (most, limits) == (self.most_identifiers, {name: one for name, one in self.limits.items() if one}):
            return
        self.says_limits, self.most_identifiers, self.limits = True, most, limits
        self.standing = set(self.places)

    def _settle(self, node: str, epoch: int, suspects: list[str] | None = None) -> None:
        self.standing -= _reached(node, self.links)
        found = self._look_again(self.links)
        self._name(epoch)
        self._part_with_shared(found + (suspects or []), epoch)

    def _link(self, stated: bool, pair: tuple[str, str], epoch: int) -> None:
        if any(self.status.get(node) for node in pair):
            self.log.append(("refused", *pair))
            return
        if pair in self.links:
            if stated:
                self.links[pair] = (self.links[pair][0], True)
            return
        if stated:
            self.apart.discard(pair)
        here, there = (_reached(node, self.links) for node in pair)
        if not self.standing.isdisjoint(here | there):
            if here == there or not self._is_made_worse(here, there, pair, stated):
                self.links[pair] = (epoch, stated)
                self.standing |= here | there
                self._name(epoch)
                return
            self.standing -= here | there
        suspects = self._look_again({**self.links, pair: (epoch, stated)})
        self._name(epoch)
        self._part_with_shared(suspects, epoch)

    def _look_again(self, links: dict[tuple[str, str], tuple[int, bool]]) -> list[str]:
        """Keep what can be kept, the strongest first; returns the nodes that could not be joined with too many others."""
        kept = {pair: link for pair, link in links.items() if pair[0] in self.standing}
        suspects = []

        def order(pair: tuple[str, str]) -> tuple[bool, int, int, int]:
            epoch, stated = links[pair]
            ranks = [self._rank(node) for node in pair]
            return (not stated, max(ranks), min(ranks), epoch)

        for pair in sorted(links.keys() - kept.keys(), key=order):
            here, there = (_reached(node, kept) for node in pair)
            wrong = "" if here is there or here == there else self._wrong(here, there, kept, links[pair][1])
            if not wrong:
                kept[pair] = links[pair]
                continue
            self.log.append(("dropped" if pair in self.links else "refused", *pair))
            if wrong != "apart":
                for node, partner in (pair, pair[::-1]):
                    if self._limit(_space(node), "shared_after") is None:
                        continue
                    self.refused.setdefault(node, set()).add(partner)
                    suspects.append(node)
        self.links = kept
        return suspects

    def _wrong(self, here: set[str], there: set[str], kept: dict[tuple[str, str], tuple[int, bool]], stated: bool) -> str:
        if any(_pair(a, b) in self.apart for a in here for b in there):
            return "apart"
        if len(here) + len(there) > self.most_identifiers:
            return "size"
        if stated:
            return ""
        for name in self.limits:
            most, numbers = self._limit(name, "most"), [self._count(part, name, kept) for part in (here, there)]
            if most is not None and all(numbers) and sum(numbers) > most:
                return name
        return ""

    def _is_made_worse(self, here: set[str], there: set[str], pair: tuple[str, str], stated: bool) -> bool:
        """Whether a link of two persons brings one that has more than the limits allow, and more than either had."""
        if self._wrong(here, there, self.links, True):
            return True
        linked = {**self.links, pair: (0, stated)}
        for name in self.limits:
            most = self._limit(name, "most")
            before = [self._count(part, name, self.links) for part in (here, there)]
            if most is not None and self._count(here | there, name, linked) > max(most, *before):
                return True
        return False

    def _limit(self, name: str, field: str) -> int | None:
        return self.limits.get(name, {}).get(field)

    def _count(self, part: set[str], name: str, links: dict[tuple[str, str], tuple[int, bool]]) -> int:
        """How many of a namespace count in a part; those that were stated to be one count once."""
        days = self._limit(name, "days")
        since = 0 if days is None else self.clock - days * 86_400_000
        said = {pair: link for pair, link in links.items() if link[1]}
        counted = [node for node in part if _space(node) == name and self.seen_at[node] >= since]
        return len({frozenset(_reached(node, said)) for node in counted})

    def _is_shared(self, node: str) -> bool:
        after = self._limit(_space(node), "shared_after")
        return after is not None and not self.status.get(node) and len(self.refused.get(node, ())) >= after

    def _part_with_shared(self, suspects: list[str], epoch: int) -> None:
        """Nodes that could not be joined with too many are nobody's, the oldest first: without it others may be in conflict."""
        while shared := [node for node in suspects if self._is_shared(node)]:
            self._put_aside(min(shared, key=lambda node: self.places[node]), "shared", epoch)
            suspects = suspects + self._look_again(self.links)
            self._name(epoch)

    def _put_aside(self, node: str, status: str, epoch: int) -> None:
        self.status[node] = status
        for pair in [pair for pair in self.links if node in pair]:
            self.log.append(("dropped", *pair))
            del self.links[pair]
        self._name(epoch)

    def _name(self, epoch: int) -> None:
        """A part keeps the id of the strongest, then oldest of the profiles whose strongest, then oldest node it holds."""
        old: dict[str, set[str]] = {}
        for node, profile in self.profile.items():
            old.setdefault(profile, set()).add(node)
        founders = {min(nodes, key=self._order): profile for profile, nodes in old.items()}
        for part in self.parts():
            held = [node for node in part if node in founders]
            name = founders[min(held, key=self._order)] if held else _hash(min(part, key=self._order), epoch)
            for node in part:
                self.profile[node] = name

    def parts(self) -> list[set[str]]:
        """The people."""
        found: list[set[str]] = []
        for node in self.places:
            if not any(node in part for part in found):
                found.append(_reached(node, self.links))
        return found

    def _rank(self, node: str) -> int:
        return self.order.index(_space(node))

    def _order(self, node: str) -> tuple[int, tuple[int, int]]:
        return self._rank(node), self.places[node]

    def check(self) -> None:
        """No limit is broken by links that records merely show."""
        for part in self.parts():
            assert len(part) <= self.most_identifiers or part <= self.standing
            assert not any(_pair(a, b) in self.apart for a, b in combinations(part, 2))


def _reached(node: str, links: Any) -> set[str]:
    found, waiting = {node}, [node]
    while waiting:
        here = waiting.pop()
        for a, b in links:
            for other in (b,) if a == here else (a,) if b == here else ():
                if other not in found:
                    found.add(other)
                    waiting.append(other)
    return found


def _limits(written: dict[str, Any]) -> dict[str, int]:
    return {field: written[field] for field in ("most", "days", "shared_after") if written.get(field) is not None}


def _pair(a: str, b: str) -> tuple[str, str]:
    return (a, b) if a < b else (b, a)


def _space(node: str) -> str:
    return node.split("|")[1]


def _hash(node: str, epoch: int) -> str:
    return hashlib.blake2b(f"{node}|{epoch}".encode(), digest_size=8).hexdigest()
