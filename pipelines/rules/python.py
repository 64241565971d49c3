"""A rule as one Python function: what judges every event.

It is made from the tree, never from the text, and knows nothing but its arguments and a few functions of this module. A comparison reads
each of its fields once; one that is missing decides it. Nothing raises: what could is asked for before.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import CodeType
from typing import Any, Final

from pipelines.rules.functions import ALL, Function, rounded
from pipelines.rules.moments import moment_ms
from pipelines.rules.symbols import NOW, Symbol, Symbols
from pipelines.rules.tree import Call, Field, Kind, Literal, Node, fields

Values = Mapping[str, Any]
Holds = Callable[..., bool]
"""Of values by name and the moment of judging, ms, which may be left out where no rule reads it."""
Code = tuple[list[str], str]
"""Conditions without which a value is missing, in the order in which they have to be asked; and the value."""

_COMPARES: Final = frozenset({"<", "<=", ">", ">=", "=", "!=", "in", "not in", "least", "greatest"})


def condition(node: Node, symbols: Symbols) -> Holds:
    """A function of values by name and the moment of judging (ms) that tells whether a condition holds."""
    writer = _Writer(symbols)
    return writer.function(writer.holds(node))


def value(node: Node, symbols: Symbols) -> Callable[..., Any]:
    """The same for a value; None when it is missing."""
    writer = _Writer(symbols)
    return writer.function(_if_known(writer.value(node, {}, as_double=True)))


class _Writer:
    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._numbers = itertools.count()
        self._bound: dict[str, Any] = dict(HELPERS)
        self._entry = ""

    def function(self, code: str) -> Callable[..., Any]:
        """The code as a function; `self._bound` are the only names that it can reach besides its arguments."""
        found: Callable[..., Any] = eval(compile(f"lambda values, now=0.0: {code}", "<rule>", "eval"), self._bound)
        return found

    def holds(self, node: Node) -> str:
        """A condition."""
        if isinstance(node, Literal):
            return repr(bool(node.value))
        if isinstance(node, Field):
            return f"({self._get(node)} is True)"
        if node.function in ("and", "or"):
            return "(" + f" {node.function} ".join(self.holds(part) for part in node.arguments) + ")"
        if node.function == "not":
            return f"(not {self.holds(node.arguments[0])})"
        reads: dict[Field, str] = {}
        if node.function in ("is missing", "is known"):
            known = " and ".join(self.value(node.arguments[0], reads)[0]) or "True"
            return f"({known})" if node.function == "is known" else f"(not ({known}))"
        needs, code = self._call(node, reads)
        return "(" + " and ".join([*needs, code]) + ")"

    def value(self, node: Node, reads: dict[Field, str], *, as_double: bool = False) -> Code:
        """A value.

        Args:
            node: of the tree.
            reads: fields that the comparison has read so far, and the variables that hold them.
            as_double: a number is calculated with: as a double, like ClickHouse does, and not as Python's whole number.
        """
        if isinstance(node, Literal):
            return [], repr(float(node.value)) if node.kind in ("number", "time", "duration") else repr(node.value)
        if isinstance(node, Field):
            return self._field(node, reads, as_double=as_double)
        if node.function == "coalesce":
            return self._first_known(node, reads)
        if node.function in ("and", "or", "not") or ALL[node.function].is_condition:
            return [], self.holds(node)
        return self._call(node, reads)

    def _call(self, node: Call, reads: dict[Field, str]) -> Code:
        function = ALL[node.function]
        if function.form == "over":
            return self._over(node, function)
        # One double makes the whole calculation one.
        doubles = function.name not in _COMPARES and not any(isinstance(one, Literal) for one in node.arguments)
        parts = [self._argument(function, place, one, reads, as_double=doubles and place == 0) for place, one in enumerate(node.arguments)]
        needs = [need for part in parts for need in part[0]]
        codes = [
            code if code.isidentifier() or isinstance(one, Literal) else f"({code})"
            for (_, code), one in zip(parts, node.arguments, strict=True)
        ]
        if function.needs:
            # What is asked about before is computed before, once.
            names = {place: f"v{next(self._numbers)}" for place in range(len(codes)) if f"{{{place}}}" in function.needs}
            needs += [f"({name} := {codes[place]}) is not None" for place, name in names.items()]
            codes = [names.get(place, code) for place, code in enumerate(codes)]
            needs.append(function.needs.format(*codes))
        return needs, function.python.format(*codes, rest=", ".join(codes[1:]))

    def _argument(self, function: Function, place: int, node: Node, reads: dict[Field, str], *, as_double: bool) -> Code:
        if function.prepare is not None and isinstance(node, Literal) and place in function.literals:
            name = f"c{next(self._numbers)}"
            self._bound[name] = function.prepare(node.value)
            return [], name
        return self.value(node, reads, as_double=as_double)

    def _first_known(self, node: Call, reads: dict[Field, str]) -> Code:
        # What is read in one of them only is not known to be read elsewhere.
        (first_needs, first), (needs, code) = (self.value(one, dict(reads), as_double=True) for one in node.arguments)
        if not first_needs:
            return [], first
        known = " and ".join(first_needs)
        chosen = f"v{next(self._numbers)}"
        other = f"({code}) if {' and '.join(needs)} else None" if needs else code
        return [f"({chosen} := ({first}) if {known} else ({other})) is not None"], chosen

    def _over(self, node: Call, function: Function) -> Code:
        lists = {field.of for field in fields(node.arguments[0]) if field.of}
        (of,) = lists
        before, self._entry = self._entry, f"e{next(self._numbers)}"
        entry = self._entry
        each = _if_known(self.value(node.arguments[0], {}, as_double=True))
        self._entry = before
        values = f"v{next(self._numbers)}"
        needs = [f"({values} := gathered(values.get({of!r}), lambda {entry}: {each})) is not None"]
        if function.needs:
            needs.append(function.needs.format(values))
        return needs, function.python.format(values)

    def _field(self, field: Field, reads: dict[Field, str], *, as_double: bool) -> Code:
        if field.name == NOW and not field.of:
            return [], "now"
        symbol = self._symbol(field)
        if symbol.kind in ("set", "list"):
            return [], f"{'entries' if symbol.kind == 'list' else 'keys' if symbol.keys else 'texts'}(values.get({field.name!r}))"
        is_double = symbol.kind in ("number", "time", "duration")
        variable, needs = reads.get(field, ""), []
        if not variable:
            variable = reads[field] = f"v{next(self._numbers)}"
            needs = [f"({variable} := {self._get(field)}) is not None"]
        return needs, f"float({variable})" if as_double and is_double and symbol.is_checked else variable

    def _get(self, field: Field) -> str:
        symbol = self._symbol(field)
        code = f"{self._entry}.get({field.name!r})" if field.of else f"values.get({field.name!r})"
        return code if symbol.is_checked else f"{_CHECKS[symbol.kind]}({code})"

    def _symbol(self, field: Field) -> Symbol:
        symbol = self._symbols.of(field.name, field.of)
        assert symbol is not None
        return symbol


def _if_known(code: Code) -> str:
    needs, found = code
    return f"({found}) if {' and '.join(needs)} else None" if needs else found


def _number(value: Any) -> float | None:
    """A number as a double; None for anything else, and for what no double can hold."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def _moment(value: Any) -> float | None:
    """A time in ms; events tell theirs as texts."""
    return moment_ms(value) if isinstance(value, str) else _number(value)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _truth(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _texts(value: Any) -> Any:
    return value if isinstance(value, Mapping | list | tuple | set | frozenset) else ()


def _keys(value: Any) -> Sequence[Any]:
    return [pair[0] for pair in value] if isinstance(value, list | tuple) else ()


def _entries(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def _gathered(value: Any, each: Callable[[Mapping[str, Any]], float | None]) -> list[float] | None:
    """The values of all entries; None when one of them is missing."""
    found = [each(entry if isinstance(entry, Mapping) else {}) for entry in _entries(value)]
    return None if None in found else [one for one in found if one is not None]


def _floor(value: float) -> float:
    return float(math.floor(value)) if math.isfinite(value) else value


def _ceil(value: float) -> float:
    return float(math.ceil(value)) if math.isfinite(value) else value


_CHECKS: Final[dict[Kind, str]] = {"number": "number", "time": "moment", "duration": "number", "text": "text", "truth": "truth"}
HELPERS: Final[dict[str, Any]] = {
    "__builtins__": {},
    "number": _number,
    "moment": _moment,
    "text": _text,
    "truth": _truth,
    "texts": _texts,
    "keys": _keys,
    "entries": _entries,
    "gathered": _gathered,
    "rounded": rounded,
    "floor": _floor,
    "ceil": _ceil,
    "float": float,
    "abs": abs,
    "len": len,
    "min": min,
    "max": max,
    "sum": sum,
    "any": any,
    "all": all,
}
"""All that the code of a rule can reach."""


def _check_templates() -> None:
    """A template that names what is not there would fail at the first event, not here."""
    for function in ALL.values():
        for template in filter(None, (function.python, function.needs)):
            code = compile(template.format(*"abcd", rest="a"), f"<{function.name}>", "eval")
            unknown = {*_all_names(code)} - {*HELPERS, *"abcd", "now", "startswith", "endswith"}
            if unknown:
                names = ", ".join(sorted(unknown))
                raise NameError(f"functions.py: `{function.name}`: Python cannot reach {names}; HELPERS lists what it can")


def _all_names(code: CodeType) -> Iterable[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _all_names(constant)


_check_templates()
