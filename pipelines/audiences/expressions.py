"""The rule language: a small, whitelisted expression over profile fields, compiled to Python and explained in words.

Grammar (a subset of Python's, read with its parser and never evaluated as user text): `and or not`, comparisons, `+ - * /`, numbers,
quoted strings, `true false`, field names. A comparison whose operand is null, or divides by zero, does not hold.
"""

import ast
import difflib
import itertools
import math
import operator
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import msgspec

MAX_LENGTH: Final = 2000
Values = Mapping[str, Any]
_Term = Callable[[Values], Any]

_ARITHMETIC: Final[dict[type[ast.operator], tuple[str, Callable[[Any, Any], Any]]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("*", operator.mul),
    ast.Div: ("/", operator.truediv),
}
_COMPARISON: Final[dict[type[ast.cmpop], tuple[str, Callable[[Any, Any], bool]]]] = {
    ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le),
    ast.Gt: (">", operator.gt),
    ast.GtE: (">=", operator.ge),
    ast.Eq: ("==", operator.eq),
    ast.NotEq: ("!=", operator.ne),
}


class ExpressionError(ValueError):
    """An expression is not of the language or names an unknown field; the message says where and what was meant.

    Args:
        where: prefix of the message, e.g. file and rule.
        why: what is wrong.
        column: from 1, in the text; 0 when it concerns the whole.
    """

    def __init__(self, where: str, why: str, column: int = 0) -> None:
        super().__init__(f"{where}: {f'column {column}: ' if column else ''}{why}")
        self.why, self.column = why, column


class Part(msgspec.Struct):
    """A node of an explanation.

    Attributes:
        text: the part as written.
        holds: whether it holds for the values.
        found: field -> value, for comparisons.
        parts: what it consists of, for `and`, `or`, `not`.
    """

    text: str
    holds: bool
    found: dict[str, Any] = {}
    parts: list["Part"] = []


class Comparison(msgspec.Struct, frozen=True):
    """One comparison of an expression: its truth, and its two sides' difference where they are numbers."""

    text: str
    names: frozenset[str]
    holds: Callable[[Values], bool]
    difference: Callable[[Values], float | None]


class Expression:
    """A compiled expression.

    Args:
        text: the expression.
        known: names of the fields it may read.
        where: prefix of error messages, e.g. `config/tags.yaml: loyal`.

    Attributes:
        names: the fields it reads.
        comparisons: its comparisons, in the order of the text.

    Raises:
        ExpressionError: the text is not of the language.
    """

    def __init__(self, text: str, known: Collection[str], where: str = "expression") -> None:
        self.text = text
        self._known = known
        self._where = where
        self.comparisons: list[Comparison] = []
        if len(text) > MAX_LENGTH:
            raise ExpressionError(where, f"longer than {MAX_LENGTH} characters")
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise ExpressionError(
                where, f"cannot be read: {getattr(error, 'msg', error)}: {text!r}", getattr(error, "offset", 0) or 0
            ) from error
        self._holds = self._truth(self._tree)
        self._fast = _compiled(self._tree)
        self.names: frozenset[str] = frozenset().union(*(comparison.names for comparison in self.comparisons))

    def holds(self, values: Values) -> bool:
        """Whether the expression holds for a profile's fields."""
        try:
            return self._fast(values.get)
        except (TypeError, ZeroDivisionError, OverflowError):  # some comparison cannot be made: each is looked at by itself
            return self._holds(values)

    def explain(self, values: Values) -> Part:
        """Why the expression holds or not: every part with its own verdict and the values found."""
        by_text = {comparison.text: comparison for comparison in self.comparisons}

        def walk(tree: ast.expr) -> Part:
            text = ast.unparse(tree)
            if isinstance(tree, ast.BoolOp):
                parts = [walk(value) for value in tree.values]
                return Part(text, (all if isinstance(tree.op, ast.And) else any)(part.holds for part in parts), {}, parts)
            if isinstance(tree, ast.UnaryOp):
                part = walk(tree.operand)
                return Part(text, not part.holds, {}, [part])
            if isinstance(tree, ast.Compare):
                comparison = by_text[text]
                return Part(text, comparison.holds(values), {name: values.get(name) for name in sorted(comparison.names)})
            return Part(text, self._truth(tree)(values))

        return walk(self._tree)

    def _fail(self, tree: ast.AST, why: str) -> ExpressionError:
        return ExpressionError(self._where, why, getattr(tree, "col_offset", 0) + 1)

    def _truth(self, tree: ast.expr) -> Callable[[Values], bool]:
        if isinstance(tree, ast.BoolOp):
            parts = [self._truth(value) for value in tree.values]
            if isinstance(tree.op, ast.And):
                return lambda values: all(part(values) for part in parts)
            return lambda values: any(part(values) for part in parts)
        if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.Not):
            inner = self._truth(tree.operand)
            return lambda values: not inner(values)
        if isinstance(tree, ast.Compare):
            return self._comparison(tree)
        literal = _boolean(tree)
        if literal is not None:
            return lambda values: literal
        raise self._fail(tree, f"`{ast.unparse(tree)}` is not a condition; compare it with something")

    def _comparison(self, tree: ast.Compare) -> Callable[[Values], bool]:
        if len(tree.ops) != 1 or type(tree.ops[0]) not in _COMPARISON:
            raise self._fail(tree, "one comparison at a time: write `a < b and b < c`")
        names: set[str] = set()
        left, right = self._term(tree.left, names), self._term(tree.comparators[0], names)
        compare = _COMPARISON[type(tree.ops[0])][1]

        def holds(values: Values) -> bool:
            a, b = left(values), right(values)
            if a is None or b is None:
                return False
            try:
                return bool(compare(a, b))
            except TypeError:  # a text against a number: not comparable, hence not so
                return False

        def difference(values: Values) -> float | None:
            a, b = left(values), right(values)
            return a - b if isinstance(a, int | float) and isinstance(b, int | float) else None

        self.comparisons.append(Comparison(ast.unparse(tree), frozenset(names), holds, difference))
        return holds

    def _term(self, tree: ast.expr, names: set[str]) -> _Term:
        if isinstance(tree, ast.Constant) and isinstance(tree.value, int | float | str) and not isinstance(tree.value, bool):
            constant = tree.value
            return lambda values: constant
        if isinstance(tree, ast.Name):
            name = tree.id
            if name not in self._known:
                near = difflib.get_close_matches(name, self._known, 1)
                raise self._fail(tree, f"unknown field `{name}`" + (f"; did you mean `{near[0]}`?" if near else ""))
            names.add(name)
            return lambda values: values.get(name)
        if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
            inner = self._term(tree.operand, names)
            return lambda values: -found if isinstance(found := inner(values), int | float) else None
        if isinstance(tree, ast.BinOp) and type(tree.op) in _ARITHMETIC:
            left, right = self._term(tree.left, names), self._term(tree.right, names)
            combine = _ARITHMETIC[type(tree.op)][1]

            def term(values: Values) -> Any:
                a, b = left(values), right(values)
                if not isinstance(a, int | float) or not isinstance(b, int | float):
                    return None  # null, or a text: nobody calculates with those
                try:
                    return combine(a, b)
                except (ZeroDivisionError, OverflowError):
                    return None

            return term
        raise self._fail(tree, f"`{ast.unparse(tree)}` is not part of the rule language")


