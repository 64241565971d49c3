"""The expression language of tags and segments, by way of Python's own parser."""

import ast
import operator
from collections.abc import Mapping
from functools import cache
from typing import Any

_COMPARISONS: dict[type[ast.cmpop], Any] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_ARITHMETIC: dict[type[ast.operator], Any] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@cache
def _parse(rule: str) -> ast.expr:
    return ast.parse(" ".join(rule.split()), mode="eval").body


def holds(rule: str, values: Mapping[str, Any]) -> bool:
    """Whether a rule holds.

    Args:
        rule: the text of `when`.
        values: fields of the profile; a name that is not a field is an error, null is not.
    """
    return bool(_value(_parse(rule), values))


def _value(node: ast.expr, values: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id="true" | "false" as word):
            return word == "true"
        case ast.Name(id=name):
            return values[name]
        case ast.BoolOp(op=op, values=parts):
            held = (bool(_value(part, values)) for part in parts)
            return all(held) if isinstance(op, ast.And) else any(held)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _value(operand, values)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _value(operand, values)
            return None if inner is None else -inner
        case ast.BinOp(left=left, op=op, right=right):
            return _arithmetic(op, _value(left, values), _value(right, values))
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            a, b = _value(left, values), _value(right, values)
            return a is not None and b is not None and _COMPARISONS[type(op)](a, b)
    raise ValueError(f"not in the language: {ast.unparse(node)}")


def _arithmetic(op: ast.operator, a: Any, b: Any) -> Any:
    """A missing operand, or a division by zero, makes the result missing."""
    if a is None or b is None or (isinstance(op, ast.Div) and b == 0):
        return None
    return _ARITHMETIC[type(op)](a, b)
