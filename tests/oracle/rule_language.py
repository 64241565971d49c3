"""What a rule means, in the plainest way: a walk over the tree, a branch for each operator. Shares no code with the back ends."""

import math
from collections.abc import Mapping
from typing import Any

from pipelines.rules.tree import Call, Field, Literal, Node

DAY_MS = 86_400_000.0


def evaluate(node: Node, row: Mapping[str, Any], now: float, entry: Mapping[str, Any] | None = None) -> Any:
    """The value of a node for a row; None when it is missing. Conditions are True or False."""
    if isinstance(node, Literal):
        return node.value
    if isinstance(node, Field):
        if node.name == "now":
            return now
        found = (entry or {}).get(node.name) if node.of else row.get(node.name)
        return float(found) if isinstance(found, int) and not isinstance(found, bool) else found
    name = node.function
    if name in ("sum", "min", "max"):
        of = _list_of(node)
        each = [evaluate(node.arguments[0], row, now, one) for one in row.get(of) or []]
        if None in each or (name != "sum" and not each):
            return None
        if name == "sum":
            total = 0.0
            for one in each:
                total += one
            return total
        return min(each) if name == "min" else max(each)
    given = [evaluate(one, row, now, entry) for one in node.arguments]
    if name == "and":
        return all(one is True for one in given)
    if name == "or":
        return any(one is True for one in given)
    if name == "not":
        return given[0] is not True
    if name == "is missing":
        return given[0] is None
    if name == "is known":
        return given[0] is not None
    if name == "coalesce":
        return given[1] if given[0] is None else given[0]
    if name in ("among", "not among"):
        return given[0] is not None and (given[0] in (given[1] or [])) == (name == "among")
    if name == "count":
        return float(len(given[0] or []))
    if name in ("has_any", "has_all"):
        found = [one in (given[0] or []) for one in given[1:]]
        return any(found) if name == "has_any" else all(found)
    is_condition = name in CONDITIONS
    if None in given:
        return False if is_condition else None
    return now - given[0] if name == "ago" else _of(name, *given)


CONDITIONS = {"<", "<=", ">", ">=", "=", "!=", "like", "not like", "in", "not in", "contains", "starts_with", "ends_with"}


def _of(name: str, a: Any, b: Any = None, *rest: Any) -> Any:
    if name == "/":
        return None if b == 0 else a / b
    if name == "round":
        scaled = a * 10.0**b
        if math.isinf(scaled) or math.isnan(scaled):
            return scaled / 10.0**b
        below = math.floor(scaled)
        half = scaled - below
        whole = below if half < 0.5 or (half == 0.5 and below % 2 == 0) else below + 1
        return whole / 10.0**b
    if name in ("floor", "ceil"):
        return a if not math.isfinite(a) else float(math.floor(a) if name == "floor" else -math.floor(-a))
    if name in ("hour", "weekday"):
        return float(math.floor(a / 3_600_000.0) % 24 if name == "hour" else (math.floor(a / DAY_MS) + 3) % 7 + 1)
    if name in ("like", "not like"):
        return _like(a, b) == (name == "like")
    if name in ("in", "not in"):
        return (a in (b, *rest)) == (name == "in")
    return {
        "+": lambda: a + b,
        "-": lambda: a - b,
        "*": lambda: a * b,
        "negative": lambda: -a,
        "<": lambda: a < b,
        "<=": lambda: a <= b,
        ">": lambda: a > b,
        ">=": lambda: a >= b,
        "=": lambda: a == b,
        "!=": lambda: a != b,
        "abs": lambda: abs(a),
        "least": lambda: a if a <= b else b,
        "greatest": lambda: a if a >= b else b,
        "length": lambda: float(len(a)),
        "contains": lambda: b in a,
        "starts_with": lambda: a[: len(b)] == b,
        "ends_with": lambda: b == "" or a[-len(b) :] == b,
        "days": lambda: a / DAY_MS,
        "hours": lambda: a / 3_600_000.0,
    }[name]()


def _like(text: str, pattern: str) -> bool:
    """By a table of all prefixes of both: which matches which."""
    signs: list[tuple[str, bool]] = []
    at = 0
    while at < len(pattern):
        if pattern[at] == "\\":
            signs.append((pattern[at + 1], True))
            at += 2
        else:
            signs.append((pattern[at], False))
            at += 1
    row = [True] + [False] * len(text)
    for sign, is_literal in signs:
        if sign == "%" and not is_literal:
            row = [any(row[: end + 1]) for end in range(len(text) + 1)]
        else:
            row = [False] + [row[end] and (text[end] == sign or (sign == "_" and not is_literal)) for end in range(len(text))]
    return row[-1]


def _list_of(node: Node) -> str:
    if isinstance(node, Field):
        return node.of
    return next((found for one in node.arguments if (found := _list_of(one))), "") if isinstance(node, Call) else ""
