"""Which fields of a record an expression reads, told by its syntax tree: so a file or table is compared with its mapping beforehand."""

from collections.abc import Iterable
from typing import Any, Final

Path = tuple[str, ...]
ENTRY: Final = "[]"
"""Stands in a path for any entry of a list."""
ROOT: Final[frozenset[Path]] = frozenset({()})
_PASSING: Final = ("where", "not_null", "reverse", "sort", "sort_by", "to_array", "merge")
"""Functions whose result is one of their arguments, or made of its entries."""
_ENTRY_OF: Final = ("max_by", "min_by", "max", "min")
_Node = dict[str, Any]


def reads(tree: _Node, scope: Iterable[Path] = ROOT) -> frozenset[Path]:
    """All paths an expression looks at.

    Args:
        tree: as JMESPath's parser makes it.
        scope: what `@` may stand for.

    Returns:
        Paths from the record's root, e.g. `("rows", "[]", "Quantity")`; parts of a longer path are among them.
    """
    found: set[Path] = set()
    _visit(tree, frozenset(scope), found)
    return frozenset(found)


def results(tree: _Node, scope: Iterable[Path] = ROOT) -> frozenset[Path]:
    """Paths an expression's result may be: where `$each` goes on."""
    return _visit(tree, frozenset(scope), set())


def _visit(node: _Node, scope: frozenset[Path], found: set[Path]) -> frozenset[Path]:
    kind, children = node["type"], node["children"]
    if kind == "field":
        there = frozenset((*path, node["value"]) for path in scope)
        found |= there
        return there
    if kind in ("current", "identity"):
        return scope
    if kind in ("subexpression", "index_expression", "pipe"):
        for child in children:
            scope = _visit(child, scope, found)
        return scope
    if kind == "index":
        return entries(scope)
    if kind == "slice":
        return scope
    if kind == "flatten":
        return _visit(children[0], scope, found)
    if kind in ("projection", "value_projection", "filter_projection"):
        inside = entries(_visit(children[0], scope, found))
        for condition in children[2:]:
            _visit(condition, inside, found)
        return entries(_visit(children[1], inside, found))
    if kind == "function_expression":
        return _call(node, scope, found)
    if kind in ("or_expression", "and_expression"):
        return frozenset().union(*(_visit(child, scope, found) for child in children))
    for child in children:  # comparisons, negations, literals, multi-selects: a new value, made of what they read
        if isinstance(child, dict):
            _visit(child, scope, found)
    return frozenset()


def _call(node: _Node, scope: frozenset[Path], found: set[Path]) -> frozenset[Path]:
    plain = [child for child in node["children"] if child["type"] != "expref"]
    given = [_visit(child, scope, found) for child in plain]
    inside = entries(frozenset().union(*given))
    for child in node["children"]:
        if child["type"] == "expref":
            _visit(child["children"][0], inside, found)
    if node["value"] in _PASSING:
        return frozenset().union(*given)
    return inside if node["value"] in _ENTRY_OF else frozenset()


def entries(scope: frozenset[Path]) -> frozenset[Path]:
    """One step into a list; a projection's result is the same list again, so a step is not taken twice."""
    return frozenset(path if path[-1:] == (ENTRY,) else (*path, ENTRY) for path in scope)
