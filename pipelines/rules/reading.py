"""From a parsed text to a typed tree: names are there, operators get what they take; else an error says where and what was meant."""

import difflib
import math
import re
from collections.abc import Mapping
from typing import Final

from lark import Token, Tree

from pipelines.rules import grammar
from pipelines.rules.errors import RuleError
from pipelines.rules.functions import ALL, Function
from pipelines.rules.grammar import MAX_DEPTH, RULE, Spelling
from pipelines.rules.moments import UNITS_MS, bounded, moment_ms
from pipelines.rules.symbols import NOW, Symbols
from pipelines.rules.tree import Call, Field, Kind, Literal, Node, walk

MOST_DURATION: Final = 1e9
"""Of whatever unit: what a moment is counted back by has to be a moment again."""
_OTHER_NAMES: Final = {
    "len": "length",
    "size": "count",
    "ifnull": "coalesce",
    "nvl": "coalesce",
    "startswith": "starts_with",
    "endswith": "ends_with",
    "ceiling": "ceil",
    "avg": "sum",
}
"""What functions are called elsewhere."""
_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(.+)", re.DOTALL)
_WORDS: Final[dict[Kind, str]] = {
    "number": "a number",
    "text": "a text",
    "truth": "true or false",
    "time": "a time",
    "duration": "a duration",
    "set": "a set",
    "list": "a list",
}


def read(text: str, symbols: Symbols, where: str = "rule", spelling: Spelling = RULE) -> Node:
    """Read a condition.

    Args:
        text: a rule, or a sentence in one of the spellings.
        symbols: what it may read.
        where: prefix of error messages, e.g. `config/tags.yaml: loyal`.
        spelling: of the text.

    Raises:
        RuleError: the text is not of the language, or no condition over these symbols.
    """
    return _Reader(symbols, where, spelling, grammar.words(symbols, spelling)).whole(grammar.parse(text, symbols, where, spelling))


def fields(text: str, symbols: Symbols, where: str = "rule") -> list[tuple[str, int]]:
    """The names that a rule reads and their columns, whether or not there are such fields.

    Raises:
        RuleError: the text is not of the grammar.
    """
    tree = grammar.parse(text, symbols, where)
    found = [node.children[0] for node in tree.find_data("field")] if isinstance(tree, Tree) else []
    return sorted(((str(token).strip("`"), token.column or 0) for token in found if isinstance(token, Token)), key=lambda pair: pair[1])


