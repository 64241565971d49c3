"""A compiled rule: whether it holds, why, when it could turn, and what it is in other languages."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from pipelines.rules import python, sql, writing
from pipelines.rules.functions import ALL, LOGIC
from pipelines.rules.grammar import RULE, SPELLINGS, Spelling
from pipelines.rules.reading import read, reads_clock
from pipelines.rules.symbols import NOW, Symbols
from pipelines.rules.tree import Call, Node, names

Values = Mapping[str, Any]
_ORDERED: Final = ("<", "<=", ">", ">=", "=", "!=")


class Part(msgspec.Struct):
    """A part of an explanation.

    Attributes:
        text: the part as rules are written.
        holds: whether it holds for the values.
        found: field -> value, for what is no `and`, `or`, `not`.
        parts: what it consists of, for these.
    """

    text: str
    holds: bool
    found: dict[str, Any] = {}
    parts: list["Part"] = []


class Comparison(msgspec.Struct, frozen=True):
    """One comparison of a rule.

    Attributes:
        text: as rules are written.
        tree: of it.
        names: the fields it reads; `now` where it reads the clock.
        holds: whether it holds for values, at a moment (ms).
        difference: of its two sides, where these are numbers, times or durations; None when one is missing.
    """

    text: str
    tree: Node
    names: frozenset[str]
    holds: Callable[..., bool]
    difference: Callable[[Values, float], float | None]


class Rule:
    """A compiled condition.

    Args:
        text: of the rule language, or a sentence.
        symbols: what it may read.
        where: prefix of error messages, e.g. `config/tags.yaml: loyal`.
        spelling: of the text.

    Attributes:
        text: as given.
        tree: what was read.
        names: the fields it reads; `now` where it reads the clock.
        comparisons: in the order of the text.
        holds: whether the rule holds for values by name, where what is not there is missing, at a moment (ms; only rules that read `now`
            need it). The generated function itself: a method around it would cost a third more.

    Raises:
        RuleError: the text is not of the language, or no condition over these symbols.
    """

    def __init__(self, text: str, symbols: Symbols, where: str = "rule", spelling: Spelling = RULE) -> None:
        self.text = text
        self.tree = read(text, symbols, where, spelling)
        self._symbols = symbols
        self.names = _names(self.tree)
        self.holds = python.condition(self.tree, symbols)
        self.comparisons = [self._comparison(node) for node in _comparisons(self.tree)]

    def explain(self, values: Values, now: float = 0) -> Part:
        """Why the rule holds or not: every part with its own verdict and the values found."""
        return self._explained(self.tree, values, now)

    def sql(self) -> str:
        """The rule as a ClickHouse condition; see `pipelines.rules.sql`."""
        return sql.condition(self.tree, self._symbols)

    def sentence(self, language: str) -> str:
        """The rule as a sentence that can be read again.

        Args:
            language: `english` or `chinese`.
        """
        return writing.write(self.tree, self._symbols, SPELLINGS[language])

    def _explained(self, node: Node, values: Values, now: float) -> Part:
        text, holds = writing.write(node), python.condition(node, self._symbols)(values, now)
        if isinstance(node, Call) and node.function in LOGIC:
            return Part(text, holds, {}, [self._explained(part, values, now) for part in node.arguments])
        found = {name: now if name == NOW else values.get(name) for name in sorted(_names(node))}
        return Part(text, holds, found)

    def _comparison(self, node: Node) -> Comparison:
        holds = python.condition(node, self._symbols)
        difference: Callable[[Values, float], float | None] = _never
        if isinstance(node, Call) and node.function in _ORDERED:
            left, right = (python.value(one, self._symbols) for one in node.arguments)

            def difference(values: Values, now: float) -> float | None:
                a, b = left(values, now), right(values, now)
                return float(a) - float(b) if _is_number(a) and _is_number(b) else None

        return Comparison(writing.write(node), node, _names(node), holds, difference)


def _never(values: Values, now: float) -> None:
    """There is no difference between what is not ordered."""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _names(node: Node) -> frozenset[str]:
    return names(node) | {NOW} if reads_clock(node) else names(node)


def _comparisons(node: Node) -> list[Node]:
    """What a condition consists of, `and`, `or` and `not` apart."""
    if isinstance(node, Call) and node.function in LOGIC:
        return [found for part in node.arguments for found in _comparisons(part)]
    if isinstance(node, Call) and ALL[node.function].is_condition:
        return [node]
    return []
