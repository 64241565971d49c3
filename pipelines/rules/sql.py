"""A rule as a ClickHouse expression, which gives what the Python of the same rule gives.

Nothing of a rule's text gets into it but names of the place, numbers, and quoted strings. A condition is never null: each comparison turns
null into 0 by itself.
"""

from pipelines.rules.functions import ALL, Function
from pipelines.rules.moments import bounded
from pipelines.rules.symbols import NOW, Symbol, Symbols
from pipelines.rules.tree import Call, Field, Literal, Node, fields


def quoted(text: str) -> str:
    """A string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def condition(node: Node, symbols: Symbols) -> str:
    """A condition: 1 where it holds, else 0.

    Args:
        node: the tree.
        symbols: which give the SQL of what it reads.

    Raises:
        ValueError: something that it reads has no SQL at this place.
    """
    return _Writer(symbols).holds(node)


def value(node: Node, symbols: Symbols) -> str:
    """A value, `Nullable`; see `condition`."""
    return _Writer(symbols).value(node)


class _Writer:
    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols

    def holds(self, node: Node) -> str:
        if isinstance(node, Literal):
            return "1" if node.value else "0"
        if isinstance(node, Field):
            return f"ifNull({self._field(node)}, 0)"
        if node.function in ("and", "or"):
            return "(" + f" {node.function} ".join(self.holds(part) for part in node.arguments) + ")"
        if node.function == "not":
            return f"(not {self.holds(node.arguments[0])})"
        return f"ifNull({self._by_index(node) or self._call(node)}, 0)"

    def value(self, node: Node) -> str:
        if isinstance(node, Literal):
            return _literal(node)
        if isinstance(node, Field):
            return self._field(node)
        if node.function in ("and", "or", "not") or ALL[node.function].is_condition:
            return self.holds(node)
        return self._call(node)

    def _call(self, node: Call) -> str:
        function = ALL[node.function]
        if function.form == "over":
            return self._over(node, function)
        codes = [f"({self._argument(function, place, one)})" for place, one in enumerate(node.arguments)]
        now = self._field(Field(NOW)) if "{now}" in function.sql else ""
        return function.sql.format(*codes, rest=", ".join(codes[1:]), now=now)

    def _argument(self, function: Function, place: int, node: Node) -> str:
        if function.prepare_sql is not None and isinstance(node, Literal) and place in function.literals:
            made = function.prepare_sql(node.value)
            return quoted(made) if isinstance(made, str) else str(made)
        return self.value(node)

    def _over(self, node: Call, function: Function) -> str:
        of = next(field.of for field in fields(node) if field.of)
        entries, each = self._symbols[of].sql, self.value(node.arguments[0])
        is_missing = f"arrayExists(entry -> isNull({each}), {entries})"
        if function.needs:
            is_missing += f" or empty({entries})"
        values = f"arrayMap(entry -> assumeNotNull({each}), {entries})"
        return f"if({is_missing}, NULL, {function.sql.format(values)})"

    def _by_index(self, node: Call) -> str:
        """A time against a literal, by a column that has an index; empty when it is no such comparison."""
        if node.function not in ("<", "<=", ">", ">=", "=", "!="):
            return ""
        sides = []
        for one in node.arguments:
            symbol = self._symbols.of(one.name) if isinstance(one, Field) and not one.of else None
            if symbol is not None and symbol.moments:
                sides.append(symbol.moments)
            elif isinstance(one, Literal) and one.kind == "time":
                sides.append(f"fromUnixTimestamp64Milli(toInt64({bounded(int(one.value))}), 'UTC')")
        return f"{sides[0]} {node.function} {sides[1]}" if len(sides) == 2 else ""

    def _field(self, field: Field) -> str:
        symbol: Symbol | None = self._symbols.of(field.name, field.of)
        if symbol is None or not symbol.sql:
            raise ValueError(f"`{field.name}` cannot be asked for in ClickHouse here")
        return symbol.sql


def _literal(node: Literal) -> str:
    if isinstance(node.value, bool):
        return "true" if node.value else "false"
    return quoted(node.value) if isinstance(node.value, str) else f"toFloat64({float(node.value)!r})"