def _compiled(tree: ast.expr) -> Callable[[Callable[[str], Any]], bool]:
    """One Python function for a checked expression: the closures' twin for the path on which every event goes.

    It is made from the tree, not from the text, and knows nothing but the getter it is called with. A comparison reads each of its fields
    once; None decides it. What cannot be compared or calculated raises TypeError, ZeroDivisionError or OverflowError.
    """
    numbers = itertools.count()

    def truth(tree: ast.expr) -> str:
        if isinstance(tree, ast.BoolOp):
            word = " and " if isinstance(tree.op, ast.And) else " or "
            return "(" + word.join(truth(value) for value in tree.values) + ")"
        if isinstance(tree, ast.UnaryOp):
            return f"(not {truth(tree.operand)})"
        if isinstance(tree, ast.Compare):
            reads: dict[str, str] = {}
            left, right = term(tree.left, reads), term(tree.comparators[0], reads)
            there = "".join(f"({variable} := get({name!r})) is not None and " for name, variable in reads.items())
            return f"({there}{left} {_COMPARISON[type(tree.ops[0])][0]} {right})"
        return repr(_boolean(tree))

    def term(tree: ast.expr, reads: dict[str, str]) -> str:
        if isinstance(tree, ast.Constant):
            return "1e999" if tree.value == math.inf else repr(tree.value)
        if isinstance(tree, ast.Name):
            return reads.setdefault(tree.id, f"v{next(numbers)}")
        if isinstance(tree, ast.UnaryOp):
            return f"(-{term(tree.operand, reads)})"
        assert isinstance(tree, ast.BinOp)
        # The plus raises TypeError for a text, with which Python would calculate: 3 * "x".
        return f"(+{term(tree.left, reads)} {_ARITHMETIC[type(tree.op)][0]} +{term(tree.right, reads)})"

    found: Callable[[Callable[[str], Any]], bool] = eval(compile(f"lambda get: {truth(tree)}", "<rule>", "eval"), {"__builtins__": {}})
    return found


def _boolean(tree: ast.expr) -> bool | None:
    if isinstance(tree, ast.Constant) and isinstance(tree.value, bool):
        return tree.value
    if isinstance(tree, ast.Name) and tree.id in {"true", "false"}:
        return tree.id == "true"
    return None
