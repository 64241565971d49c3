"""From a tree back to text: a rule as it is written, or a sentence. What is written is read again as the same tree."""

import re
from typing import Final

from pipelines.rules.functions import ALL, LOGIC
from pipelines.rules.grammar import CHINESE, NAME, RULE, Spelling, words
from pipelines.rules.moments import UNITS_MS, written
from pipelines.rules.symbols import Symbols
from pipelines.rules.tree import Call, Field, Literal, Node

_RANKS: Final = {"or": 1, "and": 2, "not": 3, "+": 5, "-": 5, "*": 6, "/": 6, "negative": 7}
_COMPARISON, _VALUE = 4, 8
_MEMBERS: Final = {"in": "in", "not in": "not in", "among": "in", "not among": "not in"}
_KEYWORDS: Final = re.compile("(?:and|or|not|in|like|is|true|false|known|unknown|missing|null)", re.IGNORECASE)


def write(node: Node, symbols: Symbols | None = None, spelling: Spelling = RULE) -> str:
    """Write a node.

    Args:
        node: of a tree.
        symbols: whose words a sentence uses; without them it uses names.
        spelling: of the text.
    """
    names = {name: said for said, name in words(symbols, spelling).items()} if symbols else {}
    return _Writer(spelling, names, symbols).text(node, 0)


class _Writer:
    def __init__(self, spelling: Spelling, said: dict[str, str], symbols: Symbols | None) -> None:
        self._spelling, self._said, self._symbols = spelling, said, symbols
        self._open, self._close, self._comma = (marks[0] for marks in spelling.marks)
        self._is_sentence = spelling is not RULE

    def text(self, node: Node, least: int) -> str:
        """A node, in parentheses if it binds less than its surroundings."""
        if isinstance(node, Literal):
            return self._literal(node)
        if isinstance(node, Field):
            return self._field(node)
        text, rank = self._call(node)
        return f"{self._open}{text}{self._close}" if rank < least else text

    def _literal(self, node: Literal) -> str:
        if isinstance(node.value, bool):
            return self._spelling.truths[0 if node.value else 1]
        if isinstance(node.value, str):
            return "'" + node.value.replace("'", "''") + "'"
        if node.kind == "time":
            return f"'{written(node.value)}'"
        if node.value < 0:
            return "-" + self._literal(Literal(node.kind, -node.value))
        return self._duration(node.value) if node.kind == "duration" else number(node.value)

    def _duration(self, ms: float) -> str:
        unit = next((unit for unit in ("w", "d", "h", "m", "s") if ms and ms % UNITS_MS[unit] == 0), "ms")
        unit = "d" if unit == "w" else unit  # people say 14 days
        count = ms / UNITS_MS[unit]
        said = self._spelling.units[unit]
        return f"{number(count)}{self._spelling.gap}{said[-1] if count != 1 else said[0]}"

    def _field(self, node: Field) -> str:
        if not node.of and node.name in self._said:
            return self._said[node.name]
        return ".".join(_name(name) for name in (node.of, node.name) if name)

    def _call(self, node: Call) -> tuple[str, int]:
        name, given = node.function, node.arguments
        if name in LOGIC:
            return self._logic(name, given)
        if name in ("+", "-", "*", "/"):
            rank = _RANKS[name]
            return f"{self.text(given[0], rank)} {name} {self.text(given[1], rank + 1)}", rank
        if name == "negative":
            return "-" + self.text(given[0], _RANKS[name]), _RANKS[name]
        function, said = ALL[name], self._spelling.operators
        value = self.text(given[0], _COMPARISON + 1)
        if name in _MEMBERS:
            word = said[_MEMBERS[name]][0]
            return f"{value} {word} {self._among(name, given[1:])}", _COMPARISON
        if name in ("has_any", "has_all") and name in said:
            return f"{value} {said[name][0]} {self._list(given[1:])}", _COMPARISON
        if function.form == "infix" or (len(given) == 2 and name in said):
            word = self._spelling.by_kind.get(self._kind(given), {}).get(name) or said[name][0]
            return f"{value} {word} {self.text(given[1], _COMPARISON + 1)}", _COMPARISON
        if function.form == "postfix":
            return f"{value} {said[name][0]}", _COMPARISON
        if name == "ago" and self._spelling.ago and isinstance(given[0], Literal) and float(given[0].value) >= 0:
            gap = "" if self._spelling is CHINESE else " "
            return f"{self._literal(given[0])}{gap}{self._spelling.ago}", _VALUE
        phrase = self._spelling.functions.get(name)
        gap = "" if phrase is None or self._spelling is CHINESE else " "
        return f"{phrase or name}{gap}{self._list(given)}", _VALUE

    def _kind(self, nodes: tuple[Node, ...]) -> str:
        """The kind of a comparison's sides, as far as it is known without symbols."""
        kinds = [self._kind_of(node) for node in nodes]
        return next((kind for kind in kinds if kind), "")

    def _kind_of(self, node: Node) -> str:
        if isinstance(node, Literal):
            return node.kind
        if isinstance(node, Field):
            symbol = self._symbols.of(node.name, node.of) if self._symbols else None
            return symbol.kind if symbol else ""
        if node.function in LOGIC:
            return "truth"
        kinds = [self._kind_of(one) for one in node.arguments]
        for takes, gives in ALL[node.function].signatures:
            if all(kind in ("", take) for kind, take in zip(kinds, takes, strict=False)) and any(kinds):
                return gives
        return ""

    def _among(self, name: str, rest: tuple[Node, ...]) -> str:
        return self._list(rest) if name in ("in", "not in") else self.text(rest[0], _VALUE)

    def _list(self, nodes: tuple[Node, ...]) -> str:
        gap = "" if self._spelling is CHINESE else " "
        return self._open + f"{self._comma}{gap}".join(self.text(node, 0) for node in nodes) + self._close

    def _logic(self, name: str, given: tuple[Node, ...]) -> tuple[str, int]:
        word, rank = self._spelling.logic[name][0], _RANKS[name]
        # A reader does not know which of the words binds more: a sentence says so by parentheses.
        least = _RANKS["not"] if self._is_sentence else rank + (name != "not")
        if name == "not":
            return f"{word} {self.text(given[0], _VALUE + 1 if self._is_sentence else rank)}", rank
        joint = f"{self._spelling.before[:1]}{word} " if self._spelling.before else f" {word} "
        return joint.join(self.text(part, least) for part in given), rank


def number(value: float) -> str:
    """A number, whole ones without a point."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def _name(name: str) -> str:
    return name if re.fullmatch(NAME, name) and not _KEYWORDS.fullmatch(name) else f"`{name}`"
