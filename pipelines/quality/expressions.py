"""The rule language of consistency rules, compiled to ClickHouse SQL.

It is the language of tags (`pipelines.audiences.expressions`: comparisons, `and or not`, `+ - * /`, numbers, quoted strings, field names),
with what rules on one event need: `abs(x)`, `round(x, digits)`, and over the entries of a list `sum(lines.price * lines.quantity)`, `min`,
`max`, `count(lines)`. Nothing of a rule's text gets into a statement but names of the contract, numbers and quoted strings.
"""

import ast
import difflib
from collections.abc import Mapping
from typing import Final

import msgspec

from pipelines.audiences.expressions import ExpressionError
from pipelines.quality.sql import quoted
from schemas.contracts import Contract, Field

MAX_LENGTH: Final = 1000
ROW: Final = "\0row"
_NUMBERS: Final = frozenset({"number", "integer", "quantity", "money"})
_ARITHMETIC: Final[dict[type[ast.operator], str]] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_COMPARISON: Final[dict[type[ast.cmpop], str]] = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "=", ast.NotEq: "!=",
}  # fmt: skip
_OVER_LISTS: Final = {"sum": "arraySum", "min": "arrayMin", "max": "arrayMax"}


class Compiled(msgspec.Struct, frozen=True):
    """A rule as SQL.

    Attributes:
        fields: field -> type to read it with, as an element of `JSONExtract(properties, 'Tuple(...)')`.
        applies: SQL condition: every field it reads is there.
        holds: SQL condition, meaningful where it applies. In both `ROW` stands for the tuple.
    """

    fields: dict[str, str]
    applies: str
    holds: str

    def on(self, row: str) -> "Compiled":
        """The same for a tuple of this name."""
        return Compiled(self.fields, self.applies.replace(ROW, row), self.holds.replace(ROW, row))


def compile_rule(text: str, contract: Contract, unless: list[str], where: str) -> Compiled:
    """Compile a rule.

    Args:
        text: the expression.
        contract: of the event it is about.
        unless: fields whose presence makes the rule void.
        where: prefix of error messages.

    Raises:
        ExpressionError: see there.
    """
    return _Compiler(text, contract, where).compiled(unless)