class _Reader:
    """One reading.

    Args:
        symbols: what may be read.
        where: prefix of messages.
        spelling: of the text.
        labels: words that stand for names.
    """

    def __init__(self, symbols: Symbols, where: str, spelling: Spelling, labels: Mapping[str, str]) -> None:
        self._symbols, self._where, self._spelling = symbols, where, spelling
        self._labels = {grammar.normal(said): name for said, name in labels.items()}
        self._phrases = {grammar.normal(said): name for name, said in spelling.functions.items()}
        self._within = ""
        self._over = False

    def whole(self, tree: "Tree[Token] | Token") -> Node:
        """The tree of a whole text, which has to be a condition."""
        if isinstance(tree, Tree) and _depth(tree) > MAX_DEPTH:
            raise self._fail(tree, f"nested deeper than {MAX_DEPTH}; each term of a sum counts, too")
        return self._condition(tree)

    def _fail(self, tree: "Tree[Token] | Token", why: str) -> RuleError:
        column = tree.column if isinstance(tree, Token) else getattr(tree.meta, "column", 0)
        return RuleError(self._where, why, column or 0)

    def _condition(self, tree: "Tree[Token] | Token") -> Node:
        node, kind = self._node(tree)
        if kind != "truth":
            raise self._fail(tree, f"{self._said(node)} is {_WORDS[kind]}, not a condition; compare it with something")
        return node

    def _node(self, tree: "Tree[Token] | Token") -> tuple[Node, Kind]:
        assert isinstance(tree, Tree)
        found: tuple[Node, Kind] = getattr(self, f"_{tree.data}")(tree)
        return found

    def _or(self, tree: "Tree[Token]") -> tuple[Node, Kind]:
        return Call("or", tuple(self._condition(part) for part in tree.children)), "truth"

    def _and(self, tree: "Tree[Token]") -> tuple[Node, Kind]:
        return Call("and", tuple(self._condition(part) for part in tree.children)), "truth"

    def _not(self, tree: "Tree[Token]") -> tuple[Node, Kind]:
        return Call("not", (self._condition(tree.children[0]),)), "truth"

    def _infix(self, tree: "Tree[Token]") -> tuple[Node, Kind]:
        left, token, right = tree.children
        assert isinstance(token, Token)
        name = str(token) if token.type in ("PLUS", "MINUS", "TIMES", "OVER") else grammar.operator_of(token, self._spelling)
        return self._call_of(tree, ALL[name], [left, right])

    def _member(self, tree: "Tree[Token]") -> tuple[Node, Kind]:
        value, token, arguments = tree.children
        assert isinstance(token, Token)
        assert isinstance(arguments, Tree)
        return self._call_of(tree, ALL[grammar.operator_of(token, self._spelling)], [value, *arguments.children])

    def _among(self, tree: "Tree[Token]") -> tuple[Node, Kind]:
        value, token, field = tree.children
        assert isinstance(token, Token)
        name = "among" if grammar.operator_of(token, self._spelling) == "in" else "not among"
        return self._call_of(tree, ALL[name], [value, field])

    def _state(self, tree: "Tree[Token]") -> tuple[Node, Kind]:
        value, token = tree.children
        assert isinstance(token, Token)
        return self._call_of(tree, ALL[grammar.operator_of(token, self._spelling)], [value])

    def _negative(self, tree: "Tree[Token]") -> tuple[Node, Kind]:
        return self._call_of(tree, ALL["negative"], [tree.children[-1]])

    def _ago(self, tree: "Tree[Token]") -> tuple[Node, Kind]:
        return Call("ago", (self._duration(tree)[0],)), "time"

    def _call(self, tree: "Tree[Token]") -> tuple[Node, Kind]:
        name, arguments = tree.children
        assert isinstance(arguments, Tree)
        function = ALL.get(self._phrases.get(grammar.normal(str(name)), str(name).lower()))
        if function is None or function.form not in ("call", "over"):
            there = [name for name, function in ALL.items() if function.form in ("call", "over")]
            meant = _OTHER_NAMES.get(str(name).lower()) or next(iter(difflib.get_close_matches(str(name), there, 1)), "")
            hint = f"did you mean `{meant}`?" if meant else f"there are {', '.join(there)}"
            raise self._fail(tree, f"there is no function `{name}`; {hint}")
        given = list(arguments.children)
        if function.name == "round" and len(given) == 1:
            given.append(Tree("number", [Token("NUMBER", "0")], tree.meta))
        if function.form == "over":
            return self._over_entries(tree, function, given)
        return self._call_of(tree, function, given)

    def _over_entries(self, tree: "Tree[Token]", function: Function, given: "list[Tree[Token] | Token]") -> tuple[Node, Kind]:
        if self._over:
            raise self._fail(tree, f"`{function.name}` inside of another one over a list")
        self._over, self._within = True, ""
        try:
            node, kind = self._call_of(tree, function, given)
            if not self._within:
                raise self._fail(tree, f"`{function.name}` goes through the entries of one list: write `{function.name}(products.price)`")
            return node, kind
        finally:
            self._over, self._within = False, ""

    def _number(self, tree: "Tree[Token]") -> tuple[Node, Kind]:
        found = float(str(tree.children[0]))
        if not math.isfinite(found):
            raise self._fail(tree, "a number that is too large for a double")
        return Literal("number", found), "number"

    def _text(self, tree: "Tree[Token]") -> tuple[Node, Kind]:
        token = str(tree.children[0])
        text = token[1:-1].replace(token[0] * 2, token[0])
        if any(character < " " or "\ud800" <= character <= "\udfff" for character in text):
            raise self._fail(tree, "control characters cannot be compared")
        return Literal("text", text), "text"

    def _truth(self, tree: "Tree[Token]") -> tuple[Node, Kind]:
        return Literal("truth", grammar.normal(str(tree.children[0])) == self._spelling.truths[0]), "truth"

    def _duration(self, tree: "Tree[Token]") -> tuple[Node, Kind]:
        number, said = _DURATION.fullmatch(str(tree.children[0])).groups()  # type: ignore[union-attr]
        said = said.strip().lower()
        if float(number) > MOST_DURATION:
            raise self._fail(tree, f"a duration of {number} units is too long")
        unit = next(unit for unit, words in self._spelling.units.items() if said in words)
        return Literal("duration", float(round(float(number) * UNITS_MS[unit]))), "duration"

    def _field(self, tree: "Tree[Token]") -> tuple[Node, Kind]:
        first, *rest = tree.children
        assert isinstance(first, Token)
        name = self._labels[grammar.normal(str(first))] if first.type == "LABEL" else str(first).strip("`")
        if rest:
            return self._entry(tree, name, str(rest[0]).strip("`"))
        symbol = self._symbols.of(name)
        if symbol is None:
            hint = "; write `x is missing`" if name.lower() in ("null", "none", "nil", "missing", "unknown") else self._symbols.near(name)
            raise self._fail(tree, f"{self._symbols.what} has no field `{name}`{hint}")
        return Field(name), symbol.kind

    def _entry(self, tree: "Tree[Token]", of: str, name: str) -> tuple[Node, Kind]:
        if of not in self._symbols or self._symbols[of].kind != "list":
            raise self._fail(tree, f"`{of}` is no list of entries{self._symbols.near(of) if of not in self._symbols else ''}")
        symbol = self._symbols.of(name, of)
        if symbol is None:
            raise self._fail(tree, f"an entry of `{of}` has no field `{name}`{self._symbols.near(name, of)}")
        if not self._over:
            raise self._fail(tree, f"`{of}.{name}` stands for many values; write `sum({of}.{name})`")
        if self._within not in ("", of):
            raise self._fail(tree, f"entries of `{of}` among those of `{self._within}`; one list at a time")
        self._within = of
        return Field(name, of), symbol.kind

    def _call_of(self, tree: "Tree[Token]", function: Function, given: "list[Tree[Token] | Token]") -> tuple[Node, Kind]:
        """A call with its arguments: those that a signature takes, texts read as times where it wants these."""
        read = [self._node(one) for one in given]
        for takes, gives in function.signatures:
            if len(read) < len(takes) or (len(read) > len(takes) and not function.more):
                continue
            wanted = [*takes, *[takes[-1]] * (len(read) - len(takes))]
            taken = [_as(node, kind, want) for (node, kind), want in zip(read, wanted, strict=True)]
            if all(node is not None for node in taken):
                nodes = tuple(node for node in taken if node is not None)
                self._literals(given, function, nodes)
                self._values(given, function, nodes)
                return _folded(Call(function.name, nodes)), gives
        raise self._fail(tree, self._mismatch(function, read))

    def _literals(self, given: "list[Tree[Token] | Token]", function: Function, nodes: tuple[Node, ...]) -> None:
        for place, node in enumerate(nodes):
            is_literal = place in function.literals or (function.more and place >= min(function.literals, default=place + 1))
            if is_literal and not isinstance(node, Literal):
                raise self._fail(given[place], f"{self._said(node)} where `{function.name}` takes a value that stands in the rule itself")
        last = nodes[-1]
        if function.check is not None and isinstance(last, Literal):
            try:
                function.check(last.value)
            except ValueError as error:
                raise self._fail(given[-1], str(error)) from None

    def _values(self, given: "list[Tree[Token] | Token]", function: Function, nodes: tuple[Node, ...]) -> None:
        """A text that can only be one of a few is compared with one of those."""
        first, *others = nodes
        symbol = self._symbols.of(first.name, first.of) if isinstance(first, Field) else None
        if symbol is None or not symbol.values or function.name not in ("=", "!=", "in", "not in"):
            return
        for place, other in enumerate(others, 1):
            if isinstance(other, Literal) and other.value not in symbol.values:
                near = difflib.get_close_matches(str(other.value), symbol.values, 1)
                hint = f"; did you mean `{near[0]}`?" if near else ""
                why = f"`{symbol.name}` is never `{other.value}`{hint}; there are {', '.join(symbol.values)}"
                raise self._fail(given[place], why)

    def _mismatch(self, function: Function, read: list[tuple[Node, Kind]]) -> str:
        counts = {len(takes) for takes, _ in function.signatures}
        if len(read) not in counts and not (function.more and len(read) > max(counts)):
            return f"`{function.name}` takes {' or '.join(map(str, sorted(counts)))} values, not {len(read)}"
        said = " and ".join(f"{self._said(node)} is {_WORDS[kind]}" for node, kind in read[:3])
        takes = " or ".join(dict.fromkeys(" and ".join(_WORDS[kind] for kind in kinds) for kinds, _ in function.signatures))
        return f"{said}; {_meant(function, read) or f'`{function.name}` takes {takes}'}"

    @staticmethod
    def _said(node: Node) -> str:
        from pipelines.rules.writing import write

        return f"`{write(node)}`"


