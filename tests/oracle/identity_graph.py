"""The identity graph the slow way: after every record of the link log all links are looked at anew (docs/identity.md).

Records are dicts as people would write them: kind, tenant, at, and a and b, or node; links have a rule. Limits: namespaces from the
strongest to the weakest with `most`, `days`, `shared_after`.
"""

import hashlib
from itertools import combinations
from typing import Any

Record = dict[str, Any]


class SlowGraph:
    """The graph of one tenant."""

    def __init__(self, namespaces: list[dict[str, Any]], most_identifiers: int) -> None:
        self.namespaces = namespaces
        self.most_identifiers = most_identifiers
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
        if kind == "block" and self.status.get(names[0]) != "blocked":
            self._put_aside(names, "blocked", epoch)
        elif kind == "release":
            self.status.pop(names[0], None)
            self.refused.pop(names[0], None)
        elif kind == "unbind" and names[0] != names[1]:
            self.apart.add(_pair(*names))
            suspects = self._look_again(self.links)
            self._name(epoch)
            self._put_aside(suspects, "shared", epoch)
        elif kind == "link" and names[0] != names[1]:
            self._link(record["rule"] != "seen", _pair(*names), epoch)

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
        suspects = self._look_again({**self.links, pair: (epoch, stated)})
        self._name(epoch)
        self._put_aside(suspects, "shared", epoch)

    def _look_again(self, links: dict[tuple[str, str], tuple[int, bool]]) -> list[str]:
        """Keep what can be kept, the strongest first; returns the nodes that could not be joined with too many others."""
        kept: dict[tuple[str, str], tuple[int, bool]] = {}
        suspects = []

        def order(pair: tuple[str, str]) -> tuple[bool, int, int, int]:
            epoch, stated = links[pair]
            ranks = [self._rank(node) for node in pair]
            return (not stated, max(ranks), min(ranks), epoch)

        for pair in sorted(links, key=order):
            here, there = (_reached(node, kept) for node in pair)
            wrong = "" if here is there or here == there else self._wrong(here, there, kept, links[pair][1])
            if not wrong:
                kept[pair] = links[pair]
                continue
            self.log.append(("dropped" if pair in self.links else "refused", *pair))
            if wrong != "apart":
                for node, partner in (pair, pair[::-1]):
                    self.refused.setdefault(node, set()).add(partner)
                    suspects.append(node)
        self.links = kept
        return [node for node in suspects if self._is_shared(node)]

    def _wrong(self, here: set[str], there: set[str], kept: dict[tuple[str, str], tuple[int, bool]], stated: bool) -> str:
        if any(_pair(a, b) in self.apart for a in here for b in there):
            return "apart"
        if len(here) + len(there) > self.most_identifiers:
            return "size"
        if stated:
            return ""
        said = {pair: link for pair, link in kept.items() if link[1]}
        for space in self.namespaces:
            if space.get("most") is None:
                continue
            numbers = []
            for part in (here, there):
                since = self.clock - space["days"] * 86_400_000 if space.get("days") else 0
                counted = [node for node in part if _space(node) == space["name"] and self.seen_at[node] >= since]
                numbers.append(len({frozenset(_reached(node, said)) for node in counted}))
            if all(numbers) and sum(numbers) > space["most"]:
                return str(space["name"])
        return ""

    def _is_shared(self, node: str) -> bool:
        after = self.namespaces[self._rank(node)].get("shared_after")
        return after is not None and not self.status.get(node) and len(self.refused.get(node, ())) >= after

    def _put_aside(self, nodes: list[str], status: str, epoch: int) -> None:
        for node in nodes:
            self.status[node] = status
        gone = [pair for pair in self.links if any(node in nodes for node in pair)]
        for pair in gone:
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
        return [space["name"] for space in self.namespaces].index(_space(node))

    def _order(self, node: str) -> tuple[int, tuple[int, int]]:
        return self._rank(node), self.places[node]

    def check(self) -> None:
        """No limit is broken by links that records merely show."""
        for part in self.parts():
            assert len(part) <= self.most_identifiers
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


def _pair(a: str, b: str) -> tuple[str, str]:
    return (a, b) if a < b else (b, a)


def _space(node: str) -> str:
    return node.split("|")[1]


def _hash(node: str, epoch: int) -> str:
    return hashlib.blake2b(f"{node}|{epoch}".encode(), digest_size=8).hexdigest()
