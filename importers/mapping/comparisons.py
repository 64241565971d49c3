"""Comparisons of the mapping language: text is never taken for a number in silence.

JMESPath orders `'9'` after `'100'` and calls `'0'` unequal to `0`; cells of a CSV file are all text.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

from jmespath.visitor import TreeInterpreter

from importers.mapping.unfit import Unfit

_NUMBER: Final = re.compile(r"\s*[+-]?[0-9]*[.,]?[0-9]+\s*")
_DIGITS: Final = re.compile(r"[0-9]+")
_NUMBERS: Final = "numbers, or texts that are none (`parse_number`, `parse_integer` make numbers of texts)"


class Interpreter(TreeInterpreter):
    """JMESPath's, with comparisons that refuse what they would get wrong."""

    def visit_comparator(self, node: Any, value: Any) -> Any:
        """Compare the two sides of `==`, `!=`, `<`, `<=`, `>`, `>=`."""
        left, right = (self.visit(child, value) for child in node["children"])
        if node["value"] in ("eq", "ne"):
            _same_kind(left, right)
            return self.COMPARATOR_FUNC[node["value"]](left, right)
        if not all(isinstance(side, int | float | str) and not isinstance(side, bool) for side in (left, right)):
            return None
        in_order((left, right))
        return self.COMPARATOR_FUNC[node["value"]](left, right)


def in_order(values: Iterable[Any]) -> None:
    """Refuse texts that are numbers where they are put in order, unless all have as many digits (`20261128`) and the order is the same.

    Raises:
        Unfit: there are such.
    """
    numbers = [value for value in values if isinstance(value, str) and _NUMBER.fullmatch(value)]
    if len(numbers) > 1 and not (all(map(_DIGITS.fullmatch, numbers)) and len(set(map(len, numbers))) == 1):
        raise Unfit(_NUMBERS, numbers[0])


def _same_kind(left: Any, right: Any) -> None:
    for text, number in ((left, right), (right, left)):
        if isinstance(text, str) and isinstance(number, int | float) and not isinstance(number, bool) and _NUMBER.fullmatch(text):
            raise Unfit(_NUMBERS, text)