def _meant(function: Function, read: list[tuple[Node, Kind]]) -> str:
    """What was probably meant by values that do not fit together; empty when nobody can tell."""
    kinds = [kind for _, kind in read]
    if "set" in kinds and function.name in ("is missing", "is known"):
        return "a set is never missing: ask `count(x) = 0`"
    if "set" in kinds and function.name not in ("among", "not among", "count", "has_any", "has_all"):
        return "a set is asked by `'a' in x`, `has_any(x, 'a', 'b')` or `count(x) > 3`"
    if kinds == ["text", "text"] and function.name in ("among", "not among"):
        return "write `contains(x, 'a')`, or several values in parentheses"
    if {"time", "duration"} == set(kinds):
        return "a time is compared with a time: `ago(14d)` is the one so long ago"
    if {"number", "duration"} == set(kinds):
        return "a number is compared with a number, and `days(x)` is the one of a duration"
    if {"time", "text"} == set(kinds):
        return "a date is written '2026-06-30', a time '2026-06-30T12:00:00Z'"
    return ""


def _as(node: Node, kind: Kind, wanted: Kind) -> Node | None:
    """A node as one of another kind, where a text is a time; None when it is not of that kind."""
    if kind == wanted:
        return node
    if wanted == "time" and isinstance(node, Literal) and isinstance(node.value, str):
        moment = moment_ms(node.value)
        return None if moment is None or bounded(moment) != moment else Literal("time", float(moment))
    return None


def _folded(call: Call) -> Node:
    """The negative of a literal is a literal."""
    (first, *_) = call.arguments
    if call.function == "negative" and isinstance(first, Literal):
        return Literal(first.kind, -float(first.value))
    return call


def _depth(tree: "Tree[Token]") -> int:
    """How deep a tree is, without recursion: that is what the limit is for."""
    deepest, waiting = 0, [(tree, 1)]
    while waiting:
        found, depth = waiting.pop()
        deepest = max(deepest, depth)
        waiting += [(child, depth + (found.data != "arguments")) for child in found.children if isinstance(child, Tree)]
    return deepest


def reads_clock(node: Node) -> bool:
    """Whether a node's value moves with the moment of judging."""
    fields = [one.name for one in walk(node) if isinstance(one, Field) and not one.of]
    return NOW in fields or any(isinstance(one, Call) and one.function == "ago" for one in walk(node))