class _Compiler:
    def __init__(self, text: str, contract: Contract, where: str) -> None:
        self._contract, self._where = contract, where
        if len(text) > MAX_LENGTH:
            raise ExpressionError(where, f"longer than {MAX_LENGTH} characters")
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise ExpressionError(where, f"cannot be read: {getattr(error, 'msg', error)}: {text!r}") from error
        self._plain: dict[str, str] = {}
        self._entries: dict[str, dict[str, str]] = {}

    def compiled(self, unless: list[str]) -> Compiled:
        holds = self._truth(self._tree)
        fields = dict(self._plain)
        applies = [f"isNotNull({_element(name)})" for name in self._plain]
        for name, inner in self._entries.items():
            entry = ", ".join(f"`{label}` {kind}" for label, kind in inner.items())
            fields[name] = f"Array(Tuple({entry}))" if inner else "Array(String)"
            applies.append(f"notEmpty({_element(name)})")
            applies += [f"not arrayExists(entry -> isNull(entry.`{label}`), {_element(name)})" for label in inner]
        for name in unless:
            self._field(name, self._contract.fields, self._tree)
            if name in fields:
                raise ExpressionError(self._where, f"`{name}` is both read and in `unless`")
            fields[name] = "Nullable(String)"
            applies.append(f"ifNull({_element(name)}, '') in ('', '[]', '{{}}')")
        if not self._plain and not self._entries:
            raise ExpressionError(self._where, "reads no field")
        return Compiled(fields, " and ".join(applies), f"ifNull({holds}, 0)")

    def _fail(self, tree: ast.AST, why: str) -> ExpressionError:
        return ExpressionError(self._where, why, getattr(tree, "col_offset", 0) + 1)

    def _field(self, name: str, fields: Mapping[str, Field], tree: ast.AST) -> Field:
        if name not in fields:
            near = difflib.get_close_matches(name, fields, 1)
            hint = f"; did you mean `{near[0]}`?" if near else ""
            raise self._fail(tree, f"{self._contract.name} has no field `{name}`{hint}")
        return fields[name]

    def _truth(self, tree: ast.expr) -> str:
        if isinstance(tree, ast.BoolOp):
            word = " and " if isinstance(tree.op, ast.And) else " or "
            return "(" + word.join(self._truth(value) for value in tree.values) + ")"
        if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.Not):
            return f"(not {self._truth(tree.operand)})"
        if isinstance(tree, ast.Compare):
            if len(tree.ops) != 1 or type(tree.ops[0]) not in _COMPARISON:
                raise self._fail(tree, "one comparison at a time: write `a < b and b < c`")
            (left, left_text), (right, right_text) = self._term(tree.left, ""), self._term(tree.comparators[0], "")
            if left_text != right_text:
                raise self._fail(tree, "a number is compared with a text")
            return f"({left} {_COMPARISON[type(tree.ops[0])]} {right})"
        raise self._fail(tree, f"`{ast.unparse(tree)}` is not a condition; compare it with something")

    def _term(self, tree: ast.expr, inside: str) -> tuple[str, bool]:
        """SQL of a term, and whether it is a text.

        Args:
            tree: the term.
            inside: the list whose entries are being gone through, empty for none.
        """
        if isinstance(tree, ast.Constant) and isinstance(tree.value, int | float | str) and not isinstance(tree.value, bool):
            if isinstance(tree.value, str):
                if "\0" in tree.value:
                    raise self._fail(tree, "a text with U+0000, which no event can have")
                return quoted(tree.value), True
            return f"toFloat64({float(tree.value)!r})", False
        if isinstance(tree, ast.Name):
            return self._plain_field(tree)
        if isinstance(tree, ast.Attribute) and isinstance(tree.value, ast.Name):
            return self._entry_field(tree, tree.value.id, inside)
        if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
            return f"(-{self._number(tree.operand, inside)})", False
        if isinstance(tree, ast.BinOp) and type(tree.op) in _ARITHMETIC:
            return f"({self._number(tree.left, inside)} {_ARITHMETIC[type(tree.op)]} {self._number(tree.right, inside)})", False
        if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and not tree.keywords:
            return self._call(tree, tree.func.id, inside), False
        raise self._fail(tree, f"`{ast.unparse(tree)}` is not part of the rule language")

    def _number(self, tree: ast.expr, inside: str) -> str:
        sql, is_text = self._term(tree, inside)
        if is_text:
            raise self._fail(tree, f"`{ast.unparse(tree)}` is a text; nobody calculates with those")
        return sql

    def _plain_field(self, tree: ast.Name) -> tuple[str, bool]:
        field = self._field(tree.id, self._contract.fields, tree)
        if field.type in ("list", "map"):
            raise self._fail(tree, f"`{tree.id}` is a {field.type}; use `count({tree.id})`, or its fields inside `sum(...)`")
        sql, kind, is_text = _typed(_element(tree.id), field)
        self._plain[tree.id] = kind
        return sql, is_text

    def _entry_field(self, tree: ast.Attribute, of: str, inside: str) -> tuple[str, bool]:
        if of != inside:
            raise self._fail(tree, f"`{of}.{tree.attr}` stands for many values; write `sum({of}.{tree.attr})`")
        items = self._contract.parts[self._contract.fields[of].items]
        sql, kind, is_text = _typed(f"assumeNotNull(entry.`{tree.attr}`)", self._field(tree.attr, items, tree))
        self._entries.setdefault(of, {})[tree.attr] = kind
        return sql, is_text

    def _call(self, tree: ast.Call, name: str, inside: str) -> str:
        if name == "abs" and len(tree.args) == 1:
            return f"abs({self._number(tree.args[0], inside)})"
        if name == "round" and len(tree.args) in (1, 2):
            digits = tree.args[1] if len(tree.args) == 2 else ast.Constant(0)
            if not isinstance(digits, ast.Constant) or not isinstance(digits.value, int):
                raise self._fail(tree, "`round` takes a whole number of digits")
            return f"round({self._number(tree.args[0], inside)}, {digits.value})"
        if inside:
            raise self._fail(tree, f"`{name}` inside of another sum")
        if name == "count" and len(tree.args) == 1 and isinstance(tree.args[0], ast.Name):
            of = self._list(tree.args[0].id, tree)
            self._entries.setdefault(of, {})
            return f"toFloat64(length({_element(of)}))"
        if name in _OVER_LISTS and len(tree.args) == 1:
            named = {
                part.value.id for part in ast.walk(tree.args[0]) if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name)
            }
            if len(named) != 1:
                raise self._fail(tree, f"`{name}` goes through the entries of one list: write `{name}(products.price)`")
            of = self._list(named.pop(), tree)
            return f"{_OVER_LISTS[name]}(entry -> {self._number(tree.args[0], of)}, {_element(of)})"
        raise self._fail(tree, f"there is no function `{name}` of {len(tree.args)}; there are abs, round, sum, min, max, count")

    def _list(self, name: str, tree: ast.AST) -> str:
        if self._field(name, self._contract.fields, tree).type != "list":
            raise self._fail(tree, f"`{name}` is no list")
        return name


def _element(name: str) -> str:
    return f"tupleElement({ROW}, {quoted(name)})"


def _typed(sql: str, field: Field) -> tuple[str, str, bool]:
    """SQL of a field's value, the type it is read with, and whether it is a text; times are seconds."""
    if field.type in _NUMBERS:
        return sql, "Nullable(Float64)", False
    if field.type == "timestamp":
        return f"toFloat64(parseDateTime64BestEffortOrNull({sql}, 3, 'UTC'))", "Nullable(String)", False
    return sql, "Nullable(String)", True
